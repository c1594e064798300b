/* See native.h. The table is guarded by `mutex`. */
#include "hooks/files/native.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/assert.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct native *natives[DESCRIPTORS_MAX];

struct native *native_of(uint32_t index)
{
    pthread_mutex_lock(&mutex);
    struct native *native = natives[index];
    if (native == NULL) {
        native = calloc(1, sizeof *native);
        if (native == NULL)
            process_fail(STATUS_MEMORY, "no memory for a descriptor");
        atomic_store(&native->references, 1); /* the table's */
        atomic_store(&native->fd, -1);
        natives[index] = native;
    }
    native_keep(native);
    pthread_mutex_unlock(&mutex);
    return native;
}

void native_keep(struct native *native)
{
    atomic_fetch_add(&native->references, 1);
}

void native_put(struct native *native)
{
    if (atomic_fetch_sub(&native->references, 1) > 1)
        return;
    ASSERT(native->first == NULL);
    int fd = atomic_load(&native->fd);
    if (fd > STDERR_FILENO)
        close(fd);
    free(native->orphan);
    free(native);
}

void native_install(uint32_t index, int fd)
{
    struct native *native = native_of(index);
    atomic_store(&native->fd, fd);
    native_put(native);
}

int native_fd(uint32_t index)
{
    pthread_mutex_lock(&mutex);
    int fd = natives[index] ? atomic_load(&natives[index]->fd) : -1;
    pthread_mutex_unlock(&mutex);
    return fd;
}

void native_close(uint32_t index, const void *image_side, size_t bytes,
                  int (*reopen)(const void *image_side))
{
    pthread_mutex_lock(&mutex);
    struct native *native = natives[index];
    natives[index] = NULL;
    pthread_mutex_unlock(&mutex);
    if (native == NULL)
        return;
    if (reopen && atomic_load(&native->fd) < 0 && atomic_load(&native->queued) > 0) {
        native->orphan = malloc(bytes);
        if (native->orphan == NULL)
            process_fail(STATUS_MEMORY, "no memory for a descriptor");
        memcpy(native->orphan, image_side, bytes);
        native->reopen = reopen;
    }
    native_put(native);
}
