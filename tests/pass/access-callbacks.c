// A function that a library calls back runs on the calling thread, with the locks held there, and
// with the argument that was handed over for it.
// RUN: %clang_whole -O1 %remarks %s 2>&1 | FileCheck %s --implicit-check-not='packets logged' \
// RUN:     --implicit-check-not='as a whole'
#include <pcap/pcap.h>
#include <pthread.h>
#include <stdlib.h>

struct capture {
    pcap_t *handle;
    unsigned long packets;
};

static struct capture lan, wan;
static unsigned long both;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int values[8];

static void called_back(u_char *user, const struct pcap_pkthdr *head, const u_char *bytes)
{
    struct capture *capture = (struct capture *)user;
    (void)bytes;
    capture->packets += head->len; // lan's by its thread alone, wan's by the other
    // CHECK-DAG: access-callbacks.c:[[@LINE+1]]:{{.*}}load of both logged
    both++;
}

static int compare(const void *a, const void *b)
{
    // CHECK-DAG: access-callbacks.c:[[@LINE+1]]:{{.*}}load of values[] elided: covered by lock
    return *(const int *)a - *(const int *)b;
}

static void *run_lan(void *unused)
{
    pcap_loop(lan.handle, -1, called_back, (u_char *)&lan);
    return unused;
}

static void *run_wan(void *unused)
{
    pcap_loop(wan.handle, -1, called_back, (u_char *)&wan);
    return unused;
}

static void *sort(void *unused)
{
    pthread_mutex_lock(&lock);
    qsort(values, 8, sizeof *values, compare);
    pthread_mutex_unlock(&lock);
    return unused;
}

int main(void)
{
    pthread_t threads[4];
    pthread_create(&threads[0], NULL, run_lan, NULL);
    pthread_create(&threads[1], NULL, run_wan, NULL);
    pthread_create(&threads[2], NULL, sort, NULL);
    pthread_create(&threads[3], NULL, sort, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
