# damage.py PALISADE SEED ROUNDS FILE...: palisade report of damaged copies ends with a known status, never
# by a signal. Half of the rounds change bytes anywhere or cut the file, half the words of the note alone.
import random
import subprocess
import sys

palisade, seed, rounds, *files = sys.argv[1:]
random.seed(int(seed))
statuses = set()


def damage(data):
    kind = random.randrange(6)
    if kind == 0:
        return data[: random.randrange(len(data))]
    note = data.find(b"Palisade\0\0\0\0")
    if kind < 3 or note < 0:
        for _ in range(random.choice((1, 4, 40))):
            size = 64 if kind == 1 else len(data)  # the ELF head, or anywhere
            data[random.randrange(size)] = random.choice((0, 1, 0x7F, 0xFF, random.randrange(256)))
    elif kind == 3:  # the head of the note
        data[random.randrange(note - 12, note + 28)] = random.choice((0, 1, 4, 0x7F, 0xFF))
    else:  # the JSON: other types in the places of known members
        end = data.find(b"}\0", note)
        old = random.choice((b'"schema":1', b'"line":', b'"file":"', b'"counts":{', b'"variables":[', b'"unhandled":['))
        at = data.find(old, note, end)
        if at >= 0:
            data[at + random.randrange(len(old))] = random.choice(b'[]{}",:0x\\\xff')
        else:
            data[random.randrange(note, end)] = random.choice(b'[]{}",:0x\\\xff')
    return data


for round_ in range(int(rounds)):
    data = damage(bytearray(open(random.choice(files), "rb").read()))
    open("damaged", "wb").write(data)
    option = random.choice(([], ["--json"], ["--html", "damaged.html"]))
    run = subprocess.run([palisade, "report", *option, "damaged"], capture_output=True, timeout=60)
    statuses.add(run.returncode)
    if run.returncode not in (0, 64, 65, 78) or (run.returncode in (64, 78) and not (run.stderr or run.stdout)):
        sys.exit(f"round {round_}: status {run.returncode}: {run.stderr[:500]!r}")
print("statuses", *sorted(statuses))
