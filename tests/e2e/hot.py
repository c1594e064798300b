"""Which tests run with hot standbys, too, and what only these can do wrong: to be slow, to stand still,
to come late, to be one too many, to be there for checking only."""

import os
import re
import signal
import time

from demolib.gateway import wait_until
from demolib.processes import ProcessDied
from demolib.refuse import Refusal
from pressure import Squeezed
from refusals import Protected
from rejoin import BOTH, INPUT, OUTPUT, Rejoin, rejoin
from stage import Broken, expect
from torture_tests import FAULTS_SHOWN, Run

# Nobody waits as a backup in these.
SENSELESS = re.compile(r"none|off|breaks|witness|report|misfits|refusal|calls|options|cleanup|"
                       r"nf-monitor-stops")
# Each family, each way to die, each step; `tests/run hot` has the rest.
CHOSEN = re.compile(r"""
    fault-|fencing-cut(-il)?$|silence-|pressure-|garbage-cold
    |kill-(20|master-1|backup-lb|il-ratelimit|ol-monitor)-
    |nf-lb-kill-1-
    |torture-(1|twice|undisturbed|locks-1|locks-twice|atomics-1|blocks-1|rings-1
             |values-1|values-terminated|files-1|files-twice|files-write-1)(-|$)
    |tunnel-(1|twice|frames)-
    |rejoin-(output-1|input-1|both-1|again-1|files-again|doomed|exit
            |after-takeover-output-input|frozen-input)-
    """, re.VERBOSE)
BUSY, NO_BACKUP = 67, 75  # of runtime/core/status.h
LAG_KIB, WINDOW_KIB = 16, 128
SILENT_S = 2.0  # more than the silence that counts as death
PATIENCE_S = 20
IDLE_S, IDLE_SWITCHES = 2, 400


def chosen(name):
    return bool(CHOSEN.match(name))


def has_sense(name):
    return not SENSELESS.search(name)


class Followed(Squeezed):
    """A program with a standby that follows, and an output logger that bounds its lag."""

    lag_kib = 1024

    def lag(self):
        return self.ask("output-logger")["standby"]

    def protected(self, since_ns):
        wait_until("the standby protects again",
                   lambda: self.journals["output-logger"].find("protected", since_ns),
                   self.processes())


class Slow(Followed):
    lag_kib = LAG_KIB


class Following(Run):
    """One run under torture: `act` does something to a standby that follows, then the master dies, and
    nobody may notice any of it."""

    gateway_class, acted_s, said = Followed, None, ""

    def __init__(self, stage, seed, act, **settings):
        super().__init__(stage, seed, **settings)
        self.act = act

    def _tend_until(self, moment, kill_ns):
        if self.acted_s is None:
            began = time.monotonic()
            self.said = self.act(self.gateway) or ""
            self.acted_s = time.monotonic() - began
        super()._tend_until(moment + self.acted_s, kill_ns)


class Slowly(Following):
    gateway_class = Slow


def following(seed, act, kind=Following, **settings):
    def test(stage):
        run = kind(stage, seed, act, **settings)
        try:
            faults, figures = run.conduct()
        except (Refusal, ProcessDied) as failure:
            raise Broken(str(failure)) from None
        expect(not faults, f"{len(faults)} faults: " + "; ".join(faults[:FAULTS_SHOWN]))
        return ", ".join([run.said] * bool(run.said) +
                         [f"{key} {value}" for key, value in figures.items()])
    return test


def slow(gateway):
    """It has little time: the master waits for it, and never runs ahead by more than the bound."""
    for _ in range(6):
        gateway.pause("backup", 0.3)
        time.sleep(0.05)
    lag = gateway.lag()
    most = lag["lag_most_bytes"]
    expect(not gateway.journals["output-logger"].find("backup_lost"), "it was given up")
    expect(lag["follows"], f"it does not follow: {lag}")
    expect(lag["waits"]["times"] > 0, f"the master never waited: {lag}")
    expect(gateway.waits("master", "window_full") > 0, "the master counts no wait")
    expect(most <= (LAG_KIB + WINDOW_KIB) << 10, f"the lag was {most} bytes")
    # At the bound it is only for moments below: each further wait of the master begins after one.
    wait_until("it has caught up", lambda: gateway.lag()["lag_bytes"] < LAG_KIB << 10 or
               gateway.lag()["waits"]["times"] > lag["waits"]["times"],
               gateway.processes())
    return f"lag at most {most} bytes"


def paused(gateway):
    """It stands still for less than the silence that counts as death: nothing happens."""
    for _ in range(3):
        gateway.pause("backup", 0.5)
        time.sleep(0.2)
    expect(gateway.lag()["count"] == 1, f"it began anew: {gateway.lag()}")


