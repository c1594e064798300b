/*
 * What every torture NF needs to tell on itself: requests come as UDP packets to nobody, each is
 * answered once, and all answers form one chain (driver.py: check_chain).
 *
 * An answer carries a random number, the clock, the address of a heap block, and a digest of all
 * that its worker knows. Answers are numbered under the chain's lock, and each carries the hash
 * before it and its own. So the state after a takeover differs from the one the released answers
 * were computed from exactly if the chain breaks.
 *
 * A program: main opens the sockets, starts workers that call answers_serve in a loop, and calls
 * answers_print now and then, so that effects are watched too.
 */
#ifndef PALISADE_TORTURE_ANSWERS_H
#define PALISADE_TORTURE_ANSWERS_H

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FLOWS 16
#define HEAD_BYTES 42 /* Ethernet, IPv4, UDP */
#define MAGIC 0x7072757465727574ull

struct request { /* driver.py: REQUEST */
    uint64_t magic, number, flow;
};

struct answer { /* driver.py: ANSWER */
    uint64_t magic, request, worker, worker_n;
    uint64_t n, before, hash;
    uint64_t flow, flow_n, flow_before, flow_hash;
    uint64_t random, clock, pointer, digest;
};

struct chain {
    pthread_mutex_t lock;
    uint64_t n, hash;
    struct {
        uint64_t n, hash;
    } flows[FLOWS];
};

static inline uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9E3779B97F4A7C15ull;
    return hash ^ hash >> 29;
}

static inline int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static inline void die(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- start ---- */

static inline int answers_port(const char *name)
{
    int port = (int)if_nametoindex(name);
    if (port == 0)
        die(name);
    return port;
}

/* A socket that shares the requests of `port` with the others of `group`. */
static inline int answers_socket(int port, int group)
{
    int fanout = group | PACKET_FANOUT_HASH << 16;
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = port};
    int fd = socket(AF_PACKET, SOCK_RAW, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_FANOUT, &fanout, sizeof fanout) != 0)
        die("torture: socket");
    return fd;
}

/* ---- one request ---- */

static inline int answers_request(const uint8_t *in, size_t length, struct request *request)
{
    if (length < HEAD_BYTES + sizeof *request)
        return 0;
    memcpy(request, in + HEAD_BYTES, sizeof *request);
    return request->magic == MAGIC;
}

/* The next link of the chain, as a packet back to who asked; returns its length. */
static inline size_t answers_write(struct chain *chain, const struct request *request,
                                   uint64_t worker, uint64_t *worker_n, uint64_t digest,
                                   size_t block_bytes, const uint8_t *in, uint8_t *out)
{
    struct answer answer = {
        .magic = MAGIC, .request = request->number, .worker = worker, .digest = digest};
    uint8_t *block = malloc(block_bytes);
    if (getrandom(&answer.random, sizeof answer.random, 0) != sizeof answer.random)
        die("torture: getrandom");
    answer.pointer = (uint64_t)block;

    pthread_mutex_lock(&chain->lock);
    answer.clock = (uint64_t)clock_ns();
    answer.n = ++chain->n;
    answer.before = chain->hash;
    answer.hash = mix(answer.before, answer.n);
    answer.hash = mix(answer.hash, answer.request);
    answer.hash = mix(answer.hash, answer.random);
    answer.hash = mix(answer.hash, answer.clock);
    answer.hash = mix(answer.hash, answer.pointer);
    answer.hash = mix(answer.hash, answer.digest);
    chain->hash = answer.hash;
    answer.flow = request->flow % FLOWS;
    answer.flow_n = ++chain->flows[answer.flow].n;
    answer.flow_before = chain->flows[answer.flow].hash;
    answer.flow_hash = mix(answer.flow_before, answer.hash);
    chain->flows[answer.flow].hash = answer.flow_hash;
    answer.worker_n = ++*worker_n;
    pthread_mutex_unlock(&chain->lock);

    free(block);
    memcpy(out, in, HEAD_BYTES);
    memcpy(out, in + 6, 6);
    memcpy(out + 6, in, 6);
    memcpy(out + HEAD_BYTES, &answer, sizeof answer);
    return HEAD_BYTES + sizeof answer;
}

/* Sends to port `to`, whatever the socket is bound to. */
static inline void answers_send(int fd, int to, const uint8_t *bytes, size_t length)
{
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = to};
    if (sendto(fd, bytes, length, 0, (struct sockaddr *)&address, sizeof address) !=
        (ssize_t)length)
        die("torture: sendto");
}

/* ---- for programs with plain workers ---- */

struct answerer {
    struct chain *chain;
    int socket, port;
    uint64_t index, n, digest;
    uint8_t in[2048], out[256];
};

/* Waits for one packet; `deed` does what is to be tortured and tells what it saw. */
static inline void answers_serve(struct answerer *self, uint64_t (*deed)(void *, uint32_t),
                                 void *argument)
{
    struct request request;
    ssize_t bytes = recv(self->socket, self->in, sizeof self->in, 0);
    if (bytes <= 0)
        die("torture: a blocking recv returned nothing");
    if (!answers_request(self->in, (size_t)bytes, &request))
        return;
    uint32_t draw = (uint32_t)rand();
    self->digest = mix(self->digest, deed(argument, draw));
    size_t length = answers_write(self->chain, &request, self->index, &self->n, self->digest,
                                  24 + draw % 100, self->in, self->out);
    answers_send(self->socket, self->port, self->out, length);
}

/* A line about the chain, for check_effects; `tick` grows by the same step from line to line. */
static inline void answers_print(struct chain *chain, uint64_t tick, uint64_t seen)
{
    pthread_mutex_lock(&chain->lock);
    uint64_t n = chain->n, hash = chain->hash;
    pthread_mutex_unlock(&chain->lock);
    printf("tick %llu %llu %016llx %llu\n", (unsigned long long)tick, (unsigned long long)n,
           (unsigned long long)hash, (unsigned long long)seen);
    fflush(stdout);
}

#endif
