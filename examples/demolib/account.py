"""Palisade's own account of a run, from the journals and counters of its processes: what happened
when, the outage in parts, snapshots, logs."""

import os
import signal
import statistics
import time

from .journal import bare

COUNTERS_PATIENCE = 50  # times 20 ms
LOGGER_WORDS = {"il": "input", "ol": "output"}  # in the journals of NF processes


def _first(journal, event, after_ns, **fields):
    """The moment of the first such event."""
    return (journal.find(event, after_ns, **fields) or {}).get("t_ns") if after_ns else None


def moments(gateway, kill_ns):
    """[(event, sentence, its moment or None)] of what follows the death of gateway.victim."""
    ol, heir = gateway.output_logger.journal, gateway.heir and gateway.heir.journal
    protected = ("protected", "a backup holds every committed page again",
                 protected_ns(gateway, kill_ns))
    if gateway.victim == "master" and heir is not None:
        # A hot standby had restored its snapshot long before.
        return [("master_lost", "the output logger misses the master",
                 _first(ol, "master_lost", kill_ns)),
                ("takeover", "the new epoch is on disk, the backup is to take over",
                 _first(ol, "takeover", kill_ns)),
                *([("restored", "the backup has restored the snapshot",
                    _first(heir, "restored", kill_ns))] if gateway.heir.standby == "cold" else []),
                ("replayed", "the backup has replayed "
                 + ("the logs" if gateway.heir.standby == "cold" else "the rest of the logs"),
                 _first(heir, "replayed", kill_ns)),
                ("go", "the cut is committed", _first(ol, "go", kill_ns)),
                ("live", "the backup is live", _first(heir, "live", kill_ns)),
                protected]
    if gateway.victim == "backup":
        return [("backup_lost", "the output logger misses the backup",
                 _first(ol, "backup_lost", kill_ns)), protected]
    if gateway.victim in LOGGER_WORDS:
        word, master = LOGGER_WORDS[gateway.victim], gateway.master.journal
        return [("logger_lost", f"the master misses the {word} logger",
                 _first(master, "logger_lost", kill_ns, logger=word)),
                ("logger_back", f"the {word} logger is back, the master goes on with it",
                 _first(master, "logger_back", kill_ns, logger=word)), protected]
    return []


def protected_ns(gateway, kill_ns):
    """The moment from which a backup held every committed page again, or None."""
    ol = gateway.output_logger.journal
    if gateway.victim != "il":
        return _first(ol, "protected", kill_ns)
    # The output logger does not hear of it. What was committed under the dead one is no base for a
    # takeover (R16): the first one is that is committed after both have its successor.
    back = _first(gateway.master.journal, "logger_back", kill_ns, logger=LOGGER_WORDS["il"])
    if gateway.backup.standby == "hot":  # it asks its successor for the packets since that base
        return _first(gateway.backup.journal, "follows", back)
    joined = _first(gateway.input_logger.journal, "welcome", kill_ns, role="backup")
    return _first(ol, "image_committed", max(back, joined)) if back and joined else None


def figures(gateway, kill_ns):
    found = {event: moment_ns for event, _, moment_ns in moments(gateway, kill_ns)}
    hot = gateway.heir is not None and gateway.heir.standby == "hot"
    found["kill"] = kill_ns

    def span_ms(since, until):
        since_ns, until_ns = found.get(since), found.get(until)
        return round((until_ns - since_ns) / 1e6, 2) if since_ns and until_ns else None

    journals = [journal for name, journal in gateway.journals.items()
                if not name.endswith("logger")]
    pauses = [e["pause_ns"] / 1e6 for journal in journals for e in journal.read()
              if e["event"] == "snapshot"]
    events = None
    if found.get("replayed"):
        events = gateway.heir.journal.find("replayed", kill_ns)["events"]
    counters = _all_counters(gateway)
    return {
        "detection_ms": span_ms("kill", {"master": "master_lost", "backup": "backup_lost"}.get(
            gateway.victim, "logger_lost")),
        "back_ms": span_ms("kill", "logger_back"),
        "fence_ms": span_ms("master_lost", "takeover"),
        "restore_ms": span_ms("takeover", "restored"),
        "replay_ms": span_ms("takeover" if hot else "restored", "replayed"),
        "cut_ms": span_ms("replayed", "go"),
        "golive_ms": span_ms("go", "live"),
        "takeover_ms": span_ms("kill", "live"),
        "unprotected_ms": span_ms("kill", "protected"),
        "replayed_events": events,  # of a hot standby: since the base, most of them long before
        **_speeds(gateway, events, found.get("restored"), found.get("replayed")),
        "snapshots": len(pauses),
        "snapshot_pause_ms": round(statistics.median(pauses), 2) if pauses else None,
        "snapshot_pause_max_ms": round(max(pauses), 2) if pauses else None,
        **_logs(counters),
        **_standby(gateway, kill_ns),
        "counters": counters,
    }


