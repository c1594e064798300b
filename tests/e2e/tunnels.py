"""TUN: the kernel of gate talks to a torture NF over two TUN devices, by UDP and by ping."""

import random
import re
import socket
import subprocess

from demolib.processes import ProcessDied
from demolib.refuse import Refusal
from demolib.topology import ip
from stage import Broken, expect
from torture_tests import FAULTS_SHOWN, SNAPSHOT_MS
from driver import MAGIC, REQUEST, Load, Run, Tortured, socket_in

KILLS = 3
DEVICES = ("t0", "t1")
REQUESTS_PORT = 2000  # and above: one for each flow
PINGS, PING_EVERY_S = 250, 0.02


def own_address(port):
    return f"10.{101 + port}.0.1"


def nf_address(port):
    return f"10.{101 + port}.0.2"


class Tunnels(Tortured):
    ports = ("lan=t0,tun", "wan=t1,tun")

    def __init__(self, topology, *arguments, **settings):
        gate = topology.name("gate")
        for port, device in enumerate(DEVICES):
            ip("-n", gate, "tuntap", "add", "dev", device, "mode", "tun", "multi_queue")
            ip("-n", gate, "address", "add", f"{own_address(port)}/24", "dev", device)
            ip("-n", gate, "link", "set", device, "txqueuelen", "10000", "up")
        super().__init__(topology, *arguments, **settings)


class Datagrams(Load):
    """Requests and answers through the kernel, which routes, checks and delivers them."""

    head = 0

    def _open(self, topology):
        gate = topology.name("gate")
        self.pings = [subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{gate}", "--", "ping", "-q", "-i", str(PING_EVERY_S),
             "-c", str(PINGS), "-W", "10", nf_address(port)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for port in (0, 1)]
        return [socket_in(gate, socket.AF_INET, socket.SOCK_DGRAM, 0,
                          address=(own_address(port), 1000)) for port in (0, 1)]

    def _send(self, port, flow):
        self.sockets[port].sendto(REQUEST.pack(MAGIC, self.sent, flow),
                                  (nf_address(port), REQUESTS_PORT + flow))

    def finish(self, tend):
        super().finish(tend)
        self.pinged = [ping.communicate(timeout=60)[0] for ping in self.pings]


class TunnelRun(Run):
    gateway_class, load_class = Tunnels, Datagrams

    def _verdict(self, load, kill_ns, incarnations):
        faults, figures = super()._verdict(load, kill_ns, incarnations)
        whole = rf"{PINGS} packets transmitted, {PINGS} received, 0% packet loss"
        faults += [f"ping: {text.strip()}" for text in load.pinged if not re.search(whole, text)]
        figures["pings"] = 2 * PINGS
        return faults, figures


def tunnel(seed, **settings):
    def test(stage):
        stage.program("tunnel")
        try:
            faults, figures = TunnelRun(stage, seed, program="tunnel", **settings).conduct()
        except (Refusal, ProcessDied) as failure:
            raise Broken(str(failure)) from None
        expect(not faults, f"{len(faults)} faults: " + "; ".join(faults[:FAULTS_SHOWN]))
        return ", ".join(f"{key} {value}" for key, value in figures.items())
    return test


def tests(seed):
    moments = random.Random(seed)
    seeds = [moments.randrange(1 << 31) for _ in range(KILLS)]
    cases = [(f"tunnel-{number}-seed-{s}", tunnel(s, snapshot_ms=SNAPSHOT_MS[number - 1]))
             for number, s in enumerate(seeds, 1)]
    cases.append((f"tunnel-once-seed-{seed}", tunnel(seed, snapshot_ms=0)))
    cases.append((f"tunnel-twice-seed-{seed}", tunnel(seed, twice=True)))
    cases.append((f"tunnel-undisturbed-seed-{seed}", tunnel(seed, kill=False)))
    return cases
