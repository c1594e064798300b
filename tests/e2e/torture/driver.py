"""Sends requests to a torture NF (answers.h) from both sides, collects the answers, and proves the chain.

What must hold over all answers, whatever was killed: the global numbers 1, 2, 3, ... each exactly
once, every answer's hash the one before of the next and the hash of what it says, the same for every
flow, the clock never going back; per worker and port its own numbers ascending; every request
answered once. The lines on stdout (effects) come at least once, in order, and repeated ones alike.
"""

import os
import random
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

from demolib.gateway import Program, wait_until
from demolib.processes import socket_inside
from demolib.protected import Cold
from demolib.topology import Topology
from files import Ends, with_logger

REQUEST = struct.Struct("<QQQ")
ANSWER = struct.Struct("<15Q")
FIELDS = ("magic request worker worker_n n before hash flow flow_n flow_before flow_hash random clock "
          "pointer digest").split()
MAGIC = 0x7072757465727574
HEAD_BYTES = 42
WORD = (1 << 64) - 1
MAC_NF, MAC_OWN = bytes.fromhex("02aaaaaaaa01"), bytes.fromhex("02aaaaaaaa02")
DRAIN_S = 6.0
FAULTS_SHOWN = 6
UNMODELLED = 65


def mix(value, word):
    value = (value ^ word) * 0x9E3779B97F4A7C15 & WORD
    return value ^ value >> 29


def packet_socket(namespace, device="eth0", protocol=0x0800):
    packets = socket_inside(namespace, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol))
    packets.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
    packets.bind((device, protocol))
    return packets


def frame(number, flow):
    """A UDP packet to nobody; the flow decides which socket of a fan-out group gets it."""
    payload = REQUEST.pack(MAGIC, number, flow)
    udp = struct.pack("!HHHH", 1000 + flow, 2000, 8 + len(payload), 0)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(payload), 0, 0, 64, 17, 0,
                     bytes((10, 77, 0, flow)), bytes((10, 78, 0, 1)))
    return MAC_NF + MAC_OWN + b"\x08\x00" + ip + udp + payload


class Tortured(Cold):
    names, ports = ("lan", "wan"), ("lan=lan", "wan=wan")
    lag_kib = None  # the output logger's bound for a standby's lag, unless it is the default

    def __init__(self, topology, programs, program="torture", arguments=(), backup=True,
                 **settings):
        self.settings = settings
        self.arguments, self.programs = tuple(arguments), programs
        super().__init__(topology, programs,
                         Program(program, (*self.names, *self.arguments), "", self.ports), backup)

    def nf_command(self, role, **choices):
        command, environment = super().nf_command(role, **choices)
        settings = dict(word.split("=", 1)
                        for word in environment["PALISADE_OPTIONS"].split(":"))
        settings.update(self.settings)
        environment = {"PALISADE_OPTIONS": ":".join(f"{k}={v}" for k, v in settings.items())}
        if self.arguments:  # files.py: its directory
            environment |= {"LD_PRELOAD": os.path.join(self.programs, "../lib/moment.so"),
                            "PALISADE_MOMENT": self.arguments[0]}
            command = with_logger(self.topology.directory, command)
        return command, environment

    def logger_command(self, name):
        bounds = name == "output-logger" and self.lag_kib is not None
        return [*super().logger_command(name), *(("--lag", str(self.lag_kib)) if bounds else ())]

    def relieve(self):
        """The backup reigns: it is the master now, and a new backup starts where that was."""
        wait_until("the backup is live", lambda: self.heir.journal.find("live"), [self.heir])
        self.restart()
        wait_until("the relief is ready", lambda: self.backup.journal.find("ready"), self.living())


