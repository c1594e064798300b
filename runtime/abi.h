/*
 * The ABI between the pass and the runtime: what instrumented code calls.
 *
 * Rule of names: a call to F that the call model (pass/model.def) retargets becomes a call to
 * __palisade_F with F's own prototype. So the pass needs no types, tables of function pointers
 * keep working, and the prototypes are those of libc. The hooks live in runtime/hooks.
 *
 * lock      pthread_mutex_{init,destroy,lock,trylock,timedlock,clocklock,unlock}
 *           pthread_cond_{init,destroy,wait,timedwait,clockwait,signal,broadcast}
 *           pthread_rwlock_{init,destroy,rdlock,tryrdlock,timedrdlock,clockrdlock}
 *           pthread_rwlock_{wrlock,trywrlock,timedwrlock,clockwrlock,unlock}
 *           sem_{init,destroy,wait,trywait,timedwait,clockwait,post,getvalue}
 *           pthread_barrier_{init,destroy,wait} pthread_once
 *           mtx_{init,trylock,timedlock} cnd_{init,timedwait}
 *           word_{init,lock,trylock,take,unlock,is_locked,rdlock,tryrdlock,trywrlock}
 *           word_recursive_{init,lock,take,unlock}
 * thread    pthread_create pthread_join pthread_detach pthread_self pthread_exit
 *           thrd_create thrd_join thrd_exit tss_create tss_set
 *           pthread_key_create pthread_key_delete pthread_getspecific pthread_setspecific
 *           pthread_setname_np pthread_getname_np pthread_setaffinity_np pthread_getaffinity_np
 *           sched_setaffinity sched_getaffinity pthread_setschedparam pthread_getschedparam
 *           sched_setscheduler sched_getscheduler pthread_kill
 * value     clock_gettime clock_getres clock_getcpuclockid pthread_getcpuclockid gettimeofday
 *           time timespec_get clock times getrusage nanosleep usleep sleep clock_nanosleep
 *           sched_yield localtime localtime_r gmtime mktime ctime ctime_r asctime tzset rand
 *           srand random srandom initstate setstate drand48 erand48 lrand48 nrand48 mrand48
 *           jrand48 srand48 seed48 lcong48 getrandom getentropy arc4random arc4random_buf
 *           arc4random_uniform getpid getppid gettid getpgrp getuid geteuid getgid getegid
 *           getresuid getresgid getgroups uname gethostname gethostid sysconf get_nprocs
 *           get_nprocs_conf sched_getcpu getcpu sysinfo getloadavg getauxval getenv setenv
 *           putenv unsetenv clearenv setuid seteuid setreuid setresuid setgid setegid setregid
 *           setresgid setgroups initgroups getrlimit setrlimit prlimit umask prctl setlocale
 *           setpriority getpriority nice getaddrinfo freeaddrinfo getnameinfo gethostbyname
 *           gethostbyname2 gethostbyaddr getservbyname getservbyport getprotobyname
 *           getprotobynumber getpwnam getpwuid getpwnam_r getpwuid_r getgrnam getgrgid
 *           getgrnam_r getgrgid_r getifaddrs freeifaddrs if_nameindex if_freenameindex strtok
 *           strerror strsignal inet_ntoa ether_ntoa ether_aton signal __sysv_signal sigaction
 *           siginterrupt sigignore sigprocmask pthread_sigmask sigpending sigaltstack pause
 *           sigsuspend sigwait sigwaitinfo sigtimedwait raise kill alarm ualarm setitimer
 *           getitimer timer_create timer_settime timer_gettime timer_getoverrun timer_delete
 * memory    malloc calloc realloc reallocarray free posix_memalign aligned_alloc valloc pvalloc
 *           malloc_usable_size strdup strndup asprintf vasprintf __asprintf_chk __vasprintf_chk
 *           mmap munmap mremap mprotect madvise
 * packet    socket bind setsockopt getsockopt ioctl if_nametoindex if_indextoname poll ppoll
 *           recvfrom recv recvmsg recvmmsg sendto send sendmsg sendmmsg close fcntl
 *           select pselect epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait
 *           epoll_pwait2 connect listen accept accept4 shutdown getsockname getpeername
 *           socketpair pipe pipe2 eventfd eventfd_read eventfd_write dup dup2 dup3
 * libxdp    xsk_umem__create xsk_umem__delete xsk_umem__fd xsk_socket__create
 *           xsk_socket__create_shared xsk_socket__delete xsk_socket__fd xsk_setup_xdp_prog
 *           xsk_socket__update_xskmap xsk_ring_cons__peek xsk_ring_cons__cancel
 *           xsk_ring_cons__release xsk_cons_nb_avail xsk_ring_prod__needs_wakeup
 *           xsk_ring_prod__reserve xsk_ring_prod__submit xsk_prod_nb_free
 * libpcap   pcap_create pcap_open_live pcap_open_dead pcap_activate pcap_close
 *           pcap_set_snaplen pcap_set_timeout pcap_set_immediate_mode pcap_set_promisc
 *           pcap_set_buffer_size pcap_set_tstamp_type pcap_set_rfmon
 *           pcap_set_protocol_linux pcap_set_tstamp_precision pcap_get_tstamp_precision
 *           pcap_setnonblock pcap_getnonblock pcap_setdirection pcap_set_datalink
 *           pcap_compile pcap_compile_nopcap pcap_freecode pcap_setfilter pcap_datalink
 *           pcap_snapshot pcap_geterr pcap_perror pcap_fileno pcap_get_selectable_fd
 *           pcap_get_required_select_timeout pcap_stats pcap_findalldevs
 *           pcap_freealldevs pcap_lookupdev pcap_lookupnet pcap_loop pcap_dispatch
 *           pcap_next pcap_next_ex pcap_breakloop pcap_inject pcap_sendpacket
 * effect    printf fprintf vfprintf vprintf puts putchar fputs fputc fwrite fflush perror
 *           __printf_chk __fprintf_chk __vfprintf_chk __vprintf_chk write writev exit _exit abort
 *           quick_exit atexit at_quick_exit on_exit __cxa_atexit
 *           syslog vsyslog openlog closelog setlogmask dprintf vdprintf
 *           setvbuf setbuf setlinebuf flockfile funlockfile
 *           open openat creat mkstemp read readv pread pwrite lseek stat lstat fstat
 *           fstatat statvfs access faccessat readlink realpath chdir getcwd unlink unlinkat
 *           rmdir remove rename renameat link symlink mkdir mkdirat mkfifo chmod fchmod
 *           chown fchown truncate ftruncate fsync sync flock lockf isatty
 *           opendir readdir rewinddir closedir
 *           fopen fdopen freopen fclose fread fgets fgetc getchar ungetc getline getdelim
 *           fscanf scanf vfscanf fseek fseeko ftell ftello rewind feof ferror clearerr fileno
 *
 * Everything below has no libc twin.
 */
