"""The conductor: sets the stage, loads it, kills the NAT at the moment the seed says, gathers."""

import dataclasses
import os
import platform
import random
import shutil
import subprocess
import time

from . import load
from .gateway import GATEWAYS, check_programs
from .outside import Outside
from .processes import Process, ProcessDied
from .refuse import check_tools
from .topology import SERVER_ADDRESS, Topology
from .witness import Witness

TICK_S = 0.05
OBSERVED_S = 0.3  # the master is asked for its counters so long after the load began, before it dies
SECOND_NS = 1_000_000_000
# Where the world could lose a packet before Palisade numbered it or after Palisade released it.
PLACES = (("client", ("eth0",)), ("gate", ("lan", "wan")), ("server", ("eth0",)))
TOOLS = ("ip", "nsenter", "ethtool", "nginx", "curl", "iperf3", "ping")


@dataclasses.dataclass
class Plan:
    mode: str = "cold"
    seed: int = 0
    downloads: int = 4
    file_mib: int = 64
    rate_mib: int = 4  # a second, each download
    upload_mbit: int = 20
    flows: int = 8
    new_flows: int = 4  # opened after the kill
    packets_per_s: int = 200  # each flow, each direction
    settle_s: float = 2.0  # TCP alone, before the witness begins
    companions: tuple = ()  # (name, namespace, command): run beside the load
    kill: bool = True  # False: the same run undisturbed, the witness's own control
    freeze: bool = False  # SIGSTOP instead of kill -9: a dead host's silence; SIGCONT at the end
    kill_earliest_s: float = 5.0
    kill_latest_s: float = 11.0

    def load_s(self):
        return self.file_mib / self.rate_mib

    def kill_s(self):
        """After the start of the load; the same for the same seed."""
        return random.Random(self.seed).uniform(self.kill_earliest_s, self.kill_latest_s)


def conduct(plan, programs, say, keep=None):
    """
    Runs the plan; returns the result. `say(text, volatile)` shows progress to a person; `keep` is
    a directory that gets the logs and journals of all programs.
    """
    check_programs(plan.mode, programs)
    check_tools(TOOLS)
    topology = Topology(palisade=plan.mode not in ("none", "off"))
    try:
        return Conductor(plan, programs, topology, say).run()
    finally:
        if keep is not None:
            shutil.copytree(topology.directory, keep, dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns("www"))
        topology.close()


