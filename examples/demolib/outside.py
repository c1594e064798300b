"""What the kernel drops outside Palisade, in its own counters: on the world's devices, in its
per-CPU queues, at sockets. It tells a reader where a lost packet went; it excuses none."""

import subprocess

SOFTNET_DROPPED = 1  # column of /proc/net/softnet_stat: the queue of a CPU was full
# /proc/net/snmp; NoPorts: a packet for a socket that is gone.
PROTOCOL = {"Ip": ("InHdrErrors", "InAddrErrors", "InDiscards", "OutDiscards"),
            "Udp": ("NoPorts", "InErrors", "RcvbufErrors", "SndbufErrors", "InCsumErrors")}


class Outside:
    """Counters that grew between begin() and grown()."""

    def __init__(self, topology, places):
        """`places`: (namespace, its devices) whose losses count."""
        self.topology, self.places = topology, places
        self.before = None

    def begin(self):
        self.before = self._read()

    def grown(self):
        """{name: by how much}, only what is not zero."""
        return {name: count - self.before.get(name, 0) for name, count in self._read().items()
                if count != self.before.get(name, 0)}

    def _read(self):
        counters = {}
        for namespace, devices in self.places:
            said = subprocess.run(
                ["nsenter", f"--net=/run/netns/{self.topology.name(namespace)}", "--", "cat",
                 "/proc/net/dev", "/proc/net/snmp"],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout
            lines = [line.replace(":", ": ").split() for line in said.splitlines()]
            for words in lines:
                if words[0].rstrip(":") in devices:
                    place = f"{namespace}.{words[0].rstrip(':')}"
                    counters[f"{place}.rx_dropped"] = int(words[4])
                    counters[f"{place}.tx_dropped"] = int(words[12])
            for protocol, names in PROTOCOL.items():
                header, values = [words for words in lines if words[0] == f"{protocol}:"]
                for name in names:
                    counters[f"{namespace}.{protocol}.{name}"] = int(values[header.index(name)])
        with open("/proc/net/softnet_stat", encoding="ascii") as file:
            counters["softnet.dropped"] = sum(int(line.split()[SOFTNET_DROPPED], 16)
                                              for line in file)
        return counters
