"""A logger dies under load and is started again (R16): the master goes on, packets in flight may be
lost, state never; and from the new base a takeover is exact."""

import os
import random
import re
import shutil
import signal
import sys
import time

from demolib.gateway import wait_until
from demolib.processes import ProcessDied
from demolib.refuse import Refusal
from demolib.topology import Topology
from stage import Broken, expect

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "torture"))
from driver import (  # noqa: E402
    FAULTS_SHOWN, Load, Tortured, check_chain, check_effects, check_order, load_ends)
from files import Ends  # noqa: E402

SEEDS = 3
FLIGHT_NS = 2_000_000_000  # how far from the logger's absence a request may be lost


class Gateway(Tortured):
    def process(self, logger):
        return self.output_logger if logger == "output-logger" else self.input_logger

    def but(self, away):
        return [process for process in self.processes() if process.name not in away]

    def start_again(self, logger):
        process = self._logger(logger)
        if logger == "output-logger":
            self.output_logger = process
        else:
            self.input_logger = process

    def is_back(self, role, logger, since):
        """Did `role` find `logger` again? A hot standby starts over, and is ready when it has both."""
        return any(e["t_ns"] >= since and (e["event"] == "ready" or e["event"] == "logger_back" and
                                           logger.startswith(e["logger"]))
                   for e in self.part(role).journal.read())


class TimedLoad(Load):
    def __init__(self, *arguments):
        self.times = [0]  # of the requests, by number
        super().__init__(*arguments)

    def _send(self, port, flow):
        self.times.append(time.monotonic_ns())
        super()._send(port, flow)


def chain_with_gaps(answers):
    """check_chain where answers are missing: (faults, numbers of the missing)."""
    have = {a["n"] for _, _, a in answers}
    missing = sorted(set(range(1, max(have, default=0) + 1)) - have)
    faults = []
    for fault in check_chain(answers):
        words = fault.split()
        n = int(words[1]) if words[:1] == ["answer"] else 0
        if "is lost" in fault or (n and n - 1 not in have and "than answer" in fault):
            continue
        if "another history of flow" in fault:
            continue  # below, with gaps
        faults.append(fault)
    flows = {}
    for _, _, a in sorted(answers, key=lambda entry: entry[2]["n"]):
        n, value = flows.get(a["flow"], (0, 0))
        if a["flow_n"] <= n:
            faults.append(f"answer {a['n']}: flow {a['flow']} goes back to {a['flow_n']}")
        if a["flow_n"] == n + 1 and a["flow_before"] != value:
            faults.append(f"answer {a['n']} follows another history of flow {a['flow']}")
        flows[a["flow"]] = (a["flow_n"], a["flow_hash"])
    skipped = sum(n for n, _ in flows.values()) - len(answers)
    if skipped > len(missing):
        faults.append(f"the flows lack {skipped} answers, the chain {len(missing)}")
    return faults, missing


def check_losses(load, missing, absences):
    """Every request was answered once, or lost near an absence (loggers, from_ns, until_ns)."""
    count = {}
    for _, _, a in load.answers:
        count[a["request"]] = count.get(a["request"], 0) + 1
    faults = [f"request {r} was answered {c} times" for r, c in sorted(count.items()) if c > 1]
    lost = [r for r in range(1, load.sent + 1) if r not in count]
    for r in lost:
        if not any(since - FLIGHT_NS < load.times[r] < until + FLIGHT_NS
                   for _, since, until in absences):
            faults.append(f"request {r} was lost, though every logger was there")
    loggers = {name for names, _, _ in absences for name in names}
    if "output-logger" not in loggers and missing:
        faults.append(f"{len(missing)} answers are lost, though the output logger lived")
    if "input-logger" not in loggers and len(lost) > len(missing):
        faults.append(f"{len(lost) - len(missing)} requests are lost, though the input logger "
                      "lived")
    return faults, lost


