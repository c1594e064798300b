"""Each fault point of runtime/fault/fault.def once: a process kills itself there under load.

TABLE names every point, how it is reached, and at which passage. Where two deaths at once lose the
state (docs/limits.md) the table says with which status and words that is refused.
"""

import os
import signal
import time

from demolib.processes import ProcessDied
from demolib.refuse import Refusal
from house import BUSY, PATIENCE_S, PLACES, House
from stage import Broken, expect

UNREACHABLE = 72
# The kernel has not freed the queue, or the output logger not seen its master die.
SNAPSHOTS = ("standby_snapshot_ms=100",)
NOT_YET = "queue", "another master reigns"


# ---- ways to reach a point ----

def heir_reigns(house):
    """The master is dead: its backup takes over, and gets one of its own."""
    house.succeed()
    house.wait_live()
    house.start_backup()
    return house.settle()


def master(house, fault):
    """The backup carries it, and comes by when it reigns."""
    house.relieve_backup(fault)
    house.succeed()
    house.wait_live()
    house.start_backup()
    house.wait_struck("master")
    return heir_reigns(house)


def master_alone(house, fault):
    """The same, but nobody waits behind it meanwhile: a hot standby would make its snapshots."""
    house.relieve_backup(fault)
    house.succeed()
    house.wait_live()
    house.wait_struck("master")
    house.start_backup()
    return heir_reigns(house)


def joining(house, fault):
    house.backup.stop()
    house.start_backup(fault)
    house.wait_struck("backup")
    house.start_backup()
    return house.settle()


def takeover(house, fault):
    """It dies while it takes over, and another one finishes."""
    house.relieve_backup(fault)
    house.succeed()
    house.wait_struck("master")
    house.start_backup()
    return heir_reigns(house)


def lone_backup(house, fault):
    """It dies because its output or input logger did."""
    house.relieve_backup(fault)
    house.restart_logger(fault.split("_")[1])
    house.wait_struck("backup")
    house.start_backup()
    return house.settle()


def snapshotting(house, fault):
    """A hot standby dies while it makes a snapshot."""
    house.own = SNAPSHOTS
    return joining(house, fault)


def logger_snapshotted(house, fault):
    """A logger dies at a snapshot of the hot standby."""
    house.own = SNAPSHOTS
    house.relieve_backup()
    return logger(house, fault)


def starts_over_with(kind):
    def way(house, fault):
        """A hot standby dies while it starts over, because its logger died."""
        house.relieve_backup(fault)
        house.restart_logger(kind)
        house.wait_struck("backup")
        house.start_backup()
        return house.settle()
    return way


STARTS_OVER = {kind: starts_over_with(kind) for kind in ("ol", "il")}


def bereft(house, fault):
    """The master dies because its hot standby did, and a new one takes over."""
    house.relieve_backup(fault)
    house.succeed()
    house.wait_live()
    house.start_backup()
    house.wait_backup()
    house.backup.stop()
    house.start_backup()
    house.wait_struck("master")
    return heir_reigns(house)


def logger_bereft(house, fault):
    """The output logger dies because the hot standby did."""
    house.restart_logger("ol", fault)
    house.wait_backup()
    house.backup.stop()
    house.start_backup()
    house.wait_struck("ol")
    house.restart_logger("ol")
    return house.settle()


def logger(house, fault):
    """A logger dies while its master lives, which goes on with the next one (R16): packets in flight
    are lost, nothing else."""
    kind = fault.split("_")[0]
    house.restart_logger(kind, fault)
    house.wait_struck(kind)
    house.restart_logger(kind)
    return house.settle()


def pending(house, of, fault=None):
    """Until `of`, a kind of process, comes by: the output logger is away so long that effects wait. Only
    for them is an image stored before it is committed."""
    for _ in range(5):
        moment_ns = time.monotonic_ns()
        house.restart_logger("ol", fault, pause_s=0.5)
        house.wait("the output logger is back",
                   lambda since=moment_ns: getattr(house, of).struck() or
                   house.master.journal.find("logger_back", since), house.backup)
        if getattr(house, of).struck():
            return
    raise Broken("no effect ever waited for the output logger")


def logger_pending(house, fault):
    pending(house, "ol", fault)
    house.restart_logger("ol")
    return house.settle()


