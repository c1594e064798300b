"""Namespaces and devices of one run.

    client --- lan [gate] wan --- server        mode none: the function runs in gate
                 ilm ilb olm olb                mode cold, hot: both loggers run in gate
                  |   |   |   |
      master: il -+---|-- ol  |
      backup:     il -+   ol -+                 link devices, one a logger and NF process

Names carry the number of this process, so that runs do not meet.
"""

import os
import subprocess
import tempfile

from .refuse import FAILED, KERNEL, Refusal

CLIENT_ADDRESS = "10.1.0.2"
SERVER_ADDRESS = "10.2.0.2"
LAN_ADDRESS = "10.1.0.1"
WAN_ADDRESS = "10.2.0.1"
LINK_MTU = 3498  # what native XDP on veth carries

# logger end, (namespace, its end), number of the network 10.9.N.0/24: the logger is .1, the NF .2
LINKS = (("ilm", ("master", "il"), 1), ("olm", ("master", "ol"), 2),
         ("ilb", ("backup", "il"), 3), ("olb", ("backup", "ol"), 4))

# Bounds what a sender may have under way, hence how much TCP can pile up at once in front of the
# function's receive queues. Far above the bandwidth-delay product here.
TCP_WINDOW_BYTES = 256 * 1024


class Topology:
    """Exists from construction until close() has returned; the guardian sees to it."""

    def __init__(self, palisade):
        self.prefix = f"pal{os.getpid()}"
        self.palisade = palisade
        self.directory = tempfile.mkdtemp(prefix="palisade-demo-")
        os.chmod(self.directory, 0o755)  # nginx's worker reads it
        self.guardian = subprocess.Popen(
            [os.path.join(os.path.dirname(__file__), "guardian"), self.prefix, self.directory],
            stdin=subprocess.PIPE, start_new_session=True)
        try:
            for short in ("client", "gate", "server") + (("master", "backup") if palisade else ()):
                self._namespace(short)
            self._world("lan", "client", CLIENT_ADDRESS)
            self._world("wan", "server", SERVER_ADDRESS)
            ip("-n", self.name("client"), "route", "add", "default", "via", LAN_ADDRESS)
            if palisade:
                for device, peer, network in LINKS:
                    self._link(device, *peer, network)
        except BaseException:
            self.close()
            raise

    def name(self, short):
        return f"{self.prefix}-{short}"

    def close(self):
        self.guardian.stdin.close()
        self.guardian.wait()

    def _namespace(self, short):
        try:
            ip("netns", "add", self.name(short))
        except Refusal as refusal:
            raise Refusal(KERNEL, f"no network namespace could be created: {refusal}") from None
        # No router solicitations among the packets that are counted; a kernel without IPv6 is fine.
        inside(self.name(short), "sh", "-c",
               "for scope in all default; do"
               " f=/proc/sys/net/ipv6/conf/$scope/disable_ipv6; [ ! -e $f ] || echo 1 >$f; done;"
               f" for f in tcp_rmem tcp_wmem; do"
               f" echo 4096 131072 {TCP_WINDOW_BYTES} >/proc/sys/net/ipv4/$f; done")
        ip("-n", self.name(short), "link", "set", "lo", "up")

    def _world(self, device, endpoint, address):
        """A world-facing device in gate: receives at queue 0, sends at queue 1."""
        gate, end = self.name("gate"), self.name(endpoint)
        try:
            ip("-n", gate, "link", "add", device, "mtu", "1500", "numrxqueues", "2",
               "numtxqueues", "2", "type", "veth", "peer", "name", "eth0", "mtu", "1500",
               "numrxqueues", "1", "numtxqueues", "1", "netns", end)
        except Refusal as refusal:
            raise Refusal(KERNEL, f"no veth device could be created: {refusal}") from None
        ip("-n", end, "address", "add", f"{address}/24", "dev", "eth0")
        # Half-computed checksums and segments of 64 KiB are for one kernel's own eyes.
        for namespace, name in ((end, "eth0"), (gate, device)):
            inside(namespace, "ethtool", "-K", name, "tx", "off", "tso", "off", "gso", "off",
                   "gro", "off")
            ip("-n", namespace, "link", "set", name, "up")

    def _link(self, device, namespace, name, network):
        gate, end = self.name("gate"), self.name(namespace)
        ip("-n", gate, "link", "add", device, "mtu", str(LINK_MTU), "type", "veth",
           "peer", "name", name, "mtu", str(LINK_MTU), "netns", end)
        ip("-n", gate, "address", "add", f"10.9.{network}.1/24", "dev", device)
        ip("-n", end, "address", "add", f"10.9.{network}.2/24", "dev", name)
        ip("-n", gate, "link", "set", device, "up")
        ip("-n", end, "link", "set", name, "up")


def logger_address(device):
    """Where the logger listens on the link whose logger end is `device`."""
    for own, _, network in LINKS:
        if own == device:
            return f"10.9.{network}.1"
    raise KeyError(device)


def ip(*words):
    execute("ip", *words)


def inside(namespace, *command):
    execute("nsenter", f"--net=/run/netns/{namespace}", "--", *command)


def execute(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise Refusal(FAILED, f"{' '.join(command)}: {said[-1] if said else done.returncode}")
