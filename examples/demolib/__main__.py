"""The command line of examples/demo."""

import argparse
import json
import os
import secrets
import signal
import sys

from . import refuse, table
from .nfs import NFS
from .processes import ProcessDied
from .protected import VICTIMS
from .run import Plan, conduct

DESCRIPTION = """\
Kills a network function, or a part of Palisade, in the middle of its work and shows who notices:
client and server in namespaces, real traffic, kill -9, takeover by the backup, and what died is
started again. Exit status 0 only when nothing was lost, doubled, reordered or broken; the death of a
logger may cost the packets in flight."""


class Arguments(argparse.ArgumentParser):
    def error(self, message):
        print(f"demo: {message} (--help lists the options)", file=sys.stderr)
        sys.exit(refuse.USAGE)


def arguments_parse(words):
    parser = Arguments(prog="demo", description=DESCRIPTION, allow_abbrev=False,
                       formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nf", choices=tuple(NFS), default="nat",
                        help="which one: a NAT (default), a flow probe (libpcap), a load balancer "
                        "(AF_XDP), a rate limiter (TUN)")
    parser.add_argument("--mode", choices=("cold", "hot", "none"), default="cold",
                        help="cold: protected by Palisade, the backup restores snapshot and logs "
                        "(default); hot: the backup replays all the time and needs only the rest; "
                        "none: the same program for itself, restarted")
    parser.add_argument("--kill", choices=(*VICTIMS, "all"), default="master",
                        help="who dies: the function itself (default), its backup, the input "
                        "logger, the output logger; all: one after another, in shorter runs")
    parser.add_argument("--seed", type=seed_parse, metavar="N",
                        help="chooses the moment of the kill (default: at random, and printed)")
    parser.add_argument("--json", action="store_true",
                        help="print the result as one JSON object, and nothing else, on stdout; "
                        "of --kill all: {\"runs\": [...], \"passed\": ...}")
    parser.add_argument("--programs", default=default_programs(), metavar="DIR",
                        help="where the built programs are (default: build/bin)")
    parser.add_argument("--keep", metavar="DIR",
                        help="copy the logs and journals of all programs there")
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.mode == "none" and options.kill != "master":
        parser.error(f"--mode none has nobody to kill but the function: not --kill {options.kill}")
    return options


def seed_parse(text):
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"not a number: {text!r}")
    return int(text)


def default_programs():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return os.path.join(root, "build", "bin")


class Voice:
    """Progress for a person: on a terminal, volatile lines replace one another."""

    def __init__(self, stream):
        self.stream = stream
        self.terminal = stream.isatty()
        self.pending = False

    def __call__(self, text, volatile=False):
        erase = "\r\033[K" if self.pending else ""
        self.pending = volatile and self.terminal
        print(f"{erase}{text}", end="" if self.pending else "\n", file=self.stream, flush=True)


def interrupted(number, _frame):
    print(f"\ndemo: {signal.Signals(number).name}: cleaning up", file=sys.stderr)
    raise SystemExit(128 + number)


def run_all(options, seed, say):
    """One run for each victim; what fails in one does not keep the others from running."""
    results = []
    for victim in VICTIMS:
        plan = Plan.short(mode=options.mode, nf=options.nf, seed=seed, victim=victim)
        keep = options.keep and os.path.join(options.keep, victim)
        try:
            results.append(conduct(plan, options.programs, say, keep))
        except ProcessDied as died:
            results.append({"nf": plan.nf, "mode": plan.mode, "kill": victim, "seed": seed,
                            "passed": False, "failed": str(died)})
    passed = all(result["passed"] for result in results)
    if options.json:
        print(json.dumps({"runs": results, "passed": passed}))
    else:
        print(f"\n{table.render_all(results)}")
    if any("failed" in result for result in results):
        return refuse.FAILED
    return 0 if passed else refuse.BROKEN


def main():
    options = arguments_parse(sys.argv[1:])
    say = Voice(sys.stderr if options.json else sys.stdout)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    try:
        refuse.check(options.mode, options.nf)
        if options.check:
            return 0
        seed = secrets.randbelow(1 << 32) if options.seed is None else options.seed
        if options.kill == "all":
            return run_all(options, seed, say)
        plan = Plan(mode=options.mode, nf=options.nf, seed=seed, victim=options.kill)
        result = conduct(plan, options.programs, say, options.keep)
    except refuse.Refusal as refusal:
        print(f"demo: {refusal}", file=sys.stderr)
        return refusal.status
    except ProcessDied as died:
        print(f"demo: {died}", file=sys.stderr)
        return refuse.FAILED
    if options.json:
        print(json.dumps(result))
    else:
        print(f"\n{table.render(result)}")
    return 0 if result["passed"] else refuse.BROKEN


sys.exit(main())
