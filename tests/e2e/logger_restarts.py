"""A logger dies and is started again with the same command line: the living master goes on (R16).
With the toy NF; examples/demo --kill il|ol shows it with real ones."""

import os
import signal
import socket
import time

from demolib.processes import socket_inside
from stage import expect
from toy import Toy

BUSY, DISK, FENCED = 67, 71, 73


def restarted(number, *which):
    """Killed under load. Then the backup must be able to take over from the new base alone."""
    def test(stage):
        with Toy(stage) as toy:
            toy.start_loggers()
            master = toy.start_nf("master", "master")
            toy.await_event("ol", "image_committed")
            traffic = toy.traffic(5)
            time.sleep(0.8)
            before = len(toy.events("il", "reign"))
            for name in which:
                end(getattr(toy, name), number)
            for name in which:
                toy.start_logger(name)
            if "ol" in which:
                toy.await_word(master, "goes on")
                toy.until("a new base", lambda: toy.events("ol", "image_committed")[-1]["t_ns"] >
                          toy.events("ol", "resumed")[-1]["t_ns"], master)
            if "il" in which:
                toy.await_event("il", "reign", before + 1)
                time.sleep(0.5)  # its inputs need a base, too
            backup = toy.start_nf("backup", "backup")
            expect(toy.await_event("ol", "protected")["ns"] > 0, "protected from the start")
            time.sleep(0.3)
            end(master, signal.SIGKILL)
            toy.await_word(backup, "live")
            causes = [event["cause"] for event in toy.events("ol", "unprotected")]
            expect(causes[0] == "started" and causes[-1] == "master_lost", f"causes: {causes}")
            counts = traffic.result()
            expect(counts["received"] > counts["sent"] / 2, f"the traffic: {counts}")
            ended(toy, backup)
            expect(toy.epoch("ol") == ["2", "ended"] == toy.epoch("il"), "the epochs on disk")
            return f"{counts['lost']} of {counts['sent']} lost, gap {counts['longest_gap_ms']} ms"
    return test


def end(process, number):
    os.kill(process.pid, number)
    expect(process.ended(10) is not None, f"{process.name} does not end by signal {number}")


def ended(toy, master):
    """The normal end of a reign."""
    count = [len(toy.events(which, "master_ended")) for which in ("ol", "il")]
    os.kill(master.pid, signal.SIGTERM)
    toy.ends(master, 0)
    toy.await_event("ol", "master_ended", count[0] + 1)
    toy.await_event("il", "master_ended", count[1] + 1)


def often(stage):
    """One after the other, again and again, also while it still recovers."""
    with Toy(stage) as toy:
        toy.start_loggers()
        master = toy.start_nf("master", "master")
        toy.await_event("ol", "image_committed")
        traffic = toy.traffic(6)
        for number in range(8):
            time.sleep(0.05 * (number % 4))
            which = ("ol", "il", "ol", "ol", "il", "il", "ol", "il")[number]
            end(getattr(toy, which), signal.SIGKILL)
            toy.start_logger(which)
        counts = traffic.result()
        ended(toy, master)
        return f"{counts['lost']} of {counts['sent']} lost"


def orphaned(stage):
    """Who may come while the epoch is open, and who not; what a person can do about it."""
    with Toy(stage) as toy:
        toy.start_loggers()
        master = toy.start_nf("master", "master")
        toy.await_event("ol", "image_committed")
        end(toy.ol, signal.SIGKILL)
        end(master, signal.SIGKILL)
        expect(toy.epoch("ol") == ["1", "open"], f"the epoch on disk: {toy.epoch('ol')}")
        toy.start_logger("ol")
        toy.refused("master", "master", BUSY, "epoch 1", "--forget")
        # An epoch is given to one process only: this impostor is welcome, until the input logger
        # sees that it is not the one it fed.
        toy.ends(toy.start_nf("master", "master", word=None, STUB_EPOCH=1), FENCED)
        toy.refused("master", "master", BUSY, "epoch 1", "--forget")
        toy.ends(toy.start_nf("master", "master", word=None, STUB_EPOCH=2), DISK, "--state")
        backup = toy.start_nf("backup", "backup")
        toy.await_event("ol", "orphaned")
        said = toy.ol.said().count("does not come back")
        expect(said == 1, f"told {said} times:\n{toy.ol.said()}")
        expect(backup.running(), f"the backup ended:\n{backup.tail()}")
        toy.refused("master", "master", BUSY, "--forget")
        end(backup, signal.SIGKILL)

        end(toy.ol, signal.SIGTERM)
        toy.start_logger("ol")  # a clean end of the logger changes nothing
        toy.refused("master", "master", BUSY, "--forget")
        end(toy.ol, signal.SIGTERM)
        toy.start_logger("ol", "--forget")
        toy.await_event("ol", "forgotten")
        expect(toy.epoch("ol") == ["1", "ended"], f"the epoch on disk: {toy.epoch('ol')}")
        again = toy.start_nf("master", "master")
        toy.ends(toy.start_nf("backup", "master", word=None, STUB_EPOCH=1), FENCED, "epoch 2")
        toy.await_event("ol", "image_committed", 2)
        toy.traffic(0.5, lossy=False).result()
        ended(toy, again)


