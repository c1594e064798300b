"""Record == replay, from outside: a torture NF's answers form one unbroken chain across kills."""

import os
import random
import sys

from demolib.processes import ProcessDied
from demolib.refuse import Refusal
from stage import Broken, expect

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "torture"))
from driver import FAULTS_SHOWN, Run, packet_socket  # noqa: E402, F401

KILLS = 5
PROGRAMS = ("capture", "rings")  # beside torture itself: torture/*.c
SNAPSHOT_MS = (200, 1000, 3000, 200, 50)  # short replays and long ones


def torture(seed, program="torture", **settings):
    def test(stage):
        stage.program(program)
        try:
            faults, figures = Run(stage, seed, program=program, **settings).conduct()
        except (Refusal, ProcessDied) as failure:
            raise Broken(str(failure)) from None
        expect(not faults, f"{len(faults)} faults: " + "; ".join(faults[:FAULTS_SHOWN]))
        return ", ".join(f"{key} {value}" for key, value in figures.items())
    return test


def tests(seed):
    moments = random.Random(seed)
    seeds = [moments.randrange(1 << 31) for _ in range(KILLS)]
    cases = [(f"torture-{number}-seed-{s}", torture(s, snapshot_ms=SNAPSHOT_MS[number - 1]))
             for number, s in enumerate(seeds, 1)]
    cases.append((f"torture-hog-seed-{seed}", torture(seed, hog=True)))
    cases.append((f"torture-often-seed-{seed}", torture(seed, snapshot_ms=20)))
    cases.append((f"torture-once-seed-{seed}", torture(seed, snapshot_ms=0)))
    cases.append((f"torture-twice-seed-{seed}", torture(seed, twice=True)))
    cases.append((f"torture-undisturbed-seed-{seed}", torture(seed, kill=False)))
    for program in PROGRAMS:
        for number, s in enumerate(seeds[:2], 1):
            cases.append((f"torture-{program}-{number}-seed-{s}",
                          torture(s, program, snapshot_ms=SNAPSHOT_MS[number - 1])))
        cases.append((f"torture-{program}-once-seed-{seed}",
                      torture(seed, program, snapshot_ms=0)))
    return cases
