"""The kill tests, under TCP load: nobody may notice. The master at random moments; the reigning
master 20 times in a row; the backup; a logger, which may cost packets in flight; a silent host."""

import collections
import os
import random
import statistics

from demolib.journal import Journal
from demolib.nfs import NFS
from stage import Broken, expect

single_kills = 6  # more by run --single-kills
KILLS_IN_A_ROW = 20
# Two seeds each with the NAT, and one with another function.
OTHERS = {"backup": "lb", "il": "ratelimit", "ol": "monitor"}
FENCED = 73  # STATUS_FENCED of runtime/core/status.h


def expect_unnoticed(result):
    for key in ("lost", "doubled", "reordered", "altered", "broken", "mappings_changed",
                "ports_reused"):
        expect(result[key] == 0, f"{key}: {result[key]}; outage {result['outage_ms']} ms")
    expect(result["checksum_ok"], "a download's checksum is wrong")
    expect(result["passed"], f"not passed: {result}")


def kill(seed):
    def test(stage):
        result = stage.conduct(mode="cold", seed=seed)
        expect_unnoticed(result)
        parts = "+".join(str(result[key]) for key in ("detection_ms", "restore_ms", "replay_ms",
                                                      "golive_ms"))
        return f"outage {result['outage_ms']} ms ({parts}), " \
               f"{result['replayed_events']} events replayed"
    return test


def in_a_row(seed):
    """Each dead master is started again as a backup, and is the heir of the next one."""
    def test(stage):
        result = stage.conduct(mode="cold", seed=seed, kills=KILLS_IN_A_ROW, file_mib=40)
        expect_unnoticed(result)
        outages, unprotected = result["outages_ms"], result["unprotected_each_ms"]
        expect(len(outages) == len(unprotected) == KILLS_IN_A_ROW, f"kills: {len(outages)}")
        epoch = result["counters"]["output-logger"]["output_log"]["epoch"]
        expect(epoch == 1 + KILLS_IN_A_ROW, f"epoch {epoch} after {KILLS_IN_A_ROW} kills")
        journal = Journal(os.path.join(stage.keep, "output-logger.jsonl"))
        bases = collections.Counter(takeover["base"] for takeover in journal.all("takeover"))
        most = max(bases.values())
        expect(most < KILLS_IN_A_ROW / 2, f"{most} takeovers from one base: {dict(bases)}")
        return f"{len(outages)} kills in {result['killing_s']} s, {result['connections']} TCP" \
               f" connections, {result['witness_sent']} packets; outage {spread(outages)};" \
               f" without a backup {spread(unprotected)}"
    return test


def spread(values_ms):
    return f"{statistics.median(values_ms):.1f} ms, at most {max(values_ms):.1f} ms"


def other(victim, name, seed):
    """Anybody else dies and is started again: the master goes on, and protection comes back."""
    def test(stage):
        result = stage.conduct(nf=name, seed=seed, victim=victim)
        if not result["passed"]:
            rows = NFS[name].rows(result) + NFS[name].load_rows(result)
            raise Broken("; ".join(f"{key}: {value}" for key, value in rows)
                         + f"; without a backup {result['unprotected_ms']} ms")
        return ", ".join(f"{key} {result[key]}" for key in ("outage_ms", "lost", "unprotected_ms")
                         if result.get(key) is not None)
    return test


def silence(seed):
    """A dead host closes nothing: the heartbeat tells. Back from the dead, it is fenced (G5)."""
    def test(stage):
        result = stage.conduct(mode="cold", seed=seed, freeze=True)
        expect_unnoticed(result)
        status, said = result["fenced"]
        expect(status == FENCED, f"the old master ended with {status}, not {FENCED}: {said}")
        return f"outage {result['outage_ms']} ms; the old master: {said.strip().splitlines()[-1]}"
    return test


def tests(seed):
    moments = random.Random(seed)
    seeds = [moments.randrange(1 << 31) for _ in range(single_kills)]
    others = [(victim, name, moments.randrange(1 << 31))
              for victim, another in OTHERS.items() for name in ("nat", "nat", another)]
    return [(f"kill-master-{number}-seed-{s}", kill(s)) for number, s in enumerate(seeds, 1)] + [
        (f"kill-{victim}-{name}-seed-{s}", other(victim, name, s)) for victim, name, s in others
    ] + [
        (f"kill-{KILLS_IN_A_ROW}-in-a-row-seed-{seeds[0]}", in_a_row(seeds[0])),
        (f"silence-seed-{seeds[0]}", silence(seeds[0]))]
