"""Record == replay, from outside: a torture NF's answers form one unbroken chain across kills."""

import os
import random
import shutil
import signal
import sys
import time

from demolib.processes import ProcessDied
from demolib.refuse import Refusal
from demolib.topology import Topology
from stage import Broken, expect

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "torture"))
from driver import FAULTS_SHOWN, Load, Run, Tortured, packet_socket  # noqa: E402, F401

KILLS = 5
PROGRAMS = ("atomics", "blocks", "capture", "files", "rings", "values")  # beside torture itself: torture/*.c
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


def terminated(stage):
    """SIGTERM, for which values has a handler: main returns, exit handlers and destructors run, and
    what they print is released."""
    stage.program("values")
    topology = Topology(palisade=True)
    gateway = load = None
    try:
        gateway = Tortured(topology, stage.programs, program="values")
        gateway.wait_ready()
        load = Load(topology, 1, 200)
        time.sleep(1)
        os.kill(gateway.master.pid, signal.SIGTERM)
        status = gateway.master.popen.wait(timeout=30)
        said = gateway.master.tail()
        expect(status == 7, f"status {status}: {said}")
        for words in ("over", "goodbye", "demolished: built before main"):
            expect(words in said, f"{words!r} is not in: {said}")
    except (Refusal, ProcessDied) as failure:
        raise Broken(str(failure)) from None
    finally:
        if load is not None:
            load.ended = True
            load.thread.join()
        for part in gateway.processes() if gateway is not None else []:
            part.stop()
        shutil.copytree(topology.directory, stage.keep, dirs_exist_ok=True)
        topology.close()


def tests(seed):
    moments = random.Random(seed)
    seeds = [moments.randrange(1 << 31) for _ in range(KILLS)]
    cases = [(f"torture-{number}-seed-{s}", torture(s, snapshot_ms=SNAPSHOT_MS[number - 1]))
             for number, s in enumerate(seeds, 1)]
    cases.append((f"torture-hog-seed-{seed}", torture(seed, hog=True)))
    cases.append((f"torture-often-seed-{seed}", torture(seed, snapshot_ms=20)))
    cases.append((f"torture-once-seed-{seed}", torture(seed, snapshot_ms=0)))
    cases += [(f"torture-locks-{number}-seed-{s}",
               torture(s, program="locks", snapshot_ms=SNAPSHOT_MS[number - 1]))
              for number, s in enumerate(seeds, 1)]
    cases.append((f"torture-locks-once-seed-{seed}",
                  torture(seed, program="locks", snapshot_ms=0)))
    cases.append((f"torture-locks-twice-seed-{seed}", torture(seed, program="locks", twice=True)))
    cases.append((f"torture-locks-undisturbed-seed-{seed}",
                  torture(seed, program="locks", kill=False)))
    cases.append((f"torture-twice-seed-{seed}", torture(seed, twice=True)))
    cases.append((f"torture-undisturbed-seed-{seed}", torture(seed, kill=False)))
    for program in PROGRAMS:
        for number, s in enumerate(seeds[:2], 1):
            cases.append((f"torture-{program}-{number}-seed-{s}",
                          torture(s, program, snapshot_ms=SNAPSHOT_MS[number - 1])))
        cases.append((f"torture-{program}-once-seed-{seed}",
                      torture(seed, program, snapshot_ms=0)))
    cases.append((f"torture-values-twice-seed-{seed}", torture(seed, "values", twice=True)))
    cases.append((f"torture-values-undisturbed-seed-{seed}", torture(seed, "values", kill=False)))
    cases.append(("torture-values-terminated", terminated))
    cases.append((f"torture-files-twice-seed-{seed}", torture(seed, "files", twice=True)))
    for moment in ("write", "rename"):
        for number, s in enumerate(seeds[:2], 1):
            cases.append((f"torture-files-{moment}-{number}-seed-{s}",
                          torture(s, "files", moment=moment, snapshot_ms=SNAPSHOT_MS[number - 1])))
    return cases
