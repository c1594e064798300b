/*
 * The call model as a table: what a call of each known libc function means to replay. The rows are
 * in model.def; the pass and `palisade model --list` read the same table.
 */
#ifndef PALISADE_PASS_MODEL_H
#define PALISADE_PASS_MODEL_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum model_class {
    MODEL_LOCK,       /* takes a lock, or makes, destroys or signals one (lock argument -1) */
    MODEL_TRY,        /* takes the lock when it returns 0 */
    MODEL_TAKE,       /* takes the lock when it returns another value than 0 */
    MODEL_RDLOCK,     /* takes it for reading: others may read too */
    MODEL_RDTRY,      /* the same when it returns 0 */
    MODEL_UNLOCK,     /* gives it back */
    MODEL_VALUE,      /* result and out-buffers are logged */
    MODEL_PURE,       /* touches nothing but its arguments: left alone */
    MODEL_MEMORY,     /* the heap of the runtime */
    MODEL_THREAD,     /* creates, joins, names threads */
    MODEL_PACKET_IN,  /* receives packets or sets up the descriptors they come from */
    MODEL_PACKET_OUT, /* sends packets */
    MODEL_EFFECT,     /* output other than packets */
    MODEL_FORBIDDEN,  /* can never be repeated: ends the program when it is called */
    MODEL_CLASSES
};

struct model_row {
    const char *name;
    enum model_class class_;
    int lock;         /* argument that names the lock; -1: none */
    const char *hook; /* calls go to __palisade_<hook>; "": not hooked */
    int drop;         /* argument the hook does not take; -1: none */
    const char *note; /* for the person; "" when there is nothing to say */
    int opaque;       /* of a library that is not instrumented: calls are put in order around it */
};

/* About locks. */
static inline int model_is_lock(enum model_class class_)
{
    return class_ <= MODEL_UNLOCK;
}

/* The whole table, in the order of model.def; *count receives the number of rows. Any thread. */
const struct model_row *model_rows(size_t *count);
/* The row of `name`; NULL when the model does not know it. Any thread. */
const struct model_row *model_find(const char *name);
/* Its body stands in a library's header (inline.def): 1, else 0. */
int model_is_inline(const char *name);
/* "lock", "packet_in", ...; never NULL. */
const char *model_class_name(enum model_class class_);

#ifdef __cplusplus
}
#endif
#endif
