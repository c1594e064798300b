"""All processes of one protected program under load, and their supervisor: what the tests of fault
points (faults.py) share.

Whoever dies is started again at once. A house may see many deaths and several lives of the program;
after each the load pauses until every request is answered, and the ledger looks at what came.
"""

import os
import random
import select
import shutil
import signal
import time

from demolib.journal import Journal
from demolib.processes import Process
from demolib.protected import Cold
from demolib.topology import Topology, logger_address
from stage import Broken, expect
from torture_tests import FAULTS_SHOWN, Load
from driver import check_effects, mix

PATIENCE_S = 20
BUSY, BUSY_S = 67, 15  # the kernel may not have freed what the dead held yet: then once more
SNAPSHOT_MS = 100
RATE, FLOWS = 200, 16
PLACES = {"master": ("ilm", "olm"), "backup": ("ilb", "olb")}  # namespaces of NFs, and their links
LOGGERS = {"ol": "output-logger", "il": "input-logger"}
IN_FLIGHT_NS = 500_000_000  # a request is answered or lost that long after it was sent, at most


class Actor(Process):
    """One process from its start to its end, with a journal of its own and perhaps a fault."""

    def __init__(self, house, kind, place, command, options, fault):
        house.started += 1
        name = f"{house.started:03d}-{kind}"
        path = os.path.join(house.topology.directory, f"{name}.jsonl")
        options = [*options, *([f"fault={fault}"] if fault else [])]
        super().__init__(name, [word.replace("JOURNAL", path) for word in command],
                         house.topology.name(place), house.topology.directory,
                         {"PALISADE_OPTIONS": ":".join(options).replace("JOURNAL", path)})
        self.kind, self.place, self.fault = kind, place, fault
        self.journal = Journal(path)
        self.born = time.monotonic()

    def struck(self):
        """It came by its fault point, and died of it."""
        if self.fault is None or self.running():
            return False
        found = self.journal.find("fault") or {}
        return found.get("name") == self.fault.split("@")[0] and \
            self.popen.returncode == -signal.SIGKILL

    def came_too_early(self):
        return self.popen.returncode == BUSY and time.monotonic() < self.born + BUSY_S


class Traffic(Load):
    """Load that can pause, and knows when and where each request was sent, and which were answered."""

    def __init__(self, topology, seed):
        self.moments, self.ports = [0], [None]  # of request n at n
        self.waiting = set()
        self.asked = self.counted = 0
        super().__init__(topology, seed, RATE)

    def _run(self):
        due = time.monotonic()
        while not self.ended:
            now = time.monotonic()
            due = due if self.sending else now
            while self.sending and due <= now:
                due += 1 / self.rate
                self.moments.append(time.monotonic_ns())
                self.ports.append(self.random.randrange(2))
                self.sent += 1
                self._send(self.ports[-1], self.random.randrange(FLOWS))
            ready, _, _ = select.select(self.sockets, [], [], 0.002)
            for packets in ready:
                self._receive(packets)

    def unanswered(self):
        answers, sent = len(self.answers), self.sent
        answered = {a["request"] for _, _, a in self.answers[self.counted:answers]}
        self.waiting |= set(range(self.asked + 1, sent + 1))
        self.asked, self.counted = sent, answers
        self.waiting -= answered
        return self.waiting

    def end(self):
        self.ended = True
        self.thread.join()
        for packets in self.sockets:
            packets.close()


class Ledger:
    """Follows the chain of answers (torture/driver.py) from test to test. When `torn`, answers may be
    missing in it; they never come twice or late, and what goes on does so from the same state."""

    def __init__(self):
        self.n = self.hash = self.clock = self.seen = 0
        self.flows, self.uncertain, self.workers = {}, set(), {}

    def check(self, answers, torn):
        new = answers[self.seen:]
        self.seen += len(new)
        faults = []
        for port, _, a in new:  # as they came
            last, key = self.workers.get((port, a["worker"]), 0), (port, a["worker"])
            if a["worker_n"] <= last:
                faults.append(f"port {port}: worker {a['worker']}'s answer {a['worker_n']} came "
                              f"after {last}")
            self.workers[key] = a["worker_n"]
        for a in sorted((entry[2] for entry in new), key=lambda a: a["n"]):
            faults += self._next(a, torn)
        return faults

    def _next(self, a, torn):
        n, gap, faults = a["n"], a["n"] - self.n - 1, []
        if gap < 0:
            return [f"answer {n} came again, or too late"]
        if gap == 0 and a["before"] != self.hash:
            faults.append(f"answer {n} follows another history than answer {n - 1}")
        if gap > 0 and not torn:
            faults.append(f"{gap} answers before {n} are lost")
        if gap > 0:
            self.uncertain = set(range(FLOWS))
        value = a["before"]
        for name in ("n", "request", "random", "clock", "pointer", "digest"):
            value = mix(value, a[name])
        if value != a["hash"] or mix(a["flow_before"], value) != a["flow_hash"]:
            faults.append(f"answer {n} has not the hashes of what it says")
        if a["clock"] < self.clock:
            faults.append(f"the clock goes back at answer {n}")
        flow_n, flow_hash = self.flows.get(a["flow"], (0, 0))
        follows = (a["flow_n"], a["flow_before"]) == (flow_n + 1, flow_hash)
        if not follows and not (a["flow"] in self.uncertain and a["flow_n"] > flow_n + 1):
            faults.append(f"answer {n} follows another history of flow {a['flow']}")
        self.uncertain.discard(a["flow"])
        self.flows[a["flow"]] = (a["flow_n"], a["flow_hash"])
        self.n, self.hash, self.clock = n, a["hash"], a["clock"]
        return faults


