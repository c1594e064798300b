"""Each fault point of runtime/fault/fault.def once: a process kills itself there under load.

TABLE names every point, how it is reached, and at which passage. Where two deaths at once lose the
state (docs/limits.md) the table says with which status and words that is refused.
"""

import atexit
import os
import signal

from demolib.processes import ProcessDied
from demolib.refuse import Refusal
from house import House
from stage import Broken, expect

UNREACHABLE = 72


# ---- ways to reach a point ----

def master(house, fault):
    """The backup carries it, and comes by when it reigns."""
    house.relieve_backup(fault)
    house.succeed()
    carrier = house.master
    house.wait_live()
    house.start_backup()
    house.wait_struck(carrier)
    house.succeed()
    house.wait_live()
    house.start_backup()
    return house.settle()


def joining(house, fault):
    house.backup.stop()
    house.start_backup(fault)
    house.wait_struck(house.backup)
    house.start_backup()
    return house.settle()


def takeover(house, fault):
    """It dies while it takes over, and another one finishes."""
    house.relieve_backup(fault)
    house.succeed()
    house.wait_struck(house.master)
    house.start_backup()
    house.succeed()
    house.wait_live()
    house.start_backup()
    return house.settle()


def refused(status, *words):
    """The output logger dies with the master dead: nobody has all of the state."""
    def way(house, fault):
        house.end()
        house.begin(ol=fault)
        house.wait_committed()
        house.succeed()
        house.wait_struck(house.ol)
        house.start_logger("ol")
        heir = house.master
        house.wait("the backup gives up", lambda: not heir.running(), heir)
        expect(heir.popen.returncode == status,
               f"status {heir.popen.returncode} instead of {status}: {heir.tail()}")
        for word in words:
            expect(word in heir.said(), f"{word!r} is not in: {heir.tail()}")
        house.answers_hold()
        house.end()
    return way


def ending(status, *words):
    """The program ends by itself (SIGTERM, for which `values` has a handler)."""
    def way(house, fault):
        house.end()
        house.begin("values", master=fault)
        house.wait_committed()
        house.wait_backup()
        os.kill(house.master.pid, signal.SIGTERM)
        house.wait_struck(house.master)
        heir = house.backup
        house.wait("the backup ends, too", lambda: not heir.running(), heir)
        expect(heir.popen.returncode == status,
               f"status {heir.popen.returncode} instead of {status}: {heir.tail()}")
        for word in words:
            expect(word in heir.said(), f"{word!r} is not in: {heir.tail()}")
        house.answers_hold()
        house.end()
    return way


TABLE = (
    ("master_barrier", master, 3),
    ("master_copied", master, 3),
    ("master_image_begin", master, 1),
    ("master_pages", master, 1),
    ("master_image_end", master, 2),
    ("master_committed", master, 2),
    ("master_truncated", master, 2),
    ("master_effect", master, 3),
    ("master_effect_told", master, 3),
    ("master_ends", ending(7), 1),
    ("master_ended", ending(0, "the master ended"), 1),
    ("backup_joined", joining, 1),
    ("backup_pages", joining, 1),
    ("backup_image", joining, 1),
    ("backup_applying", joining, 1),
    ("backup_applied", joining, 2),
    ("backup_takeover", takeover, 1),
    ("backup_claimed", takeover, 1),
    ("backup_logs", takeover, 1),
    ("backup_restored", takeover, 1),
    ("backup_replayed", takeover, 1),
    ("backup_cut", takeover, 1),
    ("backup_go", takeover, 1),
    ("backup_live", takeover, 1),
)


class Guest:
    """The house, as long as tests pass in it."""

    house = None

    @classmethod
    def run(cls, stage, name, way, passage):
        if cls.house is None:
            cls.house = House(stage.programs)
            atexit.register(cls.house.close)
        house = cls.house
        try:
            if house.load is None:
                house.begin()
                house.wait_committed()
                house.wait_backup()
            lost = way(house, f"{name}@{passage}")
            return f"{lost} requests lost" if lost else None
        except (Refusal, ProcessDied, Broken) as failure:
            house.keep(stage.keep)
            house.end()
            raise Broken(str(failure)) from None


def tests(_seed):
    return [(f"fault-{name}", lambda stage, entry=(name, way, passage): Guest.run(stage, *entry))
            for name, way, passage in TABLE]
