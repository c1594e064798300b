"""The other network functions: each killed at random moments, with nobody noticing; each for
itself, which shows that its witness sees nothing where nothing happened, and a crash where one
did."""

import json
import os
import random
import signal
import subprocess
import time

from demolib.nfs import NFS
from demolib.refuse import USAGE
from stage import Broken, expect, expect_refusal, run

NAMES = tuple(name for name in NFS if name != "nat")
KILLS = 3
UNREPEATABLE = 65
PROGRAMS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))), "build", "bin")
LOST = {  # what a kill without Palisade must show, whatever the moment
    "monitor": ("packets_short", "report_packets_wrong"),
    "lb": ("lost", "flows_moved", "broken"),
    "ratelimit": ("lost", "flood_unexplained"),
}


def unnoticed(name, seed, mode, kill):
    def test(stage):
        result = stage.conduct(nf=name, mode=mode, seed=seed, kill=kill)
        if not result["passed"]:
            rows = NFS[name].rows(result) + NFS[name].load_rows(result)
            raise Broken("; ".join(f"{key}: {value}" for key, value in rows))
        return "; ".join(f"{key} {result[key]}" for key in ("outage_ms", "replayed_events",
                                                            "witness_sent", "sent")
                         if result.get(key) is not None)
    return test


def breaks(name):
    def test(stage):
        result = stage.conduct(nf=name, mode="none", seed=1)
        expect(not result["passed"], "passed")
        for key in LOST[name]:
            expect(result[key] != 0, f"{key} is 0")
        return ", ".join(f"{key} {result[key]}" for key in LOST[name])
    return test


def options(stage):
    expect_refusal(run(stage.demo, "--nf", "bridge"), USAGE, "bridge")
    for name, words in (("monitor", ("--interface", "lan", "--collector", "10.1.1.1")),
                        ("lb", ("--lan", "lan", "--vip", "10.1.0.x")),
                        ("ratelimit", ("--device", "tun0", "--limit", "10.1.0.1=x"))):
        program = stage.program(f"{name}-plain")
        expect_refusal(run(program, "--nonsense"), USAGE, "option")
        expect_refusal(run(program), USAGE, "required")
        expect_refusal(run(program, *words), USAGE, words[-2])


def monitor_stops(stage):
    """SIGTERM: everything is exported and reported, then the monitor ends by itself."""
    os.makedirs(stage.keep, exist_ok=True)
    report = os.path.join(stage.keep, "report.jsonl")
    with subprocess.Popen(["unshare", "--net", "sh", "-c",
                           'ip link set lo up && exec "$0" --interface lo --filter "udp port 9" '
                           '--interval-ms 50 --idle-ms 60000 --active-ms 60000 --report "$1"',
                           stage.program("monitor-plain"), report]) as monitor:
        wait_for(report)
        run("nsenter", f"--net=/proc/{monitor.pid}/ns/net", "--", "python3", "-c",
            "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            "for n in range(100): s.sendto(bytes(50), ('127.0.0.1', 9))")
        time.sleep(0.5)
        monitor.send_signal(signal.SIGTERM)
        expect(monitor.wait(timeout=20) == 0, f"status {monitor.returncode}")
    with open(report, encoding="ascii") as file:
        last = json.loads(file.readlines()[-1])
    expect(last["last"], "the last report is missing")
    expect(last["packets"] == last["exported_packets"] == 100, f"the last report: {last}")
    expect(last["flows_active"] == 0, f"the last report: {last}")


def wait_for(path):
    for _ in range(400):
        if os.path.exists(path) and os.path.getsize(path) > 0:
            return
        time.sleep(0.05)
    raise Broken(f"{path} does not appear")


def refused(name):
    """What replay cannot repeat yet is named, and the protected program does not start (G8)."""
    def test(stage):
        expect_refusal(run(stage.program(name), environment={
            "PALISADE_OPTIONS": "role=master:il=il@10.9.1.1:ol=ol@10.9.2.1"}), UNREPEATABLE, "palisade report")
        return "not killed: see palisade report"
    return test


def protectable(name):
    """Does the runtime have all that the program uses?"""
    done = subprocess.run([os.path.join(PROGRAMS, "palisade"), "report",
                           os.path.join(PROGRAMS, name)], stdin=subprocess.DEVNULL,
                          capture_output=True, check=False)
    return done.returncode != UNREPEATABLE


def tests(seed):
    moments = random.Random(seed)
    found = [("nf-options", options), ("nf-monitor-stops", monitor_stops)]
    for name in NAMES:
        seeds = [moments.randrange(1 << 31) for _ in range(KILLS)]
        found += [(f"nf-{name}-undisturbed-none", unnoticed(name, 1, "none", False)),
                  (f"nf-{name}-none-breaks", breaks(name))]
        if not protectable(name):
            found.append((f"nf-{name}-refused", refused(name)))
            continue
        found.append((f"nf-{name}-undisturbed-cold", unnoticed(name, 1, "cold", False)))
        found += [(f"nf-{name}-kill-{number}-seed-{s}", unnoticed(name, s, "cold", True))
                  for number, s in enumerate(seeds, 1)]
    return found
