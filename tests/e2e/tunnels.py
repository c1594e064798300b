"""TUN: the kernel of gate talks to a torture NF over two TUN devices, by UDP and by ping."""

import os
import random
import re
import shutil
import socket
import subprocess

from demolib.gateway import wait_until
from demolib.processes import Process, ProcessDied, socket_inside
from demolib.refuse import Refusal
from demolib.topology import Topology, ip
from stage import Broken, expect, expect_refusal, run
from torture_tests import FAULTS_SHOWN, SNAPSHOT_MS
from driver import MAGIC, REQUEST, Load, Run, Tortured, packet_socket

UNMODELLED, INTERFACE = 65, 66
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
        sockets = [socket_inside(gate, socket.AF_INET, socket.SOCK_DGRAM) for _ in DEVICES]
        for port, datagrams in enumerate(sockets):
            datagrams.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
            datagrams.bind((own_address(port), 1000))
        return sockets

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


class Taps(Tortured):
    """AF_PACKET sockets on TAP ports: Ethernet, but from the kernel's end."""

    ports = ("lan=t0,tap", "wan=t1,tap")

    def __init__(self, topology, *arguments, **settings):
        gate = topology.name("gate")
        for device in DEVICES:
            ip("-n", gate, "tuntap", "add", "dev", device, "mode", "tap", "multi_queue")
            ip("-n", gate, "link", "set", device, "txqueuelen", "10000", "up")
        super().__init__(topology, *arguments, **settings)


class Frames(Load):
    def _open(self, topology):
        return [packet_socket(topology.name("gate"), device) for device in DEVICES]


class FrameRun(Run):
    gateway_class, load_class = Taps, Frames


def tunnel(seed, program="tunnel", kind=TunnelRun, **settings):
    def test(stage):
        stage.program(program)
        try:
            faults, figures = kind(stage, seed, program=program, **settings).conduct()
        except (Refusal, ProcessDied) as failure:
            raise Broken(str(failure)) from None
        expect(not faults, f"{len(faults)} faults: " + "; ".join(faults[:FAULTS_SHOWN]))
        return ", ".join(f"{key} {value}" for key, value in figures.items())
    return test


# ---- calls ----

class Calls(Tortured):
    """The ports are called as the devices, so that the program's arguments are the same."""

    names, ports = DEVICES, ("t0=t0,tun", "t1=t1,tap")


def say_hello(gate, protocol, first):
    """Three packets that look the same wherever they are read."""
    packets = socket_inside(gate, socket.AF_PACKET, socket.SOCK_DGRAM)
    packets.bind((DEVICES[0], protocol))
    for _ in range(3):
        packets.send(bytes((first,)) + bytes(range(1, 60)))
    packets.close()


def conversation(process, gate):
    """All that it prints; it gets its packets when it asks for them."""
    for word, *hello in (("first", 0x0800, 0x45), ("second", 0x86DD, 0x60)):
        wait_until(f"the program says {word}",
                   lambda word=word: word in read_log(process), [process])
        say_hello(gate, *hello)
    status = process.ended(30)
    said = read_log(process)
    expect(status == 0, f"status {status}: {said[-400:]}")
    return said.splitlines()


def read_log(process):
    with open(process.log_path, encoding="utf-8", errors="replace") as log:
        return log.read()


def calls(stage):
    """Every call on /dev/net/tun answers as the kernel's."""
    topology = Topology(palisade=True)
    gateway = native = None
    try:
        gate = topology.name("gate")
        for device, mode in zip(DEVICES, ("tun", "tap")):
            ip("-n", gate, "tuntap", "add", "dev", device, "mode", mode, "multi_queue")
            ip("-n", gate, "link", "set", device, "up")
        native = Process("native", [stage.program("tun_calls"), *DEVICES], gate,
                         topology.directory)
        wanted = conversation(native, gate)
        gateway = Calls(topology, stage.programs, "tun_calls", backup=False)
        got = conversation(gateway.master, gate)
        for line, (want, have) in enumerate(zip(wanted, got), 1):
            expect(want == have, f"line {line}: {have!r}, the kernel says {want!r}")
        expect(len(got) == len(wanted), f"{len(got)} lines, the kernel has {len(wanted)}")
        return f"{len(got)} answers"
    except (Refusal, ProcessDied) as failure:
        raise Broken(str(failure)) from None
    finally:
        for process in [native, *(gateway.processes() if gateway else [])]:
            if process:
                process.stop()
        shutil.copytree(topology.directory, stage.keep, dirs_exist_ok=True)
        topology.close()


