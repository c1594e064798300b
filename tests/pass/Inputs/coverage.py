# coverage.py LIST < model: each name of the list has a row; no function has two.
import sys

rows = [line.split()[0] for line in sys.stdin.read().splitlines()[1:]]
names = open(sys.argv[1]).read().split()
if twice := {name for name in rows if rows.count(name) > 1}:
    sys.exit(f"two rows: {sorted(twice)}")
if missing := set(names) - set(rows):
    sys.exit(f"no row: {sorted(missing)}")
if len(names) < 300:
    sys.exit("the list is cut short")
