/*
 * What the C library and the kernel would keep for the NF, kept in the image instead, so that it
 * survives with it: generators, the environment, settings, signals, timers, static buffers. Who
 * uses a part is said beside it (hooks/...).
 */
#ifndef PALISADE_IMAGE_VALUES_H
#define PALISADE_IMAGE_VALUES_H

#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#define SIGNALS_MAX 65u /* 1 .. 64 */
#define TIMERS_MAX 32u  /* number 0: alarm and ITIMER_REAL */
#define MAPPINGS_MAX 256u
#define PRCTLS_MAX 16u
#define GROUPS_KEPT_MAX 64u
#define THREAD_NAME_BYTES 16u
#define STATIC_TEXT_BYTES 256u
#define ATEXIT_MAX 64u
#define LOCALE_MAX_BYTES 512u

/* A place of one thread for what libc returns in static buffers; blocks of the heap. */
enum static_result {
    STATIC_PASSWD,
    STATIC_GROUP,
    STATIC_HOST,
    STATIC_SERVICE,
    STATIC_PROTOCOL,
    STATIC_RESULTS
};

/* One thread's part: in struct nf_thread. */
struct nf_thread_values {
    char *strtok;                  /* hooks/values/text.c */
    char text[STATIC_TEXT_BYTES];  /* strerror, inet_ntoa, ctime ... */
    void *statics[STATIC_RESULTS]; /* hooks/values/resolve.c */
    struct tm calendar;            /* localtime, gmtime */
    int64_t zone_code;             /* hooks/values/calendar.c: offset and daylight saving, last */
    char zone[THREAD_NAME_BYTES];  /* its abbreviation */
    int64_t cpu_seen_ns[2];        /* CPU clocks (process, thread) never go back */
    uint64_t signal_mask;          /* hooks/threads/signal.c: bit per signal - 1 */
    uint64_t signal_mask_saved;    /* during sigsuspend, ppoll: what to go back to */
    uint32_t signal_mask_is_saved;
    _Atomic uint64_t signals_pending; /* for this thread; changed under signals_lock */
    stack_t alternate_stack;          /* remembered, not used */
    char name[THREAD_NAME_BYTES];     /* hooks/values/settings.c */
    cpu_set_t affinity;
    uint32_t affinity_set;
    uint32_t schedule_set;
    int32_t schedule_policy, schedule_priority;
};

struct nf_timer {
    uint32_t used;
    int32_t signal; /* 0: none is sent (SIGEV_NONE) */
    int32_t clock;  /* as created */
    uint32_t overrun;
    int64_t deadline_ns; /* CLOCK_MONOTONIC as the NF sees it; 0: disarmed */
    int64_t interval_ns;
    uint64_t value; /* sigev_value */
};

struct nf_mapping {
    uint64_t address, bytes;
    uint64_t unmapped_bytes;
};

/* What a successor repeats at its go-live. */
struct nf_settings {
    struct rlimit limits[RLIM_NLIMITS];
    uint32_t limits_set; /* bit per resource */
    uint32_t umask_set, umask;
    uint32_t users_set; /* uid and gid below were changed */
    uint32_t groups_set, group_count;
    gid_t groups[GROUPS_KEPT_MAX];
    uint32_t prctl_count;
    struct {
        int32_t option;
        uint64_t argument;
    } prctls[PRCTLS_MAX];
    uint32_t zone_read;            /* tzset was called */
    char locale[LOCALE_MAX_BYTES]; /* setlocale(LC_ALL, NULL); "": never set */
};

/* Who the process is, asked once at the start of the first master. */
struct nf_identity {
    uid_t uid, euid, suid;
    gid_t gid, egid, sgid;
};

struct nf_exit_handler {
    void (*function)(void *);
    void *argument; /* on_exit, __cxa_atexit */
    uint32_t kind;
};

#endif
