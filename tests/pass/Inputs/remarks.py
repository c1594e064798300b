# remarks.py REMARKS REPORT_JSON: each access of the report has exactly the one remark that tells the same, each
# unhandled call too, and no remark is left over.
import collections
import json
import os
import re
import sys


def place(unit, item):
    return os.path.normpath(os.path.join(unit["files"][item["file"]], item["file"]))


said = collections.Counter()
for line in open(sys.argv[1]):
    if found := re.match(r"(.*?):(\d+):\d+: remark: (.*) \[-R(pass|pass-missed)=palisade\]$", line):
        file, number, text, flag = found.groups()
        said[os.path.abspath(file), int(number), flag, text] += 1

report = json.load(open(sys.argv[2]))
expected = collections.Counter()
fates, kinds, accesses, items = set(), set(), 0, 0
for unit in report["units"]:
    for variable in unit["variables"]:
        for access in variable["accesses"]:
            reason = {
                "logged": " logged: " + variable.get("why", "?"),
                "elided": " elided: covered by " + access.get("lock", "?"),
                "assumed-covered": " elided: covered by " + access.get("lock", "?") + " (assumed)",
                "init": " elided: before any other thread exists, or nobody writes it afterwards",
                "private": " elided: one thread alone",
                "read-only": " elided: never written",
                "assumed-private": " assumed private: no lock is held, the object is not named",
            }[access["fate"]]
            flag = "pass-missed" if access["fate"] == "assumed-private" else "pass"
            words = ("store to " if access["op"] == "store" else "load of ") + variable["name"]
            expected[place(unit, access), access["line"], flag, words + reason] += 1
            fates.add(access["fate"])
            accesses += 1
        counts = collections.Counter(access["fate"] for access in variable["accesses"])
        if dict(counts) != variable["counts"]:
            sys.exit(f"{variable['name']}: {counts} listed, {variable['counts']} counted")
    for kind, text in (
        ("Unhandled", lambda item: f"{item['kind']} {item['what']} is not modelled: {item['advice']}"),
        ("External", lambda item: f"call of {item['what']} is not modelled, unless another unit of the program defines it"),
    ):
        for item in unit["unhandled" if kind == "Unhandled" else "externals"]:
            expected[place(unit, item), item["line"], "pass-missed", text(item)] += 1
            kinds.add(kind)
            items += 1
sums = collections.Counter()
for unit in report["units"]:
    for variable in unit["variables"]:
        sums.update(variable["counts"])
told = {fate: count for fate, count in report["counters"].items() if fate != "unhandled"}
if told != dict(sums):
    sys.exit(f"counters {told}, but variables sum to {sums}")
if said != expected:
    sys.exit(f"only remarked: {said - expected}\nonly in the report: {expected - said}")
print("agree on", accesses, "accesses:", *sorted(fates))
print("agree on", items, "items:", *sorted(kinds))