def fenced_by_both(stage):
    """A stopped master wakes after a takeover and the death of both loggers: it never reigns again."""
    with Toy(stage) as toy:
        toy.start_loggers()
        old = toy.start_nf("master", "master")
        toy.start_nf("backup", "backup")
        toy.await_event("ol", "image_committed")
        os.kill(old.pid, signal.SIGSTOP)
        toy.await_event("ol", "go")
        for which in ("il", "ol"):
            end(getattr(toy, which), signal.SIGKILL)
            toy.start_logger(which)
        toy.await_event("ol", "resumed")
        os.kill(old.pid, signal.SIGCONT)
        toy.ends(old, FENCED)


ETH_P_ALL, ETH_P_IP, PACKET_OUTGOING = 3, 0x800, 4


class LocalStack:
    """What enters lan and reaches the kernel of the loggers' host."""

    def __init__(self, toy):
        self.client = socket_inside(toy.topology.name("client"), socket.AF_PACKET, socket.SOCK_RAW)
        self.client.bind(("eth0", 0))
        self.socket = socket_inside(toy.topology.name("gate"), socket.AF_PACKET, socket.SOCK_RAW,
                                    socket.htons(ETH_P_ALL))
        self.socket.bind(("lan", ETH_P_ALL))
        self.socket.setblocking(False)

    def heard(self):
        """Packets since the last call."""
        count = 0
        try:
            while True:
                _, address = self.socket.recvfrom(64)
                count += address[1] == ETH_P_IP and address[2] != PACKET_OUTGOING
        except BlockingIOError:
            return count


    def knock(self):
        """Does a packet from the client arrive?"""
        self.heard()
        self.client.send(b"\xff" * 6 + bytes(6) + b"\x08\x00" + bytes(60))
        time.sleep(0.1)
        return self.heard() == 1


def shut(stage):
    """While a logger is away the local stack hears nothing of the NF's traffic; once the reign has
    ended and the loggers go, the device is as it was."""
    with Toy(stage) as toy:
        toy.start_loggers()
        master = toy.start_nf("master", "master")
        toy.await_event("ol", "image_committed")
        stack = LocalStack(toy)
        stack.heard()
        traffic = toy.traffic(6)
        for which, number in (("il", signal.SIGKILL), ("ol", signal.SIGKILL),
                              ("il", signal.SIGTERM)):
            end(getattr(toy, which), number)
            time.sleep(0.3)
            toy.start_logger(which)
            time.sleep(0.3)
            count = stack.heard()
            expect(count == 0, f"{count} packets in the local stack, {which}, signal {number}")
        traffic.result()
        ended(toy, master)
        end(toy.il, signal.SIGTERM)
        expect(stack.knock(), "the device stays shut")
        toy.start_logger("il")  # killed with no reign: the next one clears up
        end(toy.il, signal.SIGKILL)
        toy.start_logger("il")
        end(toy.il, signal.SIGTERM)
        expect(stack.knock(), "the device stays shut by a dead logger's program")


def tests(_seed):
    kill, term = signal.SIGKILL, signal.SIGTERM
    return [
        ("restart-ol-kill", restarted(kill, "ol")),
        ("restart-ol-term", restarted(term, "ol")),
        ("restart-il-kill", restarted(kill, "il")),
        ("restart-il-term", restarted(term, "il")),
        ("restart-both", restarted(kill, "il", "ol")),
        ("restart-often", often),
        ("restart-orphaned", orphaned),
        ("restart-fenced", fenced_by_both),
        ("restart-shut", shut),
    ]
