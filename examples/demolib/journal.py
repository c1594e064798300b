"""What a program of Palisade writes down: a JSON object a line."""

import json


class Journal:
    def __init__(self, path):
        self.path = path
        self.offset = 0
        self.events = []

    def read(self):
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                for line in file:
                    if not line.endswith(b"\n"):
                        break  # still being written
                    self.offset += len(line)
                    self.events.append(json.loads(line))
        except FileNotFoundError:
            pass
        return self.events

    def find(self, event, after_ns=0, **fields):
        """The first such event, with these fields, from `after_ns` on, or None."""
        for entry in self.read():
            if (entry["event"] == event and entry["t_ns"] >= after_ns
                    and all(entry.get(key) == value for key, value in fields.items())):
                return entry
        return None

    def all(self, event):
        return [entry for entry in self.read() if entry["event"] == event]

    def last(self, event):
        return next((e for e in reversed(self.read()) if e["event"] == event), None)


def bare(event):
    return {key: value for key, value in event.items() if key not in ("event", "t_ns")}
