/*
 * From the program's main to the roles (called by the main that the pass emits).
 *
 *   role=off     call the NF's main: hooks fall through to libc
 *   role=master  connect, start the NF as thread 0, become the I/O thread
 *   role=backup  connect, become the I/O thread; NF threads appear at a takeover
 *
 * Addresses must be the same in master and backup: the process starts itself again without
 * randomisation and with a fixed stack limit, once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "abi_internal.h"
#include "check/check.h"
#include "core/assert.h"
#include "fault/fault.h"
#include "heap/heap.h"
#include "hooks/files/descriptor.h"
#include "hooks/files/effect.h"
#include "hooks/packets/memory_io.h"
#include "hooks/threads/exit.h"
#include "hooks/threads/signal.h"
#include "hooks/threads/thread.h"
#include "hooks/values/environment.h"
#include "hooks/values/random.h"
#include "hooks/values/settings.h"
#include "io/counters.h"
#include "io/io.h"
#include "note.h"
#include "snapshot/regions.h"
#include "snapshot/snapshot.h"

#define RESTARTED "PALISADE_RESTARTED"
#define STACK_LIMIT_BYTES (8u << 20)

/*
 * Without randomisation the libraries still lie where `ulimit -s` lets them: the same limit for
 * master and backup, whoever starts them. True when it had to be changed. NF threads have their own
 * stacks (stack_kib).
 */
static bool stack_limit_changed(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur == STACK_LIMIT_BYTES)
        return false;
    limit.rlim_cur = STACK_LIMIT_BYTES;
    return setrlimit(RLIMIT_STACK, &limit) == 0;
}

static void fix_layout(char **argv)
{
    int persona = personality(0xffffffff);
    bool changed = stack_limit_changed();
    if (persona >= 0 && (persona & ADDR_NO_RANDOMIZE) && (!changed || getenv(RESTARTED))) {
        if (getenv(RESTARTED)) /* else it would be called after /proc/self/exe */
            prctl(PR_SET_NAME, program_invocation_short_name);
        return;
    }
    if (getenv(RESTARTED) == NULL && persona >= 0 &&
        personality((unsigned long)persona | ADDR_NO_RANDOMIZE) >= 0) {
        setenv(RESTARTED, "1", 1);
        execv("/proc/self/exe", argv);
    }
    process_fail(
        STATUS_RANDOMISED,
        "address randomisation is on and this process may not switch it off (%s); start the "
        "program under `setarch -R`, or allow the personality system call",
        strerror(errno));
}

/* ---- G8 ---- */

static void refuse_unhandled(void)
{
    struct notes_total total;
    if (notes_total(&total) != 0 || total.foreign)
        process_fail(STATUS_IDENTITY, "this program's Palisade note is of another version; compile "
                                      "it again with this palisade-cc");
    if (total.units == 0)
        process_fail(STATUS_UNMODELLED, "this program carries no Palisade note; compile it with "
                                        "palisade-cc");
    if (total.planless)
        process_fail(
            STATUS_UNMODELLED,
            "the units of this program were not all compiled with the same plan, so that one "
            "may leave out what another records; compile all of them with the same "
            "--palisade-plan=FILE, or all without (G8)");
    uint32_t places = total.unhandled + total.missing;
    if (places && process.options.unmodelled == OPTION_UNMODELLED_REFUSE)
        process_fail(STATUS_UNMODELLED,
                     "%u place%s of this program cannot be replayed%s%s; see `palisade report "
                     "PROGRAM`, or set unmodelled=allow in PALISADE_OPTIONS at your own risk (G8)",
                     places, places == 1 ? "" : "s", total.first_missing ? ", among them " : "",
                     total.first_missing ? total.first_missing : "");
}

/* ---- thread 0 ---- */

struct main_call {
    int (*function)(int, char **, char **);
    int argc;
    char **argv, **envp;
};

static void *call_main(void *argument)
{
    const struct main_call *call = argument;
    exit_normally(nf_self, call->function(call->argc, call->argv, call->envp));
    return NULL;
}

