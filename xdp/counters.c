#include "counters.h"

static void set(json_t *object, const char *name, uint64_t value)
{
    json_object_set_new(object, name, json_integer((json_int_t)value));
}

json_t *counters_xsk(const struct xsk_counters *xsk)
{
    json_t *out = json_object();

    set(out, "received", xsk->received);
    set(out, "sent", xsk->sent);
    set(out, "kicks", xsk->kicks);
    set(out, "receive_ring_full", xsk->receive_ring_full);
    set(out, "fill_ring_empty", xsk->fill_ring_empty);
    set(out, "receive_dropped", xsk->receive_dropped);
    set(out, "receive_invalid", xsk->receive_invalid);
    set(out, "send_invalid", xsk->send_invalid);
    return out;
}

json_t *counters_output_log(const struct output_log *log)
{
    struct output_log_state state;
    json_t *out = json_object(), *received = json_array();

    output_log_state(log, &state);
    set(out, "epoch", state.epoch);
    set(out, "base", state.base);
    set(out, "released", state.released);
    set(out, "held", state.held);
    set(out, "stale_frames", state.stale_frames);
    set(out, "malformed", state.malformed);
    set(out, "memory_used", state.memory_used);
    set(out, "memory_most", state.memory_most);
    set(out, "log_bytes", state.log_bytes);
    set(out, "log_bytes_total", state.log_bytes_total);
    for (uint32_t t = 0; t < state.received.threads; t++)
        json_array_append_new(received, json_integer((json_int_t)state.received.at[t]));
    json_object_set_new(out, "received", received);
    json_t *records = json_object(), *bytes = json_object();
    for (int kind = 1; kind < RECORD_KINDS; kind++) {
        const char *name = record_kind_name((enum record_kind)kind);
        set(records, name, state.records[kind]);
        set(bytes, name, state.record_bytes[kind]);
    }
    json_object_set_new(out, "records", records);
    json_object_set_new(out, "record_bytes", bytes);
    return out;
}
