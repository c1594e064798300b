"""A rate limiter: every source keeps to its rate, and what waits for its turn is not lost.

The gate's kernel routes what comes from client and server into a TUN device, and what comes out of
it to its destination. One source floods, at several times its rate: of it exactly as many packets
must be missing as the limiter says it dropped, and it may never get more than its burst and its
rate.
"""

import re

from ..gateway import Program, wait_until
from ..streams import SECOND_NS, Streams
from ..topology import LAN_ADDRESS, SERVER_ADDRESS, WAN_ADDRESS, inside, ip
from ..witness import Witness

TUN = "tun0"
WITNESS_FROM, WITNESS_AT = "10.1.0.3", "10.2.0.3"
FLOOD_FROM, FLOOD_AT = "10.1.0.4", "10.2.0.4"
RATE, BURST, QUEUE = 1_000_000, 262_144, 1_048_576  # bytes
FLOOD_RATE = 500_000
FLOOD_FLOWS, FLOOD_PACKETS_PER_S, FLOOD_PAYLOAD = 2, 800, 1000
FLOOD_GRACE_MS = 4000  # a full queue takes two seconds to drain
HEADERS = 28  # IPv4 and UDP
SEGMENT, SEGMENT_PAYLOAD = 1500, 1448
UPLOAD_MBIT = 6
FIRST_DELAY_S = 0.3  # how late the first packet of the flood may be for the account of its rate
ROUTED_TABLE = "100"


