/*
 * values: a torture NF for what the C library keeps or the system says.
 *
 * Each worker draws from every generator, reads every clock, and puts what it saw into its digest,
 * so that a replay that sees anything else breaks the chain. What must survive a takeover it checks
 * itself, against a second copy of its own: generators, environment, texts in static buffers,
 * strtok's place, mappings, the umask, limits, names. Timers and handlers must go on as well: main
 * ends the program when no alarm comes for seconds, and so does the thread that waits by sigwait.
 *
 * Signals: SIGALRM (an interval, main sleeps through it), SIGUSR2 (timer_create, sigwait), SIGHUP
 * (worker 0 to worker 1, which waits in recv; worker 1 to the sleeper and back). From outside:
 * SIGTERM, the program ends normally; SIGQUIT, it does what replay cannot repeat.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/ether.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/utsname.h>

#include "answers.h"

#define WORKERS 2
#define TICKS_PRINTED 64
#define SILENCE_NS 20000000000 /* the machine may be busy; a takeover is not that long */

struct worker {
    struct answerer answerer;
    struct worker *other;
    pthread_t thread;
    uint64_t deeds, clocks[12];
    int64_t cpu_ns;
    unsigned short seed48[3], shadow_seed48[3];
    /* what libc gave, and a copy of it */
    char *mapping, *variable, *error, *place;
    struct tm *calendar, calendar_copy;
    struct passwd *user;
    char error_copy[64], list[64], name[16];
};

static struct chain chain = {.lock = PTHREAD_MUTEX_INITIALIZER};
static pthread_mutex_t draw_lock = PTHREAD_MUTEX_INITIALIZER;
/* Second copies of the generators, guarded by draw_lock. */
static struct random_data shadow;
static char shadow_table[128];
static struct drand48_data shadow48;
static uint64_t drawn;
static mode_t mask;
static pthread_t waiter_thread, sleeper_thread;
/* The sleeper waits for a condition that never holds; only signals end its waits. */
static pthread_mutex_t sleeper_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t sleeper_condition = PTHREAD_COND_INITIALIZER;
static uint64_t sleeper_woken;

static _Thread_local volatile uint64_t hangups;
static uint64_t alarms; /* main only, and its handler */
static volatile sig_atomic_t over, forbidden;
static char *built; /* by a constructor */

static void wrong(const char *what)
{
    fprintf(stderr, "values: %s did not survive\n", what);
    exit(3);
}

static void must(bool holds, const char *what)
{
    if (!holds)
        wrong(what);
}

/* ---- before main, after it ---- */

__attribute__((constructor)) static void build(void)
{
    built = malloc(32);
    strcpy(built, "built before main");
}

__attribute__((destructor)) static void demolish(void)
{
    printf("demolished: %s\n", built);
}

static void goodbye(void)
{
    printf("goodbye\n");
}

/* ---- the deeds ---- */

static uint64_t text_hash(const char *text)
{
    uint64_t hash = 0;
    for (; text && *text; text++)
        hash = mix(hash, (uint8_t)*text);
    return hash;
}

static uint64_t draw_all(struct worker *self)
{
    int32_t expected;
    double real, expected_real;
    uint8_t bytes[40];
    uint64_t seen = 0;
    pthread_mutex_lock(&draw_lock);
    /* answers_serve draws, too. */
    int32_t number = (int32_t)(drawn++ & 1 ? random() : rand()), draws = 0;
    do
        random_r(&shadow, &expected);
    while (number != expected && ++draws < 64);
    must(number == expected, "random's state");
    drand48_r(&shadow48, &expected_real);
    real = drand48();
    must(real == expected_real, "drand48's state");
    long low, own, expected_low;
    lrand48_r(&shadow48, &expected_low);
    low = lrand48();
    must(low == expected_low, "lrand48's state");
    nrand48_r(self->shadow_seed48, &shadow48, &expected_low);
    own = nrand48(self->seed48); /* its state is the caller's, its parameters are lcong48's */
    must(own == expected_low, "lcong48's parameters");
    pthread_mutex_unlock(&draw_lock);
    seen = mix(seen, (uint64_t)expected);
    seen = mix(seen, (uint64_t)low);
    seen = mix(seen, (uint64_t)own);
    must(getentropy(bytes, sizeof bytes) == 0, "getentropy");
    for (size_t i = 0; i < sizeof bytes; i++)
        seen = mix(seen, bytes[i]);
    return mix(mix(seen, arc4random()), arc4random_uniform(1000));
}

