"""Bad input: one clear sentence and the status that README.md lists."""

import json
import os
import shutil
import subprocess
import time

from demolib.gateway import NAT_OPTIONS
from demolib.processes import Process, ProcessDied
from demolib.protected import Cold
from demolib.refuse import FAILED, PRIVILEGE, USAGE, Refusal
from demolib.topology import SERVER_ADDRESS, Topology
from stage import Broken, expect, expect_refusal, run

INTERFACE, BUSY, RANDOMISED, IDENTITY, MEMORY, DISK, NO_BACKUP = \
    66, 67, 68, 69, 70, 71, 75


# ---- the demonstration and the plain NAT ----

def demo_option(stage):
    expect_refusal(run(stage.demo, "--mod", "none"), USAGE, "--mod")
    expect_refusal(run(stage.demo, "--mode", "warm"), USAGE, "warm")
    expect_refusal(run(stage.demo, "--seed", "1x"), USAGE, "1x")
    expect_refusal(run(stage.demo, "--kill", "maste"), USAGE, "maste", "master")
    expect_refusal(run(stage.demo, "--mode", "none", "--kill", "il"), USAGE, "--kill il")


def demo_root(stage):
    expect_refusal(run("setpriv", "--reuid", "1", "--clear-groups", stage.demo), PRIVILEGE, "root")
    expect_refusal(run("unshare", "--user", stage.demo), PRIVILEGE, "root")


def demo_capability(stage):
    expect_refusal(run("setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw",
                       stage.demo), PRIVILEGE, "CAP_NET_RAW")


def demo_unbuilt(stage):
    expect_refusal(run(stage.demo, "--programs", "/nonexistent"), FAILED, "/nonexistent", "build")


def nat_option(stage):
    nat = stage.program("nat-plain")
    expect_refusal(run(nat, "--lann", "x"), USAGE, "option")
    expect_refusal(run(nat, "--lan", "lan", "--wan", "wan"), USAGE, "--lan-address")
    expect_refusal(run(nat, *NAT_OPTIONS, "--workers", "0"), USAGE, "--workers")
    expect_refusal(run(nat, *NAT_OPTIONS, "--first-port", "59000"), USAGE, "port")


def nat_interface(stage):
    expect_refusal(run(stage.program("nat-plain"), *NAT_OPTIONS), 1, "lan")


# ---- Palisade ----

class Protected:
    """A topology with loggers, master and backup, ready; for tests that want something refused."""

    def __init__(self, stage):
        self.stage = stage

    def __enter__(self):
        try:
            self.topology = Topology(palisade=True)
        except Refusal as refusal:
            raise Broken(str(refusal)) from None
        return self

    def __exit__(self, *_):
        shutil.copytree(self.topology.directory, self.stage.keep, dirs_exist_ok=True)
        self.topology.close()

    def start(self, **settings):
        try:
            self.gateway = Cold(self.topology, self.stage.programs, **settings)
            self.gateway.wait_ready()
        except (OSError, ProcessDied) as failure:
            raise Broken(str(failure)) from None
        return self.gateway

    def logger(self, name, prefix=(), **changes):
        """Runs a logger that is expected to refuse."""
        settings = {"port": "lan=lan", "link": "ilm", "state": self.topology.directory, **changes}
        words = [word for key, value in settings.items() for word in (f"--{key}", value)]
        return run(*prefix, self.stage.program(f"palisade-{name}-logger"), *words,
                   namespace=self.topology.name("gate"))


def option_key(stage):
    nat = stage.program("nat")
    done = run(nat, *NAT_OPTIONS, environment={"PALISADE_OPTIONS": "role=master:colour=red"})
    expect_refusal(done, USAGE, "colour")
    done = run(nat, *NAT_OPTIONS, environment={"PALISADE_OPTIONS": "role=mistress"})
    expect_refusal(done, USAGE, "mistress")
    done = run(nat, *NAT_OPTIONS, environment={"PALISADE_OPTIONS": "fault=master_barier"})
    expect_refusal(done, USAGE, "master_barier", "master_barrier")


