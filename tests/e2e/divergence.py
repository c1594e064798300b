"""No silent divergence (G6): what a replay cannot repeat, and Palisade was not told of, is caught at
the first packet that differs, and named; nobody goes live from it."""

import os
import shutil
import time

from demolib.gateway import Program, wait_until
from demolib.processes import ProcessDied
from demolib.protected import Cold
from demolib.refuse import Refusal
from demolib.topology import Topology
from stage import Broken, expect
from torture_tests import Load, Tortured

DIVERGED = 74
SECONDS, RATE, QUIET_S = 1.5, 200, 5
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "torture", "diverge.c")


BEHIND = 79  # STATUS_BEHIND of runtime/core/status.h


class Planted(Tortured):
    """torture/diverge; the processes of the two seats have another $PALISADE_PLANTED."""

    def __init__(self, topology, programs, way, standby):
        # By time no snapshots: one base, before the first packet.
        self.settings = {"snapshot_ms": 0, "standby": standby}
        self.arguments = ()
        Cold.__init__(self, topology, programs,
                      Program("diverge", (*self.names, way), "", self.ports))

    def nf_command(self, role, **choices):
        command, environment = super().nf_command(role, **choices)
        return command, environment | {"PALISADE_PLANTED": "1" if role == "master" else "2"}


class Bounded(Planted):
    """The least lag there is: it is soon reached."""

    lag_kib = 1


def marked_line():
    with open(SOURCE, encoding="utf-8") as source:
        return next(number for number, line in enumerate(source, 1) if "departs here" in line)


def planted(way, standby, conduct, kind=Planted):
    """A test: `conduct` gets the gateway, ready, and a function that starts the load."""
    def test(stage):
        stage.program("diverge")
        topology = Topology(palisade=True)
        gateway, loads = None, []

        def begin():
            loads.append(Load(topology, 1, RATE))
            return loads[0]

        try:
            gateway = kind(topology, stage.programs, way, standby)
            gateway.wait_ready()
            return conduct(gateway, begin, way)
        except (Refusal, ProcessDied) as failure:
            raise Broken(str(failure)) from None
        finally:
            for load in loads:
                load.ended = True
                load.thread.join()
            for part in gateway.processes() if gateway is not None else []:
                part.stop()
            shutil.copytree(topology.directory, stage.keep, dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns("dev"))
            topology.close()
    return test


def cold(gateway, begin, way):
    """The takeover replays: it ends there."""
    load = begin()
    time.sleep(SECONDS)
    gateway.kill()
    status, said = gateway.backup.ended(60), gateway.backup.said()
    expect(status == DIVERGED, f"status {status}: {said[-400:]}")
    answered = {a["worker"] for _, _, a in load.answers}
    expect(answered == {0, 1}, f"only lanes {answered} answered")
    journal = gateway.backup.journal
    expect(journal.find("live") is None, "a diverged backup went live")
    return caught(way, said, journal)


def hot(gateway, begin, way):
    """A standby sees it while the master lives, starts over from a snapshot of the master, and takes
    over only from one after which nothing differed."""
    journal, everybody = gateway.backup.journal, gateway.living()
    wait_until("the standby follows", lambda: journal.find("follows"), everybody)
    load = begin()
    wait_until("the standby departs", lambda: journal.find("diverged"), everybody)
    count = len(load.answers)
    wait_until("the master answers on", lambda: len(load.answers) > count + RATE // 4, everybody)
    load.sending = False
    load_end_ns = time.monotonic_ns()
    wait_until("the standby follows a master at rest",
               lambda: follows_quietly(journal, load_end_ns), everybody)
    expect(journal.find("live") is None, "a standby went live beside its master")
    figure = caught(way, gateway.backup.said(), journal)
    base = journal.last("follows")["base"]
    expect(base > journal.find("follows")["base"], f"it follows from base {base} again")
    departures = sum(event["event"] == "diverged" for event in journal.read())
    gateway.kill()
    wait_until("it takes over", lambda: journal.find("live"), [gateway.backup])
    load.sending, count = True, len(load.answers)
    wait_until("it answers", lambda: len(load.answers) > count, [gateway.backup])
    return f"{figure}, {departures} departures"


def still(gateway, begin, way):
    """No packet tells of it: the standby only stands still, with logs to replay. The master waits for
    it no longer than some seconds, and nothing of it is trusted."""
    journal, logger = gateway.backup.journal, gateway.output_logger.journal
    everybody = gateway.living()
    wait_until("the standby follows", lambda: journal.find("follows"), everybody)
    load = begin()
    wait_until("the output logger gives it up", lambda: logger.find("refused"), everybody)
    told = logger.find("refused")
    expect(told["status"] == BEHIND and "does not go on" in told["text"], f"it says: {told}")
    expect(logger.find("unprotected", told["t_ns"] - 10**9), "it still counts as protection")
    count = len(load.answers)
    wait_until("the master answers on", lambda: len(load.answers) > count + RATE // 4, everybody)
    base = journal.find("follows")["base"]
    wait_until("it follows again", lambda: journal.last("follows")["base"] > base, everybody)
    expect(journal.find("live") is None, "a standby went live beside its master")
    return f"from base {base}, then {journal.last('follows')['base']}"


def follows_quietly(journal, since_ns):
    """Nothing was sent any more, and nothing found."""
    last = [event for event in journal.read() if event["event"] in ("follows", "diverged")][-1]
    return last["event"] == "follows" and \
        time.monotonic_ns() > max(last["t_ns"], since_ns) + QUIET_S * 10**9


def caught(way, said, journal):
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
    return f"packet {told['output']} of thread {told['thread']}"


def tests(_seed):
    return [(f"diverge-{standby}-{way}", planted(way, standby, conduct))
            for standby, conduct in (("cold", cold), ("hot", hot))
            for way in ("random", "counter", "constant")] + \
        [("diverge-hot-still", planted("still", "hot", still, Bounded))]
