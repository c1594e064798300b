"""Two processes die together, or one while the others still recover from another: the toy NF goes on,
or every process says what is lost and stays with it until a person says --forget. Never a master that
starts afresh where another's packets were released. The table: docs/architecture.md, "Who dies when".
"""

import signal
import time

from logger_restarts import BUSY, end, ended
from stage import expect
from toy import Toy

KILLED, UNREACHABLE = -signal.SIGKILL, 72
DIED_WITH_IT = "died with the input logger"


class Case(Toy):
    """A master that has released packets, with or without a backup."""

    def begin(self, backup=True, **environment):
        self.start_loggers()
        self.master = self.start_nf("master", "master", **environment)
        self.await_event("ol", "image_committed")
        self.backup = None
        if backup:
            self.backup = self.start_nf("backup", "backup")
            self.await_event("ol", "protected")
        self.traffic(0.3, lossy=False).result()

    def kill(self, *processes):
        for process in processes:
            end(process, signal.SIGKILL)

    def takes_over(self, backup):
        self.await_word(backup, "live")
        self.traffic_passes()
        ended(self, backup)

    def traffic_passes(self):
        """The count goes on: its stamps lie above all that were released before."""
        counts = self.traffic(0.3).result()
        expect(counts["lost"] == 0, f"the traffic: {counts}")

    def gone(self, epoch):
        """The state is lost: that is said, nobody starts afresh, only a person can let them."""
        expect(self.epoch("ol") == [str(epoch), "open"], f"on disk: {self.epoch('ol')}")
        self.refused("master", "master", BUSY, "--forget")
        end(self.ol, signal.SIGTERM)
        self.start_logger("ol")
        expect(self.epoch("ol") == [str(epoch), "open"], f"on disk: {self.epoch('ol')}")
        self.refused("master", "master", BUSY, f"epoch {epoch}", "--forget")
        end(self.ol, signal.SIGTERM)
        self.start_logger("ol", "--forget")
        fresh = self.start_nf("master", "master")
        expect(self.epoch("ol") == [str(epoch + 1), "open"], f"on disk: {self.epoch('ol')}")
        expect(self.traffic(0.3, lossy=False).result()["lost"] == 0, "it does not work")
        ended(self, fresh)


def master_and_backup(toy):
    """The output logger has it all: the next backup takes over, nothing is lost."""
    toy.begin()
    traffic = toy.traffic(2)
    time.sleep(0.5)
    toy.kill(toy.master, toy.backup)
    toy.await_event("ol", "no_backup")
    toy.refused("master", "master", BUSY, "as a backup", "--forget")
    backup = toy.start_nf("backup", "backup", "live")
    counts = traffic.result()
    expect(counts["lost"] == 0, f"the traffic: {counts}")
    toy.takes_over(backup)


def master_and_output_logger(toy):
    """Its logs and the state are gone together."""
    toy.begin()
    toy.kill(toy.ol, toy.master)
    toy.ends(toy.backup, UNREACHABLE)
    toy.start_logger("ol")
    toy.await_event("ol", "orphaned")
    toy.gone(1)


def master_and_input_logger(toy):
    """The inputs that replay needs are gone; every backup is told so."""
    toy.begin()
    toy.kill(toy.il, toy.master)
    toy.ends(toy.backup, UNREACHABLE)
    toy.start_logger("il")
    toy.refused("backup", "backup", UNREACHABLE, DIED_WITH_IT, "--forget")
    toy.refused("backup", "backup", UNREACHABLE, DIED_WITH_IT)
    toy.gone(int(toy.epoch("ol")[0]))