class Conductor:
    def __init__(self, plan, programs, topology, say):
        self.plan, self.topology, self.say = plan, topology, say
        self.gateway = GATEWAYS[plan.mode](topology, programs)
        self.witness_program = os.path.join(programs, "witness-udp")
        self.website = load.Website(topology, plan.file_mib << 20, plan.rate_mib << 20)
        self.upload = load.Upload(topology, int(plan.load_s()) - 1, plan.upload_mbit)
        self.downloads = []
        self.witness = None
        self.retransmissions = load.Retransmissions([self.website.process.pid])
        self.outside = Outside(topology, PLACES)
        self.start_ns = self.kill_ns = None
        self.said_s = 0

    def run(self):
        plan = self.plan
        self.gateway.wait_ready()
        self._wait_path()
        self.say(f"seed {plan.seed}: the NAT dies {plan.kill_s():.3f} s after the load begins")
        self.outside.begin()
        self.start_ns = time.monotonic_ns()
        self.downloads = [load.Download(self.topology, n) for n in range(plan.downloads)]
        self.upload.start()
        for name, namespace, command in plan.companions:
            Process(name, command, self.topology.name(namespace), self.topology.directory)
        self.retransmissions.pids.append(self.downloads[0].process.pid)
        self._tick_until(plan.settle_s)
        self.witness = Witness(self.witness_program, self.topology, plan.flows,
                               plan.packets_per_s)
        self.retransmissions.pids[1] = self.witness.client.process.pid
        self._tick_until(plan.settle_s + OBSERVED_S)
        self.gateway.observe()
        self._tick_until(plan.kill_s() - OBSERVED_S)
        self.gateway.observe()
        self._tick_until(plan.kill_s())
        if plan.freeze:
            self.kill_ns = self.gateway.freeze()
            self.say(f"{self._now_s():5.1f} s  the NAT's host falls silent")
        elif plan.kill:
            self.kill_ns = self.gateway.kill()
            self.say(f"{self._now_s():5.1f} s  kill -9 of the NAT")
        else:
            self.kill_ns = time.monotonic_ns()
        self._tick_until(plan.kill_s() + 1.5)
        self.witness.open(plan.new_flows)
        self._tick_until(plan.kill_s() + 3)
        # What neither ended nor fails by then stands still for good.
        deadline_s = plan.load_s() + load.SILENCE_MAX_S + 10
        while self._loading() and self._now_s() < deadline_s:
            self._tick_until(self._now_s() + TICK_S)
        for part in [d.process for d in self.downloads] + [self.upload.client]:
            part.stop()
        fenced = self.gateway.thaw() if plan.freeze else None
        self.say(f"{self._now_s():5.1f} s  the load has ended; the witness waits for stragglers")
        return {**self._result(self.witness.finish()), **({"fenced": fenced} if fenced else {})}

    def _wait_path(self):
        """The first packets through the NAT: neighbours get known on all sides."""
        for _ in range(20):
            done = subprocess.run(
                ["nsenter", f"--net=/run/netns/{self.topology.name('client')}", "--", "ping",
                 "-q", "-c", "1", "-W", "1", SERVER_ADDRESS],
                stdin=subprocess.DEVNULL, capture_output=True, check=False)
            if done.returncode == 0:
                return
            self.gateway.tend(None)
        raise ProcessDied("no ping passes the NAT")

    def _now_s(self):
        return (time.monotonic_ns() - self.start_ns) / SECOND_NS

    def _loading(self):
        return self.upload.running() or any(d.running() for d in self.downloads)

    def _tick_until(self, moment_s):
        while True:
            left_s = moment_s - self._now_s()
            if left_s <= 0:
                return
            time.sleep(min(left_s, TICK_S))
            self._tick()

    def _tick(self):
        self.retransmissions.sample(time.monotonic_ns())
        self.website.process.require()
        if self.witness is not None:
            self.witness.require()
        news = self.gateway.tend(self.kill_ns if self.plan.kill else None)
        if news is not None:
            self.say(f"{self._now_s():5.1f} s  {news}")
        if self._now_s() >= self.said_s + 1:
            self.said_s = int(self._now_s())
            self.say(self._progress(), volatile=True)

    def _progress(self):
        received = sum(d.bytes for d in self.downloads) >> 20
        wanted = self.plan.downloads * self.plan.file_mib
        text = f"{self.said_s:5.1f} s  downloads {received} of {wanted} MiB"
        if self.witness is not None:
            ends = self.witness.client.progress, self.witness.server.progress
            counts = {key: sum(end[key] for end in ends)
                      for key in ("received", "missing", "doubled", "reordered")}
            text += "; witness " + ", ".join(f"{n} {key}" for key, n in counts.items())
        return text

    def _result(self, verdict):
        plan, kill_ns = self.plan, self.kill_ns
        up_ms, down_ms = verdict.outage_ms(kill_ns)
        broken_downloads = sum(d.broken() for d in self.downloads)
        whole = sum(d.whole(self.website.sha256) for d in self.downloads)
        broken_uploads = int(self.upload.broken())
        quiet_ns = kill_ns - SECOND_NS * 3 // 2
        result = {
            "mode": plan.mode,
            "seed": plan.seed,
            "kill_s": round((kill_ns - self.start_ns) / SECOND_NS, 3),
            "lost": verdict.total("lost"),
            "doubled": verdict.total("doubled"),
            "reordered": verdict.total("reordered"),
            "altered": verdict.total("altered"),
            "witness_sent": verdict.total("sent"),
            "lost_towards_server": verdict.up["lost"],
            "lost_towards_client": verdict.down["lost"],
            "broken": broken_downloads + broken_uploads,
            "broken_downloads": broken_downloads,
            "broken_uploads": broken_uploads,
            "connections": len(self.downloads) + 1,
            "checksum_ok": whole == len(self.downloads),
            "downloads_whole": whole,
            "outage_ms": max(up_ms, down_ms),
            "outage_towards_server_ms": up_ms,
            "outage_towards_client_ms": down_ms,
            "longest_way_ms": verdict.longest_way_ms(),
            "retransmits_quiet": self.retransmissions.between(quiet_ns, quiet_ns + SECOND_NS),
            "retransmits_kill": self.retransmissions.between(kill_ns - SECOND_NS // 10,
                                                             kill_ns + SECOND_NS * 9 // 10),
            **verdict.mappings(kill_ns),
            **dict.fromkeys(("detection_ms", "fence_ms", "restore_ms", "replay_ms",
                             "golive_ms", "replay_speed_ratio", "snapshot_pause_ms",
                             "log_bytes_per_packet", "log_bytes_per_packet_receive",
                             "log_bytes_per_packet_order", "output_wait_us")),
            **self.gateway.figures(kill_ns),
            "dropped_outside": self.outside.grown(),
            "seconds": round(self._now_s(), 1),
            "kernel": platform.release(),
        }
        result["passed"] = passed(result)
        return result


def passed(result):
    """Nothing lost, doubled, reordered, altered or broken, and every mapping as it was."""
    return (not any(result[key] for key in ("lost", "doubled", "reordered", "altered", "broken",
                                            "mappings_changed", "ports_reused"))
            and result["checksum_ok"]
            and result["mappings_before"] == result["mappings_after"] > 0
            and result["new_flows"] > 0)
