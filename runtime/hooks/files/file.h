/*
 * Files: what open gives, and descriptors 0 to 2.
 *
 * Regular files: the position is in the image and the kernel is given it with every read and
 * write. Writes are effects at explicit positions, so that performing one twice does no harm; a
 * read waits until they are performed, and is logged. Everything else (terminals, devices, pipes
 * with a name) is a stream: reads are logged, writes are effects in order.
 */
#ifndef PALISADE_HOOKS_FILE_H
#define PALISADE_HOOKS_FILE_H

#include <fcntl.h>

#include "hooks/files/descriptor.h"
#include "hooks/files/effect.h"
#include "hooks/files/native.h"
#include "hooks/values/logged.h"

/* In images. */
enum file_kind { FILE_REGULAR, FILE_STREAM, FILE_DIRECTORY };

struct nf_file {          /* in the NF's heap; own[0] of the descriptor points to it */
    struct nf_mutex lock; /* guards offset and end */
    uint32_t kind;
    int32_t flags; /* of open, without what acts only once */
    uint32_t mode;
    int32_t standard; /* descriptor the process was started with + 1 */
    uint32_t gone;    /* it has no name any more */
    int32_t flock;    /* operation, 0: none */
    struct flock record_lock;
    bool record_locked;
    int64_t offset;
    int64_t end; /* O_APPEND: where the next write goes, if nobody else writes */
    char *path;  /* absolute */
};

static inline struct nf_file *file_of(uint32_t index)
{
    return (struct nf_file *)IMAGE->descriptors[index].own[0];
}

/* `path` as the NF means it, absolute, into `out` of PATH_BYTES. 0 or an errno. */
int path_resolve(int directory, const char *path, char *out);
/* open, with a resolved path. */
int file_open(struct nf_thread *thread, const char *path, int flags, mode_t mode);
/* The files that have this name (resolved) get another; NULL: none any more. NF threads. */
void file_renamed(struct nf_thread *thread, const char *from, const char *to);
/* The index of `fd` if it is a file; else DESCRIPTORS_MAX and errno (ESPIPE, EBADF). */
uint32_t file_index(int fd);
/* fcntl(F_SETLK) and its kin (file_lock.c). */
int file_lock(struct nf_thread *thread, uint32_t index, int command, struct flock *lock);

/*
 * One that changes names or sizes: not to be repeated, so it waits for all before it
 * (effects_settle) and logs what came of it. Who goes live in the middle of one cannot know whether
 * the dead master got that far: `tolerated` is then the error that says it did.
 */
#define SETTLED(thread, what, tolerated, call)                                                     \
    ({                                                                                             \
        bool again_ = process_mode() == MODE_REPLAY;                                               \
        LOGGED(thread, what, 0, ({                                                                 \
                   effects_settle(thread);                                                         \
                   int64_t done_ = RESULT_OF(call);                                                \
                   again_ &&done_ == -(int64_t)(tolerated) ? 0 : done_;                            \
               }));                                                                                \
    })

#endif