static uint64_t read_clocks(struct worker *self)
{
    static const clockid_t clocks[] = {
        CLOCK_REALTIME, CLOCK_MONOTONIC,         CLOCK_MONOTONIC_RAW,
        CLOCK_BOOTTIME, CLOCK_REALTIME_COARSE,   CLOCK_MONOTONIC_COARSE,
        CLOCK_TAI,      CLOCK_PROCESS_CPUTIME_ID};
    uint64_t seen = 0;
    struct timespec now;
    for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++) {
        must(clock_gettime(clocks[i], &now) == 0, "clock_gettime");
        uint64_t ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
        must(ns >= self->clocks[i], "a clock's direction");
        self->clocks[i] = ns;
        seen = mix(seen, ns);
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    int64_t cpu = now.tv_sec * 1000000000ll + now.tv_nsec;
    must(cpu >= self->cpu_ns, "the thread's CPU clock");
    self->cpu_ns = cpu;
    struct tms spent;
    struct rusage usage;
    struct timeval day;
    struct sysinfo machine;
    times(&spent);
    getrusage(RUSAGE_SELF, &usage);
    gettimeofday(&day, NULL);
    sysinfo(&machine);
    seen = mix(mix(seen, (uint64_t)cpu), (uint64_t)spent.tms_utime);
    seen = mix(mix(seen, (uint64_t)usage.ru_maxrss), (uint64_t)day.tv_usec);
    seen = mix(mix(seen, machine.freeram), (uint64_t)clock());
    return mix(mix(seen, (uint64_t)time(NULL)), (uint64_t)sched_getcpu());
}

static uint64_t check_texts(struct worker *self)
{
    char stamp[64];
    uint64_t seen = 0;
    if (self->error)
        must(strcmp(self->error, self->error_copy) == 0, "strerror's text");
    if (self->calendar)
        must(self->calendar->tm_sec == self->calendar_copy.tm_sec &&
                 self->calendar->tm_yday == self->calendar_copy.tm_yday,
             "localtime's result");
    if (self->place)
        must((self->place = strtok(NULL, ",")) != NULL || self->deeds % 8 == 0, "strtok's place");
    if (self->user)
        must(strcmp(self->user->pw_name, "root") == 0, "getpwnam's result");
    if (self->deeds % 8 == 0) {
        strcpy(self->list, "a,b,c,d,e,f,g,h,i,j");
        self->place = strtok(self->list, ",");
    }
    self->error = strerror(self->deeds % 3 ? 4000 + (int)(self->deeds % 100) : EINVAL);
    strcpy(self->error_copy, self->error);
    time_t now = time(NULL);
    self->calendar = localtime(&now);
    self->calendar_copy = *self->calendar;
    seen = mix(seen, (uint64_t)mktime(&self->calendar_copy));
    strftime(stamp, sizeof stamp, "%F %T %z %Z", self->calendar);
    seen = mix(seen, text_hash(stamp));
    if (self->deeds % 16 == 0)
        self->user = getpwnam("root");
    char *text;
    must(asprintf(&text, "%s/%llu", self->name, (unsigned long long)self->deeds) > 0, "asprintf");
    seen = mix(mix(seen, text_hash(text)), (uint64_t)text);
    free(text);
    return seen;
}