def refusal(program, gateway_class, wanted, status, *words):
    """A program that wants a port which is not there, or not of that kind: one sentence."""
    class Wanting(gateway_class):
        names = wanted

    def test(stage):
        topology = Topology(palisade=True)
        gateway = None
        try:
            gateway = Wanting(topology, stage.programs, program, backup=False)
            got = gateway.master.ended(20)
            expect_refusal((got, "", gateway.master.tail()), status, *words)
        finally:
            for process in gateway.processes() if gateway else []:
                process.stop()
            shutil.copytree(topology.directory, stage.keep, dirs_exist_ok=True)
            topology.close()
    return test


SNIPPET = """
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void)
{
    struct ifreq request = {.ifr_name = "lan", .ifr_flags = IFF_TUN | IFF_NO_PI};
    char bytes[64];
    int tun = open("/dev/net/tun", O_RDWR), ask = socket(AF_INET, SOCK_DGRAM, 0);
    int packets = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
    struct pollfd tuns = {.fd = tun, .events = POLLIN}, sockets = {.fd = packets, .events = POLLIN};
    (void)bytes, (void)request, (void)tuns, (void)sockets, (void)ask;
    STATEMENT;
    return 0;
}
"""
STATEMENTS = (
    ("poll", "poll(&tuns, 1, 100)", "poll", "before TUNSETIFF"),
    ("vnet", "request.ifr_flags |= IFF_VNET_HDR; ioctl(tun, TUNSETIFF, &request)", "IFF_VNET_HDR"),
    ("carrier", "ioctl(tun, TUNSETIFF, &request); ioctl(tun, TUNSETCARRIER, &ask)", "/dev/net/tun"),
    ("address", "ioctl(ask, SIOCSIFADDR, &request)", "SIOCSIFADDR", "lan", "loggers"),
    ("mtu", "ioctl(ask, SIOCSIFMTU, &request)", "SIOCSIFMTU", "lan"),
    ("fork", "return fork()", "fork was called", "a second process cannot be replayed"),
    ("chroot", 'return chroot("/")', "chroot was called"),
    ("execl", 'return execl("/bin/true", "true", NULL)', "execl was called"),
    ("unbound-poll", "poll(&sockets, 1, 100)", "AF_PACKET", "bound"),
    ("unbound-recv", "recv(packets, bytes, sizeof bytes, 0)", "AF_PACKET", "bound"))


def statement(text, *words):
    """A program that does this must end with one sentence."""
    def test(stage):
        os.makedirs(stage.keep, exist_ok=True)
        program = os.path.join(stage.keep, "program")
        with open(f"{program}.c", "w", encoding="ascii") as file:
            file.write(SNIPPET.replace("STATEMENT", text))
        done = run(stage.program("palisade-cc"), "-O1", "-Wno-unused-result", f"{program}.c",
                   "-o", program)
        expect(done[0] == 0, f"palisade-cc: {done[2]}")
        refusal(program, Tunnels, (), UNMODELLED, *words)(stage)
    return test


def tests(seed):
    moments = random.Random(seed)
    seeds = [moments.randrange(1 << 31) for _ in range(KILLS)]
    cases = [(f"tunnel-{number}-seed-{s}", tunnel(s, snapshot_ms=SNAPSHOT_MS[number - 1]))
             for number, s in enumerate(seeds, 1)]
    cases.append((f"tunnel-once-seed-{seed}", tunnel(seed, snapshot_ms=0)))
    cases.append((f"tunnel-twice-seed-{seed}", tunnel(seed, twice=True)))
    cases.append((f"tunnel-undisturbed-seed-{seed}", tunnel(seed, kill=False)))
    cases.append(("tunnel-calls", calls))
    for name, *case in (
            ("missing", "tunnel", Tunnels, ("nowhere", "wan"), INTERFACE, "no tun port", "nowhere"),
            ("ethernet", "tunnel", Tortured, ("lan", "wan"), INTERFACE, "no tun port", "lan"),
            ("socket", "torture", Tunnels, ("lan", "wan"), UNMODELLED, "lan", "TUN", "AF_PACKET"),
            ("capture", "capture", Tunnels, ("lan", "wan"), UNMODELLED, "lan", "TUN", "libpcap"),
            ("rings", "rings", Tunnels, ("lan", "wan"), UNMODELLED, "lan", "TUN", "AF_XDP")):
        cases.append((f"tunnel-refusal-{name}", refusal(*case)))
    for name, *case in STATEMENTS:
        cases.append((f"tunnel-refusal-{name}", statement(*case)))
    cases.append((f"tunnel-frames-seed-{seed}", tunnel(seed, "torture", FrameRun)))
    return cases
