"""The kill test: at 20 random moments, under TCP load, nobody may notice; and a silent host."""

import random

from stage import expect

KILLS = 20


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
    seeds = [moments.randrange(1 << 31) for _ in range(KILLS)]
    return [(f"kill-{number}-seed-{s}", kill(s)) for number, s in enumerate(seeds, 1)] + [
        (f"silence-seed-{seeds[0]}", silence(seeds[0]))]