class House:
    def __init__(self, programs, seed):
        self.programs, self.random = programs, random.Random(seed)
        self.topology = Topology(palisade=True)
        self.started = self.lives = 0
        self.ol = self.il = self.master = self.backup = self.load = None
        self.standby, self.own, self.memory_mib = None, (), None  # standby: of the mode

    def close(self):
        self.end()
        self.topology.close()

    # ---- one life of the program ----

    def begin(self, program="blocks", **faults):
        """Processes without a past; a person gives up what was lost before (--forget). `faults`: ol,
        il, master, backup."""
        self.end()
        self.program = program
        self.lives += 1
        self.deaths, self.torn = [], False  # of loggers since the last verdict; of output loggers?
        self.given_up = set()               # requests that their deaths cost
        self.ledger = Ledger()
        self.logger_ns = 0  # when one was started again last
        self.start_logger("ol", faults.get("ol"), *(["--forget"] if self.lives > 1 else []))
        self.start_logger("il", faults.get("il"))
        self.master = self.start_nf("master", "master", faults.get("master"))
        self.reigns = [self.master]
        self.wait("the master is ready", lambda: self.master.journal.find("ready"))
        self.wait("packets count", lambda: self.il.journal.find("reign"))
        self.start_backup(faults.get("backup"))
        self.wait_committed()  # before, its sockets may not be open yet: nobody waits for such packets
        self.load = Traffic(self.topology, self.random.randrange(1 << 31))
        self.wait_backup()

    def wait_committed(self):
        self.wait("a snapshot is committed", lambda: self.ol.journal.find("image_committed"))

    def end(self):
        if self.load is not None:
            self.load.end()
        for actor in self.actors():
            actor.stop()
        self.ol = self.il = self.master = self.backup = self.load = None

    def actors(self):
        return [a for a in (self.ol, self.il, self.master, self.backup) if a is not None]

    def keep(self, directory):
        shutil.copytree(self.topology.directory, directory, dirs_exist_ok=True)

    # ---- starting ----

    def start_logger(self, kind, fault=None, *options):
        state = os.path.join(self.topology.directory, f"{kind}.state")
        os.makedirs(state, exist_ok=True)
        command = [os.path.join(self.programs, f"palisade-{LOGGERS[kind]}"),
                   "--port", "lan=lan", "--port", "wan=wan", "--link", f"{kind}m",
                   "--link", f"{kind}b", "--state", state, "--journal", "JOURNAL", *options]
        if self.memory_mib:
            command += ["--memory", str(self.memory_mib)]
        setattr(self, kind, Actor(self, kind, "gate", command, (), fault))
        getattr(self, kind).options = options  # for once more

    def start_nf(self, role, place, fault=None):
        il, ol = (logger_address(device) for device in PLACES[place])
        return Actor(self, role, place,
                     [os.path.join(self.programs, self.program), "lan", "wan"],
                     (f"role={role}", f"il=il@{il}", f"ol=ol@{ol}", "journal=JOURNAL",
                      f"snapshot_ms={SNAPSHOT_MS}",
                      *([f"standby={self.standby or Cold.standby}"] if role == "backup" else []),
                      *self.own), fault)

    def start_backup(self, fault=None):
        """Where the master is not."""
        place = next(place for place in PLACES if place != self.master.place)
        self.backup = self.start_nf("backup", place, fault)

    def relieve_backup(self, fault=None):
        if self.backup is not None:
            self.backup.stop()
        self.start_backup(fault)
        self.wait_backup()

    def restart_logger(self, kind, fault=None, pause_s=0):
        """The same command again; what was on its way through the dead one is lost."""
        dead = getattr(self, kind)
        self.deaths.append(dead.journal.find("fault")["t_ns"] if dead.struck() else
                           time.monotonic_ns())
        dead.stop()
        time.sleep(pause_s)
        self.logger_ns = time.monotonic_ns()
        self.start_logger(kind, fault)
        self.torn = self.torn or kind == "ol"

    # ---- the supervisor ----

    def wait(self, what, condition, *ending):
        """Nobody may end meanwhile, but those who die of their fault, and `ending`."""
        until = time.monotonic() + PATIENCE_S
        while not condition():
            for kind in ("ol", "il", "master", "backup"):
                actor = getattr(self, kind)
                if actor is not None and actor not in ending and not actor.running():
                    self._ended(kind, actor)
            if time.monotonic() > until:
                said = "; ".join(f"{a.name}: {a.tail().strip()[-200:]}" for a in self.actors())
                raise Broken(f"waited {PATIENCE_S} s in vain until {what}; {said}")
            time.sleep(0.01)

    def _ended(self, kind, actor):
        if actor.struck():
            return
        if not actor.came_too_early():
            actor.require()
        time.sleep(0.02)
        if kind in LOGGERS:
            self.start_logger(kind, actor.fault, *actor.options)
        elif kind == "backup":
            self.start_backup(actor.fault)
        else:  # at the beginning: an heir holds its queues
            self.master = self.start_nf("master", actor.place, actor.fault)
            self.reigns = [self.master]
        getattr(self, kind).born = actor.born

    def wait_backup(self):
        """A hot one starts over when a logger dies."""
        if "hot" in (self.standby, Cold.standby):
            self.wait("the backup follows",
                      lambda: self.backup.journal.find("follows", self.logger_ns))
        else:
            self.wait("the backup has a base", lambda: self.backup.journal.find("base"))

    def wait_struck(self, kind, *ending):
        self.wait(f"{kind} comes by {getattr(self, kind).fault}",
                  lambda: getattr(self, kind).struck(), *ending)

    def succeed(self):
        """The master is dead: long live the backup."""
        self.master.stop()
        self.master, self.backup = self.backup, None
        self.reigns.append(self.master)

    def wait_live(self):
        self.wait("the backup is live", lambda: self.master.journal.find("live"))

    # ---- the verdict ----

    def settle(self):
        """Every request has its answer in the end, but what the death of a logger cost."""
        self.wait_backup()
        served_ns = self._wait_served() if self.deaths else 0
        self.load.sending = False
        try:
            self.wait("every request is answered", lambda: not self._missing(served_ns))
        except Broken as failure:
            late = sorted(self._missing(served_ns))
            since = served_ns or self.load.moments[-1]
            moments = ", ".join(f"{(self.load.moments[n] - since) / 1e6:.0f}" for n in late[:8])
            raise Broken(f"{len(late)} requests (sent {moments} ... ms after "
                         f"{'the service was back' if served_ns else 'the last one'}): "
                         f"{failure}") from None
        time.sleep(0.1)  # doubled ones, if any
        lost = self.load.unanswered() - self.given_up
        faults = self.ledger.check(self.load.answers, self.torn)
        faults += check_effects([actor.said() for actor in self.reigns])
        self.given_up |= lost
        self.deaths, self.torn = [], False
        self.load.sending = True
        expect(not faults, f"{len(faults)} faults: " + "; ".join(faults[:FAULTS_SHOWN]))
        return len(lost)

    def _wait_served(self):
        """At each port a request that was sent after the last death is answered; returns since when
        that holds."""
        first, load = self.load.sent + 1, self.load

        def answered(port):
            return [n for n in range(first, load.asked + 1)
                    if load.ports[n] == port and n not in load.waiting]

        self.wait("requests are answered again",
                  lambda: load.unanswered() is not None and answered(0) and answered(1))
        return load.moments[max(answered(0)[0], answered(1)[0])]

    def _missing(self, served_ns):
        missing = self.load.unanswered() - self.given_up
        if not self.deaths:
            return missing
        begin = self.deaths[0] - IN_FLIGHT_NS
        return {n for n in missing if not begin <= self.load.moments[n] < served_ns}

    def answers_hold(self):
        """The state is lost, and everybody knows: what was answered until then must be right."""
        faults = self.ledger.check(self.load.answers, torn=True)
        expect(not faults, f"{len(faults)} faults: " + "; ".join(faults[:FAULTS_SHOWN]))
