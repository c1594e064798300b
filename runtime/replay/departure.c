/* See departure.h. */
#include "replay/departure.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#include "io/io.h"

/* ---- the output ---- */

const char *packet_flow(const uint8_t *bytes, uint32_t length, char *out, size_t room)
{
    char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];
    bool six = length >= 14 && bytes[12] == 0x86 && bytes[13] == 0xdd;
    bool four = length >= 14 && bytes[12] == 0x08 && bytes[13] == 0x00;
    const uint8_t *head = bytes + 14;
    *out = 0;
    if (!(four && length >= 34) && !(six && length >= 54))
        return out;
    uint32_t head_bytes = four ? (head[0] & 15u) * 4 : 40;
    uint8_t protocol = four ? head[9] : head[6];
    inet_ntop(four ? AF_INET : AF_INET6, head + (four ? 12 : 8), from, sizeof from);
    inet_ntop(four ? AF_INET : AF_INET6, head + (four ? 16 : 24), to, sizeof to);
    const uint8_t *ports = head + head_bytes;
    if ((protocol == 6 || protocol == 17) && length >= 14 + head_bytes + 4)
        snprintf(out, room, "%s %s port %u to %s port %u", protocol == 6 ? "TCP" : "UDP", from,
                 ports[0] * 256u + ports[1], to, ports[2] * 256u + ports[3]);
    else
        snprintf(out, room, "protocol %u %s to %s", protocol, from, to);
    return out;
}

static void take_output(const struct nf_thread *thread, struct departure *departure)
{
    const struct sending *sending = &run_of(thread)->sending;
    if (sending->pieces == NULL)
        return;
    departure->effect = sending->port < 0;
    departure->output = (departure->effect ? thread->core.effects : thread->core.outputs) + 1;
    if (!departure->effect && sending->port < (int32_t)process.port_count)
        snprintf(departure->port, sizeof departure->port, "%s", process.ports[sending->port].name);
    for (uint32_t i = 0; i < sending->count; i++) {
        uint32_t bytes = (uint32_t)sending->pieces[i].iov_len;
        uint32_t room = DEPARTURE_PACKET_BYTES - departure->byte_count;
        uint32_t taken = bytes < room ? bytes : room;
        departure->length += bytes;
        if (taken)
            memcpy(departure->bytes + departure->byte_count, sending->pieces[i].iov_base, taken);
        departure->byte_count += taken;
    }
}

static const char *hex_of(const struct departure *departure, char *out)
{
    for (uint32_t i = 0; i < departure->byte_count; i++)
        sprintf(out + 2 * i, "%02x", departure->bytes[i]);
    out[2 * departure->byte_count] = 0;
    return out;
}

/* ---- the places ---- */

static void take_places(const struct nf_thread *thread, struct departure *departure)
{
    const struct trail *trail = &run_of(thread)->trail;
    struct place places[TRAIL_SITES + 1] = {{.site = thread->core.site}};
    uint32_t count = trail->count < TRAIL_SITES ? trail->count : TRAIL_SITES;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t from = (trail->count - count + i) % TRAIL_SITES;
        places[i + 1].site = trail->site[from];
        departure->before_at[i] = trail->at[from];
    }
    places_find(places, count + 1);
    departure->place = places[0];
    departure->before_count = count;
    memcpy(departure->before, places + 1, count * sizeof *places);
}

/* ---- in words ---- */

static void compose(struct departure *departure)
{
    char place[256], flow[160], hex[2 * DEPARTURE_PACKET_BYTES + 1], output[384] = "";
    packet_flow(departure->bytes, departure->effect ? 0 : departure->byte_count, flow, sizeof flow);
    if (departure->output && departure->effect)
        snprintf(output, sizeof output, "; effect %llu, %u bytes: %s",
                 (unsigned long long)departure->output, departure->length, hex_of(departure, hex));
    else if (departure->output)
        snprintf(output, sizeof output, "; packet %llu, port %s, %u bytes%s%s: %s",
                 (unsigned long long)departure->output, departure->port, departure->length,
                 *flow ? ", " : "", flow, hex_of(departure, hex));
    snprintf(departure->text, sizeof departure->text,
             "replay departs from the log: thread %u, position %llu, %s at %s: %s%s (G6)",
             departure->thread, (unsigned long long)departure->at, departure->what,
             place_text(&departure->place, place, sizeof place), departure->why, output);
}

static void journal_departure(const struct departure *departure)
{
    char text[256], hex[2 * DEPARTURE_PACKET_BYTES + 1];
    json_t *before = json_array();
    for (uint32_t i = 0; i < departure->before_count; i++)
        json_array_append_new(
            before, json_pack("{s:I,s:s}", "position", (json_int_t)departure->before_at[i], "at",
                              place_text(&departure->before[i], text, sizeof text)));
    journal_event(
        io.journal, "diverged", "{s:s,s:I,s:I,s:s,s:s,s:I,s:s,s:s,s:I,s:o,s:I,s:b,s:s,s:I,s:s}",
        "text", departure->text, "thread", (json_int_t)departure->thread, "position",
        (json_int_t)departure->at, "what", departure->what, "why", departure->why, "site",
        (json_int_t)departure->place.address, "function", departure->place.function, "file",
        departure->place.file, "line", (json_int_t)departure->place.line, "before", before,
        "output", (json_int_t)departure->output, "effect", departure->effect, "port",
        departure->port, "length", (json_int_t)departure->length, "bytes", hex_of(departure, hex));
}

void departure_tell(struct nf_thread *thread, const char *what)
{
    static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER; /* held for ever */
    pthread_mutex_lock(&first);
    struct departure departure = {.thread = thread->core.index,
                                  .at = thread->core.position + 1,
                                  .what = what,
                                  .why = run_of(thread)->reader.why};
    take_output(thread, &departure);
    take_places(thread, &departure);
    compose(&departure);
    journal_departure(&departure);
    replay_departed(departure.text);
}
