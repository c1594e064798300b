/*
 * files: tortured through files, streams, sockets, pipes and epoll (files.py looks at the other
 * ends).
 *
 *   main      reads its settings by fgets, ticks, rewrites a report through a new file and rename
 *   worker 0  blocking receives; its deeds use a log file, devices, a pipe and an eventfd
 *   worker 1  epoll over a packet socket, a control socket with its connections, pipe and eventfd
 *   exporter  sends a numbered datagram for each number that comes through a socket pair
 *   looker    select over many descriptors
 *
 * The log is opened for appending and shared; what is read back goes into the digests.
 */
#define _GNU_SOURCE 1
#include "answers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <syslog.h>

#define TICK_US 2000
#define TICKS_PRINTED 64
#define CROWD 40

static struct chain chain = {.lock = PTHREAD_MUTEX_INITIALIZER};
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *log_stream;
static uint64_t log_lines, log_bytes; /* under log_lock */

static char collector[64];
static int collector_port, control_port;

static int export_socket, tell_socket, export_pair[2], wake_pipe[2], wake_event, crowd[CROWD][2];
static int ports[2];

static void export_number(uint64_t number)
{
    if (send(export_pair[0], &number, sizeof number, 0) != sizeof number)
        die("files: pair");
}

/* ---- deeds ---- */

static uint64_t append_line(uint64_t tag)
{
    pthread_mutex_lock(&log_lock);
    uint64_t number = ++log_lines;
    int length = fprintf(log_stream, "line %llu %016llx\n", (unsigned long long)number,
                         (unsigned long long)mix(number, tag));
    if (length < 0)
        die("files: log");
    if (number % 4 == 0)
        syslog(LOG_NOTICE, "line %llu %016llx", (unsigned long long)number,
               (unsigned long long)mix(number, tag));
    log_bytes += (uint64_t)length;
    if (number % 3 == 0 && fflush(log_stream) != 0)
        die("files: flush");
    pthread_mutex_unlock(&log_lock);
    export_number(number);
    return number;
}

static uint64_t read_device(void)
{
    uint64_t random[3] = {0};
    int fd = open("/dev/urandom", O_RDONLY);
    if (fd < 0 || read(fd, random, sizeof random) != sizeof random || close(fd) != 0)
        die("files: /dev/urandom");
    return mix(mix(random[0], random[1]), random[2]);
}

static uint64_t look_at_log(void)
{
    struct stat status;
    char head[64] = {0};
    pthread_mutex_lock(&log_lock);
    int fd = open("log", O_RDONLY);
    if (fd < 0 || fflush(log_stream) != 0 || fstat(fd, &status) != 0)
        die("files: stat");
    if ((uint64_t)status.st_size != log_bytes)
        die("files: the log is not as long as what was written");
    pthread_mutex_unlock(&log_lock);
    off_t end = lseek(fd, 0, SEEK_END);
    if (pread(fd, head, 20, end > 20 ? end - 20 : 0) < 0 || close(fd) != 0)
        die("files: pread");
    uint64_t digest = mix((uint64_t)status.st_size, (uint64_t)end);
    for (int i = 0; i < 20; i++)
        digest = mix(digest, (uint64_t)head[i]);
    return digest;
}

static uint64_t wake_others(uint32_t draw)
{
    uint64_t one = 1 + draw % 3;
    char byte = (char)draw;
    if (draw % 2 ? write(wake_event, &one, sizeof one) != sizeof one
                 : write(wake_pipe[1], &byte, 1) != 1)
        die("files: wake");
    if (write(crowd[draw % CROWD][1], &byte, 1) != 1)
        die("files: crowd");
    return one;
}

static uint64_t deed(void *unused, uint32_t draw)
{
    (void)unused;
    switch (draw % 8) {
    case 0:
        return read_device();
    case 1:
        return look_at_log();
    case 2:
    case 3:
        return wake_others(draw >> 3);
    case 4:
        errno = 0;
        return (uint64_t)access("nowhere", R_OK) + (uint64_t)errno;
    default:
        return append_line(draw);
    }
}

/* ---- worker 1 ---- */

static struct answerer *by_epoll, *by_recv; /* each its own thread's */

static int listen_for_control(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)control_port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), yes = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 8) != 0)
        die("files: control");
    return fd;
}