class Rejoin:
    """One run: each of `rounds`, a tuple of loggers that die together, then the master."""

    def __init__(self, stage, seed, rounds, program="torture", rate=400, moments=None, **settings):
        self.stage, self.rounds, self.program, self.moments = stage, rounds, program, moments
        self.seed, self.rate, self.settings = seed, rate, settings
        self.random = random.Random(seed)
        self.absences = []
        self.ends = None
        self.dead = ()
        self.before = []  # what incarnations before the last two printed

    def conduct(self):
        topology = Topology(palisade=True)
        self.gateway = None
        try:
            return self._conduct(topology)
        finally:
            for part in self.gateway.processes() if self.gateway else []:
                part.stop()
            shutil.copytree(topology.directory, self.stage.keep, dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns("dev"))  # the files' /dev/log
            topology.close()

    def _pass(self, seconds, away=()):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for process in self.gateway.but((*away, *self.dead)):
                process.require()
            time.sleep(0.01)

    def _moments(self, name):
        """When it dies, when it is started again."""
        if self.moments:
            return self.moments[name]
        return 0, self.random.choice((0, 0.05, self.random.uniform(0.1, 1.0)))

    def _restart(self, loggers):
        gateway, since, started = self.gateway, time.monotonic_ns(), {}
        moments = {name: self._moments(name) for name in loggers}
        steps = sorted([(dies, 0, name) for name, (dies, _) in moments.items()] +
                       [(back, 1, name) for name, (_, back) in moments.items()])
        for moment, start, name in steps:
            self._pass(since / 1e9 + moment - time.monotonic(), loggers)
            if start:
                gateway.process(name).popen.wait()
                started[name] = time.monotonic_ns()
                gateway.start_again(name)
            else:
                gateway.process(name).kill()
        for name, start in started.items():
            for role in {"master", "backup"}.difference(self.dead):
                wait_until(f"the {role} has found the {name} again",
                           lambda role=role, name=name, start=start:
                           gateway.is_back(role, name, start), gateway.but(self.dead))
        self.absences.append((loggers, since, time.monotonic_ns()))

    def _kill(self):
        self._pass(self.random.uniform(FLIGHT_NS / 1e9, FLIGHT_NS / 1e9 + 1))
        self.gateway.observe()
        self._pass(0.1)
        return self.gateway.kill()

    def _conduct(self, topology):
        self.ends = Ends(topology) if self.program == "files" else None
        gateway = self.gateway = Gateway(topology, self.stage.programs, self.program,
                                         self.ends.arguments() if self.ends else (),
                                         **self.settings)
        gateway.wait_ready()
        if self.ends:
            self.ends.begin()
        load, kill_ns = TimedLoad(topology, self.seed, self.rate), None
        try:
            for loggers in self.rounds:
                self._pass(self.random.uniform(0.2, 1.5))
                self._restart(loggers)
            kill_ns = self._kill()
            wait_until("the backup is live",
                       lambda: gateway.backup.journal.find("live", kill_ns),
                       gateway.processes()[:2] + [gateway.backup])
            until = time.monotonic() + 1.5
            while time.monotonic() < until:
                gateway.tend(kill_ns)
                time.sleep(0.02)
            load.sending = False
            self._drain(load)
        finally:
            load_ends(load, self.ends)
        return self._verdict(load, kill_ns)

    @staticmethod
    def _drain(load):
        quiet = time.monotonic()
        seen = len(load.answers)
        while len(load.answers) < load.sent and time.monotonic() - quiet < 1.5:
            time.sleep(0.02)
            if len(load.answers) > seen:
                seen, quiet = len(load.answers), time.monotonic()

    def _verdict(self, load, kill_ns):
        time.sleep(0.3)  # the last lines of stdout
        gateway = self.gateway
        texts = [*self.before, gateway.master.said(), gateway.backup.said()]
        faults, missing = chain_with_gaps(load.answers)
        more, lost = check_losses(load, missing, self.absences)
        faults += more + check_order(load.answers) + check_effects(texts)
        if self.ends:
            gateway.backup.stop()
            faults += self.ends.faults(1)
        backs = [e["ns"] for e in gateway.master.journal.read() if e["event"] == "logger_back"]
        counters = gateway.master.journal.last("counters") or {}
        figures = {"answers": len(load.answers), "lost": len(lost), "of them computed":
                   len(missing), "discarded": counters.get("inputs_discarded"),
                   "unprotected_ms": [round(ns / 1e6) for ns in backs]}
        if not any(moment > kill_ns + 100_000_000 for _, moment, _ in load.answers):
            faults.append("no answer came after the kill")
        if faults:
            gateway.figures(kill_ns)
        return faults, figures