class Load:
    """Both ends in one thread: paced requests, all answers with the port they came from."""

    head = HEAD_BYTES  # in front of an answer

    def _open(self, topology):
        return [packet_socket(topology.name(end)) for end in ("client", "server")]

    def _send(self, port, flow):
        self.sockets[port].send(frame(self.sent, flow))

    def __init__(self, topology, seed, rate):
        self.sockets = self._open(topology)
        self.random = random.Random(seed)
        self.rate = rate
        self.sent = 0
        self.answers = []  # (port, moment_ns, fields)
        self.sending = True
        self.ended = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        began = time.monotonic()
        while not self.ended:
            if self.sending:
                due = (time.monotonic() - began) * self.rate
                for _ in range(64):
                    if self.sent >= due:
                        break
                    self.sent += 1
                    self._send(self.random.randrange(2), self.random.randrange(16))
            ready, _, _ = select.select(self.sockets, [], [], 0.002)
            for packets in ready:
                self._receive(packets)

    def _receive(self, packets):
        port = self.sockets.index(packets)
        for _ in range(64):
            try:
                data, address = packets.recvfrom(2048, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            if len(data) != self.head + ANSWER.size or address[2:3] == (socket.PACKET_OUTGOING,):
                continue
            fields = ANSWER.unpack_from(data, self.head)
            if fields[0] == MAGIC:
                self.answers.append((port, time.monotonic_ns(),
                                     dict(zip(FIELDS, fields))))

    def finish(self, tend):
        self.sending = False
        deadline = time.monotonic() + DRAIN_S
        while len(self.answers) < self.sent and time.monotonic() < deadline:
            tend()
            time.sleep(0.02)
        time.sleep(0.1)
        self.ended = True
        self.thread.join()


def check_chain(answers):
    """Sentences about what is wrong; none when all is well."""
    faults = []
    count = {}
    for _, _, a in answers:
        count[a["n"]] = count.get(a["n"], 0) + 1
    last = max(count, default=0)
    faults += [f"answer {n} came {c} times" for n, c in sorted(count.items()) if c > 1]
    faults += [f"answer {n} is lost (of {last})" for n in range(1, last + 1) if n not in count]
    before, clock, flows = 0, 0, {}
    for _, _, a in sorted(answers, key=lambda entry: entry[2]["n"]):
        n = a["n"]
        if a["before"] != before:
            faults.append(f"answer {n} follows another history than answer {n - 1}")
        value = a["before"]
        for name in ("n", "request", "random", "clock", "pointer", "digest"):
            value = mix(value, a[name])
        if value != a["hash"]:
            faults.append(f"answer {n} has not the hash of what it says")
        flow_n, flow_before = flows.get(a["flow"], (0, 0))
        if (a["flow_n"], a["flow_before"]) != (flow_n + 1, flow_before):
            faults.append(f"answer {n} follows another history of flow {a['flow']}")
        if a["flow_hash"] != mix(a["flow_before"], a["hash"]):
            faults.append(f"answer {n} has not the hash of its flow")
        if a["clock"] < clock:
            faults.append(f"the clock goes back by {clock - a['clock']} ns at answer {n}")
        before, clock = a["hash"], a["clock"]
        flows[a["flow"]] = (a["flow_n"], a["flow_hash"])
    return faults


def check_order(answers):
    faults, last = [], {}
    for port, _, a in answers:  # as they arrived
        key = (port, a["worker"])
        if a["worker_n"] <= last.get(key, 0):
            faults.append(f"port {port}: worker {a['worker']}'s answer {a['worker_n']} came after "
                          f"{last[key]}")
        last[key] = a["worker_n"]
    return faults


def check_requests(answers, sent):
    count = {}
    for _, _, a in answers:
        count[a["request"]] = count.get(a["request"], 0) + 1
    faults = [f"request {r} was answered {c} times" for r, c in sorted(count.items()) if c > 1]
    lost = sent - len(count)
    return faults + ([f"{lost} of {sent} requests were not answered"] if lost else [])


def check_effects(texts):
    """`texts`: what each incarnation printed, in order."""
    faults, seen, last = [], {}, 0
    step = None
    for text in texts:
        for found in re.finditer(r"^tick (\d+) (.*)$", text, re.MULTILINE):
            number, line = int(found.group(1)), found.group(2)
            step = step or number
            if seen.setdefault(number, line) != line:
                faults.append(f"tick {number} was printed as {seen[number]!r} and as {line!r}")
            if number > last + step:
                faults.append(f"ticks between {last} and {number} were not printed")
            last = max(last, number)
    return faults + ([] if seen else ["no tick was printed"])


def check_refused(process):
    """SIGQUIT makes values call setsid, which ends it (G8)."""
    os.kill(process.pid, signal.SIGQUIT)
    status, said = process.ended(30), process.said()
    if status == UNMODELLED and "setsid was called and cannot be replayed" in said:
        return []
    return [f"setsid was not refused (status {status}): {said[-200:]}"]


def memory_kib(process):
    process.require()
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))


def load_ends(load, ends):
    """Nothing more is sent; `ends`, if any, are the far ends of the program's own sockets."""
    load.ended = True
    load.thread.join()
    if ends:
        time.sleep(0.3)
        ends.end()