static uint64_t check_environment(struct worker *self)
{
    char value[32], name[16];
    const char *found = getenv(self->variable);
    snprintf(value, sizeof value, "%llu", (unsigned long long)self->deeds);
    must(found && strcmp(found, value) == 0, "the environment");
    snprintf(value, sizeof value, "%llu", (unsigned long long)self->deeds + 1);
    setenv(self->variable, value, 1);
    must(pthread_getname_np(pthread_self(), name, sizeof name) == 0 &&
             strcmp(name, self->name) == 0,
         "the thread's name");
    struct rlimit limit;
    must(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur == 777, "a limit");
    pthread_mutex_lock(&draw_lock);
    mode_t before = umask((mode_t)(self->deeds % 64));
    must(before == mask, "the umask");
    mask = self->deeds % 64;
    pthread_mutex_unlock(&draw_lock);
    struct utsname machine;
    uname(&machine);
    uint64_t seen = text_hash(machine.nodename);
    seen = mix(mix(seen, (uint64_t)getpid()), (uint64_t)gettid());
    seen = mix(mix(seen, getuid()), (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
    must(getppid() == 1 && getpid() == 2, "the process's number");
    return mix(seen, (uint64_t)found);
}

static uint64_t check_memory(struct worker *self)
{
    size_t pages = 1 + self->deeds % 5;
    uint64_t seen = (uint64_t)self->mapping;
    if (self->mapping) {
        must(self->mapping[0] == 'm' && self->mapping[100] == 0, "a mapping");
        self->mapping = mremap(self->mapping, 4096, 3 * 4096, MREMAP_MAYMOVE);
        must(self->mapping != MAP_FAILED && self->mapping[0] == 'm', "a moved mapping");
        munmap(self->mapping, 3 * 4096);
    }
    char *other =
        mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    self->mapping = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(other != MAP_FAILED && self->mapping != MAP_FAILED, "mmap");
    other[pages * 4096 - 1] = 1;
    self->mapping[0] = 'm';
    munmap(other, pages * 4096);
    return mix(mix(seen, (uint64_t)other), (uint64_t)self->mapping);
}

static uint64_t look_up(void)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_DGRAM}, *list;
    struct ifaddrs *interfaces;
    uint64_t seen = 0;
    must(getaddrinfo("10.1.2.3", "53", &hints, &list) == 0, "getaddrinfo");
    seen = mix(seen, ((struct sockaddr_in *)list->ai_addr)->sin_addr.s_addr);
    seen = mix(seen, (uint64_t)list);
    freeaddrinfo(list);
    must(getifaddrs(&interfaces) == 0, "getifaddrs");
    for (struct ifaddrs *at = interfaces; at; at = at->ifa_next)
        seen = mix(seen, text_hash(at->ifa_name));
    freeifaddrs(interfaces);
    const struct servent *service = getservbyname("domain", "udp");
    return mix(seen, service ? (uint64_t)service->s_port : 0);
}

static uint64_t deed(void *argument, uint32_t draw)
{
    struct worker *self = argument;
    uint64_t seen = mix(draw_all(self), read_clocks(self));
    seen = mix(seen, check_texts(self));
    seen = mix(seen, check_environment(self));
    seen = mix(seen, check_memory(self));
    if (draw % 8 == 0)
        seen = mix(seen, look_up());
    if (draw % 4 == 0 && self->answerer.index == 0)
        pthread_kill(self->other->thread, SIGHUP);
    self->deeds++;
    pthread_mutex_lock(&sleeper_lock);
    uint64_t woken = sleeper_woken;
    pthread_mutex_unlock(&sleeper_lock);
    if (self->answerer.index == 1) { /* the sleeper answers */
        uint64_t before = hangups;
        pthread_kill(sleeper_thread, SIGHUP);
        while (draw % 16 == 0 && hangups == before)
            sched_yield();
    }
    must(self->deeds < 500 || woken > 0, "the way to a waiting thread");
    return mix(mix(seen, hangups), woken);
}

/* ---- threads ---- */

static void on_hangup(int signal)
{
    (void)signal;
    hangups++;
}

static void *work(void *argument)
{
    struct worker *self = argument;
    self->thread = pthread_self();
    pthread_setname_np(pthread_self(), self->name);
    for (;;)
        answers_serve(&self->answerer, deed, self);
    return NULL;
}

static void *sleep_for_ever(void *argument)
{
    const struct worker *caller = argument;
    pthread_mutex_lock(&sleeper_lock);
    for (;;) {
        pthread_cond_wait(&sleeper_condition, &sleeper_lock);
        sleeper_woken += hangups;
        pthread_kill(caller->thread, SIGHUP);
    }
    return argument;
}

/* Takes the ticks of a timer that everybody else blocks. */
static void *wait_for_ticks(void *argument)
{
    int64_t last = clock_ns();
    sigset_t set;
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
    struct itimerspec every = {.it_value = {.tv_nsec = 7000000},
                               .it_interval = {.tv_nsec = 7000000}};
    struct timespec patience = {.tv_sec = 20};
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 ||
        timer_settime(timer, 0, &every, NULL) != 0)
        die("values: timer");
    for (;;) {
        siginfo_t info;
        must(sigtimedwait(&set, &info, &patience) == SIGUSR2, "a timer");
        int64_t now = clock_ns();
        must(now - last < SILENCE_NS, "a timer's interval");
        last = now;
    }
    return argument;
}