#ifndef PALISADE_ABI_H
#define PALISADE_ABI_H

#include <stdint.h>

#define PALISADE_ABI_VERSION 1

/*
 * The pass renames the program's main to __palisade_nf_main and emits a main that tail-calls this.
 * `abi` is PALISADE_ABI_VERSION of the pass. Never returns while the NF runs; returns the exit
 * status. nf_main takes (argc, argv, envp) whatever it declares.
 */
int __palisade_start(int argc, char **argv, char **envp, int (*nf_main)(int, char **, char **),
                     uint32_t abi);

/*
 * Words that threads share without a lock: racy, volatile and atomic ones, aligned to their size
 * (R5, R6). Every hook is sequentially consistent, whatever order the program asked for.
 */
uint8_t __palisade_load1(const uint8_t *address);
uint16_t __palisade_load2(const uint16_t *address);
uint32_t __palisade_load4(const uint32_t *address);
uint64_t __palisade_load8(const uint64_t *address);
unsigned __int128 __palisade_load16(const unsigned __int128 *address);
void __palisade_store1(uint8_t *address, uint8_t value);
void __palisade_store2(uint16_t *address, uint16_t value);
void __palisade_store4(uint32_t *address, uint32_t value);
void __palisade_store8(uint64_t *address, uint64_t value);
void __palisade_store16(unsigned __int128 *address, unsigned __int128 value);

/* Loads of a word that is also stored without a hook (R10). */
uint8_t __palisade_mixed1(const uint8_t *address);
uint16_t __palisade_mixed2(const uint16_t *address);
uint32_t __palisade_mixed4(const uint32_t *address);
uint64_t __palisade_mixed8(const uint64_t *address);

/* Read-modify-write; returns what the word held. The pass passes a constant. */
enum palisade_rmw {
    PALISADE_RMW_EXCHANGE,
    PALISADE_RMW_ADD,
    PALISADE_RMW_SUB,
    PALISADE_RMW_AND,
    PALISADE_RMW_NAND,
    PALISADE_RMW_OR,
    PALISADE_RMW_XOR,
    PALISADE_RMW_MAX, /* signed */
    PALISADE_RMW_MIN,
    PALISADE_RMW_UMAX,
    PALISADE_RMW_UMIN,
};
uint8_t __palisade_rmw1(uint8_t *address, uint8_t operand, uint32_t operation);
uint16_t __palisade_rmw2(uint16_t *address, uint16_t operand, uint32_t operation);
uint32_t __palisade_rmw4(uint32_t *address, uint32_t operand, uint32_t operation);
uint64_t __palisade_rmw8(uint64_t *address, uint64_t operand, uint32_t operation);
unsigned __int128 __palisade_rmw16(unsigned __int128 *address, unsigned __int128 operand,
                                   uint32_t operation);