class Run:
    """One run of `program` under torture: `kill` at a random moment, or not at all."""

    gateway_class, load_class = Tortured, Load

    def __init__(self, stage, seed, program="torture", kill=True, twice=False, seconds=4.0,
                 rate=400, hog=False, moment=None, linger_s=0, **settings):
        self.program, self.moment, self.linger_s = program, moment, linger_s
        self.stage, self.seed, self.kill, self.twice = stage, seed, kill, twice
        self.seconds, self.rate, self.hog, self.settings = seconds, rate, hog, settings
        self.random = random.Random(seed)
        self.memory = []

    def conduct(self):
        """Returns (faults, figures)."""
        topology = Topology(palisade=True)
        hog = None
        try:
            if self.hog:
                hog = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            return self._conduct(topology)
        finally:
            if hog is not None:
                hog.kill()
                hog.wait()
            for part in getattr(self, "gateway", None) and self.gateway.processes() or []:
                part.stop()
            shutil.copytree(topology.directory, self.stage.keep, dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns("dev"))
            topology.close()

    def _tend_until(self, moment, kill_ns):
        while time.monotonic() < moment:
            self.gateway.tend(kill_ns)
            time.sleep(0.02)

    def _conduct(self, topology):
        self.ends = Ends(topology) if self.program == "files" else None
        gateway = self.gateway = self.gateway_class(topology, self.stage.programs, self.program,
                                                    self.ends.arguments() if self.ends else (),
                                                    **self.settings)
        gateway.wait_ready()
        if self.ends:
            self.ends.begin()
        load = self.load_class(topology, self.seed, self.rate)
        began, kill_ns = time.monotonic(), None
        try:
            if self.kill:
                self._tend_until(began + self.random.uniform(0.15, 0.7) * self.seconds, None)
                self.memory.append(memory_kib(gateway.master))
                if self.moment:
                    self.ends.wait_moment(self.moment, gateway.master)
                kill_ns = gateway.kill()
                incarnations = [gateway.master, gateway.backup]
                if self.twice:
                    gateway.relieve()
                    self._tend_until(time.monotonic() + self.random.uniform(0.05, 1.5), None)
                    kill_ns = gateway.kill()
                    incarnations.append(gateway.backup)
                    began = time.monotonic() - self.seconds + 1
            else:
                incarnations = [gateway.master]
                for part in (0.3, 0.9):
                    self._tend_until(began + part * self.seconds, None)
                    self.memory.append(memory_kib(gateway.master))
            self._tend_until(began + self.seconds, kill_ns)
            if self.ends:
                self.ends.quiet = True  # packets alone must wake who waits for both
                self._tend_until(began + self.seconds + 1, kill_ns)
            load.finish(lambda: gateway.tend(kill_ns))
            self._tend_until(time.monotonic() + self.linger_s, kill_ns)
        finally:
            load_ends(load, self.ends)
        return self._verdict(load, kill_ns, incarnations)

    def _verdict(self, load, kill_ns, incarnations):
        time.sleep(0.3)  # the last lines of stdout
        texts = []
        for process in incarnations:
            with open(process.log_path, encoding="utf-8", errors="replace") as log:
                texts.append(log.read())
        faults = (check_chain(load.answers) + check_order(load.answers) +
                  check_requests(load.answers, load.sent) + check_effects(texts))
        if self.ends:
            incarnations[-1].stop()
            faults += self.ends.faults(len(incarnations) - 1)
        if self.program == "values":
            faults += check_refused(incarnations[-1])
        faults += [f"{name}: {told['text']}" for name, journal in self.gateway.journals.items()
                   if (told := journal.find("diverged"))]
        figures = {"answers": len(load.answers), "memory_kib": self.memory}
        if kill_ns is not None:
            replayed = self.gateway.heir.journal.find("replayed", kill_ns) or {}
            live = self.gateway.heir.journal.find("live", kill_ns) or {}
            figures["events"] = replayed.get("events")
            figures["takeover_ms"] = round((live["t_ns"] - kill_ns) / 1e6, 1) if live else None
            after = sum(moment > kill_ns + 100_000_000 for _, moment, _ in load.answers)
            if after == 0:
                faults.append("no answer came after the kill")
        if faults:
            self.gateway.figures(kill_ns or 0)  # so that the journals that are kept have counters
        return faults, figures
