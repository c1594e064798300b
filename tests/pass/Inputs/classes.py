"""classes.py < REPORT: one line a variable: unit, name, class, lock, how many accesses are logged."""
import json
import os
import sys

for unit in json.load(sys.stdin)["units"]:
    for variable in unit["variables"]:
        words = [os.path.basename(unit["file"]), variable["name"], variable["class"]]
        if "lock" in variable:
            words.append("by " + variable["lock"])
        logged = variable["counts"].get("logged", 0)
        if logged:
            words.append(f"logged {logged}")
        print(*words)