def _speeds(gateway, events, restored, replayed):
    """Replay against what the load made the master do between its two observations."""
    seen = [e for e in gateway.fallen.journal.read() if e["event"] == "counters"]
    recorded = replay = None
    if len(seen) > 1 and seen[1]["t_ns"] > seen[0]["t_ns"]:
        recorded = (seen[1]["events"] - seen[0]["events"]) * 1e9 \
            / (seen[1]["t_ns"] - seen[0]["t_ns"])
    if events and restored and replayed:
        replay = events * 1e9 / (replayed - restored)
    return {
        "record_events_per_s": round(recorded) if recorded else None,
        "replay_events_per_s": round(replay) if replay else None,
        "replay_speed_ratio": round(replay / recorded, 2) if replay and recorded else None,
    }


def _standby(gateway, kill_ns):
    """What the backup cost while it waited, and how far behind it was shortly before the kill."""
    percent = {}
    if len(gateway.cpu_seen) > 1:
        (since_ns, before), (until_ns, after) = gateway.cpu_seen[0], gateway.cpu_seen[1]
        percent = {seat: round((after[seat] - before[seat]) * 1e11 / (until_ns - since_ns), 1)
                   for seat in before if None not in (before[seat], after.get(seat))}
    seen = [e for e in gateway.output_logger.journal.read()
            if e["event"] == "counters" and e["t_ns"] < kill_ns]
    lag = seen[-1].get("standby", {}) if seen else {}
    return {
        "cpu_percent": percent or None,
        "cpu_ratio": round(percent["backup"] / percent["master"], 3)
        if percent.get("master") and "backup" in percent else None,
        "lag_events": lag.get("lag_events"),
        "lag_bytes": lag.get("lag_bytes"),
    }


def _logs(counters):
    log = counters["output-logger"].get("output_log", {})
    kinds, packets = log.get("record_bytes", {}), log.get("released")
    held = counters["output-logger"].get("held_time", {})

    def per_packet(count):
        return round(count / packets, 2) if packets and count is not None else None

    return {
        "log_bytes_per_packet": per_packet(log.get("log_bytes_total")),
        "log_bytes_per_packet_receive": per_packet(kinds.get("receive")),
        "log_bytes_per_packet_order": per_packet(kinds.get("order")),
        "log_bytes_per_packet_by_kind": {kind: per_packet(count)
                                         for kind, count in kinds.items() if count},
        "output_wait_us": {key: held[f"{key}_ns"] / 1000 for key in ("p50", "p99", "max")}
        if held else None,
    }


def _all_counters(gateway):
    """The loggers', the master's shortly before its death, and of who took over; without a
    takeover, the master's and the backup's now."""
    counters = {"input-logger": asked(gateway.input_logger),
                "output-logger": asked(gateway.output_logger)}
    if gateway.victim == "master":
        counters["backup"] = asked(gateway.heir)
        counters["master"] = bare(gateway.fallen.journal.last("counters") or {})
    else:
        counters["backup"] = asked(gateway.backup)
        counters["master"] = asked(gateway.master)
    return counters


def asked(part):
    """Asks for the counters and waits a moment for them."""
    if part is None or not part.running():
        return {}
    since_ns = time.monotonic_ns()
    os.kill(part.pid, signal.SIGUSR1)
    for _ in range(COUNTERS_PATIENCE):
        found = part.journal.find("counters", since_ns)
        if found is not None:
            return bare(found)
        time.sleep(0.02)
    return {}
