"""The conductor: sets the stage, loads it, kills the function when the seed says, gathers."""

import dataclasses
import platform
import random
import shutil
import time

from . import load
from .gateway import GATEWAYS, check_programs
from .nfs import NFS
from .outside import Outside
from .processes import Process, ProcessDied
from .refuse import check_tools
from .topology import Topology

TICK_S = 0.05
CHANGE_S = 1.0  # before the kill, when the function's surroundings change
OBSERVED_S = 0.3  # the master is asked for its counters so long after the load began, before it dies
SECOND_NS = 1_000_000_000
PATH_TRIES = 20


@dataclasses.dataclass
class Plan:
    mode: str = "cold"
    nf: str = "nat"
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
    function = NFS[plan.nf]
    check_tools(function.tools)
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
        self.nf = NFS[plan.nf](plan, topology, programs)
        program = self.nf.program()
        mode = GATEWAYS[plan.mode]
        check_programs(mode.needs(program) + self.nf.programs, programs)
        self.gateway = mode(topology, programs, program)
        self.outside = Outside(topology, self.nf.places)
        self.start_ns = self.kill_ns = None
        self.said_s = 0

    def run(self):
        plan, nf = self.plan, self.nf
        self.gateway.wait_ready()
        self._wait_path()
        nf.gateway_ready(self.gateway)
        self.say(f"seed {plan.seed}: {nf.title} dies {plan.kill_s():.3f} s after the load begins")
        self.outside.begin()
        self.start_ns = time.monotonic_ns()
        nf.begin()
        for name, namespace, command in plan.companions:
            Process(name, command, self.topology.name(namespace), self.topology.directory)
        self._tick_until(plan.settle_s)
        nf.begin_witness()
        self._tick_until(plan.settle_s + OBSERVED_S)
        self.gateway.observe()
        self._tick_until(plan.kill_s() - CHANGE_S)
        nf.before_kill()
        self._tick_until(plan.kill_s() - OBSERVED_S)
        self.gateway.observe()
        self._tick_until(plan.kill_s())
        self._kill()
        self._tick_until(plan.kill_s() + 1.5)
        nf.after_kill()
        self._tick_until(plan.kill_s() + 3)
        # What neither ended nor fails by then stands still for good.
        deadline_s = plan.load_s() + load.SILENCE_MAX_S + 10
        while nf.loading() and self._now_s() < deadline_s:
            self._tick_until(self._now_s() + TICK_S)
        nf.stop()
        fenced = self.gateway.thaw() if plan.freeze else None
        self.say(f"{self._now_s():5.1f} s  the load has ended; the witness waits for stragglers")
        nf.finish(self.gateway)
        return {**self._result(), **({"fenced": fenced} if fenced else {})}

    def _kill(self):
        plan, title = self.plan, self.nf.title
        if plan.freeze:
            self.kill_ns = self.gateway.freeze()
            self.say(f"{self._now_s():5.1f} s  {title}'s host falls silent")
        elif plan.kill:
            self.kill_ns = self.gateway.kill()
            self.say(f"{self._now_s():5.1f} s  kill -9 of {title}")
        else:
            self.kill_ns = time.monotonic_ns()

    def _wait_path(self):
        """The first packets through the function: neighbours get known on all sides."""
        for _ in range(PATH_TRIES):
            if self.nf.path_ready():
                return
            self.gateway.tend(None)
        raise ProcessDied(f"nothing passes {self.nf.title}")

    def _now_s(self):
        return (time.monotonic_ns() - self.start_ns) / SECOND_NS

    def _tick_until(self, moment_s):
        while True:
            left_s = moment_s - self._now_s()
            if left_s <= 0:
                return
            time.sleep(min(left_s, TICK_S))
            self._tick()

    def _tick(self):
        self.nf.tick(time.monotonic_ns())
        self.nf.require()
        news = self.gateway.tend(self.kill_ns if self.plan.kill else None)
        if news == "started again":
            news = f"{self.nf.title} is started again, with {self.nf.forgets}"
        if news is not None:
            self.say(f"{self._now_s():5.1f} s  {news}")
        if self._now_s() >= self.said_s + 1:
            self.said_s = int(self._now_s())
            self.say(f"{self.said_s:5.1f} s  {self.nf.progress()}", volatile=True)

    def _result(self):
        plan, kill_ns = self.plan, self.kill_ns
        result = {
            "nf": plan.nf,
            "mode": plan.mode,
            "seed": plan.seed,
            "kill_s": round((kill_ns - self.start_ns) / SECOND_NS, 3),
            **self.nf.result(self.start_ns, kill_ns),
            **dict.fromkeys(("detection_ms", "fence_ms", "restore_ms", "replay_ms",
                             "golive_ms", "replay_speed_ratio", "snapshot_pause_ms",
                             "log_bytes_per_packet", "log_bytes_per_packet_receive",
                             "log_bytes_per_packet_order", "output_wait_us")),
            **self.gateway.figures(kill_ns),
            "dropped_outside": self.outside.grown(),
            "seconds": round(self._now_s(), 1),
            "kernel": platform.release(),
        }
        result["passed"] = self.nf.passed(result)
        return result
