"""Both loggers with a toy NF (stub_nf) around them: small, quick, without the runtime."""

import json
import os
import shutil
import subprocess
import time

from demolib.processes import Process
from demolib.refuse import Refusal
from demolib.topology import Topology, logger_address
from stage import Broken, expect

LINKS = {"master": ("ilm", "olm"), "backup": ("ilb", "olb")}
RATE = 10000
PATIENCE_S = 20


class Toy:
    """Namespaces; whoever runs in them is started by name and killed at the end. An NF process has
    one of two places, "master" and "backup", whatever its role."""

    def __init__(self, stage):
        self.stage = stage
        self.processes = []
        self.serial = 0
        self.il = self.ol = None

    def __enter__(self):
        try:
            self.topology = Topology(palisade=True)
        except Refusal as refusal:
            raise Broken(str(refusal)) from None
        self.directory = self.topology.directory
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.stop()
        shutil.copytree(self.directory, self.stage.keep, dirs_exist_ok=True)
        self.topology.close()

    def start(self, name, command, namespace, environment=None, **streams):
        self.serial += 1
        process = Process(f"{self.serial}-{name}", command, self.topology.name(namespace),
                          self.directory, environment, **streams)
        self.processes.append(process)
        return process

    # ---- loggers ----

    def start_logger(self, which, *options, ready=True):
        """`which` is "il" or "ol": started with the same command line every time."""
        name = "input-logger" if which == "il" else "output-logger"
        state = os.path.join(self.directory, f"{name}.state")
        os.makedirs(state, exist_ok=True)
        process = self.start(name, [self.stage.program(f"palisade-{name}"),
                                    "--port", "lan=lan", "--port", "wan=wan",
                                    "--link", f"{which}m", "--link", f"{which}b",
                                    "--state", state, "--journal", self.journal(which), *options],
                             "gate")
        setattr(self, which, process)
        if ready:
            self.until(f"the {name} is ready", lambda: "ready" in process.said(), process)
        return process

    def start_loggers(self, *options):
        self.start_logger("il", *options)
        self.start_logger("ol", *options)

    def journal(self, which):
        return os.path.join(self.directory, f"{which}.jsonl")

    def events(self, which, event):
        try:
            with open(self.journal(which), encoding="utf-8") as file:
                lines = [json.loads(line) for line in file if line.endswith("\n")]
        except FileNotFoundError:
            return []
        return [line for line in lines if line["event"] == event]

    def await_event(self, which, event, count=1):
        self.until(f"{which}: {event}", lambda: len(self.events(which, event)) >= count)
        return self.events(which, event)[-1]

    def epoch(self, which):
        """[number, word] of the line that counts, of those that a logger keeps on disk."""
        name = "input-logger" if which == "il" else "output-logger"
        with open(os.path.join(self.directory, f"{name}.state", f"palisade-{name}.epoch"),
                  encoding="ascii") as file:
            lines = [line.split()[2:] for line in file]
        return max(lines, key=lambda line: int(line[2]))[:2]

    # ---- NF processes ----

    def start_nf(self, place, role, word="ready", **environment):
        """`word`: waits until it is said. None: it may end at once."""
        il, ol = (logger_address(device) for device in LINKS[place])
        nf = self.start(f"{role}-at-{place}",
                        [self.stage.program("stub_nf"), role, "same build", "il", il, "ol", ol],
                        place, {key: str(value) for key, value in environment.items()})
        if word:
            self.await_word(nf, word)
        return nf

    def await_word(self, process, word, count=1):
        self.until(f"{process.name} says {word!r}", lambda: process.said().count(word) >= count,
                   process)

    def refused(self, place, role, status, *words):
        """A process that must be refused, by a sentence with `words`."""
        self.ends(self.start_nf(place, role, word=None), status, *words)

    def ends(self, process, status, *words):
        got = process.ended(PATIENCE_S)
        expect(got == status, f"{process.name} ended with {got} instead of {status}:\n"
                              f"{process.tail()}")
        for word in words:
            expect(word in process.said(), f"{process.name} does not say {word!r}:\n"
                                           f"{process.tail()}")

    # ---- the world ----

    def traffic(self, seconds, lossy=True):
        """Numbered packets from client to server; -> Traffic."""
        return Traffic(self.start(
            "traffic", [self.stage.program("stub_traffic"), self.topology.name("client"), "eth0",
                        self.topology.name("server"), "eth0", str(int(seconds * RATE)), str(RATE)],
            "gate", {"STUB_LOSSY": "1"} if lossy else None, stdout=subprocess.PIPE))

    def until(self, what, condition, *alive):
        end = time.monotonic() + PATIENCE_S
        while not condition():
            for process in alive:
                expect(process.running() or condition(), f"{process.name} ended, before {what}:\n"
                                                         f"{process.tail()}")
            expect(time.monotonic() < end, f"not within {PATIENCE_S} s: {what}\n" +
                   "\n".join(process.tail() for process in alive))
            time.sleep(0.01)


class Traffic:
    def __init__(self, process):
        self.process = process

    def result(self):
        """The counts; whatever was lost, nothing may be doubled, reordered or wrong."""
        said, _ = self.process.popen.communicate(timeout=60)
        counts = json.loads(said)
        expect(self.process.popen.returncode == 0, f"the traffic: {counts}")
        return counts