static void watch(int set, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) != 0)
        die("files: epoll_ctl");
}

static void control(int set, int fd)
{
    char text[128], answer[128];
    unsigned long long number;
    ssize_t length = recv(fd, text, sizeof text - 1, 0);
    if (length <= 0) {
        if (length < 0 && errno == EAGAIN)
            return;
        epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL);
        close(fd);
        return;
    }
    text[length] = 0;
    if (sscanf(text, "ping %llu", &number) != 1)
        return;
    pthread_mutex_lock(&chain.lock);
    int size = snprintf(answer, sizeof answer, "pong %llu %llu %016llx\n", number,
                        (unsigned long long)chain.n, (unsigned long long)chain.hash);
    pthread_mutex_unlock(&chain.lock);
    if (send(fd, answer, (size_t)size, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
        die("files: answer");
}

static void drain_pipe(void)
{
    char bytes[16];
    ssize_t n;
    while ((n = read(wake_pipe[0], bytes, sizeof bytes)) > 0)
        by_epoll->digest = mix(by_epoll->digest, (uint64_t)(n * 1000 + bytes[0]));
    if (errno != EAGAIN)
        die("files: pipe");
}

static void packet(void)
{
    struct request request;
    ssize_t length = recv(by_epoll->socket, by_epoll->in, sizeof by_epoll->in, MSG_DONTWAIT);
    if (length <= 0 || !answers_request(by_epoll->in, (size_t)length, &request))
        return;
    by_epoll->digest = mix(by_epoll->digest, deed(NULL, (uint32_t)rand()));
    size_t size = answers_write(&chain, &request, 1, &by_epoll->n, by_epoll->digest, 64,
                                by_epoll->in, by_epoll->out);
    answers_send(by_epoll->socket, by_epoll->port, by_epoll->out, size);
}

static void *run_epoll(void *unused)
{
    int set = epoll_create1(0), listener = listen_for_control();
    watch(set, by_epoll->socket, EPOLLIN);
    watch(set, listener, EPOLLIN);
    watch(set, wake_pipe[0], EPOLLIN | EPOLLET);
    watch(set, wake_event, EPOLLIN | EPOLLONESHOT);
    for (;;) {
        struct epoll_event events[8];
        int found = epoll_wait(set, events, 8, -1);
        for (int i = 0; i < found; i++) {
            int fd = events[i].data.fd;
            uint64_t count = 0;
            if (fd == by_epoll->socket) {
                packet();
            } else if (fd == listener) {
                int peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
                if (peer >= 0)
                    watch(set, peer, EPOLLIN | EPOLLET);
            } else if (fd == wake_pipe[0]) {
                drain_pipe();
            } else if (fd == wake_event) {
                if (read(wake_event, &count, sizeof count) != sizeof count)
                    die("files: eventfd");
                by_epoll->digest = mix(by_epoll->digest, count);
                struct epoll_event again = {.events = EPOLLIN | EPOLLONESHOT, .data.fd = fd};
                epoll_ctl(set, EPOLL_CTL_MOD, fd, &again);
            } else {
                control(set, fd);
            }
        }
    }
    return unused;
}

static void *run_recv(void *unused)
{
    for (;;)
        answers_serve(by_recv, deed, NULL);
    return unused;
}

/* ---- exports ---- */

static void *run_export(void *unused)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)collector_port)};
    uint64_t number, sent = 0;
    inet_pton(AF_INET, collector, &to.sin_addr);
    for (;;) {
        if (recv(export_pair[1], &number, sizeof number, 0) != sizeof number)
            die("files: pair");
        sent++;
        uint64_t message[3] = {sent, number, mix(sent, number)};
        if (sendto(export_socket, message, sizeof message, 0, (struct sockaddr *)&to, sizeof to) <
            0)
            die("files: export");
        char line[64];
        int length = snprintf(line, sizeof line, "tell %llu\n", (unsigned long long)sent);
        if (send(tell_socket, line, (size_t)length, MSG_NOSIGNAL) != length)
            die("files: tell");
    }
    return unused;
}

/* A connection of ours: it is made again after a takeover. */
static int connect_to_collector(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)(collector_port + 2))};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, collector, &to.sin_addr);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        die("files: connect");
    return fd;
}

