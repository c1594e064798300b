"""The result as a table for people: of one run, or of several side by side."""

from .nfs import NFS
from .protected import VICTIMS

GUTTER = 2
COLUMNS = {"master": "master", "backup": "backup", "il": "input logger", "ol": "output logger"}


def render(result):
    nf = NFS[result["nf"]]
    rows = [("mode, seed", f"{result['mode']}, {result['seed']}"),
            ("kill -9", f"{_victim(result)}, {result['kill_s']:.3f} s after the load began")]
    if nf.outage_text(result) is not None:
        rows.append(("outage seen by the witness", nf.outage_text(result)))
    if result["mode"] != "none":
        rows += _recovery_rows(result)
    rows += nf.rows(result)
    rows.append(("dropped by the kernel",
                 ", ".join(f"{name} {count}" for name, count in result["dropped_outside"].items())
                 or "nothing, outside Palisade"))
    rows += nf.load_rows(result)
    if result["mode"] != "none":
        rows += [
            ("snapshot pause", _ms(result["snapshot_pause_ms"])
             + _optional(" (longest {} ms)", result["snapshot_pause_max_ms"])),
            ("log bytes per packet", "-" if result["log_bytes_per_packet"] is None else
             f"{result['log_bytes_per_packet']} (" + ", ".join(
                 f"{kind} {count}" for kind, count in
                 result["log_bytes_per_packet_by_kind"].items()) + ")"),
            ("outputs waited for logs", "-" if result["output_wait_us"] is None else ", ".join(
                f"{name} {wait_us:.0f} us" for name, wait_us in result["output_wait_us"].items())),
            ("Palisade's own count", _own_count(result)),
        ]
        for name, counters in result["counters"].items():
            rows += [(f"{name}'s counters", line) for line in _wrapped(_flat(counters))]
    return "\n".join([*_columns(rows), "", verdict(result)])


def verdict(result):
    nf = NFS[result["nf"]]
    if "failed" in result:
        return f"The run with kill -9 of {_victim(result)} did not finish: {result['failed']}"
    if not result["passed"]:
        return f"The death of {_victim(result)} was noticed: see above."
    return nf.lossy_praise if nf.lossy(result) else nf.praise


def render_all(results):
    """One column a run."""
    whole = [result for result in results if "failed" not in result]
    names = {}  # as an ordered set
    columns = {id(result): {} for result in results}
    for result in whole:
        nf = NFS[result["nf"]]
        rows = [("killed after", f"{result['kill_s']:.1f} s"),
                *([("outage", _ms(result["outage_ms"]))]
                  if result["outage_ms"] is not None else []),
                ("without a backup", _ms(result["unprotected_ms"])),
                *nf.brief_rows(result),
                ("passed", "yes" if result["passed"] else "NO")]
        names.update(dict.fromkeys(name for name, _ in rows))
        columns[id(result)] = {name: str(value) for name, value in rows}
    rows = [("kill -9 of the", *(COLUMNS[result["kill"]] for result in results))]
    rows += [(name, *(columns[id(result)].get(name, "-") for result in results))
             for name in names]
    said = dict.fromkeys(verdict(r) for r in results if not r["passed"])
    return "\n".join([*_columns(rows), "", *(said or [NFS[results[0]["nf"]].lossy_praise])])


def _columns(rows):
    """Aligned, and a name that repeats only once."""
    widths = [max(len(str(cell)) for cell in column) for column in zip(*rows)]
    lines, previous = [], None
    for name, *cells in rows:
        shown = ["" if name == previous else name, *(str(cell) for cell in cells)]
        lines.append((" " * GUTTER).join(
            f"{cell:<{width}}" for cell, width in zip(shown, widths)).rstrip())
        previous = name
    return lines


def _victim(result):
    return VICTIMS[result["kill"]].format(NFS[result["nf"]].title)


def _recovery_rows(result):
    """What Palisade did about it."""
    if result["kill"] == "master":
        hot = result["mode"] == "hot"
        parts = ("detection_ms", "fence_ms", *(() if hot else ("restore_ms",)), "replay_ms",
                 "cut_ms", "golive_ms")
        rows = [
            ("    detection", _ms(result["detection_ms"])),
            ("    new epoch on disk", _ms(result["fence_ms"])),
            *([] if hot else [("    restore", _ms(result["restore_ms"]))]),
            ("    rest of the logs" if hot else "    replay", _ms(result["replay_ms"])
             + _optional(", in all {} events since the base" if hot else " of {} events",
                         result["replayed_events"])
             + _optional(", {} x the speed of the recording", result["replay_speed_ratio"])),
            ("    cut committed", _ms(result["cut_ms"])),
            ("    go-live", _ms(result["golive_ms"])),
            ("    sum of the parts", _ms(_sum(result, parts))),
        ]
    elif result["kill"] == "backup":
        rows = [("    detection", _ms(result["detection_ms"]))]
    else:
        rows = [("    detection", _ms(result["detection_ms"])),
                ("    back, in use again", _ms(result["back_ms"]))]
    rows.append(("without a backup", "for good" if result["unprotected_ms"] is None else
                 f"{result['unprotected_ms']:.1f} ms, until one held every committed page again"))
    if result["lag_events"] is not None:
        rows.append(("lag of the standby", f"{result['lag_events']} events, {result['lag_bytes']}"
                     " bytes of log, shortly before the kill"))
    if result["cpu_ratio"] is not None:
        rows.append(("CPU, backup / master", f"{result['cpu_ratio']:.2f} ("
                     + ", ".join(f"{seat} {percent:.0f} %"
                                 for seat, percent in result["cpu_percent"].items()) + ")"))
    return rows


def _own_count(result):
    """What the witness's figures may be held against: all packets, TCP's too."""
    counters = result["counters"]
    accepted = counters["input-logger"].get("input_log", {}).get("accepted")
    log = counters["output-logger"].get("output_log", {})
    return (f"{accepted} packets accepted, {log.get('released')} released, {log.get('held')} held"
            + (f", by {_victim(result)} since its restart" if result["kill"] in ("il", "ol")
               else ""))


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
