"""A flow probe on two taps: what it exports must add up to what was sent, flow by flow.

Nobody answers and nothing is forwarded: generators at both taps send numbered UDP packets to
addresses that do not exist. Two accounts must agree with them: the exported flows (NetFlow version
5 to a collector in the gate's namespace) and the file of reports. Palisade performs such outputs at
least once: what comes again must be the same again.
"""

import json
import os
import time

from ..collector import Collector
from ..gateway import Program
from ..nf import NetworkFunction
from ..topology import CLIENT_ADDRESS, LAN_ADDRESS, SERVER_ADDRESS, WAN_ADDRESS, ip
from ..witness import PORT, Generator

COLLECTOR_ADDRESS, COLLECTOR_PORT = "10.9.100.1", 2055
LINKS = (("master", "10.9.1.1"), ("backup", "10.9.3.1"))  # the way to the collector
INTERVAL_MS, ACTIVE_MS, IDLE_MS = 200, 1000, 1500
SETTLED_MAX_S = 12  # after the last packet all flows are idle, exported and reported by then
IP_BYTES = 28 + 128  # of a generated packet
UDP = 17
COUNTERS = ("packets", "bytes", "tcp", "udp", "icmp", "other", "malformed", "uncounted", "longest",
            "flows_seen", "exported_records", "exported_packets", "exported_bytes")


