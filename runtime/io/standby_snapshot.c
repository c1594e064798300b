/*
 * Snapshots of a hot standby that follows: the base for further backups, with which the loggers may
 * forget what lies before. So the master makes none.
 *
 * Replay stands still while the barrier is up, and what a takeover then has to catch up is outage:
 * the barrier is lowered while it cannot succeed, more rarely tried again after each failure, and
 * for a takeover at once.
 */
#include "fault/fault.h"
#include "io/io.h"
#include "replay/inputs.h"
#include "snapshot/snapshot.h"

#define RETRY_FIRST_NS 1000000
#define RETRY_MOST_NS 200000000 /* one that lags far behind has better things to do */

static struct {
    int64_t begun_ns, last_ns;
    int64_t retry_ns; /* after the next failure */
} standby = {.retry_ns = RETRY_FIRST_NS};

/* The first one soon: where one master after the other dies, the base would else become older and
 * older, and who joins from it has ever more to catch up. */
void standby_snapshots_begin(uint64_t base)
{
    uint64_t period = process.options.standby_snapshot_ms, first = process.options.snapshot_ms;
    if (first == 0 || first > period)
        first = period;
    snapshot_restart(base + 1);
    io.next_snapshot_ns = period ? io.now_ns + (int64_t)first * 1000000 : INT64_MAX;
}

void standby_snapshots_end(void)
{
    snapshot_abandon();
    io.next_snapshot_ns = INT64_MAX;
}

void standby_snapshot_wanted(void)
{
    int64_t at = standby.last_ns + snapshot_rest_ns();
    if (at < io.next_snapshot_ns)
        io.next_snapshot_ns = at;
}

static void given_up(void)
{
    journal_event(io.journal, "snapshot_given_up", "{s:I,s:s}", "ns",
                  (json_int_t)(io.now_ns - standby.begun_ns), "for", snapshot_stuck_in());
    io.next_snapshot_ns = io.now_ns + standby.retry_ns;
    standby.retry_ns = standby.retry_ns < RETRY_MOST_NS / 2 ? 2 * standby.retry_ns : RETRY_MOST_NS;
}

static void at_barrier(void)
{
    struct input_claim next = {.of = backup_base()->inputs_of};
    int64_t period = process.options.standby_snapshot_ms * 1000000ll;
    inputs_consumed_to(&next.from);
    snapshot_copy(next, LOGS_REPLAYED);
    standby.last_ns = io.now_ns;
    standby.retry_ns = RETRY_FIRST_NS;
    if (period && io.now_ns + period < io.next_snapshot_ns)
        io.next_snapshot_ns = io.now_ns + period;
}

bool standby_snapshot_round(void)
{
    packet_id next;
    switch (snapshot_state()) {
    case SNAPSHOT_IDLE:
        if (io.now_ns < io.next_snapshot_ns || !inputs_consumed_to(&next))
            return false;
        snapshot_begin(io.now_ns);
        standby.begun_ns = io.now_ns;
        io.next_snapshot_ns = INT64_MAX; /* unless one is wanted meanwhile */
        return true;
    case SNAPSHOT_BARRIER:
        if (snapshot_ready())
            at_barrier();
        else if (snapshot_give_up(io.now_ns))
            given_up();
        return true; /* stay awake: threads stand still */
    case SNAPSHOT_SHIPPING:
        return ship_image();
    case SNAPSHOT_COMMITTING:
        break;
    }
    return false;
}

void standby_snapshot_committed(uint64_t number)
{
    if (!snapshot_committed(number))
        return;
    fault_point(FAULT_BACKUP_COMMITTED);
    io_truncate(snapshot_mark()->inputs_from);
    fault_point(FAULT_BACKUP_TRUNCATED);
}