/* More descriptors than fit one number, by select and poll in turn. */
static void *run_look(void *unused)
{
    uint64_t seen = 0;
    for (uint64_t turn = 0;; turn++) {
        fd_set readable;
        struct pollfd fds[CROWD];
        char byte;
        FD_ZERO(&readable);
        for (int i = 0; i < CROWD; i++) {
            FD_SET(crowd[i][0], &readable);
            fds[i] = (struct pollfd){.fd = crowd[i][0], .events = POLLIN};
        }
        if (turn % 2 ? select(FD_SETSIZE, &readable, NULL, NULL, NULL) <= 0
                     : poll(fds, CROWD, -1) <= 0)
            die("files: look");
        for (int i = 0; i < CROWD; i++)
            if ((turn % 2 ? FD_ISSET(crowd[i][0], &readable) : fds[i].revents & POLLIN) &&
                read(crowd[i][0], &byte, 1) == 1)
                seen = mix(seen, (uint64_t)byte + (uint64_t)i);
        pthread_mutex_lock(&chain.lock);
        chain.flows[0].n += 0 * seen;
        pthread_mutex_unlock(&chain.lock);
        if (turn % 5 == 0)
            export_number(seen);
    }
    return unused;
}

/* ---- main ---- */

static void read_settings(void)
{
    char line[128];
    FILE *settings = fopen("settings", "r");
    if (settings == NULL)
        die("files: settings");
    while (fgets(line, sizeof line, settings)) {
        if (line[0] == '#')
            continue;
        if (sscanf(line, "export %63s %d", collector, &collector_port) != 2 &&
            sscanf(line, "control %d", &control_port) != 1)
            die("files: a line of the settings");
    }
    rewind(settings);
    char word[64];
    int scanned = fscanf(settings, "# %63s", word);
    if (scanned != 1 || feof(settings) || fclose(settings) != 0)
        die("files: settings");
}

static void write_report(uint64_t number)
{
    FILE *report = fopen("report.new", "w");
    if (report == NULL)
        die("files: report");
    for (int i = 0; i < 300; i++)
        fprintf(report, "report %llu row %d of 300\n", (unsigned long long)number, i);
    if (fclose(report) != 0 || rename("report.new", "report") != 0)
        die("files: rename");
    char *line = NULL;
    size_t room = 0, rows = 0;
    FILE *back = fopen("report", "r");
    while (back && getline(&line, &room, back) > 0)
        rows++;
    if (rows != 300 || fclose(back) != 0)
        die("files: the report is not what was written");
    free(line);
}

static void expect(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "files: %s\n", what);
        exit(1);
    }
}

/* Does everything do what it does without Palisade? */
static void check_streams(void)
{
    char text[64], *line = NULL;
    size_t room = 0;
    int number = 0;
    FILE *file = fopen("check", "w+");
    expect(file && fprintf(file, "one 1\ntwo 2 three\n%05000d\nlast", 7) == 5023, "fprintf");
    expect(ftell(file) == 5023 && fseek(file, 0, SEEK_SET) == 0, "fseek");
    expect(fscanf(file, "%63s %d", text, &number) == 2 && number == 1, "fscanf");
    expect(fgetc(file) == '\n' && fgetc(file) == 't' && ungetc('T', file) == 'T', "ungetc");
    expect(fgets(text, 5, file) && strcmp(text, "Two ") == 0, "fgets");
    expect(getline(&line, &room, file) == 8 && strcmp(line, "2 three\n") == 0, "getline");
    expect(getline(&line, &room, file) == 5001 && line[4999] == '7', "a long line");
    expect(fread(text, 1, 10, file) == 4 && feof(file) && memcmp(text, "last", 4) == 0, "fread");
    expect(fseek(file, 4, SEEK_SET) == 0 && fputs("X", file) >= 0 && fflush(file) == 0, "fputs");
    int fd = fileno(file), twin = dup(fd);
    expect(twin >= 0 && pread(twin, text, 6, 0) == 6 && memcmp(text, "one X\n", 6) == 0, "pread");
    expect(fclose(file) == 0 && read(fd, text, 1) < 0 && errno == EBADF, "fclose");
    expect(lseek(twin, -4, SEEK_END) == 5019 && read(twin, text, 9) == 4, "lseek");
    expect(ftruncate(twin, 3) == 0 && lseek(twin, 0, SEEK_END) == 3 && close(twin) == 0, "size");
    expect(unlink("check") == 0 && unlink("check") < 0 && errno == ENOENT, "unlink");
    free(line);
}