class Rapid(Rejoin):
    """A logger dies again before everything is well: at any step of the way."""

    def _restart(self, loggers):
        since = time.monotonic_ns()
        for _ in range(6):
            for name in loggers:
                self.gateway.process(name).kill()
                self.gateway.process(name).popen.wait()
                self.gateway.start_again(name)
            self._pass(self.random.uniform(0.02, 0.3), BOTH)
        super()._restart(loggers)
        self.absences.append((loggers, since, time.monotonic_ns()))


class AfterTakeover(Rejoin):
    """The loggers die when a backup has just gone live, and there is no other."""

    def _restart(self, loggers):
        gateway = self.gateway
        kill_ns, self.dead = gateway.kill(), ("master",)
        wait_until("the backup is live",
                   lambda: gateway.backup.journal.find("live", kill_ns), gateway.but(self.dead))
        self._pass(self.random.choice((0, 0, 0.02, 0.2)))
        super()._restart(loggers)
        self.before.append(gateway.master.said())
        gateway.relieve()
        self.dead = ()


class Frozen(Rejoin):
    """A logger only stands still, so long that it is taken for dead; then it goes on."""

    def __init__(self, stage, seed, logger):
        super().__init__(stage, seed, [(logger,)], rate=100)
        self.logger = logger

    def _restart(self, loggers):
        gateway, since = self.gateway, time.monotonic_ns()
        os.kill(gateway.process(self.logger).pid, signal.SIGSTOP)
        wait_until("the master misses it",
                   lambda: gateway.master.journal.find("logger_lost", since),
                   gateway.processes())
        self._pass(self.random.uniform(0.0, 0.5))
        os.kill(gateway.process(self.logger).pid, signal.SIGCONT)
        self._woken(since)
        self.absences.append((loggers, since, time.monotonic_ns()))


class FrozenInput(Frozen):
    def _woken(self, since):
        for role in ("master", "backup"):
            wait_until(f"the {role} has found it again",
                       lambda role=role: self.gateway.is_back(role, self.logger, since),
                       self.gateway.processes())


class FrozenOutput(Frozen):
    """It fences the master, which was silent for it: the backup takes over, the master ends."""

    def _woken(self, since):
        self.gateway.falls()
        self.kill_ns = time.monotonic_ns()
        status = self.gateway.master.ended(30)
        expect(status == FENCED, f"the master ended with {status}: {self.gateway.master.tail()}")

    def _kill(self):
        return self.kill_ns

    def _conduct(self, topology):
        faults, figures = super()._conduct(topology)
        return faults, figures | {"the master": self.gateway.master.said().splitlines()[-1]}


def rejoin(seed, rounds, kind=Rejoin, **settings):
    def test(stage):
        stage.program(settings.get("program", "torture"))
        try:
            faults, figures = kind(stage, seed, rounds, **settings).conduct()
        except (Refusal, ProcessDied) as failure:
            raise Broken(str(failure)) from None
        expect(not faults, f"{len(faults)} faults: " + "; ".join(faults[:FAULTS_SHOWN]))
        return ", ".join(f"{key} {value}" for key, value in figures.items())
    return test


