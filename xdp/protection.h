/*
 * How long nobody could have taken over: since when no backup holds a committed base. It counts
 * from the moment a master reigns until a backup has every committed page, again from the loss of
 * either. A backup that lags behind later images still protects: what it lacks is sent before
 * TAKEOVER.
 */
#ifndef PALISADE_XDP_PROTECTION_H
#define PALISADE_XDP_PROTECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "journal.h"

struct protection {
    bool counts;       /* somebody reigns, or did not end its reign */
    bool protected;    /* a backup could take over */
    int64_t since_ns;  /* not protected: for how long already */
    int64_t before_ns; /* sum of the earlier times */
};

/* Not protected from now on, unless it was so before; the cause goes into the journal. */
void protection_lost(struct protection *protection, struct journal *journal, int64_t now_ns,
                     const char *cause);
/* A backup holds every committed page. */
void protection_gained(struct protection *protection, struct journal *journal, int64_t now_ns);
/* There is nothing to protect. */
void protection_end(struct protection *protection, int64_t now_ns);
int64_t protection_unprotected_ns(const struct protection *protection, int64_t now_ns);

#endif
