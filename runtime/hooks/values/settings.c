/*
 * Settings of the process and its threads: done natively when live, noted in the image, done again
 * by a successor. The result of the call is logged. Locale and time zone change what pure
 * functions compute, so these calls happen in replay, too, and before it.
 */
#include "hooks/values/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "abi_internal.h"
#include "hooks/sharing/lock.h"
#include "hooks/values/environment.h"
#include "hooks/values/value.h"

#define SETTINGS (&IMAGE->values.settings)

static void lock(void)
{
    ordered_lock(nf_self, &IMAGE->values.settings_lock);
}

static void unlock(void)
{
    ordered_unlock(&IMAGE->values.settings_lock);
}

/* ---- users ---- */

static void ask_identity(struct nf_identity *out)
{
    getresuid(&out->uid, &out->euid, &out->suid);
    getresgid(&out->gid, &out->egid, &out->sgid);
}

static int users_changed(int result)
{
    if (result == 0) {
        struct nf_identity now;
        VALUE_BYTES(nf_self, "user ids", &now, sizeof now, ask_identity(&now));
        IMAGE->values.identity = now;
        SETTINGS->users_set = 1;
    }
    unlock();
    return result;
}

/* The kernel's answer decides what the ids are then. */
#define SET_USERS(name, parameters, ...)                                                           \
    HOOK int __palisade_##name parameters                                                          \
    {                                                                                              \
        SITE_HERE();                                                                               \
        if (nf_self == NULL)                                                                       \
            return name(__VA_ARGS__);                                                              \
        lock();                                                                                    \
        return users_changed((int)VALUE_RESULT(nf_self, #name, name(__VA_ARGS__)));                \
    }
SET_USERS(setuid, (uid_t uid), uid)
SET_USERS(seteuid, (uid_t uid), uid)
SET_USERS(setreuid, (uid_t uid, uid_t euid), uid, euid)
SET_USERS(setresuid, (uid_t uid, uid_t euid, uid_t suid), uid, euid, suid)
SET_USERS(setgid, (gid_t gid), gid)
SET_USERS(setegid, (gid_t gid), gid)
SET_USERS(setregid, (gid_t gid, gid_t egid), gid, egid)
SET_USERS(setresgid, (gid_t gid, gid_t egid, gid_t sgid), gid, egid, sgid)

/* The groups as they are then; caller holds the lock. */
static void note_groups(void)
{
    gid_t groups[GROUPS_KEPT_MAX] = {0};
    int64_t count = VALUE_RESULT(nf_self, "groups", getgroups(GROUPS_KEPT_MAX, groups));
    if (count < 0)
        process_fail(STATUS_UNMODELLED, "more than %u supplementary groups are not supported (G8)",
                     GROUPS_KEPT_MAX);
    if (count > 0)
        VALUE_BYTES(nf_self, "groups", groups, (size_t)count * sizeof *groups,
                    getgroups((int)count, groups));
    memcpy(SETTINGS->groups, groups, sizeof groups);
    SETTINGS->group_count = (uint32_t)count;
    SETTINGS->groups_set = 1;
}

HOOK int __palisade_setgroups(size_t count, const gid_t *groups)
{
    SITE_HERE();
    if (nf_self == NULL)
        return setgroups(count, groups);
    lock();
    int result = (int)VALUE_RESULT(nf_self, "setgroups", setgroups(count, groups));
    if (result == 0)
        note_groups();
    unlock();
    return result;
}

HOOK int __palisade_initgroups(const char *user, gid_t group)
{
    SITE_HERE();
    if (nf_self == NULL)
        return initgroups(user, group);
    lock();
    int result = (int)VALUE_RESULT(nf_self, "initgroups", initgroups(user, group));
    if (result == 0)
        note_groups();
    unlock();
    return result;
}

HOOK int __palisade_getgroups(int room, gid_t *groups)
{
    SITE_HERE();
    if (nf_self == NULL)
        return getgroups(room, groups);
    int64_t count = VALUE_RESULT(nf_self, "getgroups", getgroups(room, groups));
    if (count > 0 && room > 0)
        VALUE_BYTES(nf_self, "getgroups", groups, (size_t)count * sizeof *groups,
                    getgroups(room, groups));
    return (int)count;
}

/* ---- limits, umask ---- */

HOOK int __palisade_getrlimit(__rlimit_resource_t resource, struct rlimit *out)
{
    SITE_HERE();
    if (nf_self == NULL)
        return getrlimit(resource, out);
    int result = (int)VALUE_RESULT(nf_self, "getrlimit", getrlimit(resource, out));
    if (result == 0)
        VALUE_BYTES(nf_self, "getrlimit", out, sizeof *out, getrlimit(resource, out));
    return result;
}

HOOK int __palisade_setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
    SITE_HERE();
    if (nf_self == NULL)
        return setrlimit(resource, limit);
    lock();
    int result = (int)VALUE_RESULT(nf_self, "setrlimit", setrlimit(resource, limit));
    if (result == 0) {
        SETTINGS->limits[resource] = *limit;
        SETTINGS->limits_set |= 1u << resource;
    }
    unlock();
    return result;
}

HOOK int __palisade_prlimit(pid_t pid, enum __rlimit_resource resource, const struct rlimit *limit,
                            struct rlimit *old)
{
    SITE_HERE();
    if (nf_self == NULL)
        return prlimit(pid, resource, limit, old);
    if (pid != 0 && pid != NF_PID)
        process_fail(STATUS_UNMODELLED, "prlimit of another process cannot be replayed (G8)");
    int result = old ? __palisade_getrlimit(resource, old) : 0;
    return result == 0 && limit ? __palisade_setrlimit(resource, limit) : result;
}

HOOK mode_t __palisade_umask(mode_t mask)
{
    SITE_HERE();
    if (nf_self == NULL)
        return umask(mask);
    lock();
    mode_t before = (mode_t)LOGGED(nf_self, "umask", 022, umask(mask));
    SETTINGS->umask = mask;
    SETTINGS->umask_set = 1;
    unlock();
    return before;
}

/* ---- locale and time zone ---- */

HOOK char *__palisade_setlocale(int category, const char *name)
{
    SITE_HERE();
    if (nf_self == NULL)
        return setlocale(category, name);
    lock();
    const char *done = setlocale(category, name);
    int64_t there = LOGGED(nf_self, "setlocale", 1, done != NULL);
    if (there != (done != NULL))
        process_fail(STATUS_IDENTITY,
                     "setlocale(%d, \"%s\") succeeded on the master, not here: install the same "
                     "locales",
                     category, name ? name : "");
    const char *all = done ? setlocale(LC_ALL, NULL) : NULL;
    char *result = NULL;
    if (done) {
        if (strlen(all) >= sizeof SETTINGS->locale)
            process_fail(STATUS_UNMODELLED, "the locale has too long a name: %s (G8)", all);
        strcpy(SETTINGS->locale, all);
        done = setlocale(category, NULL);
        result = category == LC_ALL ? SETTINGS->locale : nf_self->values.text;
        if (category != LC_ALL)
            snprintf(result, sizeof nf_self->values.text, "%s", done);
    }
    unlock();
    return result;
}

HOOK void __palisade_tzset(void)
{
    SITE_HERE();
    tzset();
    if (nf_self) {
        lock();
        SETTINGS->zone_read = 1;
        unlock();
    }
}

/* ---- threads: names, processors, scheduling ---- */

/* The thread of a pthread_t (index + 1) or of a thread id (0: the caller); NULL: none. */
static struct nf_thread *thread_of(uint64_t number)
{
    return number < IMAGE->thread_count ? &IMAGE->threads[number] : NULL;
}

static struct nf_thread *thread_of_tid(pid_t tid)
{
    return tid == 0 ? nf_self : thread_of((uint64_t)(int64_t)tid - NF_PID);
}

static void set_name_natively(const struct nf_thread *thread)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%u/comm", run_of(thread)->tid);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, thread->values.name, strlen(thread->values.name)) < 0)
        errno = 0; /* only a name */
    close(fd);
}

