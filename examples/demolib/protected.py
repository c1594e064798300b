"""The network function as Palisade protects it: two loggers, a master, and a backup; and the
supervisor who starts again what dies."""

import os
import signal
import time

from . import account
from .gateway import NAT, wait_until
from .journal import Journal
from .processes import Process, ProcessDied, cpu_s
from .topology import logger_address

SNAPSHOT_MS = 200
LAG_SMALL_BYTES = 4096  # of log: what a standby that keeps up may have before it
BUSY = 67  # STATUS_BUSY of runtime/core/status.h
LOGGERS = {"il": "input-logger", "ol": "output-logger"}
# What --kill takes: how the victim is called in sentences. {} is the function.
VICTIMS = {"master": "{}", "backup": "the backup of {}", "il": "the input logger",
           "ol": "the output logger"}


class Part(Process):
    """One of Palisade's processes. Of an NF process: `seat`, its namespace and link devices;
    `standby`, how it waits as a backup."""

    def __init__(self, name, command, namespace, directory, environment, journal, seat, standby):
        super().__init__(name, command, namespace, directory, environment)
        self.journal, self.seat, self.standby = journal, seat, standby


class Cold:
    """Mode cold: loggers, master, and a backup that waits for a snapshot and the logs."""

    standby = "cold"  # how the backups wait that are started from now on
    loggers = ("palisade-input-logger", "palisade-output-logger")
    links = {"master": ("ilm", "olm"), "backup": ("ilb", "olb")}  # of each seat

    def __init__(self, topology, programs, program=NAT, backup=True, logger_options=()):
        self.topology = topology
        self.programs = programs
        self.program = program
        self.logger_options = logger_options
        self.started = {}  # seat: how many NF processes there were
        self.journals = {}  # of every process by its name
        self.killed = False
        self.victim = None  # the last one
        self.dead = []
        self.announced = set()
        self.cpu_seen = []  # (moment, {process: CPU seconds so far}) at each observe()
        self.output_logger = self._logger("output-logger")
        self.input_logger = self._logger("input-logger")
        self.master = self._nf("master", "master")
        self.backup = self._nf("backup", "backup") if backup else None
        # Who reigned, and who took over or is to; the same also after restart().
        self.fallen, self.heir = self.master, self.backup

    @classmethod
    def needs(cls, program):
        return (program.name, *cls.loggers)

    # ---- processes ----

    def _path(self, name):
        return os.path.join(self.topology.directory, name)

    def _start(self, name, command, namespace, environment=None, seat=None):
        self.journals.setdefault(name, Journal(self._path(f"{name}.jsonl")))
        return Part(name, command, self.topology.name(namespace), self.topology.directory,
                    environment, self.journals[name], seat, self.standby if seat else None)

    def logger_command(self, name):
        """Without the places of its files."""
        side = 0 if name == "input-logger" else 1
        return [os.path.join(self.programs, f"palisade-{name}"),
                *(word for port in self.program.ports for word in ("--port", port)),
                *(word for links in self.links.values() for word in ("--link", links[side])),
                *(self.logger_options if side else ())]

    def _logger(self, name):
        state = self._path(f"{name}.state")
        os.makedirs(state, exist_ok=True)
        command = [*self.logger_command(name), "--state", state,
                   "--journal", self._path(f"{name}.jsonl")]
        return self._start(name, command, "gate")

    def nf_command(self, role, program=None, options=None, seat=None, name=None):
        """(command, environment) of an NF process in this topology."""
        seat = seat or role
        il, ol = (logger_address(device) for device in self.links[seat])
        settings = {"role": role, "il": f"il@{il}", "ol": f"ol@{ol}",
                    "journal": self._path(f"{name or seat}.jsonl"), "snapshot_ms": SNAPSHOT_MS,
                    **({"standby": self.standby} if role == "backup" and self.standby != "cold"
                       else {})}
        return ([program or os.path.join(self.programs, self.program.name),
                 *(options or self.program.options)],
                {"PALISADE_OPTIONS": ":".join(f"{k}={v}" for k, v in settings.items())})

    def _nf(self, seat, role):
        number = self.started[seat] = self.started.get(seat, 0) + 1
        name = seat if number == 1 else f"{seat}-{number}"
        command, environment = self.nf_command(role, seat=seat, name=name)
        return self._start(name, command, seat, environment, seat)

    def processes(self):
        """The present ones, whether they live or not."""
        parts = [self.output_logger, self.input_logger, self.master, self.backup]
        return [part for part in parts if part is not None]

    def seats(self):
        """{what it is at present: process}"""
        parts = {"master": self.master, "backup": self.backup, "input-logger": self.input_logger,
                 "output-logger": self.output_logger}
        return {seat: part for seat, part in parts.items() if part is not None}

    def living(self):
        """The processes that must go on running."""
        return [part for part in self.processes() if part not in self.dead]

    def wait_ready(self):
        for part in self.processes()[2:]:
            wait_until(f"the {part.name} is ready", lambda part=part: part.journal.find("ready"),
                       self.processes())
        wait_until("the first snapshot is committed",
                   lambda: self.output_logger.journal.find("image_committed"), self.processes())
        if self.backup is not None and self.standby != "cold":
            wait_until("the backup follows",
                       lambda: self.output_logger.journal.find("follows"), self.processes())

    def observe(self):
        """Makes the master and the output logger write their counters down, and notes the CPU time
        of all; called some time before the kill, twice."""
        for part in (self.master, self.output_logger):
            os.kill(part.pid, signal.SIGUSR1)
        self.cpu_seen.append((time.monotonic_ns(),
                              {seat: cpu_s(part.pid) for seat, part in self.seats().items()}))

    def said(self):
        """All that the function printed so far, in any process; who speaks now comes last."""
        names = [name for name in self.journals if name not in LOGGERS.values()]
        names.sort(key=lambda name: name == self.speaker().name)
        texts = []
        for name in names:
            with open(self._path(f"{name}.log"), encoding="utf-8", errors="replace") as log:
                texts.append(log.read())
        return "".join(texts)

    def speaker(self):
        return self.heir if self.heir and self.fallen in self.dead else self.master

    # ---- deaths ----

    def part(self, victim):
        """The present process by its name in VICTIMS."""
        return {"master": self.master, "backup": self.backup, "il": self.input_logger,
                "ol": self.output_logger}[victim]

    def falls(self, victim="master"):
        """From now on it need not run."""
        self.killed, self.victim = True, victim
        self.announced = set()
        self.dead.append(self.part(victim))
        self.fallen = self.master
        if victim == "master":
            self.heir = self.backup

    def kill(self, victim="master"):
        """kill -9; returns the moment just before."""
        self.falls(victim)
        return self.part(victim).kill()

    def restart(self):
        """The last victim is started again at once; a master as the backup of who takes over."""
        dead = self.part(self.victim)
        dead.popen.wait()
        if self.victim in LOGGERS:
            logger = self._logger(dead.name)
            self.input_logger, self.output_logger = {
                "il": (logger, self.output_logger), "ol": (self.input_logger, logger)}[self.victim]
            return
        if self.victim == "master":
            self.master = self.heir
        self.backup = self._nf(dead.seat, "backup")

    def _supervise(self, part):
        """Raises ProcessDied when it runs no more; but a backup that came before its predecessor had
        made room is started again."""
        try:
            part.require()
        except ProcessDied:
            if not (self.killed and part is self.backup and part.popen.returncode == BUSY):
                raise
            self.backup = self._nf(part.seat, "backup")

    def freeze(self):
        """The master stops answering, as when its host dies; its connections stay open."""
        self.falls("master")
        moment_ns = time.monotonic_ns()
        os.kill(self.master.pid, signal.SIGSTOP)
        return moment_ns

    def thaw(self):
        """The frozen master goes on, too late: (exit status, what it said)."""
        os.kill(self.fallen.pid, signal.SIGCONT)
        return self.fallen.ended(10), self.fallen.tail()

    # ---- news and figures ----

    def tend(self, kill_ns):
        """Called all the time; returns a sentence when there is news."""
        for part in self.living():
            self._supervise(part)
        if kill_ns is None or self.victim is None:
            return None
        for event, sentence, moment_ns in account.moments(self, kill_ns):
            if moment_ns is not None and event not in self.announced:
                self.announced.add(event)
                return f"{sentence} ({(moment_ns - kill_ns) / 1e6:.1f} ms after the kill)"
        return None

    def protected_ns(self, kill_ns):
        """When a backup held every committed page again; None: not yet."""
        return account.protected_ns(self, kill_ns)

    def figures(self, kill_ns):
        """Palisade's own account."""
        return account.figures(self, kill_ns)


class Hot(Cold):
    """Mode hot: the backup replays while the master lives. Who takes over needs only the rest."""

    standby = "hot"

    def wait_ready(self):
        super().wait_ready()
        wait_until("the backup follows", self.caught_up, self.processes())

    def caught_up(self):
        """The backup follows and is not behind."""
        standby = account.asked(self.output_logger).get("standby", {})
        return (self.backup.journal.find("follows") is not None and standby.get("follows", False)
                and standby["lag_bytes"] <= LAG_SMALL_BYTES)
