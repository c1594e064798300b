"""The witness's own controls: it must see nothing where nothing happened, and it must see a crash
without Palisade. And the demonstration leaves nothing behind."""

import os
import signal
import subprocess
import time

from stage import expect


def undisturbed(stage):
    result = stage.conduct(mode="none", kill=False)
    for key in ("lost", "doubled", "reordered", "altered", "broken", "ports_reused"):
        expect(result[key] == 0, f"{key}: {result[key]}")
    expect(result["passed"], f"not passed: {result}")
    return f"{result['witness_sent']} packets"


def restarted(stage):
    result = stage.conduct(mode="none", seed=1)
    expect(not result["passed"], "passed")
    expect(result["lost"] > 0, "nothing was lost")
    expect(result["broken"] == result["connections"], f"broken only: {result['broken']}")
    expect(result["mappings_changed"] > 0, "every mapping survived")
    return f"{result['lost']} lost, {result['broken']} broken, outage {result['outage_ms']} ms"


def interrupted(number):
    def test(stage):
        """`kill -9` included: namespaces, processes and files are gone a moment later."""
        with subprocess.Popen([stage.demo, "--mode", "none"], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True) as demo:
            for line in demo.stdout:
                if "witness" in line:
                    break
            prefix = f"pal{demo.pid}-"
            spaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True,
                                    check=True).stdout
            expect(prefix in spaces, "the demonstration has no namespaces")
            demo.send_signal(number)
            demo.wait(timeout=20)
        for _ in range(50):
            spaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True,
                                    check=True).stdout
            running = processes_of(demo.pid)
            if prefix not in spaces and not running:
                break
            time.sleep(0.1)
        expect(prefix not in spaces, f"left behind: {spaces}")
        expect(not running, f"left behind: {running}")
        if number != signal.SIGKILL:
            expect(demo.returncode == 128 + number, f"status {demo.returncode}")
    return test


def processes_of(pid):
    """Living processes with the demonstration's own names in their command line."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                words = file.read().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"pal{pid}" in words:
            found.append(words)
    return found


def tests(_seed):
    return [
        ("control-undisturbed", undisturbed),
        ("control-none-breaks", restarted),
        ("cleanup-interrupt", interrupted(signal.SIGINT)),
        ("cleanup-terminate", interrupted(signal.SIGTERM)),
        ("cleanup-kill", interrupted(signal.SIGKILL)),
    ]
