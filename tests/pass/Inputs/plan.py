"""plan.py < PLAN: one line a variable: name, unit when it is static, class."""
import json
import sys

for variable in json.load(sys.stdin)["variables"]:
    print(*(variable[key] for key in ("name", "unit", "class") if key in variable))