static int set_name(struct nf_thread *thread, const char *name)
{
    if (thread == NULL)
        return ESRCH;
    if (strlen(name) >= THREAD_NAME_BYTES)
        return ERANGE;
    int saved = errno;
    strcpy(thread->values.name, name);
    if (process_mode() == MODE_RECORD)
        set_name_natively(thread);
    errno = saved;
    return 0;
}

HOOK int __palisade_pthread_setname_np(pthread_t handle, const char *name)
{
    SITE_HERE();
    return nf_self ? set_name(thread_of(handle - 1), name) : pthread_setname_np(handle, name);
}

HOOK int __palisade_pthread_getname_np(pthread_t handle, char *name, size_t bytes)
{
    SITE_HERE();
    if (nf_self == NULL)
        return pthread_getname_np(handle, name, bytes);
    const struct nf_thread *thread = thread_of(handle - 1);
    if (thread == NULL)
        return ESRCH;
    if (bytes < THREAD_NAME_BYTES)
        return ERANGE;
    const char *kept = thread->values.name;
    strcpy(name, *kept ? kept : "nf");
    return 0;
}

/* errno-style: the kernel's answer is logged, the wish is noted. */
static int set_affinity(struct nf_thread *thread, size_t bytes, const cpu_set_t *set)
{
    if (thread == NULL)
        return ESRCH;
    int error = (int)LOGGED(nf_self, "affinity", 0,
                            sched_setaffinity((pid_t)run_of(thread)->tid, bytes, set) ? errno : 0);
    if (error == 0) {
        memset(&thread->values.affinity, 0, sizeof thread->values.affinity);
        memcpy(&thread->values.affinity, set, bytes < sizeof *set ? bytes : sizeof *set);
        thread->values.affinity_set = 1;
    }
    return error;
}

