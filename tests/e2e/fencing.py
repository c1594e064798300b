"""A master cut off from its loggers while the backup takes over: nothing of it reaches the world any
more, and it ends by itself, told why (G5)."""

import re
import subprocess

from demolib.topology import SERVER_ADDRESS
from refusals import Protected, heard, pinged
from stage import Broken, expect, run

FENCED = 73
PINGS = 600


class Pings:
    """One after the other through the NAT, 20 ms apart."""

    def __init__(self, topology):
        self.popen = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{topology.name('client')}", "--", "ping", "-q", "-i",
             "0.02", "-c", str(PINGS), "-W", "1", SERVER_ADDRESS],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def result(self):
        """(sent, received); nobody may get an answer twice."""
        try:
            said, _ = self.popen.communicate(timeout=90)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            raise Broken("ping does not end") from None
        expect("duplicates" not in said, f"answers came twice: {said}")
        sent, received = re.search(r"(\d+) packets transmitted, (\d+) received", said).groups()
        return int(sent), int(received)


def cut(*devices):
    def test(stage):
        with Protected(stage) as protected:
            gateway, topology = protected.start(), protected.topology
            expect(pinged(protected, 20), "no ping passes the NAT")
            pings = Pings(topology)

            def links(state):
                for device in devices:
                    done = run("ip", "-n", topology.name("gate"), "link", "set", device, state)
                    expect(done[0] == 0, f"ip link: {done[2]}")
            links("down")
            expect(heard(lambda: gateway.journals["backup"].find("live"), 30), "no takeover")
            expect(pinged(protected, 20), "no ping passes the NAT after the takeover")
            links("up")
            status = gateway.master.ended(30)
            expect(status == FENCED, f"the master ended with {status}: {gateway.master.tail()}")
            expect("epoch 2" in gateway.master.tail(), f"it says: {gateway.master.tail()}")
            sent, received = pings.result()
            expect(received > sent / 2, f"of {sent} pings {received} came back")
            expect(gateway.backup.running(), f"the new master ended: {gateway.backup.tail()}")
            last = gateway.master.said().strip().splitlines()[-1]
            return f"{sent - received} of {sent} pings lost; the old master: {last}"
    return test


def tests(_seed):
    return [("fencing-cut", cut("ilm", "olm")), ("fencing-cut-ol", cut("olm")),
            ("fencing-cut-il", cut_input)]


def cut_input(stage):
    """Cut off from the input logger alone, the master goes on when the link is back."""
    with Protected(stage) as protected:
        gateway, topology = protected.start(), protected.topology
        expect(pinged(protected, 20), "no ping passes the NAT")
        run("ip", "-n", topology.name("gate"), "link", "set", "ilm", "down")
        expect(heard(lambda: gateway.journals["master"].find("logger_lost"), 30), "not noticed")
        run("ip", "-n", topology.name("gate"), "link", "set", "ilm", "up")
        expect(heard(lambda: gateway.journals["master"].find("logger_back"), 30), "not back")
        expect(pinged(protected, 20), "no ping passes the NAT")
        expect(gateway.journals["backup"].find("live") is None, "a takeover")