def option_help(stage):
    status, said, error = run(stage.program("nat"), environment={"PALISADE_OPTIONS": "help=1"})
    expect(status == 0 and "snapshot_ms" in said + error, f"status {status}: {said}{error}")
    for program in ("nat", "palisade-input-logger", "palisade-output-logger"):
        status, said, _ = run(stage.program(program), environment={"PALISADE_OPTIONS": "fault=help"})
        expect(status == 0 and "ol_epoch " in said, f"{program}: status {status}: {said}")


def logger_option(stage):
    for name in ("input", "output"):
        expect_refusal(run(stage.program(f"palisade-{name}-logger"), "--prot", "lan=lan"), USAGE,
                       "prot")
        for option, *words in (("spin=1", "spin=1", "only fault"), ("fault=ol_goo", "ol_go?")):
            expect_refusal(run(stage.program(f"palisade-{name}-logger"),
                               environment={"PALISADE_OPTIONS": option}), USAGE, *words)


def logger_interface(stage):
    with Protected(stage) as protected:
        for name in ("input", "output"):
            expect_refusal(protected.logger(name, port="lan=nowhere"), INTERFACE, "nowhere")
            expect_refusal(protected.logger(name, link="nowhere"), INTERFACE, "nowhere")


def logger_busy(stage):
    with Protected(stage) as protected:
        protected.start()
        for name in ("input", "output"):
            state = os.path.join(protected.topology.directory, f"second-{name}")
            os.mkdir(state)
            expect_refusal(protected.logger(name, state=state), BUSY)


def backup_refused(stage, protected, command, environment):
    """A second backup-to-be: the running one makes room for it first."""
    protected.gateway.backup.stop()
    process = Process("other-backup", command, protected.topology.name("backup"),
                      protected.topology.directory, environment)
    try:
        status = process.popen.wait(timeout=20)
    except Exception:
        process.stop()
        raise Broken("the other backup was not refused") from None
    expect_refusal((status, "", process.tail()), IDENTITY)
    return process.tail()


def backup_options(stage):
    with Protected(stage) as protected:
        gateway = protected.start()
        said = backup_refused(stage, protected, *gateway.nf_command(
            "backup", options=[*NAT_OPTIONS, "--timeout-udp", "77"]))
        expect("--timeout-udp,77" in said, f"the option is not named: {said}")


def backup_build(stage):
    """Another build of the same source: both build identities are named."""
    with Protected(stage) as protected:
        gateway = protected.start()
        other = os.path.join(protected.topology.directory, "nat")
        status, _, error = run(stage.program("palisade-cc"), "-O1",
                               os.path.join(stage.root, "examples", "nat", "nat.c"), "-o", other,
                               timeout_s=120)
        expect(status == 0, f"palisade-cc: {error}")
        said = backup_refused(stage, protected, *gateway.nf_command("backup", program=other))
        for path in (other, stage.program("nat")):
            expect(build_id(path)[:8] in said, f"{path}'s identity is not in: {said}")


def randomised(stage):
    """Address randomisation is on and personality(2), which would switch it off, is forbidden."""
    expect_refusal(run("python3", "-m", "forbid", "personality", stage.program("nat"),
                       *NAT_OPTIONS, environment={
                           "PALISADE_OPTIONS": "role=master:il=lo@127.0.0.1:ol=lo@127.0.0.1",
                           "PYTHONPATH": os.path.dirname(os.path.abspath(__file__))}),
                   RANDOMISED, "randomi")


def no_backup(stage):
    with Protected(stage) as protected:
        gateway = protected.start(backup=False, logger_options=["--exit-without-backup"])
        gateway.kill()
        status = gateway.output_logger.popen.wait(timeout=20)
        expect_refusal((status, "", gateway.output_logger.tail()), NO_BACKUP, "backup")


# ---- full disk, no memory ----