static int get_affinity(const struct nf_thread *thread, size_t bytes, cpu_set_t *set)
{
    if (thread == NULL)
        return ESRCH;
    if (bytes > RECORD_VALUE_MAX_BYTES)
        bytes = RECORD_VALUE_MAX_BYTES;
    int error = (int)LOGGED(nf_self, "affinity", 0,
                            sched_getaffinity((pid_t)run_of(thread)->tid, bytes, set) ? errno : 0);
    if (error == 0)
        VALUE_BYTES(nf_self, "affinity", set, bytes,
                    sched_getaffinity((pid_t)run_of(thread)->tid, bytes, set));
    return error;
}

static int minus_one(int error)
{
    if (error)
        errno = error;
    return error ? -1 : 0;
}

HOOK int __palisade_pthread_setaffinity_np(pthread_t handle, size_t bytes, const cpu_set_t *set)
{
    SITE_HERE();
    return nf_self ? set_affinity(thread_of(handle - 1), bytes, set)
                   : pthread_setaffinity_np(handle, bytes, set);
}

HOOK int __palisade_pthread_getaffinity_np(pthread_t handle, size_t bytes, cpu_set_t *set)
{
    SITE_HERE();
    return nf_self ? get_affinity(thread_of(handle - 1), bytes, set)
                   : pthread_getaffinity_np(handle, bytes, set);
}

HOOK int __palisade_sched_setaffinity(pid_t tid, size_t bytes, const cpu_set_t *set)
{
    SITE_HERE();
    return nf_self ? minus_one(set_affinity(thread_of_tid(tid), bytes, set))
                   : sched_setaffinity(tid, bytes, set);
}

