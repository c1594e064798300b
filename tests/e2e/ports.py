"""Which traffic of a port reaches the NF, and ports that do not fit."""

import os
import shutil
import socket
import time

from demolib.gateway import wait_until
from demolib.processes import Process, ProcessDied
from demolib.topology import Topology, ip, logger_address
from stage import Broken, expect, expect_refusal, run
from torture_tests import packet_socket

USAGE, INTERFACE = 64, 66
INNER = 0x9999  # of the tagged frames: the kernel takes the tag off before a packet socket sees it
KINDS = {"ip4": 0x0800, "arp": 0x0806, "ip6": 0x86DD, "vlan": 0x8100, "other": 0x88CC}
EACH = 3


class Loggers:
    """Both loggers with a toy NF that passes every packet from one port to the other."""

    def __init__(self, stage, *ports):
        self.stage, self.ports = stage, ports
        self.topology = Topology(palisade=True)
        self.processes = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.stop()
        shutil.copytree(self.topology.directory, self.stage.keep, dirs_exist_ok=True)
        self.topology.close()

    def command(self, kind, link, ports=None):
        state = os.path.join(self.topology.directory, f"{kind}.state")
        os.makedirs(state, exist_ok=True)
        words = [word for port in ports or self.ports for word in ("--port", port)]
        return [self.stage.program(f"palisade-{kind}-logger"), *words, "--link", link,
                "--state", state]

    def start(self):
        for kind, link in (("output", "olm"), ("input", "ilm")):
            self._start(kind, self.command(kind, link), "gate")
        self._start("nf", [self.stage.program("stub_nf"), "master", "any",
                           "il", logger_address("ilm"), "ol", logger_address("olm")], "master")

    def _start(self, name, command, namespace):
        process = Process(name, command, self.topology.name(namespace), self.topology.directory)
        self.processes.append(process)
        try:
            wait_until(f"{name} is ready", lambda: "ready" in process.tail(), [process])
        except ProcessDied as died:
            raise Broken(str(died)) from None

    def refusal(self, kind, port):
        """Runs a logger that is expected to refuse this port."""
        return run(*self.command(kind, {"input": "ilm", "output": "olm"}[kind], [port]),
                   namespace=self.topology.name("gate"))


def frame(kind):
    tag = b"\x00\x05" + INNER.to_bytes(2, "big") if kind == "vlan" else b""
    return b"\xff" * 6 + b"\x02\0\0\0\0\x01" + KINDS[kind].to_bytes(2, "big") + tag + bytes(100)


def kinds_at(packets, want_s=0.0):
    """How many frames of each kind came in."""
    counts = dict.fromkeys(KINDS, 0)
    names = {value: kind for kind, value in KINDS.items()} | {INNER: "vlan"}
    end = time.monotonic() + want_s
    while True:
        try:
            data, address = packets.recvfrom(2048, socket.MSG_DONTWAIT)
        except BlockingIOError:
            if time.monotonic() > end:
                return counts
            time.sleep(0.01)
            continue
        kind = names.get(int.from_bytes(data[12:14], "big"))
        if address[2] != socket.PACKET_OUTGOING and kind:
            counts[kind] += 1


def accept(setting, *accepted):
    """What is named goes through the NF, the rest to the kernel, nothing to both."""
    def test(stage):
        with Loggers(stage, f"lan=lan{setting}", f"wan=wan{setting}") as loggers:
            loggers.start()
            name = loggers.topology.name
            sender = packet_socket(name("client"), "eth0", 0x0003)
            behind = packet_socket(name("server"), "eth0", 0x0003)
            kernel = packet_socket(name("gate"), "lan", 0x0003)
            time.sleep(0.3)  # the first image is committed: packets are released
            kinds_at(behind)
            kinds_at(kernel)
            for kind in list(KINDS) * EACH:
                sender.send(frame(kind))
            through, passed = kinds_at(behind, 1.0), kinds_at(kernel)
            for kind in KINDS:
                want = EACH if kind in accepted else 0
                expect(through[kind] == want, f"{kind} through the NF: {through[kind]}, not {want}")
                expect(passed[kind] == EACH - want,
                       f"{kind} to the kernel: {passed[kind]}, not {EACH - want}")
    return test


def misfits(stage):
    """TUN ports that are none, and the other way round: one sentence each."""
    with Loggers(stage) as loggers:
        gate = loggers.topology.name("gate")
        for device, mode, *more in (("one", "tun"), ("many", "tun", "multi_queue"),
                                    ("mtap", "tap", "multi_queue"), ("down", "tun", "multi_queue"),
                                    ("long", "tun", "multi_queue")):
            ip("-n", gate, "tuntap", "add", "dev", device, "mode", mode, *more)
            if device != "down":
                ip("-n", gate, "link", "set", device, "up")
        ip("-n", gate, "link", "set", "long", "mtu", "1601")
        for kind in ("input", "output"):
            for port, status, *words in (
                    ("lan=nowhere,tun", INTERFACE, "nowhere", "does not exist"),
                    ("lan=lan,tun", INTERFACE, "lan", "not a TUN device"),
                    ("lan=lan,tap", INTERFACE, "lan", "no tap device"),
                    ("lan=many,tap", INTERFACE, "many", "not an Ethernet device"),
                    ("lan=many", INTERFACE, "many", ",tun"),
                    ("lan=mtap,tun", INTERFACE, "mtap", "not a TUN device"),
                    ("lan=one,tun", INTERFACE, "one", "multi_queue"),
                    ("lan=down,tun", INTERFACE, "down", "is down"),
                    ("lan=long,tun", INTERFACE, "long", "1601", "1600"),
                    ("lan=lan,tunnel", USAGE, "tunnel"),
                    ("lan=lan,accept=ip5", USAGE, "ip5")):
                expect_refusal(loggers.refusal(kind, port), status, *words)


def tests(_seed):
    return [("ports-accept-default", accept("", "ip4", "arp")),
            ("ports-accept-ip6", accept(",accept=ip6+arp", "ip6", "arp")),
            ("ports-accept-vlan", accept(",accept=vlan", "vlan")),
            ("ports-accept-all", accept(",accept=all", *KINDS)),
            ("ports-misfits", misfits)]
