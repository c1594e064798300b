"""starts.py PALISADE SOURCE OBJECT COMPILER...: what the report says of each CASE in SOURCE ("if CASE == 1 //
NAME"), with and without optimisation: NAME, the threads in the order of their names, the classes of `received`
and `expired`."""
import json
import re
import subprocess
import sys

palisade, source, out, *compiler = sys.argv[1:]
with open(source, encoding="utf-8") as file:
    cases = re.findall(r"CASE == (\d+) // (.*)", file.read())
for number, name in cases:
    for level in ("-O0", "-O2"):
        subprocess.run([*compiler, level, f"-DCASE={number}", "-c", source, "-o", out], check=True)
        said = subprocess.run([palisade, "report", "--json", out], stdout=subprocess.PIPE, check=False)
        (unit,) = json.loads(said.stdout)["units"]
        threads = sorted(f"{thread['entry']} {'several' if thread['many'] else 'one'}"
                         for thread in unit["threads"] if thread["entry"] != "main")
        classes = [f"{variable['name']} {variable['class']}" for variable in unit["variables"]
                   if variable["name"] in ("received", "expired")]
        print(f"{name} {level}: {', '.join(threads)}; {', '.join(classes)}.")
