"""The short list of mutants: hooks left out one at a time, each of which must be missed (tests/mutants)."""

import os

from stage import expect, run

TIMEOUT_S = 900


def sample(seed):
    def test(stage):
        program = os.path.join(stage.root, "tests", "mutants", "run")
        status, said, complaint = run(program, "--sample", "--seed", str(seed), timeout_s=TIMEOUT_S)
        wrong = [line for line in said.splitlines() if line.startswith("FAIL")]
        expect(status == 0, "; ".join(wrong) or complaint[-400:])
        return said.splitlines()[-1]
    return test


def tests(seed):
    return [(f"mutants-sample-seed-{seed}", sample(seed))]
