"""The numbered UDP streams that cross the NAT both ways, and what they prove."""

import json
import subprocess
import threading

from .processes import Process, ProcessDied
from .topology import SERVER_ADDRESS

PORT = 9000
GRACE_MS = 2000
REPORT_MS = 100
READY_TIMEOUT_S = 30


class End:
    """One end: a witness-udp process and the last thing it said."""

    def __init__(self, name, command, namespace, directory):
        self.process = Process(name, command, namespace, directory, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
        self.progress = {"sent": 0, "received": 0, "missing": 0, "doubled": 0, "reordered": 0,
                         "flows": 0}
        self.final = None
        self.ready = threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.popen.stdout:
            report = json.loads(line)
            if report["event"] == "final":
                self.final = report
            else:
                self.progress = report
                self.ready.set()  # its socket was bound before its first report

    def wait_ready(self):
        if not self.ready.wait(timeout=READY_TIMEOUT_S):
            self.process.require()
            raise ProcessDied(f"{self.process.name} said nothing in {READY_TIMEOUT_S} s")

    def say(self, command):
        self.process.popen.stdin.write(command.encode() + b"\n")
        self.process.popen.stdin.flush()

    def finish(self):
        self.reader.join(timeout=GRACE_MS / 1000 + 10)
        if self.final is None:
            self.process.stop()
            self.process.require()
        return self.final


class Witness:
    def __init__(self, program, topology, flows, rate):
        options = ["--address", f"{SERVER_ADDRESS}:{PORT}", "--rate", str(rate),
                   "--grace-ms", str(GRACE_MS), "--report-ms", str(REPORT_MS)]
        self.server = End("witness-server", [program, "server", *options],
                          topology.name("server"), topology.directory)
        self.server.wait_ready()  # a packet that came before its socket would count as lost
        self.client = End("witness-client", [program, "client", *options, "--flows", str(flows)],
                          topology.name("client"), topology.directory)
        self.flows = flows

    def open(self, flows):
        self.client.say(f"open {flows}")

    def require(self):
        self.server.process.require()
        self.client.process.require()

    def finish(self):
        self.client.say("stop")
        self.server.say("stop")
        return Verdict(self.client.finish(), self.server.finish())


class Verdict:
    """What the two final reports say together."""

    def __init__(self, client, server):
        self.client, self.server = client, server
        self.up = self._direction(client, server)
        self.down = self._direction(server, client)

    @staticmethod
    def _direction(sender, receiver):
        received = {flow["id"]: flow for flow in receiver["flows"]}
        sum_of = {"sent": 0, "lost": 0, "doubled": 0, "reordered": 0, "altered": 0}
        for flow in sender["flows"]:
            arrived = received.get(flow["id"], {})
            sum_of["sent"] += flow["sent"]
            sum_of["lost"] += flow["sent"] - arrived.get("received", 0)
            for key in ("doubled", "reordered", "altered"):
                sum_of[key] += arrived.get(key, 0)
        return sum_of

    def total(self, key):
        return self.up[key] + self.down[key]

    @staticmethod
    def _outage_ms(report, kill_ns):
        """The longest pause between arrivals that began up to a second after the kill."""
        pauses = [to - since for since, to in report["gaps"]
                  if to > kill_ns and since < kill_ns + 1_000_000_000]
        return round(max(pauses, default=0) / 1e6, 1)

    def outage_ms(self, kill_ns):
        """(towards the server, towards the client)"""
        return self._outage_ms(self.server, kill_ns), self._outage_ms(self.client, kill_ns)

    def longest_way_ms(self):
        flows = self.client["flows"] + self.server["flows"]
        return round(max((flow["longest_way_ns"] for flow in flows), default=0) / 1e6, 1)

    def mappings(self, kill_ns):
        """What the server saw of the NAT's mappings before and after the kill."""
        before, kept, changed, owners = 0, 0, 0, {}
        for flow in self.server["flows"]:
            sightings = flow["sightings"]
            for sighting in sightings:
                owners.setdefault((sighting["address"], sighting["port"]), set()).add(flow["id"])
            old = [s for s in sightings if s["first_ns"] < kill_ns]
            if not old:
                continue
            before += 1
            if len(sightings) > 1:
                changed += 1
            elif old[0]["last_ns"] > kill_ns:
                kept += 1
        reused = sum(1 for flows in owners.values() if len(flows) > 1)
        new = sum(1 for flow in self.server["flows"] if flow["first_ns"] >= kill_ns)
        return {"mappings_before": before, "mappings_after": kept, "mappings_changed": changed,
                "ports_reused": reused, "new_flows": new}
