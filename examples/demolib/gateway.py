"""The network function between client and server, as each mode has it."""

import dataclasses
import json
import os
import signal
import statistics
import time

from .processes import Process, ProcessDied
from .refuse import FAILED, Refusal
from .topology import LAN_ADDRESS, WAN_ADDRESS, logger_address

READY_TIMEOUT_S = 30
SNAPSHOT_MS = 200
NAT_OPTIONS = ["--lan", "lan", "--lan-address", f"{LAN_ADDRESS}/24",
               "--wan", "wan", "--wan-address", f"{WAN_ADDRESS}/24", "--workers", "2"]


@dataclasses.dataclass
class Program:
    """A network function's program: what it is called, how it is started."""

    name: str  # built twice: NAME-plain, and NAME by palisade-cc
    options: tuple
    ready: str  # what it prints once it works
    ports: tuple = ("lan=lan", "wan=wan")  # for the loggers' --port


NAT = Program("nat", tuple(NAT_OPTIONS), "workers")


class Plain:
    """Mode none: no Palisade. Whoever dies is started again at once, as a supervisor would."""

    loggers = ()
    suffix = "-plain"

    def __init__(self, topology, programs, program=NAT):
        self.topology, self.program = topology, program
        self.command = [os.path.join(programs, program.name + self.suffix), *program.options]
        self.restarts = 0
        self.nf = self._start()

    @classmethod
    def needs(cls, program):
        return (program.name + cls.suffix, *cls.loggers)

    def _start(self):
        return Process(self.program.name, self.command, self.topology.name("gate"),
                       self.topology.directory)

    def living(self):
        return [self.nf]

    def wait_ready(self):
        wait_until(f"{self.program.name} listens", lambda: self.program.ready in self.said(),
                   [self.nf])

    def said(self):
        """All that the function printed so far."""
        return self.nf.said()

    def kill(self):
        return self.nf.kill()

    def tend(self, kill_ns):
        """Called all the time; returns a sentence when there is news."""
        if kill_ns is None:
            self.nf.require()
        elif not self.nf.running():
            if self.restarts > 0:
                self.nf.require()
            self.restarts += 1
            self.nf = self._start()
            return "started again"
        return None

    def observe(self):
        pass

    def figures(self, _kill_ns):
        return {"restarts": self.restarts}


class Off(Plain):
    """The program that palisade-cc built, told not to record: the same again."""

    suffix = ""


class Journal:
    """What a program of Palisade writes down: a JSON object a line."""

    def __init__(self, path):
        self.path = path
        self.offset = 0
        self.events = []

    def read(self):
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                for line in file:
                    if not line.endswith(b"\n"):
                        break  # still being written
                    self.offset += len(line)
                    self.events.append(json.loads(line))
        except FileNotFoundError:
            pass
        return self.events

    def find(self, event, after_ns=0):
        """The first such event from `after_ns` on, or None."""
        for entry in self.read():
            if entry["event"] == event and entry["t_ns"] >= after_ns:
                return entry
        return None

    def last(self, event):
        return next((e for e in reversed(self.read()) if e["event"] == event), None)


