"""The other ends of torture/files.c: its files, its collector of datagrams, its control connections
and the system's logger.

What must hold at the end, whatever was killed: the log has every line once and in order; the report
is one whole report; the exports carry 1, 2, 3, ... each at least once and repeated ones alike; the
connection that the program makes tells them in order and goes on after the kill; control connections
were answered before the kill and after it; the system's logger heard each line at least once, in
order, and repeated ones alike.
"""

import os
import re
import select
import socket
import struct
import subprocess
import threading
import time

from demolib.processes import socket_inside

COLLECTOR, CONTROL = 7777, 7778
COLLECTOR_ADDRESS = "10.9.1.1"
MASTER, BACKUP = "10.9.1.2", "10.9.3.2"
EXPORT = struct.Struct("<3Q")
DEVICES = ("null", "zero", "random", "urandom")
LOGGED_EVERY = 4  # lines; files.c
# The first message, of LOG_DAEMON, counts as line 0. The process's number is 2 whoever runs it.
HEARD = re.compile(r"<(?:30|157)>\w{3} [ \d]\d [\d:]{8} files\[2\]: "
                   r"(?:names are checked, 2 found|line (\d+) ([0-9a-f]{16}))")
# A /dev of its own: the directory's `log` and some of the machine's devices.
OWN_DEVICES = """cd "$0" && for name in %s; do mount --bind "/dev/$name" "$name" || exit; done
mount --rbind . /dev && cd / && exec "$@" """ % " ".join(DEVICES)
WORD = (1 << 64) - 1


def mix(value, word):
    value = (value ^ word) * 0x9E3779B97F4A7C15 & WORD
    return value ^ value >> 29


def with_logger(directory, command):
    """`command` in a mount namespace where /dev/log is the socket of a SystemLog at `directory`."""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", OWN_DEVICES,
            os.path.join(directory, "dev"), *command]


