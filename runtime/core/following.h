/*
 * The output logger and its hot standby: when a backup may follow, whose snapshots count meanwhile,
 * and what is left of one that was lost or that departed from the log.
 *
 *   NOT --base in place, a master reigns--> FOLLOWS --lost--> NOT
 *       FOLLOW, logs since the base                  its open snapshots are dropped
 *       master: STANDBY 1                            master: STANDBY 0
 *
 * While it follows only the standby's snapshots become the base: one of the master's may lie before
 * what the standby has replayed, or beyond what it was sent. What the master had under way is
 * dropped when it arrives; told STANDBY 0 it makes a new one at once, which may also be the first
 * that names a new input logger (R16).
 *
 * A standby that departed from the log may have made snapshots after that and before it was
 * noticed (G6): as long as the base may be such a one nobody follows from it or takes over.
 */
#ifndef PALISADE_CORE_FOLLOWING_H
#define PALISADE_CORE_FOLLOWING_H

#include "log_feed.h"

struct following {
    bool follows;
    bool mistrusted; /* a standby departed; no snapshot of the master is the base since */
};

/*
 * A master reigns and is served, a hot backup has snapshot `in_place`; `coming` is the last one
 * that the master began and that is not the base (NULL: none). May the backup follow? Not when what
 * would be dropped is needed: the first snapshot that names a new input logger, without which no
 * standby is copied anything; or one that frees the logs of many barriers.
 */
bool following_may_begin(const struct following *following, const struct output_log *log,
                         uint64_t in_place, const struct snapshot_mark *coming);
/* FOLLOW goes to the standby, STANDBY 1 to the master. */
void following_begin(struct following *following, struct output_log *log, struct log_feed *feed);
/* Whose image is this? False: it is dropped, whoever sent it did not know better. */
bool following_takes_image(const struct following *following, bool of_standby);
/* The standby is gone; STANDBY 0 goes to the master. */
void following_lost(struct following *following, struct output_log *log);
/* It said that it departed from the log: it is as good as gone; a snapshot of the master is wanted.
 */
void following_departed(struct following *following, struct output_log *log);
/* A snapshot became the base. */
void following_based(struct following *following, const struct output_log *log);
/*
 * May anybody take over from the base, or go on from what it replayed since? The daemon lets the
 * replay say so: the very record at which the standby departed lies between the base and the end of
 * the logs.
 */
bool following_may_take_over(const struct following *following, const struct output_log *log);

#endif
