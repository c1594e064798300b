/*
 * capture: tortured through libpcap. Two ports, two handles, two threads.
 *
 *   lan  pcap_loop with a filter on half of the flows' UDP ports, broken off and entered again
 *   wan  poll on the selectable descriptor, pcap_dispatch and pcap_next_ex by turns, no filter
 *
 * The callback itself waits (a lock that another thread holds while it sleeps), so that images are
 * taken with libpcap's loop on the stack. What a handle tells (lengths, time stamps, counts) goes
 * into the digest.
 */
#include "answers.h"

#include <pcap/pcap.h>
#include <poll.h>

#define TICK_US 2000

struct capture {
    struct answerer self;
    pcap_t *handle;
    uint64_t breaks;
};

static struct chain chain = {.lock = PTHREAD_MUTEX_INITIALIZER};
static pthread_mutex_t slow = PTHREAD_MUTEX_INITIALIZER;
static struct capture lan = {.self = {.chain = &chain, .index = 0}};
static struct capture wan = {.self = {.chain = &chain, .index = 1}};

static void answer(struct capture *capture, const struct pcap_pkthdr *head, const uint8_t *bytes)
{
    struct answerer *self = &capture->self;
    struct request request;
    if (!answers_request(bytes, head->caplen, &request))
        return;
    self->digest = mix(self->digest, head->len);
    self->digest =
        mix(self->digest, (uint64_t)head->ts.tv_sec * 1000000u + (uint64_t)head->ts.tv_usec);
    pthread_mutex_lock(&slow);
    self->digest = mix(self->digest, self->n);
    pthread_mutex_unlock(&slow);
    size_t length = answers_write(self->chain, &request, self->index, &self->n, self->digest, 64,
                                  bytes, self->out);
    int sent = self->n % 2 ? pcap_inject(capture->handle, self->out, length) == (int)length
                           : pcap_sendpacket(capture->handle, self->out, (int)length) == 0;
    if (!sent)
        die(pcap_geterr(capture->handle));
}

static void called_back(u_char *user, const struct pcap_pkthdr *head, const u_char *bytes)
{
    struct capture *capture = (struct capture *)user;
    answer(capture, head, bytes);
    if (capture->self.n % 50 == 0)
        pcap_breakloop(capture->handle);
}

static void *run_lan(void *unused)
{
    for (;;) {
        int result = pcap_loop(lan.handle, lan.breaks % 3 ? -1 : 7, called_back, (u_char *)&lan);
        if (result != 0 && result != PCAP_ERROR_BREAK)
            die(pcap_geterr(lan.handle));
        lan.breaks++;
        lan.self.digest = mix(lan.self.digest, (uint64_t)result);
    }
    return unused;
}

static void *run_wan(void *unused)
{
    struct pollfd readable = {.fd = pcap_get_selectable_fd(wan.handle), .events = POLLIN};
    for (uint64_t turn = 0;; turn++) {
        struct pcap_pkthdr *head;
        const u_char *bytes;
        if (poll(&readable, 1, 20) < 0)
            die("capture: poll");
        int result = 0;
        if (turn % 2 == 0)
            result = pcap_dispatch(wan.handle, 3, called_back, (u_char *)&wan);
        else if ((result = pcap_next_ex(wan.handle, &head, &bytes)) == 1)
            answer(&wan, head, bytes);
        if (result < 0 && result != PCAP_ERROR_BREAK)
            die(pcap_geterr(wan.handle));
    }
    return unused;
}

static void open_capture(struct capture *capture, const char *port, const char *filter)
{
    char error[PCAP_ERRBUF_SIZE];
    struct bpf_program program;
    capture->handle = pcap_create(port, error);
    if (capture->handle == NULL)
        die(error);
    pcap_set_snaplen(capture->handle, 1000);
    pcap_set_timeout(capture->handle, 10);
    if (pcap_activate(capture->handle) != 0)
        die(pcap_geterr(capture->handle));
    if (filter && (pcap_compile(capture->handle, &program, filter, 1, PCAP_NETMASK_UNKNOWN) != 0 ||
                   pcap_setfilter(capture->handle, &program) != 0))
        die(pcap_geterr(capture->handle));
    if (filter)
        pcap_freecode(&program);
}

int main(int argc, char **argv)
{
    pthread_t threads[2];
    if (argc != 3)
        return 64;
    open_capture(&lan, argv[1], "udp dst port 2000 and not src portrange 1100-1200");
    open_capture(&wan, argv[2], NULL);
    pcap_setnonblock(wan.handle, 1, NULL);
    pthread_create(&threads[0], NULL, run_lan, NULL);
    pthread_create(&threads[1], NULL, run_wan, NULL);
    for (uint64_t tick = 0;; tick++) {
        pthread_mutex_lock(&slow);
        usleep(TICK_US / 2);
        pthread_mutex_unlock(&slow);
        usleep(TICK_US / 2);
        if (tick % 64 == 0) {
            struct pcap_stat stats;
            pcap_stats(lan.handle, &stats);
            answers_print(&chain, tick, stats.ps_recv);
        }
    }
}
