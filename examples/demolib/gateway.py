"""The network function between client and server without Palisade, and what protected.py shares."""

import dataclasses
import os
import time

from .processes import Process, ProcessDied
from .refuse import FAILED, Refusal
from .topology import LAN_ADDRESS, WAN_ADDRESS

READY_TIMEOUT_S = 30
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

    def kill(self, _victim="master"):
        return self.nf.kill()

    def restart(self):
        """tend() does it."""

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
