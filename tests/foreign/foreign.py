"""What the tests of foreign programs stand on: sources, builds, the report, and running tests.

Sources come from Debian by the machine's own entries of apt, as deb-src, into
build/foreign/NAME; what is there already is not fetched again.
"""

import glob
import os
import secrets
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path[:0] = [os.path.join(ROOT, "examples"), os.path.join(ROOT, "tests", "e2e")]

from demolib.processes import ProcessDied  # noqa: E402
from demolib.refuse import Refusal  # noqa: E402
from stage import Broken, Stage, expect, run  # noqa: E402

CACHE = os.path.join(ROOT, "build", "foreign")
PALISADE = os.path.join(ROOT, "build", "bin", "palisade")
PALISADE_CC = os.path.join(ROOT, "build", "bin", "palisade-cc")
FETCH_TIMEOUT_S = 300
BUILD_TIMEOUT_S = 600


def source_entries():
    """The machine's own entries, as entries of sources."""
    text = ""
    for path in sorted(glob.glob("/etc/apt/sources.list.d/*.sources")):
        with open(path, encoding="utf-8") as file:
            text += "".join("Types: deb-src\n" if line.startswith("Types:") else line
                            for line in file) + "\n"
    lists = [path for path in ["/etc/apt/sources.list",
                               *sorted(glob.glob("/etc/apt/sources.list.d/*.list"))]
             if os.path.exists(path)]
    one_line = ""
    for path in lists:
        with open(path, encoding="utf-8") as file:
            one_line += "".join("deb-src" + line[3:] for line in file if line.startswith("deb "))
    return text, one_line


def apt():
    """The command apt-get with lists of its own; they are fetched once."""
    directory = os.path.join(CACHE, "apt")
    entries = os.path.join(directory, "entries")
    options = ["-o", "Dir::Etc::sourcelist=/dev/null", "-o", f"Dir::Etc::sourceparts={entries}",
               "-o", f"Dir::State::lists={directory}/lists", "-o", f"Dir::Cache={directory}/cache",
               "-o", "APT::Sandbox::User=root"]
    if not os.path.exists(f"{directory}/fetched"):
        for part in ("entries", "lists/partial", "cache/archives/partial"):
            os.makedirs(os.path.join(directory, part), exist_ok=True)
        deb822, one_line = source_entries()
        for name, text in (("palisade.sources", deb822), ("palisade.list", one_line)):
            if text:
                with open(os.path.join(entries, name), "w", encoding="utf-8") as file:
                    file.write(text)
        status, _, said = run("apt-get", *options, "update", timeout_s=FETCH_TIMEOUT_S)
        expect(status == 0, f"apt-get update: {said.strip()[-300:]}")
        with open(f"{directory}/fetched", "w", encoding="ascii"):
            pass
    return ["apt-get", *options]


def sources(name):
    """The directory of the unpacked original source, fresh; Debian's patches are not applied."""
    directory = os.path.join(CACHE, name)
    os.makedirs(directory, exist_ok=True)
    found = glob.glob(f"{directory}/*.orig.tar.*")
    if not found:
        # The Debian part of some packages is not to be had; the original is all that is needed.
        done = subprocess.run([*apt(), "source", "--download-only", name], cwd=directory,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=FETCH_TIMEOUT_S, check=False)
        found = glob.glob(f"{directory}/*.orig.tar.*")
        expect(found, f"apt-get source {name}: {done.stderr.strip()[-300:]}")
    place = os.path.join(directory, "source")
    shutil.rmtree(place, ignore_errors=True)
    os.makedirs(place)
    status, _, said = run("tar", "-xf", found[0], "-C", place, "--strip-components=1",
                          timeout_s=FETCH_TIMEOUT_S)
    expect(status == 0, f"tar: {said}")
    return place


def build(place, *commands, environment=None):
    """Runs the package's own build system; what it said is kept in build.log beside the source."""
    with open(os.path.join(os.path.dirname(place), "build.log"), "wb") as log:
        for command in commands:
            done = subprocess.run(command, cwd=place, stdin=subprocess.DEVNULL, stdout=log,
                                  stderr=subprocess.STDOUT, timeout=BUILD_TIMEOUT_S, check=False,
                                  env={**os.environ, "CC": PALISADE_CC, **(environment or {})})
            expect(done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}: see "
                   f"{os.path.relpath(log.name, ROOT)}")


def report(program):
    """(status, text) of `palisade report`."""
    status, said, error = run(PALISADE, "report", program)
    return status, said + error


def main(tests):
    """Runs [(name, function of a stage)] in order; --seed N repeats the moments of the kills."""
    failed = 0
    for name, function in tests:
        began = time.monotonic()
        stage = Stage(ROOT, f"foreign-{name}")
        try:
            note = function(stage)
            shutil.rmtree(stage.keep, ignore_errors=True)
            verdict = "ok  "
        except (Broken, Refusal, ProcessDied, subprocess.TimeoutExpired) as failure:
            failed += 1
            verdict, note = "FAIL", f"{failure} (logs: {os.path.relpath(stage.keep, ROOT)})"
        print(f"{verdict} {name:<34} {time.monotonic() - began:5.1f} s  {note or ''}".rstrip(),
              flush=True)
    return 1 if failed else 0


def seed():
    return int(sys.argv[sys.argv.index("--seed") + 1]) if "--seed" in sys.argv else \
        secrets.randbelow(1 << 31)
