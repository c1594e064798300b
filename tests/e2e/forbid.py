"""forbid personality COMMAND...: runs the command with one system call failing by EPERM (seccomp)."""

import ctypes
import os
import struct
import sys

NUMBERS = {"personality": 135}  # x86-64
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL_EPERM = 0x7fff0000, 0x00050001


def main():
    filters = b"".join(struct.pack("HBBI", *line) for line in (
        (LOAD, 0, 0, 0),  # the number of the system call
        (JUMP_EQUAL, 0, 1, NUMBERS[sys.argv[1]]),
        (RETURN, 0, 0, FAIL_EPERM),
        (RETURN, 0, 0, ALLOW)))
    buffer = ctypes.create_string_buffer(filters)
    program = struct.pack("HxxxxxxP", len(filters) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or \
            libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0) != 0:
        sys.exit(f"forbid: prctl: {os.strerror(ctypes.get_errno())}")
    os.execvp(sys.argv[2], sys.argv[2:])


main()
