"""A slow or full part is back-pressure that the counters show: never loss behind the world-facing
interface, never more memory than the options allow."""

import json
import os
import re
import shutil
import signal
import time

from demolib.gateway import NAT_OPTIONS, wait_until
from demolib.outside import Outside
from demolib.processes import ProcessDied
from demolib.refuse import Refusal
from demolib.topology import SERVER_ADDRESS, Topology, inside, ip
from demolib.witness import Witness
from stage import Broken, expect, run
from torture_tests import Load, Run, Tortured

MIB = 1 << 20
STOP_S = 0.4  # a heartbeat may be 0.1 s old, and the machine slow; 1 s of silence counts as death
PAUSES = 8
PAYLOAD = 1000
RINGS = 8
SETTLE_S = 20  # all that is under way arrives: generous, the machine is busy
PLACES = (("client", ("eth0",)), ("gate", ("lan", "wan")), ("server", ("eth0",)))
WORLD_DROPS = ("receive_ring_full", "fill_ring_empty", "receive_dropped")
IMAGE_MIB = 8  # the NAT's and torture's are far smaller
WINDOW_MIB = 3.5  # of a link
LIFELINE_MIB = 17  # a queue of 8 MiB, doubled while it grows, and a message
SLACK_MIB = 4  # buffers of lifelines without bulk, the heap's own
QUEUES, THREADS = 4, 3  # of these programs