HOOK int __palisade_sched_getaffinity(pid_t tid, size_t bytes, cpu_set_t *set)
{
    SITE_HERE();
    return nf_self ? minus_one(get_affinity(thread_of_tid(tid), bytes, set))
                   : sched_getaffinity(tid, bytes, set);
}

static int set_schedule(struct nf_thread *thread, int policy, const struct sched_param *parameters)
{
    if (thread == NULL)
        return ESRCH;
    int error =
        (int)LOGGED(nf_self, "schedule", 0,
                    sched_setscheduler((pid_t)run_of(thread)->tid, policy, parameters) ? errno : 0);
    if (error == 0) {
        thread->values.schedule_set = 1;
        thread->values.schedule_policy = policy;
        thread->values.schedule_priority = parameters->sched_priority;
    }
    return error;
}

HOOK int __palisade_pthread_setschedparam(pthread_t handle, int policy,
                                          const struct sched_param *parameters)
{
    SITE_HERE();
    return nf_self ? set_schedule(thread_of(handle - 1), policy, parameters)
                   : pthread_setschedparam(handle, policy, parameters);
}

HOOK int __palisade_pthread_getschedparam(pthread_t handle, int *policy,
                                          struct sched_param *parameters)
{
    SITE_HERE();
    if (nf_self == NULL)
        return pthread_getschedparam(handle, policy, parameters);
    const struct nf_thread *thread = thread_of(handle - 1);
    if (thread == NULL)
        return ESRCH;
    *policy = thread->values.schedule_policy;
    parameters->sched_priority = thread->values.schedule_priority;
    return 0;
}

HOOK int __palisade_sched_setscheduler(pid_t tid, int policy, const struct sched_param *parameters)
{
    SITE_HERE();
    return nf_self ? minus_one(set_schedule(thread_of_tid(tid), policy, parameters))
                   : sched_setscheduler(tid, policy, parameters);
}

HOOK int __palisade_sched_getscheduler(pid_t tid)
{
    SITE_HERE();
    if (nf_self == NULL)
        return sched_getscheduler(tid);
    const struct nf_thread *thread = thread_of_tid(tid);
    return thread ? thread->values.schedule_policy : minus_one(ESRCH);
}

HOOK int __palisade_setpriority(__priority_which_t which, id_t who, int priority)
{
    SITE_HERE();
    return nf_self ? (int)VALUE_RESULT(nf_self, "setpriority", setpriority(which, who, priority))
                   : setpriority(which, who, priority);
}

HOOK int __palisade_getpriority(__priority_which_t which, id_t who)
{
    SITE_HERE();
    return nf_self ? (int)LOGGED(nf_self, "getpriority", 0, getpriority(which, who))
                   : getpriority(which, who);
}

HOOK int __palisade_nice(int by)
{
    SITE_HERE();
    return nf_self ? (int)LOGGED(nf_self, "nice", 0, nice(by)) : nice(by);
}

/* ---- prctl ---- */

static void note_prctl(int option, uint64_t argument)
{
    uint32_t at = 0;
    bool many = option == PR_CAPBSET_DROP; /* each of them counts, not only the last */
    while (at < SETTINGS->prctl_count && (SETTINGS->prctls[at].option != option || many))
        at++;
    if (at == PRCTLS_MAX)
        process_fail(STATUS_UNMODELLED, "more than %u settings by prctl (G8)", PRCTLS_MAX);
    SETTINGS->prctls[at].option = option;
    SETTINGS->prctls[at].argument = argument;
    if (at == SETTINGS->prctl_count)
        SETTINGS->prctl_count++;
}

