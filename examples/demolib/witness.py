"""The numbered UDP streams that cross the function both ways, and what they prove."""

import json
import os
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

    def finish(self, grace_ms=GRACE_MS):
        self.reader.join(timeout=grace_ms / 1000 + 10)
        if self.final is None:
            self.process.stop()
            self.process.require()
        return self.final


class Witness:
    """
    One client; a server at each address of `servers`. `address` is what the client sends to, which
    need not be one of them; `source` (None: any) what it sends from.
    """

    def __init__(self, programs, topology, flows, rate, address=SERVER_ADDRESS,
                 servers=(SERVER_ADDRESS,), source=None, name="witness", payload=None,
                 answers_per_s=None, grace_ms=GRACE_MS):
        program = os.path.join(programs, "witness-udp")
        self.grace_ms = grace_ms
        options = ["--grace-ms", str(grace_ms), "--report-ms", str(REPORT_MS)]
        if payload is not None:
            options += ["--bytes", str(payload)]
        self.servers = []
        for number, server in enumerate(servers):
            end = End(f"{name}-server" + (f"-{number}" if number else ""),
                      [program, "server", "--address", f"{server}:{PORT}",
                       "--rate", str(answers_per_s or rate), *options],
                      topology.name("server"), topology.directory)
            end.address = server
            self.servers.append(end)
        for server in self.servers:
            server.wait_ready()  # a packet that came before its socket would count as lost
        origin = ["--from", source] if source is not None else []
        self.client = End(f"{name}-client",
                          [program, "client", "--address", f"{address}:{PORT}",
                           "--rate", str(rate), *options, "--flows", str(flows), *origin],
                          topology.name("client"), topology.directory)
        self.flows = flows
        self.stopped = False

    def open(self, flows):
        self.client.say(f"open {flows}")

    def ends(self):
        return [self.client, *self.servers]

    def require(self):
        for end in self.ends():
            end.process.require()

    def progress(self):
        return {key: sum(end.progress[key] for end in self.ends())
                for key in ("received", "missing", "doubled", "reordered")}

    def stop(self):
        if not self.stopped:
            self.stopped = True
            for end in self.ends():
                end.say("stop")

    def finish(self):
        self.stop()
        return Verdict(self.client.finish(self.grace_ms),
                       *((server.finish(self.grace_ms)) for server in self.servers),
                       addresses=[server.address for server in self.servers])


class Generator(End):
    """Only sends: flows from the namespace `end` to an address that nobody has."""

    def __init__(self, name, programs, topology, end, address, flows, rate):
        super().__init__(name, [os.path.join(programs, "witness-udp"), "client", "--address",
                                address, "--rate", str(rate), "--grace-ms", "0", "--report-ms",
                                str(REPORT_MS), "--flows", str(flows)],
                         topology.name(end), topology.directory)

    def open(self, flows):
        self.say(f"open {flows}")

    def finish(self, grace_ms=0):
        self.say("stop")
        return super().finish(grace_ms)


class Verdict:
    """What the final reports of the client and of all servers say together."""

    def __init__(self, client, *servers, addresses=(SERVER_ADDRESS,)):
        self.client, self.servers, self.addresses = client, servers, addresses
        self.server = {"flows": self._merged(servers),
                       "gaps": [gap for server in servers for gap in server["gaps"]]}
        self.up = self._direction(client, self.server)
        self.down = self._direction(self.server, client)

    @staticmethod
    def _merged(servers):
        """Each flow once: what several servers say of it, added up."""
        flows = {}
        for server in servers:
            for flow in server["flows"]:
                if flow["received"] + flow["sent"] == 0:  # a number below one that was seen
                    continue
                known = flows.setdefault(flow["id"], dict(flow, sightings=list(flow["sightings"])))
                if known["last_ns"] == flow["last_ns"]:
                    continue
                for key in ("sent", "received", "doubled", "reordered", "altered"):
                    known[key] += flow[key]
                known["first_ns"] = min(known["first_ns"], flow["first_ns"])
                known["last_ns"] = max(known["last_ns"], flow["last_ns"])
                known["longest_way_ns"] = max(known["longest_way_ns"], flow["longest_way_ns"])
                known["sightings"] += flow["sightings"]
        return list(flows.values())

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
    def _outage_ms(report, kill_ns, next_ns):
        """The longest pause between arrivals that began up to a second after the kill, and ended
        before the next one."""
        pauses = [to - since for since, to in report["gaps"]
                  if to > kill_ns and since < kill_ns + 1_000_000_000
                  and (next_ns is None or to < next_ns)]
        return round(max(pauses, default=0) / 1e6, 1)

    def outage_ms(self, kill_ns, next_ns=None):
        """(towards the server, towards the client)"""
        return tuple(self._outage_ms(end, kill_ns, next_ns) for end in (self.server, self.client))

    def longest_way_ms(self):
        flows = self.client["flows"] + self.server["flows"]
        return round(max((flow["longest_way_ns"] for flow in flows), default=0) / 1e6, 1)

    def mappings(self, kills_ns):
        """What the server saw of the NAT's mappings before the first kill and after the last."""
        before, kept, changed, owners = 0, 0, 0, {}
        for flow in self.server["flows"]:
            sightings = flow["sightings"]
            for sighting in sightings:
                owners.setdefault((sighting["address"], sighting["port"]), set()).add(flow["id"])
            old = [s for s in sightings if s["first_ns"] < kills_ns[0]]
            if not old:
                continue
            before += 1
            if len(sightings) > 1:
                changed += 1
            elif old[0]["last_ns"] > kills_ns[-1]:
                kept += 1
        reused = sum(1 for flows in owners.values() if len(flows) > 1)
        new = sum(1 for flow in self.server["flows"] if flow["first_ns"] >= kills_ns[-1])
        return {"mappings_before": before, "mappings_after": kept, "mappings_changed": changed,
                "ports_reused": reused, "new_flows": new}

    def places(self, kills_ns, drained):
        """At which server each flow was, before the first kill and after the last."""
        at = {}  # flow: [(address, first_ns, last_ns)]
        for address, server in zip(self.addresses, self.servers):
            for flow in server["flows"]:
                if flow["received"] > 0:
                    at.setdefault(flow["id"], []).append(
                        (address, flow["first_ns"], flow["last_ns"]))
        before = kept = moved = new = astray = 0
        for stays in at.values():
            first = min(stays, key=lambda stay: stay[1])
            moved += len(stays) > 1
            if first[1] < kills_ns[0]:
                before += 1
                kept += len(stays) == 1 and first[2] > kills_ns[-1]
            else:
                new += 1
                astray += any(address == drained for address, _, _ in stays)
        return {"flows_before": before, "flows_after": kept, "flows_moved": moved,
                "new_flows": new, "new_flows_drained": astray,
                "flows_by_backend": {address: sum(any(stay[0] == address for stay in stays)
                                                  for stays in at.values())
                                     for address in self.addresses}}