class Squeezed(Tortured):
    """The NAT, or another program, between loggers of so many MiB."""

    def __init__(self, *words, il_mib=256, ol_mib=256, **settings):
        self.memory = {"input-logger": il_mib, "output-logger": ol_mib}
        super().__init__(*words, **settings)

    def logger_command(self, name):
        return [*super().logger_command(name), "--memory", str(self.memory[name])]

    def parts(self):
        return {"input-logger": self.input_logger, "output-logger": self.output_logger,
                "master": self.master, "backup": self.backup}

    def ask(self, name):
        """The counters of one process, now."""
        process, since_ns = self.parts()[name], time.monotonic_ns()
        process.require()
        os.kill(process.pid, signal.SIGUSR1)
        wait_until(f"{name} writes its counters",
                   lambda: self.journals[name].find("counters", since_ns), [process])
        return self.journals[name].find("counters", since_ns)

    def waits(self, name, what):
        return self.ask(name)["waits"][what]["times"]

    def pause(self, name, seconds=STOP_S):
        process = self.parts()[name]
        os.kill(process.pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(process.pid, signal.SIGCONT)

    def pause_until(self, victim, name, what):
        """Until process `name` has had to wait: one pause, unless the machine has little time."""
        for _ in range(PAUSES):
            if self.waits(name, what):
                return
            self.pause(victim)
            time.sleep(0.5)
        raise Broken(f"{name} counts no wait for {what}, though the {victim} stood still")

    def memory_mib(self):
        """The most that each process ever had in memory (VmHWM)."""
        return {name: peak_mib(process) for name, process in self.parts().items()
                if process.running()}

    def grown_at_most_mib(self, settings):
        """What the options allow a process to grow by once it is ready."""
        il, ol = self.memory["input-logger"], self.memory["output-logger"]
        rings = rings_mib(settings)
        replay = 2 * IMAGE_MIB + 2 * il + ol
        return {"input-logger": 1.25 * il + 2 * WINDOW_MIB + SLACK_MIB,
                "output-logger": 2 * ol + IMAGE_MIB + WINDOW_MIB + rings + 2 * LIFELINE_MIB,
                "master": QUEUES * settings.get("queue_packets", 1024) * 1616 / MIB + rings
                + 3 * IMAGE_MIB + 2 * LIFELINE_MIB,
                "backup": replay + rings + 2 * LIFELINE_MIB}


class Nat(Squeezed):
    names = tuple(NAT_OPTIONS)

    def __init__(self, topology, programs, **settings):
        super().__init__(topology, programs, "nat", **settings)


def rings_mib(settings):
    return THREADS * (settings.get("log_kib", 1024) / 1024 + 0.25)


def peak_mib(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmHWM:\s+(\d+)", status.read()).group(1)) / 1024


class Squeeze:
    """One run: load through the NAT while act(gateway, load) makes something slow."""

    def __init__(self, stage, flows=8, rate=800, payload=PAYLOAD, il_mib=256, ol_mib=256, **settings):
        self.stage, self.settings = stage, settings
        self.flows, self.rate, self.payload = flows, rate, payload
        self.memory = {"il_mib": il_mib, "ol_mib": ol_mib}

    def conduct(self, act):
        """Returns a note."""
        topology = Topology(palisade=True)
        gateway = None
        try:
            gateway = Nat(topology, self.stage.programs, **self.memory, **self.settings)
            return self._conduct(topology, gateway, act)
        except (Refusal, ProcessDied) as failure:
            raise Broken(str(failure)) from None
        finally:
            for part in gateway.processes() if gateway else []:
                part.stop()
            shutil.copytree(topology.directory, self.stage.keep, dirs_exist_ok=True)
            topology.close()

    def _conduct(self, topology, gateway, act):
        gateway.wait_ready()
        wait_until("a packet passes", lambda: self._path(topology), gateway.processes())
        for place in ("client", "server"):
            self._keep_neighbours(topology.name(place))
        ready = gateway.memory_mib()
        outside = Outside(topology, PLACES)
        outside.begin()
        witness = Witness(self.stage.programs, topology, self.flows, self.rate,
                          payload=self.payload, grace_ms=3000)
        act(gateway, witness)
        witness.require()
        verdict = witness.finish()
        for process in gateway.processes():
            process.require()
        counters = self._settled(gateway)
        grown = self._grown(gateway, ready)
        drops = self._drops(counters, outside)
        for key in ("doubled", "reordered", "altered"):
            expect(verdict.total(key) == 0, f"{verdict.total(key)} packets {key}")
        lost, sent = verdict.total("lost"), verdict.total("sent")
        expect(lost <= sum(drops.values()), f"{lost} of {sent} packets lost, dropped where they "
               f"may be: {drops}")
        return f"{sent} sent, {lost} lost before the input logger; grown MiB " + \
            ", ".join(f"{name} {mib:.0f}" for name, mib in grown.items())

    @staticmethod
    def _path(topology):
        try:
            inside(topology.name("client"), "ping", "-q", "-c", "1", "-W", "1", SERVER_ADDRESS)
            return True
        except Refusal:
            return False

    @staticmethod
    def _keep_neighbours(namespace):
        """Else a kernel that hears nothing for seconds forgets them, and drops packets uncounted."""
        for entry in json.loads(run("ip", "-json", "-n", namespace, "neighbour")[1]):
            if "lladdr" in entry:
                ip("-n", namespace, "neighbour", "replace", entry["dst"], "dev", entry["dev"],
                   "lladdr", entry["lladdr"], "nud", "permanent")

    @staticmethod
    def _settled(gateway):
        """All that the input logger accepted has gone its way, by everybody's own account."""
        deadline = time.monotonic() + SETTLE_S
        while True:
            il, nf, ol = (gateway.ask(name) for name in ("input-logger", "master",
                                                         "output-logger"))
            senders = ol["senders"].values()
            account = {
                "accepted": il["input_log"]["next"] - 1,
                "consumed": nf["next_input"] - 1 - nf["queued_inputs"],
                "outputs": nf["outputs"],
                "released": ol["output_log"]["released"],
                "sent": sum(s["sent"] + s["dropped_invalid"] for s in senders),
            }
            if account["accepted"] == account["consumed"] and \
                    account["outputs"] == account["released"] == account["sent"]:
                break
            expect(time.monotonic() < deadline, f"what came in is not out: {account}")
            time.sleep(0.1)
        expect(il["input"]["dropped_full"] == 0, "the input logger dropped what it had taken")
        expect(not any(s["dropped_down"] for s in senders), "a device was down")
        return {"input-logger": il, "master": nf, "output-logger": ol}

    def _grown(self, gateway, ready):
        peaks, most = gateway.memory_mib(), gateway.grown_at_most_mib(self.settings)
        grown = {name: peak - ready[name] for name, peak in peaks.items()}
        for name, mib in grown.items():
            expect(mib <= most[name], f"{name} grew by {mib:.0f} MiB, the options allow "
                   f"{most[name]:.0f}")
        return grown

    @staticmethod
    def _drops(counters, outside):
        drops = {f"{port}.{name}": ring[name]
                 for port, ring in counters["input-logger"]["ports"].items()
                 for name in WORLD_DROPS if ring[name]}
        return {**drops, **outside.grown()}


class Patient(Load):
    def finish(self, tend):
        self.sending = False
        deadline = time.monotonic() + SETTLE_S
        while len(self.answers) < self.sent and time.monotonic() < deadline:
            tend()
            time.sleep(0.02)
        super().finish(tend)


class Hungry(Run):
    gateway_class, load_class = Squeezed, Patient
    paused = False

    def _tend_until(self, moment, kill_ns):
        if not self.paused:  # then all that fills up comes at once
            self.paused = True
            for _ in range(PAUSES):
                self.gateway.pause("output-logger")
                time.sleep(0.5)
                if self._filled(self.gateway.ask("output-logger")):
                    break
        super()._tend_until(moment, kill_ns)

    def _filled(self, ol):
        """Times that it was full; one when a commit made room in the same round of the loop."""
        bound = self.gateway.memory["output-logger"] * MIB
        return ol["waits"]["memory_full"]["times"] or int(ol["output_log"]["memory_most"] >= bound)

    def _verdict(self, *words):
        faults, figures = super()._verdict(*words)
        master = self.gateway.ask("backup" if self.kill else "master")
        ol = self.gateway.ask("output-logger")
        self.waits = {"log_full": master["waits"]["log_full"]["times"],
                      "memory_full": self._filled(ol),
                      "wants": ol["reign"]["wants"]}
        figures["log_mib"] = ol["output_log"]["log_bytes_total"] // MIB
        most = ol["output_log"]["memory_most"] / MIB
        allowed = self.gateway.memory["output-logger"] + WINDOW_MIB + rings_mib(self.settings)
        if most > allowed:
            faults.append(f"the output logger stored {most:.1f} MiB, it may {allowed:.1f}")
        figures["most_mib"] = round(most, 1)
        return faults, figures


def stops(stage):
    """Each process in turn stands still for less than the silence that counts as death."""
    def act(gateway, _witness):
        for name in ("output-logger", "input-logger", "master") * 2:
            gateway.pause(name)
            time.sleep(0.4)
            for process in gateway.processes():
                process.require()
        gateway.pause_until("output-logger", "master", "window_full")
        gateway.pause_until("master", "input-logger", "feed")
        for name in ("input-logger", "output-logger"):
            expect(not gateway.journals[name].find("master_lost"), f"the {name} lost the master")
    return Squeeze(stage).conduct(act)


def backup(stage):
    """A backup that reads nothing is given up, the rest goes on; awake, it joins again."""
    def act(gateway, witness):
        os.kill(gateway.backup.pid, signal.SIGSTOP)
        wait_until("the backup is given up",
                   lambda: gateway.journals["output-logger"].find("backup_lost"),
                   [gateway.master, gateway.output_logger, gateway.input_logger])
        before = witness.progress()["received"]
        time.sleep(1)
        expect(witness.progress()["received"] > before, "the NAT stands still")
        woken_ns = time.monotonic_ns()
        os.kill(gateway.backup.pid, signal.SIGCONT)
        wait_until("the backup protects again",
                   lambda: gateway.journals["output-logger"].find("protected", woken_ns),
                   gateway.processes())
        joined = gateway.journals["backup"]
        expect(joined.find("logger_lost", woken_ns) or joined.find("starts_over", woken_ns),
               "it lost nothing")
    return Squeeze(stage, snapshot_ms=10, ol_mib=8).conduct(act)


def small(stage):
    """The least memory everywhere, more load than that, and a logger that stands still: all of it
    fills up, back to the device."""
    def act(gateway, _witness):
        time.sleep(1)
        for _ in range(4):
            gateway.pause("output-logger")
            time.sleep(0.5)
        gateway.pause_until("output-logger", "input-logger", "ring_full")
    return Squeeze(stage, flows=16, rate=1200, il_mib=1, ol_mib=4, log_kib=8,
                   queue_packets=512).conduct(act)


def once(stage):
    """No snapshots by time: a logger that fills up asks for one."""
    def act(gateway, _witness):
        def many_rings():
            ring = gateway.ask("input-logger")["input_log"]
            return ring["accepted"] * PAYLOAD > RINGS * ring["bytes_total"]

        time.sleep(1)
        wait_until("the ring was filled many times", many_rings, gateway.processes())
        expect(gateway.ask("input-logger")["input"]["wants"] >= RINGS, "who asked for snapshots?")
    return Squeeze(stage, flows=16, rate=800, il_mib=1, snapshot_ms=0).conduct(act)


def logs(seed, **settings):
    """Logs of many times the memory, and threads that come late to a barrier: snapshots make room,
    again and again."""
    def test(stage):
        run = Hungry(stage, seed, program="hungry", rate=150, seconds=3.0, snapshot_ms=0, log_kib=8,
                     ol_mib=2, **settings)
        faults, figures = run.conduct()
        expect(not faults, f"{len(faults)} faults: " + "; ".join(faults[:4]))
        for name, waits in run.waits.items():
            expect(waits > 0, f"no wait for {name}")
        return ", ".join(f"{key} {value}" for key, value in {**figures, **run.waits}.items())
    return test


def tests(seed):
    return [("pressure-stops", stops), ("pressure-backup", backup), ("pressure-small", small),
            ("pressure-once", once), ("pressure-logs", logs(seed, kill=False)),
            (f"pressure-logs-kill-seed-{seed}", logs(seed))]
