"""What is left out, of which program, and why its absence must show.

NAME: (program, hooks for -palisade-skip, expected[, settings of driver.Run]). Without settings one
snapshot is taken at the start and all is replayed. `expected`: "killed", or in how far the mutant
behaves like the program itself (an equivalent mutant), in words.
"""

KILLED = "killed"

MUTANTS = {
    # locks
    "mutex": (
             "torture",
             "pthread_mutex_lock,pthread_mutex_unlock,pthread_mutex_init,"
             "pthread_mutex_trylock,pthread_mutex_timedlock,pthread_cond_wait,"
             "pthread_cond_timedwait,pthread_cond_signal,pthread_cond_broadcast,"
             "pthread_cond_init",
             KILLED),
    "mutex-lock": ("torture", "pthread_mutex_lock", KILLED),
    "mutex-unlock": ("torture", "pthread_mutex_unlock", KILLED),
    "trylock": ("torture", "pthread_mutex_trylock", KILLED),
    "timedlock": ("torture", "pthread_mutex_timedlock", KILLED),
    "clocklock": ("locks", "pthread_mutex_clocklock", KILLED),
    "cond-wait": ("torture", "pthread_cond_wait", KILLED),
    "cond-timedwait": ("torture", "pthread_cond_timedwait", KILLED),
    "cond-signal": ("torture", "pthread_cond_signal", KILLED),
    "cond-broadcast": ("torture", "pthread_cond_broadcast", KILLED),
    "rwlock": (
             "locks",
             "pthread_rwlock_rdlock,pthread_rwlock_wrlock,pthread_rwlock_unlock,"
             "pthread_rwlock_tryrdlock,pthread_rwlock_trywrlock,pthread_rwlock_timedwrlock,"
             "pthread_rwlock_clockrdlock",
             KILLED),
    "rwlock-read": ("locks", "pthread_rwlock_rdlock", KILLED),
    "rwlock-write": ("locks", "pthread_rwlock_wrlock", KILLED),
    "rwlock-tries": ("locks", "pthread_rwlock_tryrdlock,pthread_rwlock_trywrlock", KILLED),
    "spin": ("locks", "pthread_spin_init,pthread_spin_lock,pthread_spin_trylock,pthread_spin_unlock", KILLED),
    "semaphore": ("locks", "sem_init,sem_post,sem_wait,sem_trywait,sem_timedwait,sem_getvalue", KILLED),
    "barrier": ("locks", "pthread_barrier_init,pthread_barrier_wait", KILLED),
    "once": ("locks", "pthread_once", KILLED),
    "keys": (
             "locks",
             "pthread_key_create,pthread_getspecific,pthread_setspecific,pthread_key_delete",
             KILLED),
    "c11-mutex": (
             "locks",
             "mtx_init,mtx_lock,mtx_unlock,mtx_trylock,mtx_timedlock,cnd_init,cnd_signal,"
             "cnd_timedwait",
             KILLED),
    "c11-thread": ("locks", "thrd_create,thrd_join,thrd_exit", KILLED),
    # words
    "racy-load": ("torture", "load", KILLED),
    "racy-store": ("torture", "store", KILLED),
    "load": ("atomics", "load2,load4,load8", KILLED),
    "store": ("atomics", "store", KILLED),
    "rmw": ("atomics", "rmw", KILLED),
    "cas": ("atomics", "cas4,cas8", KILLED),
    "cas16": ("atomics", "cas16", KILLED),
    "load16": ("atomics", "load16", KILLED),
    "mixed": ("locks", "mixed", KILLED),
    # values
    "rdtsc": ("atomics", "rdtsc", KILLED),
    "clock_gettime": ("torture", "clock_gettime", KILLED),
    "clock": ("values", "clock", KILLED),
    "time": ("torture", "time", KILLED),
    "gettimeofday": ("values", "gettimeofday", KILLED),
    "getrandom": ("torture", "getrandom", KILLED),
    "rand": ("torture", "rand", KILLED),
    "random": ("values", "random", KILLED),
    "drand48": ("values", "drand48,lrand48,srand48", KILLED),
    "nrand48": ("values", "nrand48", KILLED),
    "arc4random": ("values", "arc4random", KILLED),
    "getenv": ("values", "getenv,setenv", KILLED),
    "localtime": ("values", "localtime", KILLED),
    "strtok": ("values", "strtok", KILLED),
    "strerror": ("values", "strerror", KILLED, {"snapshot_ms": 200}),
    "getpid": ("values", "getpid", KILLED),
    "getrusage": ("values", "getrusage", KILLED),
    "umask": ("values", "umask", KILLED),
    # memory
    "malloc": ("torture", "malloc,calloc,realloc,free", KILLED),
    "mmap": ("values", "mmap,mremap,munmap", KILLED),
    # threads, sleep, signals
    "create": ("torture", "pthread_create", KILLED),
    "join": ("torture", "pthread_join", KILLED),
    "self": ("values", "pthread_self", KILLED),
    "usleep": ("torture", "usleep", KILLED),
    "nanosleep": ("values", "nanosleep", KILLED),
    "sched_yield": ("values", "sched_yield", KILLED),
    "sigaction": ("values", "sigaction", KILLED),
    "pthread_kill": ("values", "pthread_kill", KILLED),
    "sigtimedwait": ("values", "sigtimedwait", KILLED),
    "setitimer": ("values", "setitimer", KILLED, {"linger_s": 40}),
    "timer": ("values", "timer_create,timer_settime", KILLED, {"linger_s": 30}),
    # packets
    "recv": ("atomics", "recv", KILLED),
    "recvfrom": ("torture", "recvfrom", KILLED),
    "recvmmsg": ("torture", "recvmmsg", KILLED),
    "poll": ("torture", "poll", KILLED),
    "sendto": ("torture", "sendto", KILLED),
    "sendmmsg": ("torture", "sendmmsg", KILLED),
    "socket": ("torture", "socket", KILLED),
    "if_nametoindex": ("torture", "if_nametoindex", KILLED),
    "pcap-receive": ("capture", "pcap_loop,pcap_dispatch,pcap_next_ex", KILLED),
    "pcap-send": ("capture", "pcap_inject", KILLED),
    "xsk-receive": ("rings", "xsk_ring_cons__peek,xsk_cons_nb_avail", KILLED),
    "xsk-create": ("rings", "xsk_socket__create,xsk_umem__create", KILLED),
    "xsk-send": ("rings", "xsk_ring_prod__submit", KILLED),
    "tpacket-mmap": ("blocks", "mmap", KILLED),
    "tpacket-poll": ("blocks", "poll", KILLED),
    "tun-read": ("tunnel", "read", KILLED),
    "tun-writev": ("tunnel", "writev", KILLED),
    "tun-ioctl": ("tunnel", "ioctl", KILLED),
    # descriptors and effects
    "read": ("files", "read", KILLED),
    "write": ("files", "write", KILLED),
    "open": ("files", "open", KILLED),
    "fopen": ("files", "fopen", KILLED),
    "fgets": ("files", "fgets", KILLED),
    "printf": ("torture", "printf", KILLED),
    "fflush": ("files", "fflush", KILLED),
    "send": ("files", "send", KILLED),
    "udp-send": ("files", "sendto", KILLED),
    "udp-recv": ("files", "recv", KILLED),
    "accept": ("files", "accept4", KILLED),
    "connect": ("files", "connect", KILLED),
    "epoll": ("files", "epoll_create1,epoll_ctl,epoll_wait", KILLED),
    "epoll_wait": ("files", "epoll_wait", KILLED),
    "select": ("files", "select", KILLED),
    "pipe": ("files", "pipe,pipe2", KILLED),
    "eventfd": ("files", "eventfd", KILLED),
    "socketpair": ("files", "socketpair", KILLED),
    "rename": ("files", "rename", KILLED),
    "opendir": ("files", "opendir,readdir,closedir", KILLED),
    "syslog": ("files", "openlog,syslog", KILLED),
    # the gate before what cannot be replayed
    "refused": ("values", "setsid", KILLED),
}

# One a group, those that show within a run nearly always: what every run of the suite does.
SAMPLE = ("mutex-lock", "rwlock-read", "load", "rmw", "clock_gettime", "getrandom", "rand", "malloc",
          "create", "recv", "sendto", "poll")
