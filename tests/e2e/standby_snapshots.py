"""Snapshots of a hot standby while it replays: they are as good a base as the master's, the master makes
none meanwhile, and they keep small what the loggers have to remember."""

import os
import random
import signal
import time

from demolib.gateway import wait_until
from demolib.processes import ProcessDied
from demolib.refuse import Refusal
from house import House
from pressure import PAYLOAD, RINGS, Squeeze
from stage import Broken, expect

SNAPSHOTS = 6  # of the standby, before the end
EVERY_MS = 50
SMALL_MIB = 1
PRINTED = 10  # lines while the standby follows
PROGRAMS = ("torture", "locks", "atomics", "blocks", "values", "rings", "capture")


class Following(House):
    """A house whose backup is hot, makes snapshots often, and is followed by cold ones."""

    def __init__(self, programs, seed):
        super().__init__(programs, seed)
        self.standby, self.own = "hot", (f"standby_snapshot_ms={EVERY_MS}",)

    def wait_answers(self):
        """What was sent before all of the program's sockets were there is lost on the world's side."""
        self.wait("requests are answered", lambda: len(self.load.answers) > 20)
        time.sleep(0.5)
        self.given_up |= {n for n in self.load.unanswered()
                          if self.load.moments[n] < time.monotonic_ns() - 400_000_000}

    def wait_follows(self):
        self.wait("the standby follows", lambda: self.backup.journal.find("follows"))
        self.printed = len(said(self.master))

    def own_commits(self):
        """Numbers of the standby's snapshots that became the base."""
        made = {entry["number"] for entry in self.backup.journal.all("snapshot")}
        return [entry["number"] for entry in self.ol.journal.all("image_committed")
                if entry["number"] in made]

    def wait_snapshots(self, count):
        self.wait(f"the standby has made the base {count} times",
                  lambda: len(self.own_commits()) >= count)

    def master_made_none(self):
        since_ns = self.ol.journal.find("follows")["t_ns"] + 50_000_000  # one may be under way
        made = [entry for entry in self.master.journal.all("snapshot") if entry["t_ns"] > since_ns]
        expect(not made, f"the master made {len(made)} snapshots though a standby follows")

    def figures(self):
        made = self.backup.journal.all("snapshot")
        let_go = sum(entry["let_go"] for entry in made)
        pauses = sorted(entry["pause_ns"] for entry in made)
        changed = [entry["shipped_bytes"] for entry in made[1:]]
        return {"snapshots": len(made), "given up": len(self.backup.journal.all("snapshot_given_up")),
                "let go": let_go, "pause ms": f"{pauses[len(pauses) // 2] / 1e6:.2f} ({pauses[-1] / 1e6:.2f})",
                "first KiB": made[0]["shipped_bytes"] >> 10,
                "others KiB": max(changed) >> 10 if changed else 0}

    def begin_cold(self):
        self.standby = "cold"
        self.start_backup()

    def kill(self, *actors):
        for actor in actors:
            os.kill(actor.pid, signal.SIGKILL)
        for actor in actors:
            actor.stop()


def said(actor):
    return [line for line in actor.said().splitlines() if line.startswith("tick ")]


def both_die(house):
    """Master and standby at once: what is left is a base that the standby made."""
    base = house.own_commits()
    dead = house.backup
    house.kill(house.master, house.backup)
    house.begin_cold()
    house.succeed()
    house.wait_live()
    base = [e["number"] for e in dead.journal.all("snapshot")]
    taken = house.master.journal.find("takeover")["base"]
    expect(taken in base, f"the takeover began at snapshot {taken}, the standby made {base}")


def standby_dies(house):
    """The master makes snapshots again, and a cold backup protects it."""
    last = house.own_commits()[-1]
    house.kill(house.backup)
    house.begin_cold()
    house.wait_backup()
    house.wait("the master makes a base again", lambda: any(
        entry["number"] > last for entry in house.master.journal.all("snapshot")
        if entry["number"] in {e["number"] for e in house.ol.journal.all("image_committed")}))
    house.settle()
    house.kill(house.master)
    house.succeed()
    house.wait_live()


def master_dies(house):
    """The standby itself takes over, in whatever state its snapshot is. What the master was known to have
    printed is not printed again, however long the standby had followed."""
    house.wait("it has printed", lambda: len(said(house.master)) > house.printed + PRINTED)
    house.kill(house.master)
    dead = said(house.master)
    house.standby = "cold"
    house.succeed()
    house.wait_live()
    house.wait("it prints", lambda: said(house.master))
    again, since = len(set(dead) & set(said(house.master))), len(dead) - house.printed
    expect(again <= 2 + since // 2, f"{again} of {since} lines were printed again")


def following(seed, program, end, snapshots=SNAPSHOTS):
    def test(stage):
        stage.program(program)
        house = Following(stage.programs, seed)
        try:
            house.begin(program)
            house.wait_follows()
            house.wait_answers()
            house.wait_snapshots(snapshots)
            time.sleep(house.random.random() * EVERY_MS / 1000)
            house.master_made_none()
            figures = house.figures()
            end(house)
            house.start_backup()
            house.settle()
        except (Refusal, ProcessDied) as failure:
            raise Broken(str(failure)) from None
        finally:
            house.end()
            house.keep(stage.keep)
            house.close()
        return ", ".join(f"{key} {value}" for key, value in figures.items())
    return test


def small_memory(stage):
    """Nothing but the loggers' wants makes the standby take snapshots, and they stay as small as told: for
    many times their memory."""
    def act(gateway, _witness):
        standby = gateway.journals["backup"]
        wait_until("the standby follows", lambda: standby.find("follows"), gateway.processes())
        since_ns = time.monotonic_ns() + 200_000_000

        def many_rings():
            ring = gateway.ask("input-logger")["input_log"]
            return ring["accepted"] * PAYLOAD > RINGS * ring["bytes_total"]

        wait_until("the ring was filled many times", many_rings, gateway.processes())
        wants = [gateway.ask("input-logger")["input"]["wants"],
                 gateway.ask("output-logger")["reign"]["wants"]]
        expect(sum(wants) >= RINGS / 2, f"who asked for snapshots? {wants}")
        expect(gateway.ask("output-logger")["standby"]["follows"], "the standby does not follow")
        expect(len(standby.all("follows")) == 1, "the standby started over")
        expect(not gateway.journals["master"].find("snapshot", since_ns),
               "the master made snapshots")
    return Squeeze(stage, flows=16, rate=800, il_mib=SMALL_MIB, ol_mib=4 * SMALL_MIB, standby="hot",
                   standby_snapshot_ms=0).conduct(act)


def tests(seed):
    moments = random.Random(seed)
    cases = []
    for program in PROGRAMS:
        for end in (both_die, standby_dies, master_dies):
            s = moments.randrange(1 << 31)
            cases.append((f"following-{program}-{end.__name__}-seed-{s}".replace("_", "-"),
                          following(s, program, end)))
    cases.append(("following-small-memory", small_memory))
    return cases