def last_word(house, fault):
    """The output logger dies, but its GO arrives."""
    house.begin(ol=fault)
    house.succeed()
    house.wait_struck("ol")
    house.restart_logger("ol")
    house.wait_live()
    house.start_backup()
    return house.settle()


# ---- two deaths at once that lose the state: refused, until a person gives it up ----

def stays_refused(house):
    """Nobody may begin anew in its place."""
    place = next(place for place in PLACES if place != house.master.place)
    other = house.start_nf("master", place)
    while other.ended(PATIENCE_S) == BUSY and other.came_too_early() and \
            any(words in other.said() for words in NOT_YET):
        other = house.start_nf("master", place)
    ended(other, BUSY, "--forget")
    house.answers_hold()
    house.end()


def ended(actor, status, *words):
    """By itself, with this status and these words."""
    got = actor.ended(PATIENCE_S)
    expect(got == status, f"{actor.name}: status {got} instead of {status}: {actor.tail()}")
    for word in words:
        expect(word in actor.said(), f"{word!r} is not in: {actor.tail()}")


def without_logs(*words):
    """The output logger dies after the master. With `words` the backup was taking over; without, it
    was not told to, and goes on waiting."""
    def way(house, fault):
        house.begin(ol=fault)
        house.succeed()
        house.wait_struck("ol", house.master)
        house.start_logger("ol")
        if words:
            ended(house.master, UNREACHABLE, *words)
        stays_refused(house)
    return way


def without_epoch(house, fault):
    """As without_logs, in the middle of raising the epoch. Whoever starts writes it, too, so this one
    starts under a living master: then that is the first time."""
    house.begin()
    house.restart_logger("ol", fault)
    house.wait("there is a new base", lambda: house.master.journal.find("logger_back"))
    house.succeed()
    house.wait_struck("ol", house.master)
    house.start_logger("ol")
    stays_refused(house)


def without_base(house, fault):
    """The master dies after its output logger, before the next one has a base."""
    house.begin(master=fault)
    house.restart_logger("ol")
    house.wait_struck("master")
    house.succeed()
    stays_refused(house)


def without_base_pending(house, fault):
    house.begin(master=fault)
    pending(house, "master")
    house.succeed()
    stays_refused(house)


def without_inputs(house, fault):
    """The master dies after its input logger, before there is a base without that one's packets."""
    house.begin(master=fault)
    house.restart_logger("il")
    house.wait_struck("master", house.backup)
    house.succeed()
    ended(house.master, UNREACHABLE, "cannot be recovered")
    stays_refused(house)


# ---- a normal end ----

def ending(status, *words):
    """The program ends by itself (SIGTERM, for which `values` has a handler); its backup likewise."""
    def way(house, fault):
        house.begin("values", master=fault)
        os.kill(house.master.pid, signal.SIGTERM)
        house.wait_struck("master", house.backup)
        ended(house.backup, status, *words)
        house.answers_hold()
        house.end()
    return way


IN_TAKEOVER = "in the middle of a takeover"

