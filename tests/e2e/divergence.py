"""No silent divergence (G6): what a replay cannot repeat, and Palisade was not told of, is caught at
the first packet that differs, and named; nobody goes live from it."""

import os
import shutil
import time

from demolib.gateway import Program
from demolib.processes import ProcessDied
from demolib.protected import Cold
from demolib.refuse import Refusal
from demolib.topology import Topology
from stage import Broken, expect
from torture_tests import Load, Tortured

DIVERGED = 74
SECONDS, RATE = 1.5, 200
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "torture", "diverge.c")


class Planted(Tortured):
    """torture/diverge; the processes of the two seats have another $PALISADE_PLANTED."""

    def __init__(self, topology, programs, way):
        self.settings = {"snapshot_ms": 0}  # one base, before the first packet
        self.arguments = ()
        Cold.__init__(self, topology, programs,
                      Program("diverge", (*self.names, way), "", self.ports))

    def nf_command(self, role, **choices):
        command, environment = super().nf_command(role, **choices)
        return command, environment | {"PALISADE_PLANTED": "1" if role == "master" else "2"}


def marked_line():
    with open(SOURCE, encoding="utf-8") as source:
        return next(number for number, line in enumerate(source, 1) if "departs here" in line)


def departure(way):
    def test(stage):
        stage.program("diverge")
        topology = Topology(palisade=True)
        gateway = load = None
        try:
            gateway = Planted(topology, stage.programs, way)
            gateway.wait_ready()
            load = Load(topology, 1, RATE)
            time.sleep(SECONDS)
            gateway.kill()
            status, said = gateway.backup.ended(60), gateway.backup.said()
            answered = {a["worker"] for _, _, a in load.answers}
            return verdict(way, status, said, gateway.backup.journal, answered)
        except (Refusal, ProcessDied) as failure:
            raise Broken(str(failure)) from None
        finally:
            if load is not None:
                load.ended = True
                load.thread.join()
            for part in gateway.processes() if gateway is not None else []:
                part.stop()
            shutil.copytree(topology.directory, stage.keep, dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns("dev"))
            topology.close()
    return test


def verdict(way, status, said, journal, answered):
    expect(status == DIVERGED, f"status {status}: {said[-400:]}")
    expect(answered == {0, 1}, f"only lanes {answered} answered")
    where = f"send at diverge.c:{marked_line()} (serve)"
    for words in ("replay departs from the log: thread ", ", position ", where,
                  "the packets sent are not the master's", "UDP 10.77.0.", "162 bytes"):
        expect(words in said, f"{words!r} is not in: {said[-600:]}")
    told = journal.find("diverged")
    expect(told is not None, "no event in the journal")
    expect((told["file"], told["line"]) == ("diverge.c", marked_line()), f"the journal says {told}")
    expect(told["port"] in Planted.names, f"the journal says {told}")
    expect(told["bytes"][24:28] == "0800", f"the journal says {told}")
    expect(any("(serve)" in event["at"] for event in told["before"]), f"the journal says {told}")
    if way != "counter":  # every packet differs: nothing may have passed before
        expect(told["output"] == 1, f"packet {told['output']} was the first to be caught")
    expect(journal.find("live") is None, "a diverged backup went live")
    return f"packet {told['output']} of thread {told['thread']}"


def tests(_seed):
    return [(f"diverge-{way}", departure(way)) for way in ("random", "counter", "constant")]