def backup_and_logger(which):
    def case(toy):
        """The master lives: it goes on, and a new backup protects it."""
        toy.begin()
        toy.kill(toy.backup, getattr(toy, which))
        toy.start_logger(which)
        if which == "ol":
            toy.await_word(toy.master, "goes on")
        else:
            toy.await_event("il", "reign", 2)
            commits = len(toy.events("ol", "image_committed"))
            toy.await_event("ol", "image_committed", commits + 2)
        backup = toy.start_nf("backup", "backup")
        toy.await_event("ol", "protected", 2)
        toy.traffic_passes()
        toy.kill(toy.master)
        toy.takes_over(backup)
    return case


def returning(moment):
    def case(toy):
        """The master dies while it comes back to a new output logger."""
        toy.begin(backup=False, STUB_DIE=moment)
        toy.kill(toy.ol)
        toy.start_logger("ol")
        toy.ends(toy.master, KILLED)
        toy.await_event("ol", "master_lost")
        expect(len(toy.events("ol", "state_lost")) == (moment == "resume"), "state_lost")
        expect(len(toy.events("ol", "image_committed")) ==
               len([e for e in toy.events("ol", "image_committed")
                    if e["t_ns"] < toy.events("ol", "start")[-1]["t_ns"]]), "a base of nobody's")
        toy.gone(1)
    return case


def output_logger_twice(toy):
    """The next one dies as well, before the master has come back for good."""
    toy.begin()
    for _ in range(3):
        toy.kill(toy.ol)
        toy.start_logger("ol")
    toy.await_event("ol", "resumed")
    toy.await_word(toy.master, "goes on")
    toy.traffic_passes()
    backup = toy.start_nf("backup", "backup")
    toy.await_event("ol", "protected", 2)
    toy.kill(toy.master)
    toy.takes_over(backup)


def lost_and_output_logger(toy):
    """The master dead, no backup yet: what waits for one dies with the output logger."""
    toy.begin(backup=False)
    toy.kill(toy.master)
    toy.await_event("ol", "no_backup")
    toy.kill(toy.ol)
    toy.start_logger("ol")
    backup = toy.start_nf("backup", "backup")
    time.sleep(0.3)
    expect(not toy.events("ol", "go") and backup.running(), f"the backup: {backup.tail()}")
    toy.kill(backup)
    toy.gone(2)


def replay_and(which):
    def case(toy):
        """A logger dies while a backup replays."""
        toy.begin(backup=False)
        backup = toy.start_nf("backup", "backup", STUB_STALL=1)
        toy.await_event("ol", "protected")
        toy.kill(toy.master)
        toy.await_word(backup, "stalled")
        toy.kill(getattr(toy, which))
        toy.ends(backup, UNREACHABLE)
        toy.start_logger(which)
        if which == "il":
            toy.refused("backup", "backup", UNREACHABLE, DIED_WITH_IT, "--forget")
        toy.gone(int(toy.epoch("ol")[0]))
    return case


def live_and_output_logger(toy):
    """The successor has just gone live: it is the one whose epoch counts."""
    toy.begin()
    toy.kill(toy.master)
    toy.await_event("ol", "go")
    toy.kill(toy.ol)
    toy.start_logger("ol")
    resumed = toy.await_event("ol", "resumed")
    expect(resumed["epoch"] == 2, f"resumed: {resumed}")
    toy.traffic_passes()
    ended(toy, toy.backup)


def tests(_seed):
    cases = [
        ("master-backup", master_and_backup),
        ("master-ol", master_and_output_logger),
        ("master-il", master_and_input_logger),
        ("backup-ol", backup_and_logger("ol")),
        ("backup-il", backup_and_logger("il")),
        ("welcome-master", returning("welcome")),
        ("resume-master", returning("resume")),
        ("ol-ol", output_logger_twice),
        ("lost-ol", lost_and_output_logger),
        ("replay-ol", replay_and("ol")),
        ("replay-il", replay_and("il")),
        ("go-ol", live_and_output_logger),
    ]

    def test(case):
        def run(stage):
            with Case(stage) as toy:
                case(toy)
        return run
    return [(f"two-{name}", test(case)) for name, case in cases]
