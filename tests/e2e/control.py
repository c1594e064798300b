"""The witness's own controls: it must see nothing where nothing happened, and it must see a crash
without Palisade. And the demonstration leaves nothing behind."""

import json
import os
import select
import signal
import socket
import subprocess
import time

from demolib.witness import Verdict
from stage import expect


def undisturbed(mode):
    return lambda stage: "{witness_sent} packets".format(
        **nothing_happened(stage.conduct(mode=mode, kill=False)))


GARBAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "garbage.py")
LINK_GARBAGE = (("master", "il"), ("master", "ol"), ("gate", "ilm"), ("gate", "olm"))


def garbage(mode):
    """Thousands of damaged packets beside the load change nothing; on the links damaged frames are
    counted, by kind, at both ends."""
    def test(stage):
        companions = [("packets", "client", ("python3", GARBAGE, "packets", "eth0", "8"))]
        if mode == "cold":
            companions += [(f"frames-{device}", namespace,
                            ("python3", GARBAGE, "frames", device, "8"))
                           for namespace, device in LINK_GARBAGE]
        result = nothing_happened(stage.conduct(mode=mode, kill=False,
                                                companions=tuple(companions)))
        for name, _, _ in companions:
            with open(os.path.join(stage.keep, f"{name}.log"), encoding="ascii") as log:
                expect(int(log.read()) > 1000, f"{name}: no garbage was sent")
        counters = result["counters"] if mode == "cold" else {}
        for part, link in (("input-logger", "links.ilm"), ("output-logger", "links.olm"),
                           ("master", "input_link"), ("master", "output_link")):
            if mode != "cold":
                break
            counts = counters[part]
            for key in link.split("."):
                counts = counts[key]
            for kind in ("truncated", "bad_version", "bad_kind", "bad_checksum"):
                expect(counts["dropped_error"][kind] > 0, f"{part}, {link}: no {kind} is counted")
            expect(counts["dropped_session"] > 0, f"{part}, {link}: no dropped_session is counted")
        return f"{result['witness_sent']} packets"
    return test


def nothing_happened(result):
    for key in ("lost", "doubled", "reordered", "altered", "broken", "ports_reused"):
        expect(result[key] == 0, f"{key}: {result[key]}")
    expect(result["passed"], f"not passed: {result}")
    return result


def restarted(stage):
    result = stage.conduct(mode="none", seed=1)
    expect(not result["passed"], "passed")
    expect(result["lost"] > 0, "nothing was lost")
    expect(result["broken"] == result["connections"], f"broken only: {result['broken']}")
    expect(result["mappings_changed"] > 0, "every mapping survived")
    return f"{result['lost']} lost, {result['broken']} broken, outage {result['outage_ms']} ms"


def witness_counts(stage):
    """A path that loses, doubles and swaps known packets: the witness must count exactly these."""
    program, server, path = stage.program("witness-udp"), 19001, 19002
    relay = Relay(path, server)
    options = ["--rate", "500", "--grace-ms", "500"]
    ends = []
    for role, port in (("server", server), ("client", path)):
        ends.append(subprocess.Popen([program, role, "--address", f"127.0.0.1:{port}", *options],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        ends[-1].stdout.readline()  # the first progress: it is there
    relay.run(seconds=2)
    for end in ends:
        end.stdin.write(b"stop\n")
        end.stdin.flush()
    relay.run(seconds=1)
    reports = [json.loads(end.communicate(timeout=10)[0].splitlines()[-1]) for end in ends]
    verdict = Verdict(reports[1], reports[0])
    for direction, counts in (("up", relay.up), ("down", relay.down)):
        seen = getattr(verdict, direction)
        for key, count in counts.items():
            expect(count > 0 and seen[key] == count, f"{direction}: {count} {key}, counted "
                   f"{seen[key]}")
    return f"{verdict.total('lost')} lost, {verdict.total('doubled')} doubled, " \
           f"{verdict.total('reordered')} reordered: all counted"


class Relay:
    """Carries UDP between one client and a server, badly and countably."""

    def __init__(self, port, server):
        self.inside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.inside.bind(("127.0.0.1", port))
        self.outside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.outside.connect(("127.0.0.1", server))
        self.client = None
        self.up = {"lost": 0, "doubled": 0, "reordered": 0}
        self.down = dict(self.up)
        self.carried = {"up": 0, "down": 0}
        self.late = {"up": None, "down": None}

    def run(self, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for ready in select.select([self.inside, self.outside], [], [], left)[0]:
                try:
                    if ready is self.inside:
                        packet, self.client = ready.recvfrom(2048)
                        self.carry("up", packet, self.up, self.outside.send)
                    else:
                        self.carry("down", ready.recv(2048), self.down,
                                   lambda p: self.inside.sendto(p, self.client))
                except ConnectionRefusedError:
                    pass  # the server is not there yet, or no more

    def carry(self, way, packet, counts, send):
        self.carried[way] += 1
        number = self.carried[way] % 100
        if number == 10:
            counts["lost"] += 1
        elif number == 20:
            self.late[way] = packet
        elif number == 30:
            counts["doubled"] += 1
            send(packet)
            send(packet)
        else:
            send(packet)
        if number == 21:
            counts["reordered"] += 1
            send(self.late[way])


def interrupted(number, *options, at="witness"):
    def test(stage):
        """`kill -9` included: namespaces, processes and files are gone a moment later."""
        with subprocess.Popen([stage.demo, *options], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True) as demo:
            for line in demo.stdout:
                if at in line:
                    break
            prefix = f"pal{demo.pid}-"
            spaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True,
                                    check=True).stdout
            expect(prefix in spaces, "the demonstration has no namespaces")
            demo.send_signal(number)
            demo.wait(timeout=20)
        for _ in range(50):
            spaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True,
                                    check=True).stdout
            running = processes_of(demo.pid)
            if prefix not in spaces and not running:
                break
            time.sleep(0.1)
        expect(prefix not in spaces, f"left behind: {spaces}")
        expect(not running, f"left behind: {running}")
        if number != signal.SIGKILL:
            expect(demo.returncode == 128 + number, f"status {demo.returncode}")
    return test


def processes_of(pid):
    """Living processes with the demonstration's own names in their command line."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                words = file.read().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"pal{pid}" in words:
            found.append(words)
    return found


def tests(_seed):
    return [
        ("control-witness-counts", witness_counts),
        ("control-undisturbed-none", undisturbed("none")),
        ("control-undisturbed-off", undisturbed("off")),
        ("control-undisturbed-cold", undisturbed("cold")),
        ("garbage-none", garbage("none")),
        ("garbage-cold", garbage("cold")),
        ("control-none-breaks", restarted),
        ("cleanup-interrupt", interrupted(signal.SIGINT, "--mode", "none")),
        ("cleanup-interrupt-all", interrupted(signal.SIGINT, "--kill", "all", at="kill -9")),
        ("cleanup-terminate", interrupted(signal.SIGTERM, "--mode", "none")),
        ("cleanup-kill", interrupted(signal.SIGKILL, "--mode", "none")),
    ]
