"""The kill test: at 20 random moments, under TCP load, nobody may notice."""

import random

from stage import expect

KILLS = 20


def kill(seed):
    def test(stage):
        result = stage.conduct(mode="cold", seed=seed)
        for key in ("lost", "doubled", "reordered", "altered", "broken", "mappings_changed",
                    "ports_reused"):
            expect(result[key] == 0, f"{key}: {result[key]}; outage {result['outage_ms']} ms")
        expect(result["checksum_ok"], "a download's checksum is wrong")
        expect(result["passed"], f"not passed: {result}")
        parts = "+".join(str(result[key]) for key in ("detection_ms", "restore_ms", "replay_ms",
                                                      "golive_ms"))
        return f"outage {result['outage_ms']} ms ({parts}), " \
               f"{result['replayed_events']} events replayed"
    return test


def tests(seed):
    moments = random.Random(seed)
    seeds = [moments.randrange(1 << 31) for _ in range(KILLS)]
    return [(f"kill-{number}-seed-{s}", kill(s)) for number, s in enumerate(seeds, 1)]