HOOK int __palisade_prctl(int option, ...)
{
    SITE_HERE();
    va_list arguments;
    va_start(arguments, option);
    unsigned long a = va_arg(arguments, unsigned long), b = va_arg(arguments, unsigned long),
                  c = va_arg(arguments, unsigned long), d = va_arg(arguments, unsigned long);
    va_end(arguments);
    if (nf_self == NULL)
        return prctl(option, a, b, c, d);
    char name[THREAD_NAME_BYTES];
    int result;
    switch (option) {
    case PR_SET_NAME:
        strncpy(name, (const char *)a, sizeof name - 1);
        name[sizeof name - 1] = '\0';
        return set_name(nf_self, name);
    case PR_GET_NAME:
        return __palisade_pthread_getname_np(nf_self->core.index + 1, (char *)a, THREAD_NAME_BYTES);
    case PR_GET_DUMPABLE:
    case PR_GET_KEEPCAPS:
    case PR_GET_NO_NEW_PRIVS:
    case PR_GET_TIMERSLACK:
    case PR_CAPBSET_READ:
        return (int)VALUE_RESULT(nf_self, "prctl", prctl(option, a, b, c, d));
    case PR_SET_DUMPABLE:
    case PR_SET_KEEPCAPS:
    case PR_SET_NO_NEW_PRIVS:
    case PR_SET_TIMERSLACK:
    case PR_SET_PDEATHSIG:
    case PR_CAPBSET_DROP:
        lock();
        result = (int)VALUE_RESULT(nf_self, "prctl", prctl(option, a, b, c, d));
        if (result == 0)
            note_prctl(option, a);
        unlock();
        return result;
    default:
        process_fail(STATUS_UNMODELLED, "prctl(%d) cannot be repeated by a backup (G8)", option);
    }
}

/* ---- start, restore, go-live ---- */

void settings_open(void)
{
    ask_identity(&IMAGE->values.identity);
}

void settings_restore(void)
{
    environment_use();
    if (*SETTINGS->locale && setlocale(LC_ALL, SETTINGS->locale) == NULL)
        process_fail(STATUS_IDENTITY, "the master's locale is not installed here: %s",
                     SETTINGS->locale);
    if (SETTINGS->zone_read)
        tzset();
}

static void expect(bool done, const char *what)
{
    if (!done)
        dprintf(STDERR_FILENO, "palisade: cannot repeat the master's %s here: %s\n", what,
                strerror(errno));
}

static void thread_settings(const struct nf_thread *thread)
{
    const struct nf_thread_values *values = &thread->values;
    pid_t tid = (pid_t)run_of(thread)->tid;
    struct sched_param parameters = {.sched_priority = values->schedule_priority};
    if (*values->name)
        set_name_natively(thread);
    if (values->affinity_set)
        expect(sched_setaffinity(tid, sizeof values->affinity, &values->affinity) == 0,
               "choice of processors");
    if (values->schedule_set)
        expect(sched_setscheduler(tid, values->schedule_policy, &parameters) == 0, "scheduling");
}

/* Users last: what comes before may need their rights. */
void settings_go_live(void)
{
    const struct nf_identity *ids = &IMAGE->values.identity;
    for (uint32_t t = 0; t < IMAGE->thread_count; t++)
        if (IMAGE->threads[t].lifecycle == THREAD_RUNNING)
            thread_settings(&IMAGE->threads[t]);
    for (uint32_t r = 0; r < RLIM_NLIMITS; r++)
        if (SETTINGS->limits_set >> r & 1)
            expect(setrlimit((__rlimit_resource_t)r, &SETTINGS->limits[r]) == 0, "setrlimit");
    if (SETTINGS->umask_set)
        umask(SETTINGS->umask);
    for (uint32_t i = 0; i < SETTINGS->prctl_count; i++)
        expect(prctl(SETTINGS->prctls[i].option, SETTINGS->prctls[i].argument, 0, 0, 0) == 0,
               "prctl");
    if (SETTINGS->groups_set)
        expect(setgroups(SETTINGS->group_count, SETTINGS->groups) == 0, "groups");
    if (SETTINGS->users_set) {
        expect(setresgid(ids->gid, ids->egid, ids->sgid) == 0, "group");
        expect(setresuid(ids->uid, ids->euid, ids->suid) == 0, "user");
    }
}
