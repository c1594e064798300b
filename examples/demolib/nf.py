"""What the conductor asks of a network function; one file of nfs/ each answers."""

from .gateway import Program

ON_THE_WAY_MS = 500  # on a busy machine, before the witness's own figure
LOSSY = ("il", "ol")  # whose death may cost the packets in flight, and nothing else (G7)


class NetworkFunction:
    """
    Topology, program, load, witness and verdict of one network function. Called in this order:
    the constructor, program(), path_ready() until it is true, gateway_ready(), begin(),
    begin_witness(), before_kill(), after_kill(), stop() once loading() is over, finish(),
    result(), passed(); tick() and require() all the time.
    """

    name = ""  # --nf NAME
    title = ""  # in sentences: "kill -9 of TITLE"
    forgets = ""  # what a restart without Palisade begins with
    praise = "Nothing lost, doubled, reordered or broken."
    lossy_praise = "Nothing doubled, reordered or broken; a logger's death may cost what is in flight."
    lasting = False  # the load goes on as long as this is true
    tools = ("ip", "nsenter", "ethtool")
    programs = ("witness-udp",)  # beside the function's own
    # Where the world could lose a packet before Palisade numbered it or after it was released.
    places = (("client", ("eth0",)), ("gate", ("lan", "wan")), ("server", ("eth0",)))

    def __init__(self, plan, topology, programs):
        """Adds to the topology what this function needs; nothing else runs yet."""
        self.plan, self.topology, self.directory = plan, topology, programs

    def program(self) -> Program:
        raise NotImplementedError

    def path_ready(self):
        """One try to get the first packet through; takes a second when it fails."""
        raise NotImplementedError

    def gateway_ready(self, gateway):
        """The function runs; `gateway.said()` is what it printed."""

    def begin(self):
        """The load begins."""

    def begin_witness(self):
        """The witness begins, `settle_s` later."""

    def before_kill(self):
        """A second before the kill."""

    def after_kill(self):
        """1.5 s after the kill: what is new then must work as well."""

    def tick(self, now_ns):
        """Every 50 ms."""

    def require(self):
        """Raises ProcessDied when a part of the load or the witness ended by itself."""

    def loading(self):
        """The load goes on."""
        raise NotImplementedError

    def stop(self):
        """The load is over, whatever still runs of it."""

    def finish(self, gateway):
        """Waits for the witness's last words."""

    def progress(self):
        """A few words for a person, once a second."""
        return ""

    def result(self, start_ns, kills_ns):
        """This function's part of the result, with `outage_ms` (None: not measured)."""
        raise NotImplementedError

    def outage_ms(self, _kill_ns, _next_ns=None):
        """The pause after one kill, before the next one."""
        return None

    def passed(self, result):
        """Nobody noticed."""
        raise NotImplementedError

    @staticmethod
    def lossy(result):
        """May packets be lost?"""
        return result["kill"] in LOSSY

    def flight(self, result, packets_per_s, away_ms):
        """How many packets of that rate may be lost: those on their way at a logger's death, and
        those that came while it was away."""
        way_ms = max(ON_THE_WAY_MS, result.get("longest_way_ms", 0))
        return round(packets_per_s * (away_ms + way_ms) / 1000) if self.lossy(result) else 0

    @classmethod
    def outage_text(cls, result):
        """For the table; None: it has no such row."""
        return None

    @classmethod
    def rows(cls, result):
        """[(name, value)] of the table: what the witness saw of packets."""
        raise NotImplementedError

    @classmethod
    def load_rows(cls, _result):
        """The rest of it."""
        return []

    @classmethod
    def brief_rows(cls, result):
        """All of it in few words, for several results side by side."""
        raise NotImplementedError