class SmallDisk:
    """A file system that can be filled, at `path`."""

    def __init__(self, path):
        self.path, self.filling = path, os.path.join(path, "filling")

    def __enter__(self):
        os.makedirs(self.path, exist_ok=True)
        done = run("mount", "-t", "tmpfs", "-o", "size=64k", "none", self.path)
        expect(done[0] == 0, f"mount: {done[2]}")
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "--lazy", self.path], check=False)

    def fill(self):
        with open(self.filling, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

    def protect(self, word="ro"):
        """Nothing can be written any more, not even in place; "rw": again."""
        done = run("mount", "-o", f"remount,{word}", self.path)
        expect(done[0] == 0, f"mount: {done[2]}")


def disk_start(stage):
    with Protected(stage) as protected:
        with SmallDisk(os.path.join(protected.topology.directory, "full")) as disk:
            disk.fill()
            for name in ("input", "output"):
                expect_refusal(protected.logger(name, state=disk.path), DISK, disk.path)


def disk_takeover(stage):
    """No epoch on disk, no takeover: nothing is released until it can be written again. A disk that
    is only full takes it: the epoch is written in place."""
    with Protected(stage) as protected:
        state = os.path.join(protected.topology.directory, "output-logger.state")
        with SmallDisk(state) as disk:
            gateway = protected.start()
            expect(pinged(protected, 20), "no ping passes the NAT")
            disk.fill()
            disk.protect()
            gateway.kill()
            expect(heard(lambda: "cannot be written" in gateway.output_logger.tail()),
                   f"the disk is not named: {gateway.output_logger.tail()}")
            expect(not pinged(protected, 2), "a packet was released without an epoch")
            expect(gateway.journals["backup"].find("takeover") is None, "a takeover began")
            disk.protect("rw")
            expect(heard(lambda: gateway.journals["backup"].find("live")),
                   "no takeover once the disk can be written, though it is full")
            expect(pinged(protected, 20), "no ping passes the NAT after the takeover")


def pinged(protected, tries):
    return any(run("ping", "-q", "-c", "1", "-W", "1", SERVER_ADDRESS,
                   namespace=protected.topology.name("client"))[0] == 0 for _ in range(tries))


def heard(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def memory_nf(stage):
    def refused(option, *prefix):
        expect_refusal(run(*prefix, stage.program("nat"), *NAT_OPTIONS, environment={
            "PALISADE_OPTIONS": f"role=master:il=lo@127.0.0.1:ol=lo@127.0.0.1:{option}"}),
                       MEMORY, "heap_mib", "stack_kib")
    refused("heap_mib=1048576", "prlimit", "--as=2000000000")
    refused("stack_kib=1048576")


def memory_logger(stage):
    with Protected(stage) as protected:
        # The input logger's copies need it from the start, the output logger's logs as they come.
        expect_refusal(protected.logger("input", ("prlimit", "--as=1000000000"), memory="1000"),
                       MEMORY, "--memory")
        expect_refusal(protected.logger("output", ("prlimit", "--as=20000000")), MEMORY, "memory")


def build_id(path):
    status, said, _ = run("readelf", "--notes", path)
    expect(status == 0 and "Build ID:" in said, f"{path} has no build id")
    return said.split("Build ID:")[1].split()[0]


def report(stage):
    """What the pass left out, read from the program itself."""
    status, said, error = run(stage.program("palisade"), "report", "--json", stage.program("nat"))
    expect(status == 0, f"status {status}: {error}")
    expect(json.loads(said), "an empty report")


def tests(_seed):
    return [
        ("refuse-demo-option", demo_option),
        ("refuse-demo-root", demo_root),
        ("refuse-demo-capability", demo_capability),
        ("refuse-demo-unbuilt", demo_unbuilt),
        ("refuse-nat-option", nat_option),
        ("refuse-nat-interface", nat_interface),
        ("refuse-option-key", option_key),
        ("option-help", option_help),
        ("refuse-logger-option", logger_option),
        ("refuse-logger-interface", logger_interface),
        ("refuse-logger-busy", logger_busy),
        ("refuse-backup-options", backup_options),
        ("refuse-backup-build", backup_build),
        ("refuse-randomised", randomised),
        ("refuse-no-backup", no_backup),
        ("refuse-memory-nf", memory_nf),
        ("refuse-memory-logger", memory_logger),
        ("refuse-disk-start", disk_start),
        ("refuse-disk-takeover", disk_takeover),
        ("report", report),
    ]
