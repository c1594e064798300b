"""Programs and sockets inside a network namespace."""

import ctypes
import os
import signal
import socket
import subprocess
import time

TAIL_LINES = 12
CLONE_NEWNET = 0x40000000
UTIME, STIME = 11, 12  # columns of /proc/PID/stat behind the command's name


class ProcessDied(Exception):
    """A program of the demonstration ended when it should not have."""


class Process:
    """One program. Its pid is the program's own: nsenter gives way to it by exec."""

    def __init__(self, name, command, namespace, directory, environment=None, stdin=None,
                 stdout=None):
        self.name = name
        self.log_path = os.path.join(directory, f"{name}.log")
        with open(self.log_path, "ab") as log:
            self.popen = subprocess.Popen(
                ["nsenter", f"--net=/run/netns/{namespace}", "--", *command],
                stdin=stdin or subprocess.DEVNULL, stdout=stdout or log, stderr=log,
                env={**os.environ, **(environment or {})})
        self.pid = self.popen.pid

    def running(self):
        return self.popen.poll() is None

    def require(self):
        """Raises ProcessDied, with the last lines it said, when it no longer runs."""
        if not self.running():
            raise ProcessDied(f"{self.name} ended with {describe(self.popen.returncode)}:\n"
                              f"{self.tail()}")

    def said(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def tail(self):
        lines = self.said().splitlines()
        return "\n".join(f"    {line}" for line in lines[-TAIL_LINES:]) or "    (it said nothing)"

    def kill(self):
        """kill -9; returns the moment (CLOCK_MONOTONIC, ns) just before."""
        moment_ns = time.monotonic_ns()
        os.kill(self.pid, signal.SIGKILL)
        return moment_ns

    def ended(self, timeout_s):
        """The exit status once it ended by itself; None when it did not in `timeout_s`."""
        try:
            return self.popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def stop(self):
        if self.running():
            self.popen.kill()
        self.popen.wait()


def cpu_s(pid):
    """CPU seconds of all threads of a process so far; None: it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[UTIME]) + int(fields[STIME])) / os.sysconf("SC_CLK_TCK")


def describe(returncode):
    if returncode < 0:
        return signal.Signals(-returncode).name
    return f"status {returncode}"


def socket_inside(namespace, *kind):
    """A socket that lives in the namespace; this thread does not stay there."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net", "rb") as home, \
            open(f"/run/netns/{namespace}", "rb") as there:
        if libc.setns(there.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        try:
            return socket.socket(*kind)
        finally:
            libc.setns(home.fileno(), CLONE_NEWNET)
