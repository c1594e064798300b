"""A NAPT router: whoever talks through it keeps address and port."""

from ..gateway import NAT
from ..streams import Streams


class Nat(Streams):
    name = "nat"
    title = "the NAT"
    forgets = "an empty table"

    def program(self):
        return NAT

    def result(self, start_ns, kills_ns):
        return {**super().result(start_ns, kills_ns), **self.verdict.mappings(kills_ns)}

    def passed(self, result):
        """Also, every mapping is as it was."""
        return (super().passed(result)
                and not any(result[key] for key in ("mappings_changed", "ports_reused"))
                and result["mappings_before"] == result["mappings_after"] > 0)

    @classmethod
    def load_rows(cls, result):
        return super().load_rows(result) + [
            ("NAT mappings", f"{result['mappings_before']} before, {result['mappings_after']} of"
             f" them kept, {result['new_flows']} new, {result['ports_reused']} ports given twice"),
        ]

    @classmethod
    def brief_rows(cls, result):
        return super().brief_rows(result) + [
            ("mappings changed", f"{result['mappings_before'] - result['mappings_after']} of"
             f" {result['mappings_before']}"),
            ("ports given twice", result["ports_reused"]),
        ]
