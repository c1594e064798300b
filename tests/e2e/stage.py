"""What every end-to-end test stands on."""

import os
import shutil
import subprocess

from demolib.processes import ProcessDied
from demolib.refuse import Refusal
from demolib.run import Plan, conduct


class Broken(Exception):
    """The test failed; the sentence says how."""


class Stage:
    def __init__(self, root, name):
        self.root = root
        self.programs = os.path.join(root, "build", "bin")
        self.demo = os.path.join(root, "examples", "demo")
        self.keep = os.path.join(root, "build", "e2e", name)
        shutil.rmtree(self.keep, ignore_errors=True)

    def program(self, name):
        path = os.path.join(self.programs, name)
        if not os.access(path, os.X_OK):
            raise Broken(f"{name} is not built")
        return path

    def conduct(self, **settings):
        """One run of the demonstration's engine, shorter than the demonstration itself."""
        try:
            return conduct(Plan.short(**settings), self.programs, lambda *_, **__: None, self.keep)
        except (Refusal, ProcessDied) as failure:
            raise Broken(str(failure)) from None


def run(*command, environment=None, timeout_s=30, namespace=None):
    """Runs to its end; returns (status, stdout, stderr)."""
    inside = ["nsenter", f"--net=/run/netns/{namespace}", "--"] if namespace else []
    try:
        done = subprocess.run([*inside, *command], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=timeout_s, check=False,
                              env={**os.environ, **(environment or {})})
    except subprocess.TimeoutExpired:
        raise Broken(f"{os.path.basename(command[0])} did not end in {timeout_s} s") from None
    return done.returncode, done.stdout, done.stderr


def expect(condition, sentence):
    if not condition:
        raise Broken(sentence)


def expect_refusal(done, status, *words):
    """One clear sentence: the status, and every word of `words` on stderr."""
    got, _, said = done
    expect(got == status, f"status {got} instead of {status}: {said.strip()[-400:]}")
    for word in words:
        expect(word in said, f"{word!r} is not in: {said.strip()[-400:]}")