class SystemLog:
    """Hears what programs under with_logger say through syslog(3)."""

    def __init__(self, namespace, directory):
        devices = os.path.join(directory, "dev")
        os.mkdir(devices)
        for name in DEVICES:
            with open(os.path.join(devices, name), "wb"):
                pass  # something to mount on
        # The runtime does not wait for a logger that does not keep up: this one's queue is long.
        subprocess.run(["nsenter", f"--net=/run/netns/{namespace}", "--", "sh", "-c",
                        "echo 10000 >/proc/sys/net/unix/max_dgram_qlen"], check=True)
        self.socket = socket_inside(namespace, socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(os.path.join(devices, "log"))
        self.heard = []

    def listen(self):
        self.heard.append(self.socket.recv(4096).decode("ascii", "replace"))

    def faults(self, lines):
        """`lines`: how many the log file has."""
        faults, seen, last = [], {}, 0
        for text in self.heard:
            found = HEARD.fullmatch(text)
            if not found:
                faults.append(f"the system's logger heard {text!r} after line {last}")
                continue
            number, said = int(found.group(1) or 0), found.group(2)
            if seen.setdefault(number, said) != said:
                faults.append(f"line {number} was logged as {seen[number]} and as {said}")
            if number > last + LOGGED_EVERY:
                faults.append(f"lines between {last} and {number} were not logged")
            last = max(last, number)
        if 0 not in seen or last < lines - lines % LOGGED_EVERY:
            faults.append(f"the system's logger heard {sorted(seen)[:1]} to {last} of {lines} lines")
        return faults


class Ends:
    def __init__(self, topology):
        self.topology = topology
        self.directory = os.path.join(topology.directory, "files")
        os.mkdir(self.directory)
        with open(os.path.join(self.directory, "settings"), "w", encoding="ascii") as settings:
            settings.write(f"# settings\nexport {COLLECTOR_ADDRESS} {COLLECTOR}\n"
                           f"control {CONTROL}\n")
        subprocess.run(["ip", "-n", topology.name("backup"), "route", "add",
                        f"{COLLECTOR_ADDRESS}/32", "via", "10.9.3.1"], check=True)
        self.gate = topology.name("gate")
        self.system_log = SystemLog(self.gate, topology.directory)
        self.exports = []
        self.pongs = []  # (address, moment_ns)
        self.lines = 0  # of the log, once _log_faults has read it
        self.ended = self.quiet = False
        self.collector = socket_inside(self.gate, socket.AF_INET, socket.SOCK_DGRAM)
        self.collector.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
        self.collector.bind(("", COLLECTOR))
        self.listener = socket_inside(self.gate, socket.AF_INET, socket.SOCK_STREAM)
        self.listener.bind(("", COLLECTOR + 2))
        self.listener.listen()
        self.told = []  # the text of each connection
        self.threads = [threading.Thread(target=run, daemon=True)
                        for run in (self._collect, self._listen, self._ping)]

    def arguments(self):
        return [self.directory]

    def begin(self):
        for thread in self.threads:
            thread.start()

    def wait_moment(self, moment, master):
        """The master ends itself right after its next `moment` (moment.c)."""
        path = os.path.join(self.directory, f"die-{moment}")
        with open(path, "w", encoding="ascii"):
            pass
        deadline = time.monotonic() + 10
        while os.path.exists(path) and time.monotonic() < deadline:
            time.sleep(0.002)

    def end(self):
        self.ended = True
        for thread in self.threads:
            thread.join()

    def _collect(self):
        while not self.ended:
            ready, _, _ = select.select([self.collector, self.system_log.socket], [], [], 0.05)
            if self.system_log.socket in ready:
                self.system_log.listen()
            if self.collector in ready:
                data = self.collector.recv(2048)
                if len(data) == EXPORT.size:
                    self.exports.append(EXPORT.unpack(data))

    def _listen(self):
        lines = []
        while not self.ended:
            ready, _, _ = select.select([self.listener] + lines, [], [], 0.05)
            for end in ready:
                if end is self.listener:
                    lines.append(end.accept()[0])
                    self.told.append(b"")
                    continue
                try:
                    self.told[lines.index(end)] += end.recv(65536)
                except ConnectionError:
                    pass

    def _ping_once(self, address, number):
        line = socket_inside(self.gate, socket.AF_INET, socket.SOCK_STREAM)
        with line:
            line.settimeout(1.0)
            line.connect((address, CONTROL))
            for round_ in range(3):
                line.sendall(b"ping %d\n" % (number + round_))
                text = b""
                while not text.endswith(b"\n"):
                    more = line.recv(256)
                    if not more:
                        return
                    text += more
                found = re.match(rb"pong (\d+) ", text)
                if found and int(found.group(1)) == number + round_:
                    self.pongs.append((address, time.monotonic_ns()))

    def _ping(self):
        number = 0
        while not self.ended and not self.quiet:
            number += 10
            for address in (MASTER, BACKUP):
                try:
                    self._ping_once(address, number)
                except OSError:
                    pass
            time.sleep(0.02)

    def faults(self, kills):
        """After the program has ended."""
        return (self._log_faults() + self._report_faults() + self._export_faults() +
                self._told_faults(kills) + self._pong_faults(kills) +
                self.system_log.faults(self.lines))

    def _log_faults(self):
        faults, due = [], 1
        with open(os.path.join(self.directory, "log"), encoding="ascii", errors="replace") as log:
            lines = log.read().split("\n")
        for line in lines[:-1]:
            found = re.fullmatch(r"line (\d+) [0-9a-f]{16}", line)
            if not found or int(found.group(1)) != due:
                faults.append(f"the log has {line!r} where line {due} is due")
                due = int(found.group(1)) if found else due
            due += 1
        self.lines = due - 1
        return faults + ([] if due > 20 else [f"the log has {due - 1} lines only"])

    def _report_faults(self):
        with open(os.path.join(self.directory, "report"), encoding="ascii") as report:
            rows = report.read().splitlines()
        numbers = {row.split()[1] for row in rows}
        whole = len(numbers) == 1 and [row.split()[3] for row in rows] == [str(i) for i in range(300)]
        return [] if whole else [f"the report has {len(rows)} rows of reports {sorted(numbers)}"]

    def _export_faults(self):
        faults, seen = [], {}
        for sent, number, digest in self.exports:
            if seen.setdefault(sent, number) != number:
                faults.append(f"export {sent} came as {seen[sent]} and as {number}")
            if digest != mix(sent, number):
                faults.append(f"export {sent} is not what it says")
        last = max(seen, default=0)
        faults += [f"export {n} of {last} never came" for n in range(1, last + 1) if n not in seen]
        return faults + ([] if last > 20 else [f"{last} exports only"])

    def _told_faults(self, kills):
        faults, last = [], 0
        for text in self.told:
            for line in text.decode("ascii", "replace").split("\n")[:-1]:
                found = re.fullmatch(r"tell (\d+)", line)
                number = int(found.group(1)) if found else 0
                if not 0 < number <= last + 1:
                    faults.append(f"the connection says {line!r} after {last}")
                last = max(last, number)
        if len(self.told) != kills + 1 or last <= 20:
            faults.append(f"{len(self.told)} connections told {last} numbers")
        return faults

    def _pong_faults(self, kills):
        answered = {address for address, _ in self.pongs}
        due = (MASTER, BACKUP) if kills else (MASTER,)
        return [f"no control connection to {address} was answered"
                for address in due if address not in answered]