/* Compare-exchange; returns what the word held: it succeeded when that is `expected`. */
uint8_t __palisade_cas1(uint8_t *address, uint8_t expected, uint8_t desired);
uint16_t __palisade_cas2(uint16_t *address, uint16_t expected, uint16_t desired);
uint32_t __palisade_cas4(uint32_t *address, uint32_t expected, uint32_t desired);
uint64_t __palisade_cas8(uint64_t *address, uint64_t expected, uint64_t desired);
unsigned __int128 __palisade_cas16(unsigned __int128 *address, unsigned __int128 expected,
                                   unsigned __int128 desired);

/* Instructions that read the time stamp counter or the CPU's random numbers. */
uint64_t __palisade_rdtsc(void);
uint64_t __palisade_rdrand(void); /* never fails; rdseed too */

/*
 * Locks of one word (0 is free), whatever their own names are: pthread_spin_*, and static-inline
 * functions of DPDK and concurrency kit, whose bodies then are not used. Tries return 0 or EBUSY
 * (trylock), 0 or -EBUSY (tryrdlock, trywrlock), 1 or 0 (take). The recursive ones lie in front of
 * an owner and a depth, int each.
 */
#ifndef __cplusplus
int __palisade_word_init(_Atomic uint32_t *word);
int __palisade_word_lock(_Atomic uint32_t *word);
int __palisade_word_trylock(_Atomic uint32_t *word);
int __palisade_word_take(_Atomic uint32_t *word);
int __palisade_word_rdlock(_Atomic uint32_t *word);
int __palisade_word_tryrdlock(_Atomic uint32_t *word);
int __palisade_word_trywrlock(_Atomic uint32_t *word);
int __palisade_word_unlock(_Atomic uint32_t *word);
int __palisade_word_is_locked(const _Atomic uint32_t *word);
struct recursive;
int __palisade_word_recursive_init(struct recursive *lock);
int __palisade_word_recursive_lock(struct recursive *lock);
int __palisade_word_recursive_take(struct recursive *lock);
int __palisade_word_recursive_unlock(struct recursive *lock);
#endif

/* Around calls of a library's lock, by its address: opaque rows of a model file. */
void __palisade_opaque_lock(void *lock);
void __palisade_opaque_unlock(void *lock);

/*
 * In units compiled with -palisade-check-private: an access of the report comes next. In a backup
 * that checks (standby=check), two of them that no event orders, one a write, are named
 * (runtime/check); elsewhere nothing happens. The sites lie in section palisade_sites.
 */
enum palisade_site_kind {
    PALISADE_SITE_LOGGED,
    PALISADE_SITE_UNWRITTEN, /* init, read-only, assumed-init: nobody writes it any more */
    PALISADE_SITE_COVERED,   /* covered, assumed-covered */
    PALISADE_SITE_PRIVATE,   /* private, assumed-private */
};
struct palisade_site {
    const char *file;
    const char *variable; /* as the report names it */
    uint32_t line;        /* 0: unknown */
    uint16_t kind;        /* enum palisade_site_kind */
    uint16_t write;       /* 1: a store or read-modify-write */
};
void __palisade_private(const void *address, uint64_t bytes, const struct palisade_site *site);

/* In front of a call of a forbidden row: ends the program, or returns (role=off, unmodelled=allow).
 */
void __palisade_refused(const char *name, const char *advice);

/*
 * Constructors and destructors of instrumented units: the pass puts one of these for each into the
 * section palisade_constructors or palisade_destructors, and calls this at the start of nf_main
 * with where the sections begin and end (NULL: there are none).
 */
struct palisade_constructor {
    int64_t priority;
    void (*function)(int argc, char **argv, char **envp);
};
void __palisade_constructors(const struct palisade_constructor *first,
                             const struct palisade_constructor *end,
                             const struct palisade_constructor *first_destructor,
                             const struct palisade_constructor *end_destructor, int argc,
                             char **argv, char **envp);

/*
 * The note: one per translation unit in section .note.palisade (type PALISADE_NOTE_TYPE, name
 * "Palisade"). Its descriptor: struct palisade_note_head, then `json_bytes` of JSON (schema:
 * docs/report.md). The runtime sums `unhandled` over all notes of the program and refuses to start
 * when it is not zero (G8) unless told otherwise.
 */
#define PALISADE_NOTE_NAME "Palisade"
#define PALISADE_NOTE_TYPE 1u
#define PALISADE_NOTE_FORMAT 1u
struct palisade_note_head {
    uint32_t format;     /* PALISADE_NOTE_FORMAT */
    uint32_t unhandled;  /* items that stand in the way of replay */
    uint32_t json_bytes; /* unpadded */
    uint32_t abi;        /* PALISADE_ABI_VERSION */
};

#endif
