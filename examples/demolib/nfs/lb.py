"""A load balancer: flows stay with their backend, whatever happens to the list of backends.

The backends are addresses of the server's namespace. A second before the kill one of them is
drained (weight 0) and another one is added: old flows must stay at the drained one, new ones must
not come to it, also when the process that knew them is dead.
"""

import os

from ..gateway import Program, wait_until
from ..streams import Streams
from ..topology import LAN_ADDRESS, SERVER_ADDRESS, WAN_ADDRESS, ip

VIP = "10.1.0.100"
BACKENDS = (SERVER_ADDRESS, "10.2.0.3", "10.2.0.4")
DRAINED, ADDED = "10.2.0.4", "10.2.0.5"
FIRST = "".join(f"{address} 4\n" for address in BACKENDS)
SECOND = FIRST.replace(f"{DRAINED} 4", f"{DRAINED} 0") + f"{ADDED} 4\n"


class LoadBalancer(Streams):
    name = "lb"
    title = "the load balancer"
    forgets = "no flows"
    ping_address = web_address = upload_address = witness_address = VIP
    web_listens = witness_servers = BACKENDS + (ADDED,)

    def __init__(self, plan, topology, programs):
        server = topology.name("server")
        for address in self.web_listens[1:]:
            ip("-n", server, "address", "add", f"{address}/24", "dev", "eth0")
        ip("-n", server, "route", "add", f"{LAN_ADDRESS.rsplit('.', 1)[0]}.0/24", "via",
           WAN_ADDRESS)
        self.backends = os.path.join(topology.directory, "backends")
        self._list(FIRST)
        super().__init__(plan, topology, programs)

    def _list(self, text):
        """As an editor would: never half of it."""
        with open(f"{self.backends}.new", "w", encoding="ascii") as file:
            file.write(text)
        os.replace(f"{self.backends}.new", self.backends)

    def program(self):
        return Program("lb", ("--lan", "lan", "--vip", VIP, "--wan", "wan", "--wan-address",
                              WAN_ADDRESS, "--backends", self.backends, "--verbose"), "lb: ready")

    def gateway_ready(self, gateway):
        wait_until("the load balancer knows its backends",
                   lambda: gateway.said().count("lb: backend ") >= len(BACKENDS),
                   gateway.living())

    def before_kill(self):
        self._list(SECOND)

    def result(self, start_ns, kills_ns):
        return {**super().result(start_ns, kills_ns), **self.verdict.places(kills_ns, DRAINED)}

    def passed(self, result):
        """Also, every flow is where it was, and no new one came to the drained backend."""
        return (super().passed(result) and result["flows_moved"] == 0
                and result["flows_before"] == result["flows_after"] > 0
                and result["new_flows_drained"] == 0)

    @classmethod
    def load_rows(cls, result):
        return super().load_rows(result) + [
            ("backends", f"{result['flows_before']} flows before, {result['flows_after']} of them"
             f" stayed, {result['flows_moved']} moved; {result['new_flows']} new,"
             f" {result['new_flows_drained']} of them at the drained one"),
            ("flows of each", ", ".join(f"{address}: {count}" for address, count in
                                        result["flows_by_backend"].items())),
        ]

    @classmethod
    def brief_rows(cls, result):
        return super().brief_rows(result) + [
            ("flows moved", f"{result['flows_before'] - result['flows_after']} of"
             f" {result['flows_before']}"),
            ("at the drained backend", f"{result['new_flows_drained']} of {result['new_flows']}"),
        ]