static void check_names(void)
{
    char here[256], *real = NULL;
    int found = 0;
    expect(mkdir("folder", 0700) == 0 && mkdir("folder", 0700) < 0 && errno == EEXIST, "mkdir");
    DIR *folder = opendir(".");
    for (struct dirent *entry; folder && (entry = readdir(folder)) != NULL;)
        found += strcmp(entry->d_name, "settings") == 0 || strcmp(entry->d_name, "folder") == 0;
    expect(folder && closedir(folder) == 0 && found == 2, "readdir");
    expect(getcwd(here, sizeof here) && (real = realpath("folder/..", NULL)) != NULL, "getcwd");
    expect(strcmp(here, real) == 0 && rmdir("folder") == 0 && chdir("folder") < 0, "rmdir");
    free(real);
    openlog("files", LOG_PID | LOG_PERROR, LOG_DAEMON);
    syslog(LOG_INFO, "names are checked, %d found", found);
    openlog("files", LOG_PID, LOG_LOCAL3);
}

static void check_pipes(void)
{
    uint64_t value = 3;
    char text[16];
    struct pollfd look = {.fd = wake_pipe[0], .events = POLLIN};
    expect(write(wake_event, &value, 8) == 8 && write(wake_event, &value, 8) == 8, "eventfd");
    expect(read(wake_event, &value, 8) == 8 && value == 6, "what is in an eventfd");
    expect(read(wake_event, &value, 8) < 0 && errno == EAGAIN, "an empty eventfd");
    expect(poll(&look, 1, 0) == 0 && write(wake_pipe[1], "abcdef", 6) == 6, "a pipe");
    expect(poll(&look, 1, -1) == 1 && look.revents == POLLIN, "poll");
    expect(read(wake_pipe[0], text, 4) == 4 && memcmp(text, "abcd", 4) == 0, "part of a pipe");
    expect(read(wake_pipe[0], text, 9) == 2 && read(wake_pipe[0], text, 9) < 0, "its rest");
    expect(write(export_pair[0], "12", 2) == 2 && write(export_pair[0], "345", 3) == 3, "a pair");
    expect(recv(export_pair[1], text, 9, 0) == 2 && recv(export_pair[1], text, 9, 0) == 3,
           "two messages");
}

int main(int argc, char **argv)
{
    pthread_t threads[4];
    if (argc != 4 || chdir(argv[3]) != 0)
        return 64;
    read_settings();
    log_stream = fopen("log", "a");
    export_socket = socket(AF_INET, SOCK_DGRAM, 0);
    tell_socket = connect_to_collector();
    wake_event = eventfd(0, EFD_NONBLOCK);
    if (log_stream == NULL || export_socket < 0 || wake_event < 0 ||
        pipe2(wake_pipe, O_NONBLOCK) != 0 || socketpair(AF_UNIX, SOCK_DGRAM, 0, export_pair) != 0)
        die("files: start");
    check_streams();
    check_names();
    check_pipes();
    for (int i = 0; i < CROWD; i++)
        if (pipe(crowd[i]) != 0)
            die("files: crowd");
    for (int i = 0; i < 2; i++)
        ports[i] = answers_port(argv[1 + i]);
    by_recv = calloc(1, sizeof *by_recv);
    by_epoll = calloc(1, sizeof *by_epoll);
    if (by_recv == NULL || by_epoll == NULL)
        die("files: memory");
    *by_recv = (struct answerer){.chain = &chain, .index = 0};
    *by_epoll = (struct answerer){.chain = &chain, .index = 1};
    by_recv->socket = answers_socket(by_recv->port = ports[0], 1);
    by_epoll->socket = answers_socket(by_epoll->port = ports[1], 2);
    void *(*const runs[4])(void *) = {run_recv, run_epoll, run_export, run_look};
    for (int i = 0; i < 4; i++)
        if (pthread_create(&threads[i], NULL, runs[i], NULL) != 0)
            die("files: thread");
    for (uint64_t tick = 0;; tick++) {
        usleep(TICK_US);
        if (tick % TICKS_PRINTED == 0) {
            answers_print(&chain, tick, 0);
            write_report(tick);
        }
    }
}
