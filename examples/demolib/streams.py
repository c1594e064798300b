"""What crosses a function in both directions: TCP downloads and an upload, and numbered UDP
streams. The functions that forward packets have it in common."""

import subprocess

from . import load
from .nf import NetworkFunction
from .topology import SERVER_ADDRESS
from .witness import Witness

SECOND_NS = 1_000_000_000


class Streams(NetworkFunction):
    tools = NetworkFunction.tools + ("nginx", "curl", "iperf3", "ping")
    ping_address = web_address = upload_address = SERVER_ADDRESS
    web_listens = (SERVER_ADDRESS,)
    witness_address = SERVER_ADDRESS  # as the client knows it
    witness_servers = (SERVER_ADDRESS,)  # where the servers are
    witness_from = None

    def __init__(self, plan, topology, programs):
        super().__init__(plan, topology, programs)
        self.website = load.Website(topology, plan.file_mib << 20, self.web_rate_bytes(),
                                    self.web_listens)
        self.upload = load.Upload(topology, int(plan.load_s()) - 1, self.upload_mbit(),
                                  self.upload_address)
        self.downloads = []  # all there were
        self.witness = None
        self.verdict = None
        self.retransmissions = load.Retransmissions([self.website.process.pid])

    def _download(self):
        return load.Download(self.topology, len(self.downloads), self.web_address)

    def web_rate_bytes(self):
        return self.plan.rate_mib << 20

    def upload_mbit(self):
        return self.plan.upload_mbit

    def path_ready(self):
        done = subprocess.run(
            ["nsenter", f"--net=/run/netns/{self.topology.name('client')}", "--", "ping", "-q",
             "-c", "1", "-W", "1", self.ping_address],
            stdin=subprocess.DEVNULL, capture_output=True, check=False)
        return done.returncode == 0

    def begin(self):
        for _ in range(self.plan.downloads):
            self.downloads.append(self._download())
        self.upload.start()
        self.retransmissions.pids.append(self.downloads[0].process.pid)

    def begin_witness(self):
        self.witness = Witness(self.directory, self.topology, self.plan.flows,
                               self.plan.packets_per_s, address=self.witness_address,
                               servers=self.witness_servers, source=self.witness_from)
        self.retransmissions.pids[1] = self.witness.client.process.pid

    def after_kill(self):
        self.witness.open(self.plan.new_flows)

    def tick(self, now_ns):
        self.retransmissions.sample(now_ns)
        if self.lasting:
            for _ in range(self.plan.downloads - sum(d.running() for d in self.downloads)):
                self.downloads.append(self._download())

    def require(self):
        self.website.process.require()
        if self.witness is not None:
            self.witness.require()

    def loading(self):
        return self.upload.running() or any(d.running() for d in self.downloads)

    def stop(self):
        for part in [d.process for d in self.downloads] + [self.upload.client]:
            part.stop()

    def finish(self, gateway):
        self.verdict = self.witness.finish()

    def progress(self):
        received = sum(d.bytes for d in self.downloads) >> 20
        wanted = self.plan.downloads * self.plan.file_mib
        text = f"downloads {received} of {wanted} MiB"
        if self.witness is not None:
            text += "; witness " + ", ".join(f"{n} {key}"
                                             for key, n in self.witness.progress().items())
        return text

    def outage_ms(self, kill_ns, next_ns=None):
        return max(self.verdict.outage_ms(kill_ns, next_ns))

    def result(self, start_ns, kills_ns):
        verdict, kill_ns = self.verdict, kills_ns[0]
        up_ms, down_ms = verdict.outage_ms(kill_ns)
        broken_downloads = sum(d.broken() for d in self.downloads)
        whole = sum(d.whole(self.website.sha256) for d in self.downloads)
        broken_uploads = int(self.upload.broken())
        quiet_ns = kill_ns - SECOND_NS * 3 // 2
        return {
            "lost": verdict.total("lost"),
            "doubled": verdict.total("doubled"),
            "reordered": verdict.total("reordered"),
            "altered": verdict.total("altered"),
            "witness_sent": verdict.total("sent"),
            "lost_towards_server": verdict.up["lost"],
            "lost_towards_client": verdict.down["lost"],
            "broken": broken_downloads + broken_uploads,
            "broken_downloads": broken_downloads,
            "broken_uploads": broken_uploads,
            "connections": len(self.downloads) + 1,
            "checksum_ok": whole == len(self.downloads),
            "downloads_whole": whole,
            "outage_ms": max(up_ms, down_ms),
            "outage_towards_server_ms": up_ms,
            "outage_towards_client_ms": down_ms,
            "longest_way_ms": verdict.longest_way_ms(),
            "retransmits_quiet": self.retransmissions.between(quiet_ns, quiet_ns + SECOND_NS),
            "retransmits_kill": self.retransmissions.between(kill_ns - SECOND_NS // 10,
                                                             kill_ns + SECOND_NS * 9 // 10),
        }

    def passed(self, result):
        """Nothing lost, doubled, reordered, altered or broken, and what began later works."""
        return (not any(result[key] for key in ("doubled", "reordered", "altered", "broken"))
                and result["lost"] <= self.flight(
                    result, 2 * self.plan.flows * self.plan.packets_per_s, result["outage_ms"])
                and result["checksum_ok"] and result["new_flows"] > 0)

    @classmethod
    def outage_text(cls, result):
        return (f"{result['outage_ms']:.1f} ms (towards the server"
                f" {result['outage_towards_server_ms']:.1f} ms,"
                f" the client {result['outage_towards_client_ms']:.1f} ms)")

    @classmethod
    def rows(cls, result):
        return [
            ("packets lost", f"{result['lost']} of {result['witness_sent']}"
             + (", in flight, as may be" if result["lost"] and cls.lossy(result) else "")),
            ("packets doubled", result["doubled"]),
            ("packets reordered", result["reordered"]),
        ]

    @classmethod
    def load_rows(cls, result):
        return [
            ("TCP retransmissions", f"{result['retransmits_kill']} in the second around the kill,"
             f" {result['retransmits_quiet']} in a quiet one"),
            ("connections broken", f"{result['broken']} of {result['connections']}"),
            ("downloads", f"{result['downloads_whole']} whole, checksum "
             + ("equal" if result["checksum_ok"] else "WRONG OR MISSING")),
        ]

    @classmethod
    def brief_rows(cls, result):
        return [
            ("packets lost", f"{result['lost']} of {result['witness_sent']}"),
            ("packets doubled", result["doubled"]),
            ("packets reordered", result["reordered"]),
            ("packets altered", result["altered"]),
            ("connections broken", f"{result['broken']} of {result['connections']}"),
            ("downloads whole", str(result["downloads_whole"])
             + ("" if result["checksum_ok"] else ", OTHERS ARE NOT")),
        ]
