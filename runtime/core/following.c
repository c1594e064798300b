/* See following.h. */
#include "following.h"

/* Each standby that is lost costs a barrier; as many as a log has room for would end the master. */
static bool many_barriers(const struct output_log *log)
{
    for (uint32_t t = 0; t < THREADS_MAX; t++)
        if (output_log_stored(log, t)->segment_count > STORED_SEGMENTS_MAX / 2)
            return true;
    return false;
}

bool following_may_begin(const struct following *following, const struct output_log *log,
                         uint64_t in_place, const struct snapshot_mark *coming)
{
    const struct snapshot_mark *base = output_log_base(log);
    bool needed = coming != NULL && (coming->inputs_of != base->inputs_of || many_barriers(log));

    return !following->follows && !following->mistrusted && base->number != 0 &&
           base->number == in_place && !needed;
}

void following_begin(struct following *following, struct output_log *log, struct log_feed *feed)
{
    output_log_marks_drop(log);
    following->follows = true;
    log_feed_begin(feed, log);
}

bool following_takes_image(const struct following *following, bool of_standby)
{
    return following->follows == of_standby;
}

void following_lost(struct following *following, struct output_log *log)
{
    if (following->follows)
        output_log_marks_drop(log);
    following->follows = false;
}

void following_departed(struct following *following, struct output_log *log)
{
    following_lost(following, log);
    following->mistrusted = true;
}

void following_based(struct following *following, const struct output_log *log)
{
    if (!output_log_base(log)->replayed)
        following->mistrusted = false;
}

bool following_may_take_over(const struct following *following, const struct output_log *log)
{
    return !following->mistrusted || !output_log_base(log)->replayed;
}
