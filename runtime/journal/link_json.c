#include "link_json.h"

static void set(json_t *object, const char *name, uint64_t value)
{
    json_object_set_new(object, name, json_integer((json_int_t)value));
}

json_t *link_json(const struct link_counters *link)
{
    json_t *out = json_object();

    set(out, "sent", link->sent);
    set(out, "resent", link->resent);
    set(out, "received", link->received);
    set(out, "acks_sent", link->acks_sent);
    set(out, "dropped_duplicate", link->dropped_duplicate);
    set(out, "dropped_gap", link->dropped_gap);
    set(out, "dropped_session", link->dropped_session);
    set(out, "dropped_epoch", link->dropped_epoch);
    set(out, "dropped_no_credit", link->dropped_no_credit);
    set(out, "window_full", link->window_full);
    json_t *errors = json_object();
    for (int error = FRAME_OK + 1; error < FRAME_ERRORS; error++)
        set(errors, frame_error_name((enum frame_error)error), link->dropped_error[error]);
    json_object_set_new(out, "dropped_error", errors);
    return out;
}
