/*
 * Exit statuses of everything Palisade starts: one a kind of trouble, the same in the runtime, in
 * the loggers and in the tools; listed in README.md. Each comes with one sentence on stderr.
 */
#ifndef PALISADE_CORE_STATUS_H
#define PALISADE_CORE_STATUS_H

enum status {
    STATUS_OK = 0,
    STATUS_USAGE = 64,       /* mistyped option or value */
    STATUS_UNMODELLED = 65,  /* the program calls what replay cannot repeat (G8) */
    STATUS_INTERFACE = 66,   /* a network interface is missing or unfit */
    STATUS_BUSY = 67,        /* an interface queue, a port or an epoch is held by another process */
    STATUS_RANDOMISED = 68,  /* address randomisation is on and could not be switched off */
    STATUS_IDENTITY = 69,    /* another build, layout, option set or CPU */
    STATUS_MEMORY = 70,      /* out of memory */
    STATUS_DISK = 71,        /* the epoch or a file could not be written */
    STATUS_UNREACHABLE = 72, /* a logger cannot be reached */
    STATUS_FENCED = 73,      /* another master reigns (G5) */
    STATUS_DIVERGED = 74,    /* replay departed from the log (G6) */
    STATUS_NO_BACKUP = 75,   /* the master died and nobody can take over */
    STATUS_PRIVILEGE = 76,   /* root or a capability is missing */
    STATUS_KERNEL = 77,      /* a kernel feature is missing */
    STATUS_PROTOCOL = 78,    /* the peer speaks another version or nonsense */
    STATUS_BEHIND = 79,      /* a hot standby fell behind what a logger keeps: it starts over */
};

#endif