def stopped(gateway):
    """It stands still for good: the master goes on alone, with snapshots. Awake again, it comes back by
    itself, and does no harm."""
    stopped_ns = time.monotonic_ns()
    os.kill(gateway.backup.pid, signal.SIGSTOP)
    wait_until("it is given up",
               lambda: gateway.journals["output-logger"].find("backup_lost", stopped_ns),
               [gateway.master, gateway.output_logger, gateway.input_logger])
    lost_ns = time.monotonic_ns()
    wait_until("the master makes snapshots",
               lambda: gateway.journals["output-logger"].find("image_committed", lost_ns),
               [gateway.master, gateway.output_logger, gateway.input_logger])
    time.sleep(SILENT_S)
    woken_ns = time.monotonic_ns()
    os.kill(gateway.backup.pid, signal.SIGCONT)
    gateway.protected(woken_ns)
    expect(gateway.journals["backup"].find("starts_over", woken_ns), "it lost nothing")


class Impatient(Rejoin):
    """Loggers die and die again while the standby starts over: it is patient."""

    def _restart(self, loggers):
        since = time.monotonic_ns()
        for name in loggers * 2:
            self.gateway.process(name).kill()
            self.gateway.process(name).popen.wait()
            self._pass(0.05, loggers)
            self.gateway.start_again(name)
        super()._restart(loggers)
        self.absences.append((loggers, since, time.monotonic_ns()))


def again(gateway):
    """A second one on the same links is refused; a person asks the first for counters, and ends it:
    another one follows."""
    command, environment = gateway.nf_command("backup", name="second")
    second = gateway._start("second", command, "backup", environment, "backup")
    status = second.ended(PATIENCE_S)
    expect(status == BUSY, f"a second one ended with {status}: {second.tail()}")
    expect(gateway.ask("backup")["event"] == "counters", "it does not answer")
    expect(gateway.lag()["count"] == 1, f"the first began anew: {gateway.lag()}")
    ended_ns = time.monotonic_ns()
    os.kill(gateway.backup.pid, signal.SIGTERM)
    status = gateway.backup.popen.wait(PATIENCE_S)
    expect(status == -signal.SIGTERM, f"SIGTERM: {status}")
    gateway.backup = gateway.heir = gateway._nf("backup", "backup")
    gateway.protected(ended_ns)


class Checking(Followed):
    standby = "check"

    def kill(self, victim="master"):
        """What only checks ends with its master, and takes nothing over; a backup does that."""
        moment_ns, checker = super().kill(victim), self.backup
        status = checker.ended(PATIENCE_S)
        expect(status == NO_BACKUP, f"it ended with {status}: {checker.tail()}")
        expect("takes nothing over" in checker.said(), checker.tail())
        expect(not checker.journal.find("takeover"), "it took over")
        ol = self.output_logger.journal
        expect(ol.find("follows")["check"], "it did not check")
        expect(not ol.find("protected"), "it counted as protection")
        self.standby = "hot"
        self.backup = self.heir = self._nf("backup", "backup")
        return moment_ns


class Check(Following):
    gateway_class = Checking


def checked(gateway):
    expect(gateway.lag()["follows"], f"it does not follow: {gateway.lag()}")


class EarlyBackup(Followed):
    """The backup is there before its master."""

    def _nf(self, seat, role):
        if role == "master" and not self.started:
            self.early = super()._nf("backup", "backup")
            wait_until("the backup is ready", lambda: self.early.journal.find("ready"),
                       [self.early])
        if role == "backup" and self.started.get("backup") == 1 and self.early:
            early, self.early = self.early, None
            return early
        return super()._nf(seat, role)


class Early(Following):
    gateway_class = EarlyBackup


def switches(pid):
    """Times that its threads slept."""
    count = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status", encoding="ascii") as status:
            count += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status.read(),
                                   re.MULTILINE).group(1))
    return count


def idle(stage):
    """Nothing passes: a standby that follows sleeps."""
    with Protected(stage) as protected:
        backup = protected.start().backup
        time.sleep(1)
        before = switches(backup.pid)
        time.sleep(IDLE_S)
        backup.require()
        count = (switches(backup.pid) - before) / IDLE_S
        expect(count < IDLE_SWITCHES, f"it wakes {count:.0f} times a second")
        return f"{count:.0f} wake-ups a second"


def tests(seed):
    return [(f"slow-seed-{seed}", following(seed, slow, Slowly, program="hungry", rate=150)),
            (f"paused-seed-{seed}", following(seed, paused)),
            (f"stopped-seed-{seed}", following(seed, stopped)),
            (f"starts-over-seed-{seed}", rejoin(seed, [OUTPUT, INPUT, BOTH], Impatient)),
            (f"again-seed-{seed}", following(seed, again)),
            (f"check-seed-{seed}", following(seed, checked, Check)),
            ("idle", idle),
            (f"early-seed-{seed}", following(seed, lambda gateway: None, Early))]
