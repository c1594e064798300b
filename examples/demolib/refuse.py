"""Exit statuses (the same as runtime/core/status.h) and what is refused before anything starts."""

import os
import shutil
import socket

BROKEN = 1  # the run finished, and something was lost, doubled, reordered or broken
FAILED = 2  # the run did not finish: a program of the demonstration itself failed
USAGE = 64
MEMORY = 70
PRIVILEGE = 76
KERNEL = 77

MEMORY_MIN_MIB = 768
AF_XDP = 44


class Refusal(Exception):
    """One sentence for the person, and the exit status."""

    def __init__(self, status, sentence):
        super().__init__(sentence)
        self.status = status


def memory_available_mib():
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) // 1024
    return 0


def check(mode, nf):
    """Raises Refusal where this machine cannot run the demonstration."""
    if os.geteuid() != 0:
        raise Refusal(PRIVILEGE, "root is needed, to create network namespaces and devices: "
                      "run it as root")
    available = memory_available_mib()
    if available < MEMORY_MIN_MIB:
        raise Refusal(MEMORY, f"{MEMORY_MIN_MIB} MiB of free memory are needed, "
                      f"{available} MiB are available")
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except PermissionError:
        raise Refusal(PRIVILEGE, "CAP_NET_RAW is missing: run it as root with all capabilities") \
            from None
    except OSError as error:
        raise Refusal(KERNEL, f"the kernel has no packet sockets (AF_PACKET): {error.strerror}") \
            from None
    if nf == "ratelimit" and not os.path.exists("/dev/net/tun"):
        raise Refusal(KERNEL, "the kernel has no TUN devices (CONFIG_TUN): /dev/net/tun is missing")
    if mode != "none" or nf == "lb":
        try:
            socket.socket(AF_XDP, socket.SOCK_RAW, 0).close()
        except OSError as error:
            raise Refusal(KERNEL, "the kernel has no AF_XDP sockets (CONFIG_XDP_SOCKETS): "
                          f"{error.strerror}") from None


def check_tools(names):
    """Debian's packages bring these; whoever skipped the installation hears which are missing."""
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        raise Refusal(FAILED, f"not found: {', '.join(missing)}; run tools/install-dependencies")
