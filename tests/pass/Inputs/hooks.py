# hooks.py ABI_H [LIBRARY] < model: the hooks of the model are those that the header of the ABI names,
# and the library has them.
import re
import subprocess
import sys

text = open(sys.argv[1]).read().split("*/")[0]
named = set()
for line in text.splitlines():
    words = re.match(r" \* (lock|thread|value|memory|packet|libxdp|libpcap|effect)? {2,}(.*)", line)
    if not words:
        continue
    for stem, group in re.findall(r"(\w+)(?:\{([\w,]+)\})?", words.group(2)):
        named |= {stem + part for part in group.split(",")} if group else {stem}
used = {
    line.split()[3].removeprefix("__palisade_")
    for line in sys.stdin.read().splitlines()[1:]
    if line.split()[3] != "-"
}
if used != named:
    sys.exit(f"only in the model: {sorted(used - named)}\nonly in the ABI: {sorted(named - used)}")
if len(sys.argv) > 2:
    symbols = subprocess.run(
        ["llvm-nm", "-D", "--defined-only", "--format=just-symbols", sys.argv[2]],
        capture_output=True, text=True, check=True,
    ).stdout.split()
    if missing := {"__palisade_" + hook for hook in used} - set(symbols):
        sys.exit(f"not in the runtime: {sorted(missing)}")