FENCED = 73  # STATUS_FENCED of runtime/core/status.h
class Doomed(Rejoin):
    """The input logger and the master die: their packets are nowhere, nobody may go on."""

    def _conduct(self, topology):
        gateway = self.gateway = Gateway(topology, self.stage.programs, self.program)
        gateway.wait_ready()
        load = Load(topology, self.seed, self.rate)
        try:
            self._pass(1)
            gateway.input_logger.kill()
            wait_until("the backup misses it", lambda: gateway.backup.journal.find("logger_lost"),
                       [gateway.backup])
            kill_ns = gateway.kill()
            if gateway.standby == "hot":  # it waits for both to start over
                gateway.input_logger.popen.wait()
                gateway.start_again("input-logger")
            status = gateway.backup.ended(30)
            time.sleep(1)
        finally:
            load.ended = True
            load.thread.join()
        said = gateway.backup.said().splitlines()[-1]
        faults = check_order(load.answers) + check_chain(load.answers)
        if status != UNREACHABLE or not re.search("died with (it|the input logger)", said):
            faults.append(f"the backup ended with {status}: {said}")
        went = ["live"] if gateway.standby == "hot" else ["live", "restored"]
        if any(gateway.backup.journal.find(event) for event in went):
            faults.append("it went on")
        return faults, {"answers": len(load.answers), "the backup": said,
                        "after": sum(moment > kill_ns for _, moment, _ in load.answers)}


class Exit(Rejoin):
    """The program ends while nobody stores its outputs: it does not wait for ever."""

    def _conduct(self, topology):
        gateway = self.gateway = Gateway(topology, self.stage.programs, "values")
        gateway.wait_ready()
        load = Load(topology, self.seed, self.rate)
        try:
            self._pass(0.5)
            gateway.output_logger.kill()
            wait_until("the master misses it", lambda: gateway.master.journal.find("logger_lost"),
                       [gateway.master])
            os.kill(gateway.master.pid, signal.SIGTERM)
            status = gateway.master.ended(30)
        finally:
            load.ended = True
            load.thread.join()
        return [] if status == 7 else [f"status {status}"], {}


UNREACHABLE = 72
OUTPUT, INPUT = ("output-logger",), ("input-logger",)
BOTH = OUTPUT + INPUT
FULL = {"output-logger": (0, 5), "input-logger": (3.5, 4)}


def tests(seed):
    moments = random.Random(seed)
    cases = []
    for n in range(1, SEEDS + 1):
        s = moments.randrange(1 << 31)
        cases += [(f"rejoin-output-{n}-seed-{s}", rejoin(s, [OUTPUT])),
                  (f"rejoin-input-{n}-seed-{s}", rejoin(s, [INPUT])),
                  (f"rejoin-both-{n}-seed-{s}", rejoin(s, [BOTH])),
                  (f"rejoin-again-{n}-seed-{s}", rejoin(s, [OUTPUT, INPUT, OUTPUT, BOTH],
                                                        snapshot_ms=50))]
    cases += [
        # Threads that wait for the dead logger, for what only its successor can bring.
        (f"rejoin-files-output-seed-{s}", rejoin(s, [OUTPUT], program="files")),
        (f"rejoin-files-again-seed-{s}", rejoin(s, [OUTPUT, INPUT, BOTH], program="files")),
        # Logs that nobody wants fill their rings many times over.
        (f"rejoin-small-logs-seed-{s}", rejoin(s, [OUTPUT], log_kib=8,
                                               moments={OUTPUT[0]: (0, 1)})),
        # Rings and queues are full before the output logger is back, the input logger long since.
        (f"rejoin-full-seed-{s}", rejoin(s, [BOTH], rate=3000, moments=FULL)),
        *((f"rejoin-rapid-{'-'.join(name.split('-')[0] for name in names)}-seed-{s}",
           rejoin(s, [names], Rapid)) for names in (OUTPUT, INPUT, BOTH)),
        (f"rejoin-doomed-seed-{s}", rejoin(s, [], Doomed)),
        (f"rejoin-exit-seed-{s}", rejoin(s, [], Exit)),
        *((f"rejoin-after-takeover-{'-'.join(name.split('-')[0] for name in names)}-seed-{s}",
           rejoin(s, [names], AfterTakeover)) for names in (OUTPUT, INPUT, BOTH)),
        (f"rejoin-frozen-input-seed-{s}", rejoin(s, INPUT[0], FrozenInput)),
        (f"rejoin-frozen-output-seed-{s}", rejoin(s, OUTPUT[0], FrozenOutput)),
    ]
    return cases
