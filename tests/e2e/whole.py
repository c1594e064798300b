"""Programs of several units (torture/parts): built with a plan and by LTO, both killed."""

import json
import os
import random
import shutil

from stage import expect, expect_refusal, run
from torture_tests import torture

UNREPEATABLE = 65
NOW = {  # what a unit by itself has to log, and what the whole program knows of it
    "ledger.entries[]": ("covered", "lock"),
    "ledger.total": ("covered", "lock"),
    "limits[]": ("init", None),
    "marks[]": ("private", None),
}
RACY = ("clock_us", "turns")


def variables(stage, program):
    """name -> (classes, locks, logged accesses), over all units."""
    status, said, complaint = run(stage.program("palisade"), "report", "--json",
                                  stage.program(program))
    expect(status == 0, f"{program}: {complaint.strip()[-400:]}")
    found = {}
    for unit in json.loads(said)["units"]:
        for variable in unit["variables"]:
            classes, locks, logged = found.get(variable["name"], (set(), set(), 0))
            found[variable["name"]] = (classes | {variable["class"]},
                                       locks | {variable.get("lock")},
                                       logged + variable["counts"].get("logged", 0))
    return found


def known(program):
    """The report: what each unit of `parts` logs, `program` leaves out, and what races is in both."""
    def test(stage):
        alone, whole = variables(stage, "parts"), variables(stage, program)
        saved = 0
        for name, (class_, lock) in NOW.items():
            expect(alone[name][2] > 0, f"parts does not log {name}")
            expect(whole[name] == ({class_}, {lock}, 0), f"{program}: {name} is {whole[name]}")
            saved += alone[name][2]
        for name in RACY:
            expect(whole[name][2] == alone[name][2] > 0,
                   f"{name}: logged at {whole[name][2]} of {alone[name][2]} places")
        return f"{saved} places fewer are logged"
    return test


def misfits(stage):
    """A plan of another program, or of another state of this one: the compiler refuses it; what no
    compiler has seen together the runtime refuses."""
    parts = os.path.join(stage.root, "tests", "e2e", "torture", "parts")
    made = os.path.join(stage.root, "build", "tests", "e2e", "parts")
    place = os.path.join(stage.keep, "torture", "parts")
    shutil.copytree(parts, place)
    shutil.copy(os.path.join(parts, "..", "answers.h"), os.path.join(place, ".."))
    compiler = stage.program("palisade-cc")

    def compiled(*words):
        return run("env", "-C", place, compiler, *words)

    def planned(plan):
        return compiled("-O2", f"--palisade-plan={plan}", "-c", "lanes.c", "-o", "lanes.o")

    expect(planned(f"{made}/parts.plan")[0] == 0, "the plan does not fit what it was made from")
    with open(os.path.join(place, "lanes.c"), encoding="utf-8") as file:
        source = file.read()
    line = "    ledger_give();\n"
    write(place, "lanes.c", source.replace(line, "", 1).replace("    ledger_take();\n",
                                                               "    ledger_take();\n" + line, 1))
    expect_refusal(planned(f"{made}/parts.plan"), 1, "does not fit unit lanes.c", "changed")

    write(place, "lanes.c", "int main(void)\n{\n}\n")
    expect(compiled("lanes.c", "-o", "other")[0] == 0, "another program does not compile")
    write(place, "other.plan", run(stage.program("palisade"), "report", "--plan",
                                   os.path.join(place, "other"))[1])
    write(place, "lanes.c", source)
    expect_refusal(planned("other.plan"), 1, "does not fit unit lanes.c", "is new")

    objects = [f"{made}/plain/lanes.o"] + [f"{made}/plan/{unit}.o" for unit in
                                           ("main", "ticks", "ledger", "lock")]
    expect(compiled(*objects, "-o", "mixed")[0] == 0, "units with and without a plan do not link")
    expect_refusal(run(os.path.join(place, "mixed"), "lo", "lo", environment={
        "PALISADE_OPTIONS": "role=master:il=lo@127.0.0.1:ol=lo@127.0.0.1"}), UNREPEATABLE,
        "not all compiled with the same plan")


def write(place, name, text):
    with open(os.path.join(place, name), "w", encoding="utf-8") as file:
        file.write(text)


def tests(seed):
    moments = random.Random(seed)
    found = [("whole-plan-report", known("parts-plan")), ("whole-lto-report", known("parts-lto")),
             ("whole-plan-misfits", misfits)]
    for program, snapshot_ms in (("parts-plan", 200), ("parts-lto", 0)):
        s = moments.randrange(1 << 31)
        found.append((f"torture-{program}-seed-{s}", torture(s, program, snapshot_ms=snapshot_ms)))
    return found
