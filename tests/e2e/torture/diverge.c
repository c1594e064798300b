/*
 * diverge: answers carry what a replay cannot repeat, by one of three ways that Palisade was not
 * told of (planted.h). A thread and a socket a port. Prints nothing: packets are what is compared.
 * By a fourth way no packet tells of it: a thread goes no further in the backup, and the others
 * wait for it.
 */
#include "answers.h"
#include "planted.h"

#define TICK_US 200

enum way { RANDOM, COUNTER, CONSTANT, STILL };

static struct chain chain = {.lock = PTHREAD_MUTEX_INITIALIZER};
static struct answerer lanes[2];
static enum way way;

static uint64_t planted(void)
{
    switch (way) {
    case RANDOM:
        return planted_random();
    case COUNTER:
        return planted_counted();
    case CONSTANT:
        return planted_constant();
    default:
        return 0;
    }
}

static void *serve(void *argument)
{
    struct answerer *self = argument;
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = self->port};
    struct request request;
    for (;;) {
        ssize_t bytes = recv(self->socket, self->in, sizeof self->in, 0);
        if (bytes <= 0)
            die("diverge: a blocking recv returned nothing");
        if (!answers_request(self->in, (size_t)bytes, &request))
            continue;
        size_t length = answers_write(&chain, &request, self->index, &self->n, planted(), 64,
                                      self->in, self->out);
        sendto(self->socket, self->out, length, 0, (void *)&to, sizeof to); /* departs here */
    }
    return NULL;
}

/* In replay it goes its own way: nothing makes it wait for the lanes. */
static void *count(void *argument)
{
    (void)argument;
    for (;;) {
        planted_count();
        if (way == STILL) {
            pthread_mutex_lock(&chain.lock);
            planted_stand();
            pthread_mutex_unlock(&chain.lock);
        }
        usleep(TICK_US);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[3];
    if (argc != 4)
        return 64;
    way = strcmp(argv[3], "random") == 0    ? RANDOM
          : strcmp(argv[3], "counter") == 0 ? COUNTER
          : strcmp(argv[3], "still") == 0   ? STILL
                                            : CONSTANT;
    for (int i = 0; i < 2; i++) {
        int port = answers_port(argv[1 + i]);
        lanes[i] = (struct answerer){
            .chain = &chain, .index = (uint64_t)i, .port = port, .socket = answers_socket(port, i)};
    }
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, serve, &lanes[i]);
    pthread_create(&threads[2], NULL, count, NULL);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}
