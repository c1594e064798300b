"""The result as a table for people."""


def render(result):
    rows = [
        ("mode, seed", f"{result['mode']}, {result['seed']} "
         f"(killed {result['kill_s']:.3f} s after the load began)"),
        ("outage seen by the witness", _ms(result["outage_ms"])
         + f" (towards the server {_ms(result['outage_towards_server_ms'])},"
         f" the client {_ms(result['outage_towards_client_ms'])})"),
    ]
    if result["mode"] != "none":
        rows += [
            ("    detection", _ms(result["detection_ms"])),
            ("    restore", _ms(result["restore_ms"])),
            ("    replay", _ms(result["replay_ms"])
             + _optional(" of {} events", result["replayed_events"])),
            ("    go-live", _ms(result["golive_ms"])),
            ("    sum of the parts", _ms(_sum(result, ("detection_ms", "restore_ms", "replay_ms",
                                                        "golive_ms")))),
        ]
    rows += [
        ("packets lost", f"{result['lost']} of {result['witness_sent']}"),
        ("packets doubled", result["doubled"]),
        ("packets reordered", result["reordered"]),
        ("TCP retransmissions", f"{result['retransmits_kill']} in the second around the kill,"
         f" {result['retransmits_quiet']} in a quiet one"),
        ("connections broken", f"{result['broken']} of {result['connections']}"),
        ("downloads", f"{result['downloads_whole']} whole, checksum "
         + ("equal" if result["checksum_ok"] else "WRONG OR MISSING")),
        ("NAT mappings", f"{result['mappings_before']} before, {result['mappings_after']} of them"
         f" kept, {result['new_flows']} new, {result['ports_reused']} ports given twice"),
    ]
    if result["mode"] != "none":
        rows += [
            ("snapshot pause", _ms(result["snapshot_pause_ms"])
             + _optional(" (longest {} ms)", result["snapshot_pause_max_ms"])),
            ("log bytes per packet", _optional("{}", result["log_bytes_per_packet"]) or "-"),
        ]
        for name, counters in result["counters"].items():
            rows += [(f"{name}'s own counters", line) for line in _wrapped(counters)]
    width = max(len(name) for name, _ in rows)
    lines, previous = [], None
    for name, value in rows:
        lines.append(f"{'' if name == previous else name:<{width}}  {value}")
        previous = name
    lines.append("")
    lines.append("Nothing lost, doubled, reordered or broken." if result["passed"] else
                 "The crash was noticed: see above.")
    return "\n".join(lines)


def _ms(value):
    return "-" if value is None else f"{value:.1f} ms"


def _optional(form, value):
    return "" if value is None else form.format(value)


def _sum(result, keys):
    values = [result[key] for key in keys]
    return None if None in values else sum(values)


def _wrapped(counters, width=70):
    """"name value" pairs, as many a line as fit; what is not a number stays in --json."""
    line = ""
    for name, value in counters.items():
        if not isinstance(value, int):
            continue
        item = f"{name} {value}"
        if line and len(line) + 2 + len(item) > width:
            yield line
            line = item
        else:
            line = f"{line}, {item}" if line else item
    if line:
        yield line