/* Copies a vector of strings into the NF's heap: its pointers must hold in the backup too. */
static char **copy_strings(char **from, int count)
{
    char **copy = heap_alloc(process.heap, 0, sizeof *copy * ((size_t)count + 1), NULL);
    ASSERT(copy != NULL);
    for (int i = 0; i < count; i++) {
        size_t bytes = strlen(from[i]) + 1;
        copy[i] = heap_alloc(process.heap, 0, bytes, NULL);
        ASSERT(copy[i] != NULL);
        memcpy(copy[i], from[i], bytes);
    }
    copy[count] = NULL;
    return copy;
}

static void start_nf(int argc, char **argv, char **envp, int (*nf_main)(int, char **, char **))
{
    int variables = 0;
    while (envp[variables])
        variables++;
    struct main_call *call = heap_alloc(process.heap, 0, sizeof *call, NULL);
    ASSERT(call != NULL);
    *call = (struct main_call){.function = nf_main,
                               .argc = argc,
                               .argv = copy_strings(argv, argc),
                               .envp = copy_strings(envp, variables)};
    IMAGE->environment = call->envp;
    environment_use();
    random_open();
    settings_open();
    signals_open();
    descriptors_begin();
    process_set_mode(MODE_RECORD);
    thread_main(call_main, call);
}

/* ---- roles ---- */

static void prepare(void)
{
    char why[256];
    io.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (io.wake_fd < 0)
        process_fail(STATUS_KERNEL, "eventfd: %s", strerror(errno));
    const char *path = process.options.journal[0] ? process.options.journal : NULL;
    enum status status = journal_open(&io.journal, path, why);
    if (status != STATUS_OK)
        process_fail(status, "%s", why);
    fault_arm(&process.options.fault, FAULT_IN_NF, io.journal);
    counters_on_signal();
    regions_init();
    thread_space_map();
    snapshot_init();
}

static void open_heap(void)
{
    process.heap = heap_create((void *)HEAP_BASE, (size_t)process.options.heap_mib << 20);
    if (process.heap == NULL)
        process_fail(STATUS_MEMORY, "heap_mib=%u is too small for a heap",
                     process.options.heap_mib);
}

HOOK int __palisade_start(int argc, char **argv, char **envp, int (*nf_main)(int, char **, char **),
                          uint32_t abi)
{
    if (abi != PALISADE_ABI_VERSION)
        process_fail(STATUS_IDENTITY,
                     "the program was compiled for ABI %u, this library speaks %u; "
                     "recompile it",
                     abi, PALISADE_ABI_VERSION);
    nf_options_from_environment(&process.options);
    if (process.options.role == OPTION_ROLE_OFF)
        return nf_main(argc, argv, envp);
    refuse_unhandled();
    fix_layout(argv);
    prepare();
    if (process.options.io == OPTION_IO_MEMORY) {
        open_heap();
        memory_io_open();
        start_nf(argc, argv, envp, nf_main);
        memory_io_run();
    }
    if (process.options.role == OPTION_ROLE_BACKUP) {
        /* The heap comes with the image; its address is what counts. */
        process.heap = (struct heap *)HEAP_BASE;
        standby_arguments(argv);
        check_open();
        io_connect(ROLE_BACKUP, argv + 1);
        fault_point(FAULT_BACKUP_JOINED);
        journal_event(io.journal, "ready", "{s:s,s:I}", "role", "backup", "pid",
                      (json_int_t)getpid());
        io_run(IO_WARM);
    }
    open_heap();
    io_connect(ROLE_MASTER, argv + 1);
    io_reign((struct input_claim){0}); /* from the oldest it keeps; its answer says which that is */
    journal_event(io.journal, "ready", "{s:s,s:I}", "role", "master", "pid", (json_int_t)getpid());
    start_nf(argc, argv, envp, nf_main);
    io_run(IO_LIVE);
}
