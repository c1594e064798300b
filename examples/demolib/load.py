"""TCP through the function: downloads from nginx by curl, an upload by iperf3."""

import hashlib
import json
import os
import subprocess
import threading
import time

from .processes import Process
from .topology import SERVER_ADDRESS

HTTP_PORT = 80
SILENCE_MAX_S = 8  # a download that stands still for so long is broken

NGINX = """
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/nginx-error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    sendfile on;
    client_body_temp_path {directory}/nginx-body;
    proxy_temp_path {directory}/nginx-proxy;
    fastcgi_temp_path {directory}/nginx-fastcgi;
    uwsgi_temp_path {directory}/nginx-uwsgi;
    scgi_temp_path {directory}/nginx-scgi;
    server {{
{listen}
        root {directory}/www;
        limit_rate {rate};
    }}
}}
"""


class Website:
    """nginx in the server's namespace with one large file of known checksum; `rate_bytes` a second
    for each connection, 0: no limit."""

    def __init__(self, topology, file_bytes, rate_bytes, addresses=(SERVER_ADDRESS,)):
        directory = topology.directory
        os.mkdir(f"{directory}/www")
        digest = hashlib.sha256()
        with open(f"{directory}/www/file", "wb") as file:
            for _ in range(0, file_bytes, 1 << 20):
                block = os.urandom(1 << 20)
                digest.update(block)
                file.write(block)
        self.sha256 = digest.hexdigest()
        with open(f"{directory}/nginx.conf", "w", encoding="ascii") as file:
            listen = "\n".join(f"        listen {a}:{HTTP_PORT};" for a in addresses)
            file.write(NGINX.format(directory=directory, listen=listen, rate=rate_bytes))
        self.process = Process("nginx", ["nginx", "-e", f"{directory}/nginx-error.log",
                                         "-c", f"{directory}/nginx.conf"],
                               topology.name("server"), directory)


class Download:
    """One curl; what it receives is counted and hashed on the way."""

    def __init__(self, topology, number, address=SERVER_ADDRESS):
        self.process = Process(
            f"curl-{number}",
            ["curl", "--silent", "--show-error", "--fail", "--no-buffer", "--noproxy", "*",
             "--speed-limit", "1", "--speed-time", str(SILENCE_MAX_S),
             f"http://{address}:{HTTP_PORT}/file"],
            topology.name("client"), topology.directory, stdout=subprocess.PIPE)
        self.bytes = 0
        self.ended_ns = None
        self.digest = hashlib.sha256()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while block := self.process.popen.stdout.read1(1 << 16):
            self.digest.update(block)
            self.bytes += len(block)
        self.ended_ns = time.monotonic_ns()

    def running(self):
        return self.process.running()

    def whole(self, sha256):
        self.reader.join()
        return self.process.popen.wait() == 0 and self.digest.hexdigest() == sha256

    def broken(self):
        return self.process.popen.wait() != 0


class Upload:
    """iperf3 from client to server, paced."""

    def __init__(self, topology, seconds, rate_mbit, address=SERVER_ADDRESS):
        self.server = Process("iperf3-server", ["iperf3", "--server", "--one-off"],
                              topology.name("server"), topology.directory)
        self.topology, self.address = topology, address
        self.seconds, self.rate_mbit = seconds, rate_mbit
        self.client = None
        self.report = ""

    def start(self):
        self.client = Process(
            "iperf3", ["iperf3", "--client", self.address, "--time", str(self.seconds),
                       "--bitrate", f"{self.rate_mbit}M", "--json", "--connect-timeout", "5000"],
            self.topology.name("client"), self.topology.directory, stdout=subprocess.PIPE)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        self.report = self.client.popen.stdout.read().decode(errors="replace")

    def running(self):
        return self.client.running()

    def broken(self):
        if self.client.popen.wait() != 0:
            return True
        try:
            return "error" in json.loads(self.report)
        except ValueError:
            return True


class Retransmissions:
    """Segments sent again by the TCP of both namespaces, sampled over time."""

    def __init__(self, pids):
        self.pids = pids
        self.samples = []

    def sample(self, now_ns):
        self.samples.append((now_ns, sum(self._read(pid) for pid in self.pids)))

    @staticmethod
    def _read(pid):
        """The counter of the namespace that process `pid` lives in."""
        with open(f"/proc/{pid}/net/snmp", encoding="ascii") as file:
            names, values = [line.split() for line in file if line.startswith("Tcp:")]
        return int(values[names.index("RetransSegs")])

    def between(self, from_ns, to_ns):
        inside = [count for at_ns, count in self.samples if from_ns <= at_ns <= to_ns]
        return inside[-1] - inside[0] if inside else 0
