"""The conductor: sets the stage, loads it, kills when the seed says, gathers."""

import dataclasses
import platform
import random
import shutil
import time

from . import load
from .gateway import Off, Plain, check_programs
from .nfs import NFS
from .outside import Outside
from .processes import Process, ProcessDied
from .protected import VICTIMS, Cold, Hot
from .refuse import check_tools
from .topology import Topology

GATEWAYS = {"none": Plain, "off": Off, "cold": Cold, "hot": Hot}
TICK_S = 0.05
CHANGE_S = 1.0  # before the kill, when the function's surroundings change
OBSERVED_S = 0.3  # the master is asked for its counters so long after the load began, before death
PROTECTED_MAX_S = 60  # whoever is not protected again by then never is
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
    victim: str = "master"  # or another of VICTIMS
    kills: int = 1  # more: of whoever reigns, when a backup is there again and a pause is over
    pause_max_s: float = 0.6
    freeze: bool = False  # SIGSTOP instead of kill -9: a dead host's silence; SIGCONT at the end
    kill_earliest_s: float = 5.0
    kill_latest_s: float = 11.0

    @classmethod
    def short(cls, **settings):
        """Half as long and half the load: for many runs one after another."""
        return cls(**{"downloads": 3, "file_mib": 16, "rate_mib": 2, "upload_mbit": 10,
                      "settle_s": 1.0, "kill_earliest_s": 2.5, "kill_latest_s": 5.5, **settings})

    def load_s(self):
        return self.file_mib / self.rate_mib

    def kill_s(self):
        """After the start of the load; the same for the same seed."""
        return random.Random(self.seed).uniform(self.kill_earliest_s, self.kill_latest_s)

    def pauses_s(self):
        """Between protection and the next kill."""
        moments = random.Random(f"pauses {self.seed}")
        return [moments.uniform(0, self.pause_max_s) for _ in range(self.kills - 1)]


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
        self.victim = VICTIMS[plan.victim].format(self.nf.title)
        self.outside = Outside(topology, self.nf.places)
        self.start_ns = None
        self.kills_ns = []
        self.unprotected_ms = []  # after each kill but the last
        self.said_s = 0

    def run(self):
        plan, nf = self.plan, self.nf
        self.gateway.wait_ready()
        self._wait_path()
        nf.gateway_ready(self.gateway)
        self.say(f"seed {plan.seed}: {self.victim} dies {plan.kill_s():.3f} s after the load"
                 " begins")
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
        nf.lasting = plan.kills > 1
        for pause_s in plan.pauses_s():
            self._await_protection()
            self._tick_until(self._now_s() + pause_s)
            self._kill()
        nf.lasting = False
        killed_s = self._now_s()
        self._tick_until(killed_s + 1.5)
        nf.after_kill()
        self._tick_until(killed_s + 3)
        # What neither ended nor fails by then stands still for good.
        deadline_s = killed_s + plan.load_s() + load.SILENCE_MAX_S + 10
        while nf.loading() and self._now_s() < deadline_s:
            self._tick_until(self._now_s() + TICK_S)
        nf.stop()
        fenced = self.gateway.thaw() if plan.freeze else None
        self.say(f"{self._now_s():5.1f} s  the load has ended; the witness waits for stragglers")
        nf.finish(self.gateway)
        return {**self._result(), **({"fenced": fenced} if fenced else {})}

    def _kill(self):
        plan = self.plan
        if plan.freeze:
            self.kills_ns.append(self.gateway.freeze())
            self.say(f"{self._now_s():5.1f} s  the host of {self.victim} falls silent")
        elif plan.kill:
            self.kills_ns.append(self.gateway.kill(plan.victim))
            self.say(f"{self._now_s():5.1f} s  kill -9 of {self.victim}")
            self.gateway.restart()
        else:
            self.kills_ns.append(time.monotonic_ns())

    def _await_protection(self):
        """A backup is there again; the load goes on meanwhile."""
        kill_ns = self.kills_ns[-1]
        deadline_s = self._now_s() + PROTECTED_MAX_S
        while (protected_ns := self.gateway.protected_ns(kill_ns)) is None:
            if self._now_s() > deadline_s:
                raise ProcessDied(f"{PROTECTED_MAX_S} s after kill {len(self.kills_ns)} there is"
                                  " still no backup that has every page")
            self._tick_until(self._now_s() + TICK_S)
        self.unprotected_ms.append(round((protected_ns - kill_ns) / 1e6, 2))

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
        kill_ns = self.kills_ns[-1] if self.kills_ns and self.plan.kill else None
        while (news := self.gateway.tend(kill_ns)) is not None:
            if news == "started again":
                news = f"{self.nf.title} is started again, with {self.nf.forgets}"
            self.say(f"{self._now_s():5.1f} s  {news}")
        if self._now_s() >= self.said_s + 1:
            self.said_s = int(self._now_s())
            self.say(f"{self._now_s():5.1f} s  {self.nf.progress()}", volatile=True)

    def _result(self):
        plan = self.plan
        result = {
            "nf": plan.nf,
            "mode": plan.mode,
            "kill": plan.victim if plan.kill else None,
            "seed": plan.seed,
            "kill_s": round((self.kills_ns[0] - self.start_ns) / SECOND_NS, 3),
            **self.nf.result(self.start_ns, self.kills_ns),
            **dict.fromkeys(("detection_ms", "fence_ms", "restore_ms", "replay_ms",
                             "cut_ms", "golive_ms", "back_ms", "unprotected_ms", "cpu_ratio",
                             "lag_events", "lag_bytes", "replay_speed_ratio",
                             "snapshot_pause_ms", "log_bytes_per_packet",
                             "log_bytes_per_packet_receive", "log_bytes_per_packet_order",
                             "output_wait_us")),
            **self.gateway.figures(self.kills_ns[-1]),
            "dropped_outside": self.outside.grown(),
            "seconds": round(self._now_s(), 1),
            "kernel": platform.release(),
        }
        if plan.kills > 1:
            result["outages_ms"] = [self.nf.outage_ms(kill_ns, next_ns) for kill_ns, next_ns in
                                    zip(self.kills_ns, self.kills_ns[1:] + [None])]
            result["killing_s"] = round((self.kills_ns[-1] - self.kills_ns[0]) / SECOND_NS, 1)
            result["unprotected_each_ms"] = self.unprotected_ms + [result["unprotected_ms"]]
        # A supervisor started again what died: after that, a backup must be there.
        again = (plan.mode not in ("cold", "hot") or plan.freeze or not plan.kill
                 or result["unprotected_ms"] is not None)
        result["passed"] = again and self.nf.passed(result)
        return result
