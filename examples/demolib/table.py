"""The result as a table for people."""

from .nfs import NFS


def render(result):
    nf = NFS[result["nf"]]
    rows = [("mode, seed", f"{result['mode']}, {result['seed']} "
             f"(killed {result['kill_s']:.3f} s after the load began)")]
    if nf.outage_text(result) is not None:
        rows.append(("outage seen by the witness", nf.outage_text(result)))
    if result["mode"] != "none":
        rows += [
            ("    detection", _ms(result["detection_ms"])),
            ("    new epoch on disk", _ms(result["fence_ms"])),
            ("    restore", _ms(result["restore_ms"])),
            ("    replay", _ms(result["replay_ms"])
             + _optional(" of {} events", result["replayed_events"])
             + _optional(", {} x the speed of the recording", result["replay_speed_ratio"])),
            ("    go-live", _ms(result["golive_ms"])),
            ("    sum of the parts", _ms(_sum(result, ("detection_ms", "fence_ms", "restore_ms",
                                                        "replay_ms", "golive_ms")))),
        ]
    rows += nf.rows(result)
    rows.append(("dropped by the kernel",
                 ", ".join(f"{name} {count}" for name, count in result["dropped_outside"].items())
                 or "nothing, outside Palisade"))
    rows += nf.load_rows(result)
    if result["mode"] != "none":
        rows += [
            ("snapshot pause", _ms(result["snapshot_pause_ms"])
             + _optional(" (longest {} ms)", result["snapshot_pause_max_ms"])),
            ("log bytes per packet", (_optional("{}", result["log_bytes_per_packet"]) or "-")
             + " (" + ", ".join(f"{kind} {count}" for kind, count in
                                result["log_bytes_per_packet_by_kind"].items()) + ")"),
            ("outputs waited for logs", "-" if result["output_wait_us"] is None else ", ".join(
                f"{name} {wait_us:.0f} us" for name, wait_us in result["output_wait_us"].items())),
            ("Palisade's own count", _own_count(result["counters"])),
        ]
        for name, counters in result["counters"].items():
            rows += [(f"{name}'s counters", line) for line in _wrapped(_flat(counters))]
    width = max(len(name) for name, _ in rows)
    lines, previous = [], None
    for name, value in rows:
        lines.append(f"{'' if name == previous else name:<{width}}  {value}")
        previous = name
    lines.append("")
    lines.append(nf.praise if result["passed"] else "The crash was noticed: see above.")
    return "\n".join(lines)


def _own_count(counters):
    """What the witness's figures may be held against: all packets, TCP's too."""
    accepted = counters["input-logger"].get("input_log", {}).get("accepted")
    log = counters["output-logger"].get("output_log", {})
    return f"{accepted} packets accepted, {log.get('released')} released, {log.get('held')} held"


def _ms(value):
    return "-" if value is None else f"{value:.1f} ms"


def _optional(form, value):
    return "" if value is None else form.format(value)


def _sum(result, keys):
    values = [result[key] for key in keys]
    return None if None in values else sum(values)


# Long: these stay in --json.
HIDDEN = ("links", "xdp", "records", "record_bytes")


def _flat(counters, prefix=""):
    """(name, number) of everything that is not zero; nested names with dots."""
    for name, value in counters.items():
        if isinstance(value, dict) and name not in HIDDEN:
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, int) and not isinstance(value, bool) and value != 0:
            yield f"{prefix}{name}", value


def _wrapped(items, width=76):
    """As many pairs a line as fit."""
    line = ""
    for name, value in items:
        item = f"{name} {value}"
        if line and len(line) + 2 + len(item) > width:
            yield line
            line = item
        else:
            line = f"{line}, {item}" if line else item
    if line:
        yield line
