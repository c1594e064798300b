"""Wires and both loggers without the runtime: a toy NF in their midst (loggers.sh), two namespaces
and every refusal (wire.sh)."""

import os
import subprocess

from stage import Broken


def script(name, *arguments):
    def test(stage):
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
        # A late script gets SIGTERM, so that it cleans up.
        done = subprocess.run(["timeout", "-k", "20", "240", path,
                               os.path.join(stage.root, "build"), *arguments],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            failed = [line for line in done.stdout.splitlines() if line.startswith(("FAIL", "left"))]
            raise Broken("; ".join(failed) or (done.stdout + done.stderr)[-400:])
    return test


def tests(_seed):
    return [("wire", script("wire.sh")), ("loggers", script("loggers.sh")),
            ("loggers-tun", script("loggers.sh", "4", "tun")),
            ("loggers-tap", script("loggers.sh", "1", "tap"))]