class Monitor(NetworkFunction):
    name = "monitor"
    title = "the monitor"
    forgets = "nothing counted"
    praise = "Nothing uncounted, nothing counted twice, no report contradicted."
    lossy_praise = ("Nothing counted twice, no report contradicted; a logger's death may cost what is"
                    " in flight.")

    def __init__(self, plan, topology, programs):
        super().__init__(plan, topology, programs)
        gate = topology.name("gate")
        server = topology.name("server")
        ip("-n", server, "route", "add", "default", "via", WAN_ADDRESS)
        for end, gateway in (("client", LAN_ADDRESS), ("server", WAN_ADDRESS)):
            ip("-n", topology.name(end), "neighbour", "add", gateway, "lladdr", "02:00:00:00:00:01",
               "dev", "eth0", "nud", "permanent")
        ip("-n", gate, "address", "add", f"{COLLECTOR_ADDRESS}/32", "dev", "lo")
        if topology.palisade:
            for namespace, via in LINKS:
                ip("-n", topology.name(namespace), "route", "add", f"{COLLECTOR_ADDRESS}/32",
                   "via", via)
        self.report = os.path.join(topology.directory, "report.jsonl")
        self.collector = Collector(gate, COLLECTOR_ADDRESS, COLLECTOR_PORT)
        self.generators = []
        self.sent = {}  # (source, source port, destination, interface): packets
        self.until_ns = None

    def program(self):
        return Program("monitor", (
            "--interface", "lan", "--interface", "wan", "--filter", "udp or tcp", "--collector",
            f"{COLLECTOR_ADDRESS}:{COLLECTOR_PORT}", "--report", self.report, "--interval-ms",
            str(INTERVAL_MS), "--active-ms", str(ACTIVE_MS), "--idle-ms", str(IDLE_MS)),
            "monitor: ready")

    def path_ready(self):
        time.sleep(1)
        return os.path.exists(self.report)

    def begin_witness(self):
        plan = self.plan
        self.generators = [
            Generator(f"generator-{end}", self.directory, self.topology, end,
                      f"{destination}:{PORT}", plan.flows, plan.packets_per_s)
            for end, destination in (("client", SERVER_ADDRESS), ("server", CLIENT_ADDRESS))]
        self.until_ns = time.monotonic_ns() + round((plan.load_s() - plan.settle_s) * 1e9)

    def after_kill(self):
        for generator in self.generators:
            generator.open(self.plan.new_flows)

    def require(self):
        for generator in self.generators:
            generator.process.require()

    def loading(self):
        return time.monotonic_ns() < self.until_ns

    def finish(self, gateway):
        for number, (generator, ends) in enumerate(zip(self.generators, (
                (CLIENT_ADDRESS, SERVER_ADDRESS), (SERVER_ADDRESS, CLIENT_ADDRESS))), 1):
            for flow in generator.finish()["flows"]:
                self.sent[(ends[0], flow["own_port"], ends[1], number)] = flow["sent"]
        deadline = time.monotonic() + SETTLED_MAX_S
        while time.monotonic() < deadline and not self._settled():
            for process in gateway.living():
                process.require()
            time.sleep(0.1)
        time.sleep(2 * INTERVAL_MS / 1000)
        self.collector.close()

    def _settled(self):
        """Everything that was sent has been exported and reported, as it should come to be."""
        wanted = sum(self.sent.values())
        lines = self._reports()
        return (sum(n for n, _ in self.collector.flows().values()) >= wanted and lines
                and lines[-1]["exported_packets"] >= wanted)

    def _reports(self):
        try:
            with open(self.report, encoding="ascii", errors="replace") as file:
                return [json.loads(line) for line in file if line.endswith("\n")]
        except FileNotFoundError:
            return []

    def progress(self):
        sent = sum(g.progress["sent"] for g in self.generators)
        counted = sum(packets for packets, _ in self.collector.flows().values())
        return f"sent {sent} packets; exported {counted} in {len(self.collector.records)} records"

    def result(self, _start_ns, _kills_ns):
        flows = self.collector.flows()
        seen = {(s, sp, d, i): (p, b) for (s, sp, d, dp, protocol, i), (p, b) in flows.items()
                if protocol == UDP and dp == PORT}
        short = over = wrong_bytes = missing = 0
        for key, packets in self.sent.items():
            counted, counted_bytes = seen.get(key, (0, 0))
            missing += packets > 0 and counted == 0
            short += max(0, packets - counted)
            over += max(0, counted - packets)
            wrong_bytes += counted_bytes != counted * IP_BYTES
        lines, back, reports = self._reports(), 0, {}
        contradicted = repeated = 0
        for line in lines:
            before = reports.setdefault(line["report"], line)
            repeated += before is not line
            contradicted += before != line
        last = None
        for number in sorted(reports):
            if last is not None:
                back += any(reports[number][key] < reports[last][key] for key in COUNTERS)
            last = number
        final = reports.get(last, dict.fromkeys(COUNTERS, 0))
        sent = sum(self.sent.values())
        return {
            "sent": sent,
            "flows": len(self.sent),
            "flows_missing": missing,
            "flows_strange": len(flows.keys()) - len(set(seen) & set(self.sent)),
            "packets_short": short,
            "packets_over": over,
            "flows_wrong_bytes": wrong_bytes,
            "records": len(self.collector.records),
            "records_missing": self.collector.missing(),
            "exports_repeated": self.collector.repeated,
            "exports_contradicted": self.collector.contradicted,
            "reports": len(reports),
            "reports_missing": (last or 0) - len(reports),
            "reports_repeated": repeated,
            "reports_contradicted": contradicted,
            "reports_going_back": back,
            "report_packets_wrong": final["packets"] - sent,
            "report_bytes_wrong": final["bytes"] - sent * IP_BYTES,
            "outage_ms": None,
        }

    def passed(self, result):
        short = result["packets_short"]
        return (result["sent"] > 0 and result["reports"] > 0 and result["records"] > 0
                and short <= self.flight(result, 2 * self.plan.flows * self.plan.packets_per_s,
                                         result["back_ms"] or 0)
                and result["report_packets_wrong"] == -short
                and result["report_bytes_wrong"] == -short * IP_BYTES
                and not any(result[key] for key in (
                    "flows_missing", "flows_strange", "packets_over", "flows_wrong_bytes",
                    "records_missing", "exports_contradicted", "reports_missing",
                    "reports_contradicted", "reports_going_back")))

    @classmethod
    def rows(cls, result):
        return [
            ("packets not counted", f"{result['packets_short']} of {result['sent']}"),
            ("packets counted too often", result["packets_over"]),
            ("flows", f"{result['flows']}, {result['flows_missing']} of them not exported,"
             f" {result['flows_strange']} that nobody sent,"
             f" {result['flows_wrong_bytes']} with wrong bytes"),
            ("exported records", f"{result['records']}, {result['records_missing']} missing;"
             f" {result['exports_repeated']} datagrams came again,"
             f" {result['exports_contradicted']} of them different"),
            ("reports", f"{result['reports']}, {result['reports_missing']} missing,"
             f" {result['reports_going_back']} with a total that went back;"
             f" {result['reports_repeated']} came again,"
             f" {result['reports_contradicted']} of them different"),
            ("the last report's error", f"{result['report_packets_wrong']} packets,"
             f" {result['report_bytes_wrong']} bytes"),
        ]

    @classmethod
    def brief_rows(cls, result):
        return [
            ("packets not counted", f"{result['packets_short']} of {result['sent']}"),
            ("counted too often", result["packets_over"]),
            ("flows wrong", f"{result['flows_missing'] + result['flows_strange']} of"
             f" {result['flows']}"),
            ("records missing", f"{result['records_missing']} of {result['records']}"),
            ("reports wrong", f"{result['reports_missing'] + result['reports_contradicted']} of"
             f" {result['reports']}"),
        ]
