"""Programs under callgrind: how many instructions they take, whatever else the machine does meanwhile."""

import pathlib
import re
import select
import shutil
import subprocess

from harness import results
from harness.servers import BenchError, Freshet, tail

# Where what was counted is kept, for callgrind_annotate.
KEPT = results.FOLDER / "instructions"
READY_WAIT_S = 120
VGDB_WAIT_S = 60


def command(out, *more):
    """callgrind's words in front of a program; out: where its counts go."""
    if shutil.which("valgrind") is None:
        raise BenchError("valgrind is not installed: apt-get install valgrind")
    return ["valgrind", "--quiet", "--tool=callgrind", "--fair-sched=yes", "--trace-children=no", "--dump-line=no",
            f"--callgrind-out-file={out}", *more]


def total(path):
    """The instructions of one dump, of all threads."""
    found = re.search(r"^(?:summary|totals): (\d+)", pathlib.Path(path).read_text("ascii", "replace"), re.MULTILINE)
    if found is None:
        raise BenchError(f"{path} is no callgrind dump")
    return int(found.group(1))


def out_file(name):
    """The path of a new series of dumps; those of an earlier run go."""
    KEPT.mkdir(parents=True, exist_ok=True)
    for old in KEPT.glob(f"{name}.callgrind*"):
        old.unlink()
    return KEPT / f"{name}.callgrind"


class PlainFreshet(Freshet):
    """A server as it is, started and waited for in any thread: without the timer of other servers, which is a signal."""

    def __init__(self, bench, name, **how):
        self.program = bench.program("freshet")
        super().__init__(self.program, bench.folder, bench.options.server_core, name=name, **how)
        self.log = bench.folder / f"{name}.log"

    def wait_ready(self):
        is_ready = select.select([self.process.stdout], [], [], READY_WAIT_S)[0]
        self.take_ready(self.process.stdout.readline() if is_ready else "")


class CountedFreshet(PlainFreshet):
    """A server whose instructions are counted while count() has it do something."""

    def __init__(self, bench, name, **how):
        super().__init__(bench, name, **how)
        self.out = out_file(name)
        self.dumps = 0
        turns = bench.program("bench_turns.so")
        at = self.command.index(str(self.program))
        self.command[at:at] = ["env", f"LD_PRELOAD={turns}", *command(self.out)]

    def version(self):
        asked = subprocess.run([self.program, self.version_flag], stdout=subprocess.PIPE, text=True, check=False)
        return asked.stdout.partition("\n")[0].strip()

    def monitor(self, word):
        try:
            subprocess.run(["vgdb", f"--pid={self.pid}", word], check=True, timeout=VGDB_WAIT_S, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        except (OSError, subprocess.SubprocessError) as error:
            raise BenchError(f"callgrind does not {word}: {error}; see {self.log}:\n{tail(self.log)}") from None

    def count(self, work, label):
        """The instructions of all threads while work() runs; what it took them for is kept in LABEL.callgrind."""
        self.monitor("zero")
        work()
        self.monitor("dump")
        self.dumps += 1
        dump = pathlib.Path(f"{self.out}.{self.dumps}").replace(KEPT / f"{label}.callgrind")
        return total(dump)