# name, way, passage
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
    ("backup_ol_lost", lone_backup, 1),
    ("backup_il_lost", lone_backup, 1),
    ("il_numbered", logger, 20),
    ("il_welcome", logger, 2),
    ("il_reign", logger, 1),
    ("il_reign_written", logger, 1),
    ("il_reign_answered", logger, 1),
    ("il_truncated", logger, 2),
    ("ol_returns", logger, 1),
    ("ol_resume", logger, 1),
    ("ol_resumed", logger, 1),
    ("ol_resumed_go", logger, 1),
    ("ol_image_stored", logger_pending, 1),
    ("ol_resumed_base", logger, 1),
    ("ol_image_begin", logger, 3),
    ("ol_image", logger, 3),
    ("ol_committed", logger, 3),
    ("ol_committed_master", logger, 3),
    ("ol_committed_backup", logger, 3),
    ("ol_backup_joined", logger, 1),
    ("ol_feed", logger, 1),
    ("ol_go", last_word, 1),
    ("ol_master_lost", without_logs(), 1),
    ("ol_epoch_new", without_epoch, 2),
    ("ol_epoch", without_logs(), 1),
    ("ol_takeover", without_logs(IN_TAKEOVER), 1),
    ("ol_logs", without_logs(IN_TAKEOVER), 1),
    ("ol_stored_end", without_logs(IN_TAKEOVER), 1),
    ("ol_cut", without_logs(IN_TAKEOVER), 1),
    ("ol_cut_applied", without_logs(IN_TAKEOVER), 1),
    ("master_ol_lost", without_base, 1),
    ("master_ol_hello", without_base, 1),
    ("master_ol_welcome", without_base, 1),
    ("master_resumes", without_base, 1),
    ("master_resume", without_base, 1),
    ("master_go", without_base, 1),
    ("master_image_stored", without_base_pending, 1),
    ("master_il_lost", without_inputs, 1),
    ("master_il_hello", without_inputs, 1),
    ("master_il_welcome", without_inputs, 1),
    ("master_il_claim", without_inputs, 1),
    ("master_il_claimed", without_inputs, 1),
    ("master_il_drained", without_inputs, 1),
    ("master_il_discarded", without_inputs, 1),
    ("master_ends", ending(7), 1),
    ("master_ends_half", ending(0, "the master ended"), 1),
    ("master_ended", ending(0, "the master ended"), 1),
)
# Points that only a hot standby brings about.
HOT = (
    ("backup_follow", joining, 1),
    ("backup_copy", joining, 1),
    ("backup_follows", joining, 1),
    ("backup_follows_log", joining, 3),
    ("backup_progress", joining, 3),
    ("backup_barrier", snapshotting, 2),
    ("backup_copied", snapshotting, 2),
    ("backup_image_begin", snapshotting, 2),
    ("backup_pages_sent", snapshotting, 2),
    ("backup_image_end", snapshotting, 2),
    ("backup_committed", snapshotting, 2),
    ("backup_truncated", snapshotting, 2),
    ("backup_starts_over", STARTS_OVER["ol"], 1),
    ("backup_executes", STARTS_OVER["il"], 1),
    ("master_standby", master, 1),
    ("master_standby_lost", bereft, 1),
    ("ol_follow", logger, 1),
    ("ol_follow_master", logger, 1),
    ("ol_progress", logger, 3),
    ("ol_standby_lost", logger_bereft, 1),
    ("il_copy", logger, 1),
    ("il_copies", logger, 3),
)
# The same points otherwise when the standby is hot: a master makes no snapshot while it follows, logs
# are sent while the master lives. None: not passed then, a backup that waits is not hot yet.
OTHERWISE = {
    "master_barrier": (master_alone, 1),
    "master_copied": (master_alone, 1),
    "master_image_begin": (master_alone, 1),
    "master_pages": (master_alone, 1),
    "master_image_end": (master_alone, 1),
    "master_committed": (master_alone, 1),
    "master_truncated": (master_alone, 1),
    "backup_applied": (joining, 1),
    "backup_ol_lost": None,
    "backup_il_lost": None,
    "il_truncated": (logger_snapshotted, 3),
    "ol_image_begin": (logger_snapshotted, 3),
    "ol_image": (logger_snapshotted, 3),
    "ol_committed": (logger_snapshotted, 3),
    "ol_committed_master": (logger_snapshotted, 3),
    "ol_committed_backup": (logger, 1),
    "ol_logs": (logger, 3),
}
WHOLE = (master, master_alone, joining, takeover, lone_backup, logger, logger_pending, bereft, logger_bereft,
         snapshotting, logger_snapshotted,
         *STARTS_OVER.values())  # need everybody there


def run(stage, seed, name, way, passage):
    house = House(stage.programs, seed)
    try:
        if way in WHOLE:
            house.begin()
        lost = way(house, f"{name}@{passage}")
        return f"{lost} requests lost" if lost else None
    except (Refusal, ProcessDied, Broken) as failure:
        house.keep(stage.keep)
        raise Broken(str(failure)) from None
    finally:
        house.close()


def tests(seed, table=TABLE):
    return [(f"fault-{entry[0]}", lambda stage, entry=entry: run(stage, seed, *entry))
            for entry in table]


def hot_tests(seed):
    table = [(name, *OTHERWISE.get(name, entry)) for name, *entry in TABLE
             if OTHERWISE.get(name, entry)]
    return tests(seed, (*table, *HOT))