class Cold:
    """Mode cold: loggers, master, and a backup that waits for a snapshot and the logs."""

    loggers = ("palisade-input-logger", "palisade-output-logger")
    link = {"master": ("ilm", "olm"), "backup": ("ilb", "olb")}

    def __init__(self, topology, programs, program=NAT, backup=True, logger_options=()):
        self.topology = topology
        self.programs = programs
        self.program = program
        self.killed = False
        self.announced = set()
        self.journals = {name: Journal(self._path(f"{name}.jsonl"))
                         for name in ("input-logger", "output-logger", "master", "backup")}
        self.output_logger = self._logger("output-logger", "olm", "olb", *logger_options)
        self.input_logger = self._logger("input-logger", "ilm", "ilb")
        self.master = self._nf("master")
        self.backup = self._nf("backup") if backup else None

    @classmethod
    def needs(cls, program):
        return (program.name, *cls.loggers)

    def _path(self, name):
        return os.path.join(self.topology.directory, name)

    def _logger(self, name, link, second_link, *options):
        state = self._path(f"{name}.state")
        os.makedirs(state, exist_ok=True)
        command = [os.path.join(self.programs, f"palisade-{name}"),
                   *(word for port in self.program.ports for word in ("--port", port)),
                   "--link", link, "--link", second_link,
                   "--state", state, "--journal", self.journals[name].path, *options]
        return Process(name, command, self.topology.name("gate"), self.topology.directory)

    def nf_command(self, role, program=None, options=None):
        """(command, environment) of an NF process in this topology."""
        il, ol = (logger_address(device) for device in self.link[role])
        settings = {"role": role, "il": f"il@{il}", "ol": f"ol@{ol}",
                    "journal": self.journals[role].path, "snapshot_ms": SNAPSHOT_MS}
        return ([program or os.path.join(self.programs, self.program.name),
                 *(options or self.program.options)],
                {"PALISADE_OPTIONS": ":".join(f"{k}={v}" for k, v in settings.items())})

    def _nf(self, role):
        command, environment = self.nf_command(role)
        return Process(role, command, self.topology.name(role), self.topology.directory,
                       environment)

    def processes(self):
        parts = [self.output_logger, self.input_logger, self.master, self.backup]
        return [part for part in parts if part is not None]

    def wait_ready(self):
        for process in self.processes()[2:]:
            wait_until(f"the {process.name} is ready",
                       lambda name=process.name: self.journals[name].find("ready"),
                       self.processes())
        wait_until("the first snapshot is committed",
                   lambda: self.journals["output-logger"].find("image_committed"),
                   self.processes())

    def observe(self):
        """Makes the master write its counters down; called some time before it dies, twice."""
        os.kill(self.master.pid, signal.SIGUSR1)

    def said(self):
        """All that the function printed so far, in either process."""
        return self.master.said() + (self.backup.said() if self.backup else "")

    def living(self):
        """The processes that must go on running."""
        return [part for part in self.processes() if not (self.killed and part is self.master)]

    def kill(self):
        self.killed = True
        return self.master.kill()

    def freeze(self):
        """The master stops answering, as when its host dies; its connections stay open."""
        self.killed = True
        moment_ns = time.monotonic_ns()
        os.kill(self.master.pid, signal.SIGSTOP)
        return moment_ns

    def thaw(self):
        """The frozen master goes on, too late: (exit status, what it said)."""
        os.kill(self.master.pid, signal.SIGCONT)
        return self.master.ended(10), self.master.tail()

    def tend(self, kill_ns):
        for process in self.processes():
            if process is not self.master or kill_ns is None:
                process.require()
        if kill_ns is None:
            return None
        for name, event, sentence in (
                ("output-logger", "master_lost", "the output logger misses the master"),
                ("backup", "restored", "the backup has restored the snapshot"),
                ("backup", "replayed", "the backup has replayed the logs"),
                ("backup", "live", "the backup is live")):
            found = self.journals[name].find(event, kill_ns)
            if found is not None and event not in self.announced:
                self.announced.add(event)
                return f"{sentence} ({(found['t_ns'] - kill_ns) / 1e6:.1f} ms after the kill)"
        return None

    def _moments(self, kill_ns):
        """[kill, master lost, takeover, restored, replayed, live]; None: it never came."""
        return [kill_ns] + [
            (found or {}).get("t_ns") for found in (
                self.journals["output-logger"].find("master_lost", kill_ns),
                self.journals["backup"].find("takeover", kill_ns),
                self.journals["backup"].find("restored", kill_ns),
                self.journals["backup"].find("replayed", kill_ns),
                self.journals["backup"].find("live", kill_ns))]

    def figures(self, kill_ns):
        """Palisade's own account: the split of the outage, snapshots, logs, counters."""
        kill, lost, takeover, restored, replayed, live = self._moments(kill_ns)

        def span_ms(since, until):
            return round((until - since) / 1e6, 2) if since and until else None

        pauses = [e["pause_ns"] / 1e6 for role in ("master", "backup")
                  for e in self.journals[role].read() if e["event"] == "snapshot"]
        events = (self.journals["backup"].find("replayed", kill_ns) or {}).get("events")
        counters = {name: self._counters(name) for name in ("input-logger", "output-logger",
                                                            "backup")}
        counters["master"] = bare(self.journals["master"].last("counters") or {})
        return {
            "detection_ms": span_ms(kill, lost),
            "fence_ms": span_ms(lost, takeover),
            "restore_ms": span_ms(takeover, restored),
            "replay_ms": span_ms(restored, replayed),
            "golive_ms": span_ms(replayed, live),
            "takeover_ms": span_ms(kill, live),
            "replayed_events": events,
            **self._speeds(events, restored, replayed),
            "snapshots": len(pauses),
            "snapshot_pause_ms": round(statistics.median(pauses), 2) if pauses else None,
            "snapshot_pause_max_ms": round(max(pauses), 2) if pauses else None,
            **self._logs(counters),
            "counters": counters,
        }

    def _speeds(self, events, restored, replayed):
        """Replay against what the load made the master do between its two observations."""
        seen = [e for e in self.journals["master"].read() if e["event"] == "counters"]
        recorded = replay = None
        if len(seen) > 1 and seen[-1]["t_ns"] > seen[0]["t_ns"]:
            recorded = (seen[-1]["events"] - seen[0]["events"]) * 1e9 \
                / (seen[-1]["t_ns"] - seen[0]["t_ns"])
        if events and restored and replayed:
            replay = events * 1e9 / (replayed - restored)
        return {
            "record_events_per_s": round(recorded) if recorded else None,
            "replay_events_per_s": round(replay) if replay else None,
            "replay_speed_ratio": round(replay / recorded, 2) if replay and recorded else None,
        }

    @staticmethod
    def _logs(counters):
        log = counters["output-logger"].get("output_log", {})
        kinds, packets = log.get("record_bytes", {}), log.get("released")
        held = counters["output-logger"].get("held_time", {})

        def per_packet(count):
            return round(count / packets, 2) if packets and count is not None else None

        return {
            "log_bytes_per_packet": per_packet(log.get("log_bytes_total")),
            "log_bytes_per_packet_receive": per_packet(kinds.get("receive")),
            "log_bytes_per_packet_order": per_packet(kinds.get("order")),
            "log_bytes_per_packet_by_kind": {kind: per_packet(count)
                                             for kind, count in kinds.items() if count},
            "output_wait_us": {key: held[f"{key}_ns"] / 1000 for key in ("p50", "p99", "max")}
            if held else None,
        }

    def _counters(self, name):
        """Asks for the counters and waits a moment for them."""
        process = {"input-logger": self.input_logger, "output-logger": self.output_logger,
                   "backup": self.backup}[name]
        since_ns = time.monotonic_ns()
        if not process.running():
            return {}
        os.kill(process.pid, signal.SIGUSR1)
        for _ in range(50):
            found = self.journals[name].find("counters", since_ns)
            if found is not None:
                return bare(found)
            time.sleep(0.02)
        return {}


def bare(event):
    return {key: value for key, value in event.items() if key not in ("event", "t_ns")}


GATEWAYS = {"none": Plain, "off": Off, "cold": Cold}


def wait_until(what, condition, processes):
    """Polls until `condition` holds; the processes must go on running meanwhile."""
    for _ in range(READY_TIMEOUT_S * 20):
        if condition():
            return
        for process in processes:
            process.require()
        time.sleep(0.05)
    said = "\n".join(f"  {p.name}:\n{p.tail()}" for p in processes)
    raise ProcessDied(f"waited {READY_TIMEOUT_S} s in vain until {what}:\n{said}")


def check_programs(names, programs):
    for name in names:
        if not os.access(os.path.join(programs, name), os.X_OK):
            raise Refusal(FAILED, f"{os.path.join(programs, name)} is missing: build first "
                          "(cmake --preset default && cmake --build --preset default)")