class RateLimiter(Streams):
    name = "ratelimit"
    title = "the rate limiter"
    forgets = "full buckets"
    places = (("client", ("eth0",)), ("gate", ("lan", "wan", TUN)), ("server", ("eth0",)))
    witness_address, witness_servers, witness_from = WITNESS_AT, (WITNESS_AT,), WITNESS_FROM

    def __init__(self, plan, topology, programs):
        client, gate, server = (topology.name(n) for n in ("client", "gate", "server"))
        for namespace, addresses in ((client, (WITNESS_FROM, FLOOD_FROM)),
                                     (server, (WITNESS_AT, FLOOD_AT))):
            for address in addresses:
                ip("-n", namespace, "address", "add", f"{address}/24", "dev", "eth0")
        ip("-n", server, "route", "add", "default", "via", WAN_ADDRESS)
        ip("-n", gate, "address", "add", f"{LAN_ADDRESS}/24", "dev", "lan")
        ip("-n", gate, "address", "add", f"{WAN_ADDRESS}/24", "dev", "wan")
        queues = ("multi_queue",) if topology.palisade else ()  # one for each logger
        ip("-n", gate, "tuntap", "add", "dev", TUN, "mode", "tun", *queues)
        # Held while nobody reads, as in front of any box that is being switched over.
        ip("-n", gate, "link", "set", TUN, "up", "txqueuelen", "20000")
        inside(gate, "sh", "-c", "cd /proc/sys/net/ipv4; echo 1 >ip_forward;"
               " for f in conf/*/rp_filter conf/*/send_redirects; do echo 0 >$f; done")
        for device in ("lan", "wan"):
            ip("-n", gate, "rule", "add", "iif", device, "lookup", ROUTED_TABLE)
        ip("-n", gate, "route", "add", "default", "dev", TUN, "table", ROUTED_TABLE)
        # The limiter shall be what limits: a little more than the downloads need.
        payload = plan.downloads * plan.rate_mib << 20
        self.web_rate = payload * SEGMENT // SEGMENT_PAYLOAD
        self.flood = self.flood_verdict = None
        self.drops = None
        super().__init__(plan, topology, programs)

    def web_rate_bytes(self):
        return 0  # nginx's word for "as fast as it goes"

    def upload_mbit(self):
        return min(self.plan.upload_mbit, UPLOAD_MBIT)

    def program(self):
        return Program("ratelimit", (
            "--device", TUN, "--rate", str(RATE), "--limit", f"{SERVER_ADDRESS}={self.web_rate}",
            "--limit", f"{FLOOD_FROM}={FLOOD_RATE}", "--burst", str(BURST), "--queue", str(QUEUE),
            "--verbose"), "ratelimit: ready", (f"{TUN}={TUN},tun",))

    def begin_witness(self):
        super().begin_witness()
        self.flood = Witness(self.directory, self.topology, FLOOD_FLOWS, FLOOD_PACKETS_PER_S,
                             address=FLOOD_AT, servers=(FLOOD_AT,), source=FLOOD_FROM, name="flood",
                             payload=FLOOD_PAYLOAD, answers_per_s=20, grace_ms=FLOOD_GRACE_MS)

    def require(self):
        super().require()
        if self.flood is not None:
            self.flood.require()

    def finish(self, gateway):
        self.flood.stop()
        super().finish(gateway)
        self.flood_verdict = self.flood.finish()
        # The counters are printed every second: those of a moment when nothing comes any more.
        said = len(gateway.said())
        wait_until("the limiter prints its counters twice",
                   lambda: gateway.said()[said:].count("\nread ") >= 2, gateway.living())
        found = re.findall(rf"^source {re.escape(FLOOD_FROM)} .* dropped (\d+) waiting (\d+)",
                           gateway.said(), re.MULTILINE)
        self.drops = [int(number) for number in found[-1]] if found else [0, 0]

    def result(self, start_ns, kills_ns):
        flood = self.flood_verdict
        arrived = [f for f in flood.server["flows"] if f["received"] > 0]
        received = sum(f["received"] for f in arrived)
        received_bytes = received * (FLOOD_PAYLOAD + HEADERS)
        span_ns = max(f["last_ns"] for f in arrived) - min(f["first_ns"] for f in arrived) \
            if arrived else 0
        excess = received_bytes - FLOOD_RATE * span_ns // SECOND_NS
        dropped, waiting = self.drops
        web_bytes = sum(d.bytes for d in self.downloads) * SEGMENT // SEGMENT_PAYLOAD
        web_ns = max((d.ended_ns or 0) for d in self.downloads) - start_ns
        return {
            **super().result(start_ns, kills_ns),
            "new_flows": self.verdict.mappings(kills_ns)["new_flows"],
            "flood_sent": flood.up["sent"],
            "flood_received": received,
            "flood_dropped": dropped,
            # More than the limiter says: lost. Less: it forgot what it had dropped.
            "flood_unexplained": flood.up["lost"] - dropped - waiting,
            "flood_doubled": flood.total("doubled"),
            "flood_reordered": flood.total("reordered"),
            "flood_altered": flood.total("altered"),
            "flood_rate": round(received_bytes * SECOND_NS / span_ns) if span_ns else 0,
            "flood_limit": FLOOD_RATE,
            "flood_burst": excess,
            "flood_burst_limit": BURST + round(FLOOD_RATE * FIRST_DELAY_S),
            "download_rate": round(web_bytes * SECOND_NS / web_ns) if web_ns > 0 else 0,
            "download_limit": self.web_rate,
        }

    def passed(self, result):
        """Also, of the flood only what the rule says is missing, and no burst came of the kill."""
        in_flight = self.flight(result, FLOOD_FLOWS * FLOOD_PACKETS_PER_S, result["outage_ms"])
        return (super().passed(result) and result["flood_received"] > 0
                and result["flood_dropped"] > 0
                and 0 <= result["flood_unexplained"] <= in_flight
                and not any(result[f"flood_{key}"] for key in ("doubled", "reordered", "altered"))
                and result["flood_burst"] <= result["flood_burst_limit"])

    @classmethod
    def load_rows(cls, result):
        return super().load_rows(result) + [
            ("download rate", f"{result['download_rate']} of {result['download_limit']} bytes/s"),
            ("flood", f"{result['flood_sent']} packets sent, {result['flood_received']} received,"
             f" {result['flood_dropped']} dropped by the rule, {result['flood_unexplained']}"
             " unexplained"),
            ("flood's rate", f"{result['flood_rate']} bytes/s, limit {result['flood_limit']};"
             f" at once {result['flood_burst']} bytes, limit {result['flood_burst_limit']}"),
        ]

    @classmethod
    def brief_rows(cls, result):
        return super().brief_rows(result) + [
            ("flood, unexplained", f"{result['flood_unexplained']} of {result['flood_sent']}"),
            ("flood, bytes at once", f"{result['flood_burst']}, limit"
             f" {result['flood_burst_limit']}"),
        ]
