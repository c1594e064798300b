"""Reads IR on stdin: one line for each call of __palisade_private, in words, with the next instruction, in
the order of the source."""

import re
import sys

KINDS = ("logged", "unwritten", "covered", "private")
texts, sites, function, told, lines = {}, {}, None, None, []
for line in sys.stdin:
    if found := re.match(r'(@[\w.]+) = private .*constant \[.*c"(.*)\\00"', line):
        texts[found[1]] = found[2]
    elif found := re.match(r"(@__palisade_site[\w.]*) = private constant \{.*\} \{ ptr (@[\w.]+), "
                           r'ptr (@[\w.]+), i32 (\d+), i16 (\d), i16 (\d) \}, section "palisade_sites"', line):
        sites[found[1]] = (texts[found[2]], texts[found[3]], found[4], KINDS[int(found[5])],
                           "store" if found[6] == "1" else "load")
    elif found := re.match(r"define .*@([\w.]+)\(", line):
        function = found[1]
    elif told:
        lines.append((number, f"{told}, then {re.sub(r'%[^ ,]* = ', '', line.strip())}"))
        told = None
    if found := re.search(r"call void @__palisade_private\(ptr (.*), i64 (\d+), ptr .*?(@[\w.]+)\)", line):
        file, variable, number, kind, what = sites[found[3]]
        told = f"{function}: {file.rsplit('/', 1)[-1]}:{number}: {what} {variable}, {found[2]} bytes, {kind}"
print("\n".join(text for _, text in sorted(lines, key=lambda entry: int(entry[0]))))
