"""standby=check with programs built by `palisade-cc --palisade-check`: what threads share though the report
calls it private is named, with both places; what they hand over in order is not."""

import os
import signal
import time

from demolib import protected
from demolib.gateway import wait_until
from demolib.processes import ProcessDied
from demolib.refuse import Refusal
from demolib.topology import Topology
from stage import Broken, expect, run
from torture_tests import Load, Tortured

HERE = os.path.dirname(os.path.abspath(__file__))
RATE = 400
ANSWERS = 1000
ENOUGH = 1000  # accesses looked at, when nothing is to be found


def line_of(source, words):
    with open(os.path.join(HERE, source), encoding="ascii") as file:
        return next(n for n, line in enumerate(file, 1) if words in line)


class Checked:
    """A program with a standby that checks, under load; the standby follows to the end."""

    def __init__(self, stage, program):
        self.stage, self.program = stage, program
        protected.Cold.standby = "check"

    def __enter__(self):
        self.topology = Topology(palisade=True)
        self.load = self.gateway = None
        try:
            self.gateway = Tortured(self.topology, self.stage.programs, program=self.program)
            self.gateway.wait_ready()
            self.standby = self.gateway.backup
            self.load = Load(self.topology, 1, RATE)
        except (Refusal, ProcessDied) as failure:
            self.__exit__()
            raise Broken(str(failure)) from None
        return self

    def __exit__(self, *_):
        if self.load:
            self.load.ended = True
            self.load.thread.join()
        for part in self.gateway.processes() if self.gateway else []:
            part.stop()
        os.makedirs(self.stage.keep, exist_ok=True)
        run("cp", "-r", self.topology.directory, self.stage.keep)
        self.topology.close()

    def until(self, what, condition):
        try:
            wait_until(what, condition, self.gateway.processes())
        except ProcessDied as failure:
            raise Broken(str(failure)) from None

    def named(self):
        return [e for e in self.standby.journal.read() if e["event"] == "private_shared"]

    def counters(self):
        since_ns = time.monotonic_ns()
        os.kill(self.standby.pid, signal.SIGUSR1)
        self.until("the standby writes its counters",
                   lambda: self.standby.journal.find("counters", since_ns))
        return self.standby.journal.find("counters", since_ns)["check"]


def shared(stage):
    stage.program("check_private")
    name, integer = (line_of("check_private.c", words) for words in ("by name */", "by an integer */"))
    with Checked(stage, "check_private") as checked:
        checked.until("something is named", checked.named)
        checked.until("much is looked at", lambda: checked.counters()["accesses"] > ENOUGH)
        found, counters, said = checked.named(), checked.counters(), checked.standby.said()
    for event in found:
        ends = sorted((end["variable"], end["line"], end["class"]) for end in (event["one"], event["other"]))
        expect(ends == [("(struct tally).packets", integer, "private"), ("tally.packets", name, "private")],
               f"named: {event}")
        expect(event["class"] == "private" and event["one"]["op"] == "store" and
               event["one"]["thread"] != event["other"]["thread"], f"named: {event}")
        expect(all(end["file"].endswith("check_private.c") for end in (event["one"], event["other"])),
               f"named: {event}")
    expect(len(found) <= counters["shared"] <= 4, f"{counters}, named {len(found)}")
    expect("palisade: access the report calls private is shared: " in said, said[-400:])
    for words in ("tally.packets written by thread ", f"check_private.c:{name}", f"check_private.c:{integer}"):
        expect(words in said, f"{words!r} is not in: {said[-400:]}")
    return f"{len(found)} pairs, {counters['accesses']} accesses"


def with_check(stage, source, *options):
    """A directory like build/bin, in which the program was built to be checked."""
    name = os.path.splitext(os.path.basename(source))[0]
    programs = os.path.join(stage.keep, "checked", "bin")
    os.makedirs(programs)
    os.symlink(os.path.join(stage.programs, "../lib"), os.path.join(stage.keep, "checked", "lib"))
    for program in os.listdir(stage.programs):
        if program != name and not program.endswith("CMakeFiles"):
            os.symlink(os.path.join(stage.programs, program), os.path.join(programs, program))
    status, _, said = run(stage.program("palisade-cc"), "--palisade-check", "-O2",
                          os.path.join(stage.root, source), "-o", os.path.join(programs, name), *options,
                          timeout_s=120)
    expect(status == 0, f"{name} does not compile: {said[-400:]}")
    stage.programs = programs
    return name


def nothing_shared(journal, counters):
    named = [e for e in journal.read() if e["event"] == "private_shared"]
    expect(not named, f"{len(named)} named, among them {named[:1]}")
    expect(counters["accesses"] > ENOUGH and counters["shared"] == 0, f"the counters: {counters}")
    return f"{counters['accesses']} accesses"


def tortured(name, *options):
    """Every way in which the torture programs hand over is an order that is known."""
    def test(stage):
        with Checked(stage, with_check(stage, f"tests/e2e/torture/{name}.c", *options)) as checked:
            checked.until("many are answered", lambda: len(checked.load.answers) > ANSWERS)
            return nothing_shared(checked.standby.journal, checked.counters())
    return test


def locks(stage):
    shelf = os.path.join(stage.root, "build", "tests", "e2e", "CMakeFiles", "torture_shelf.dir", "torture",
                         "shelf.c.o")
    model = os.path.join(HERE, "torture", "locks.model")
    return tortured("locks", f"--palisade-model={model}", shelf)(stage)


def example(name, *libraries):
    """The demonstration, undisturbed, with a standby that checks."""
    def test(stage):
        with_check(stage, f"examples/{name}/{name}.c", *libraries)
        protected.Cold.standby = "check"
        own_figures = protected.Cold.figures
        found = {}

        def figures(gateway, kill_ns):
            since_ns = time.monotonic_ns()
            os.kill(gateway.backup.pid, signal.SIGUSR1)
            wait_until("the standby writes its counters",
                       lambda: gateway.backup.journal.find("counters", since_ns), gateway.processes())
            found["said"] = nothing_shared(gateway.backup.journal,
                                           gateway.backup.journal.find("counters", since_ns)["check"])
            return own_figures(gateway, kill_ns)
        protected.Cold.figures = figures
        result = stage.conduct(nf=name, mode="cold", kill=False)
        expect(result["passed"], f"not passed: {result}")
        return found["said"]
    return test


def tests(_seed):
    return [("check-private", shared), ("check-torture", tortured("torture")),
            ("check-atomics", tortured("atomics", "-mcx16", "-Wno-atomic-alignment")),
            ("check-locks", locks), ("check-values", tortured("values")),
            ("check-nat", example("nat")), ("check-lb", example("lb", "-lxdp", "-lbpf")),
            ("check-monitor", example("monitor", "-lpcap")), ("check-ratelimit", example("ratelimit"))]