static void on_alarm(int signal)
{
    (void)signal;
    alarms++;
}

static void on_end(int signal, siginfo_t *info, void *context)
{
    (void)context;
    over = signal == SIGTERM && info->si_signo == SIGTERM;
}

static void on_quit(int signal)
{
    forbidden = signal == SIGQUIT;
}

static void block(int signal, int how)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    pthread_sigmask(how, &set, NULL);
}

static void install(int signal, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    if (sigaction(signal, &action, NULL) != 0)
        die("values: sigaction");
}

static void prepare(void)
{
    struct rlimit limit = {777, 777};
    initstate_r(12345, shadow_table, sizeof shadow_table, &shadow);
    srandom(12345);
    srand48_r(54321, &shadow48);
    srand48(54321);
    double expected;
    drand48_r(&shadow48, &expected);
    must(drand48() == expected, "srand48's seed");
    unsigned short parameters[7] = {5, 4, 3, 0x1235, 0xbeef, 7, 77}; /* start, factor, addend */
    lcong48_r(parameters, &shadow48);
    lcong48(parameters);
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        die("values: setrlimit");
    umask(0);
    install(SIGHUP, on_hangup, SA_RESTART);
    install(SIGALRM, on_alarm, 0);
    struct sigaction end = {.sa_sigaction = on_end, .sa_flags = SA_SIGINFO};
    sigaction(SIGTERM, &end, NULL);
    install(SIGQUIT, on_quit, 0);
    must(atexit(goodbye) == 0, "atexit");
    block(SIGUSR2, SIG_BLOCK); /* in all threads to come */
    block(SIGALRM, SIG_BLOCK);
    block(SIGTERM, SIG_BLOCK);
    block(SIGQUIT, SIG_BLOCK);
}

int main(int argc, char **argv)
{
    struct worker *workers = calloc(WORKERS, sizeof *workers);
    if (argc != 3 || workers == NULL)
        die("usage: values PORT PORT");
    prepare();
    for (uint64_t i = 0; i < WORKERS; i++) {
        struct worker *self = &workers[i];
        int port = answers_port(argv[1 + i]);
        self->answerer = (struct answerer){
            .chain = &chain, .socket = answers_socket(port, 1), .port = port, .index = i};
        self->other = &workers[1 - i];
        self->variable = strdup(i ? "VALUES_B" : "VALUES_A");
        snprintf(self->name, sizeof self->name, "worker-%d", (int)i);
        setenv(self->variable, "0", 1);
    }
    pthread_create(&sleeper_thread, NULL, sleep_for_ever, &workers[1]);
    pthread_setname_np(sleeper_thread, "sleeper"); /* maybe before it runs */
    for (uint64_t i = 0; i < WORKERS; i++)
        pthread_create(&workers[i].thread, NULL, work, &workers[i]);
    pthread_create(&waiter_thread, NULL, wait_for_ticks, NULL);
    block(SIGALRM, SIG_UNBLOCK);
    block(SIGTERM, SIG_UNBLOCK);
    block(SIGQUIT, SIG_UNBLOCK);

    struct itimerval every = {.it_value = {.tv_usec = 5000}, .it_interval = {.tv_usec = 5000}};
    setitimer(ITIMER_REAL, &every, NULL);
    int64_t last = clock_ns();
    uint64_t seen = 0;
    for (uint64_t tick = 0; !over;) {
        struct timespec left = {0}, pause = {.tv_sec = 30};
        if (nanosleep(&pause, &left) == 0 || errno != EINTR || left.tv_sec > 30)
            wrong("the alarm");
        int64_t now = clock_ns();
        must(alarms != seen || over || forbidden, "the alarm's handler");
        if (forbidden) {
            setsid();
            fprintf(stderr, "values: setsid was not refused\n");
            exit(3);
        }
        must(now - last < SILENCE_NS, "the alarm's interval");
        last = now;
        seen = alarms;
        if (++tick % TICKS_PRINTED == 0)
            answers_print(&chain, tick, seen);
    }
    printf("over\n");
    return 7;
}
