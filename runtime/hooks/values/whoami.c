/*
 * What the NF may ask about itself and its machine. The NF is one process, whoever runs it: process
 * and thread ids are numbers of its own, its users are those of the first master until it changes
 * them. What the machine says is logged.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "abi_internal.h"
#include "hooks/values/value.h"

HOOK int __palisade_getpid(void)
{
    SITE_HERE();
    return nf_self ? NF_PID : getpid();
}

HOOK int __palisade_getppid(void)
{
    SITE_HERE();
    return nf_self ? 1 : getppid();
}

/* As in Linux, the first thread's is the process's. */
HOOK pid_t __palisade_gettid(void)
{
    SITE_HERE();
    return nf_self ? (pid_t)(NF_PID + nf_self->core.index) : gettid();
}

HOOK pid_t __palisade_getpgrp(void)
{
    SITE_HERE();
    return nf_self ? NF_PID : getpgrp();
}

/* ---- users ---- */

#define ID(name, field)                                                                            \
    HOOK unsigned int __palisade_##name(void)                                                      \
    {                                                                                              \
        return nf_self ? IMAGE->values.identity.field : name();                                    \
    }
ID(getuid, uid)
ID(geteuid, euid)
ID(getgid, gid)
ID(getegid, egid)

HOOK int __palisade_getresuid(uid_t *uid, uid_t *euid, uid_t *suid)
{
    SITE_HERE();
    if (nf_self == NULL)
        return getresuid(uid, euid, suid);
    *uid = IMAGE->values.identity.uid;
    *euid = IMAGE->values.identity.euid;
    *suid = IMAGE->values.identity.suid;
    return 0;
}

HOOK int __palisade_getresgid(gid_t *gid, gid_t *egid, gid_t *sgid)
{
    SITE_HERE();
    if (nf_self == NULL)
        return getresgid(gid, egid, sgid);
    *gid = IMAGE->values.identity.gid;
    *egid = IMAGE->values.identity.egid;
    *sgid = IMAGE->values.identity.sgid;
    return 0;
}

/* ---- the machine ---- */

HOOK int __palisade_uname(struct utsname *out)
{
    SITE_HERE();
    if (nf_self == NULL)
        return uname(out);
    VALUE_BYTES(nf_self, "uname", out, sizeof *out, uname(out));
    return 0;
}

HOOK int __palisade_gethostname(char *name, size_t bytes)
{
    SITE_HERE();
    if (nf_self == NULL)
        return gethostname(name, bytes);
    struct utsname machine = {0};
    __palisade_uname(&machine);
    size_t length = strlen(machine.nodename) + 1;
    memcpy(name, machine.nodename, length < bytes ? length : bytes);
    if (length > bytes)
        errno = ENAMETOOLONG;
    return length > bytes ? -1 : 0;
}

HOOK long __palisade_sysconf(int name)
{
    SITE_HERE();
    if (nf_self == NULL)
        return sysconf(name);
    return LOGGED(nf_self, "sysconf", NOT_EXPECTED, sysconf(name));
}

HOOK int __palisade_get_nprocs(void)
{
    SITE_HERE();
    return nf_self ? (int)LOGGED(nf_self, "get_nprocs", 1, get_nprocs()) : get_nprocs();
}

HOOK int __palisade_get_nprocs_conf(void)
{
    SITE_HERE();
    return nf_self ? (int)LOGGED(nf_self, "get_nprocs_conf", 1, get_nprocs_conf())
                   : get_nprocs_conf();
}

HOOK long __palisade_gethostid(void)
{
    SITE_HERE();
    return nf_self ? LOGGED(nf_self, "gethostid", 0, gethostid()) : gethostid();
}

HOOK int __palisade_sched_getcpu(void)
{
    SITE_HERE();
    return nf_self ? (int)LOGGED(nf_self, "sched_getcpu", 0, sched_getcpu()) : sched_getcpu();
}

HOOK int __palisade_getcpu(unsigned int *cpu, unsigned int *node)
{
    SITE_HERE();
    if (nf_self == NULL)
        return getcpu(cpu, node);
    unsigned int both[2] = {0, 0};
    int64_t packed = LOGGED(nf_self, "getcpu", 0, ({
                                getcpu(&both[0], &both[1]);
                                (int64_t) both[0] | (int64_t)both[1] << 32;
                            }));
    if (cpu)
        *cpu = (unsigned int)packed;
    if (node)
        *node = (unsigned int)(packed >> 32);
    return 0;
}

HOOK int __palisade_sysinfo(struct sysinfo *out)
{
    SITE_HERE();
    if (nf_self == NULL)
        return sysinfo(out);
    VALUE_BYTES(nf_self, "sysinfo", out, sizeof *out, sysinfo(out));
    return 0;
}

HOOK int __palisade_getloadavg(double *averages, int count)
{
    SITE_HERE();
    if (nf_self == NULL)
        return getloadavg(averages, count);
    double three[3] = {0};
    VALUE_BYTES(nf_self, "getloadavg", three, sizeof three, getloadavg(three, 3));
    count = count > 3 ? 3 : count;
    for (int i = 0; i < count; i++)
        averages[i] = three[i];
    return count;
}

HOOK unsigned long __palisade_getauxval(unsigned long type)
{
    SITE_HERE();
    if (nf_self == NULL)
        return getauxval(type);
    switch (type) {
    case AT_RANDOM:
    case AT_SYSINFO_EHDR:
    case AT_EXECFN:
    case AT_PLATFORM:
    case AT_BASE_PLATFORM:
    case AT_PHDR:
    case AT_BASE:
        process_fail(STATUS_UNMODELLED,
                     "getauxval(%lu) points out of the image and cannot be replayed (G8)", type);
    default:
        return (unsigned long)LOGGED(nf_self, "getauxval", 0, (int64_t)getauxval(type));
    }
}
