"""What all benchmarks share: programs, folders, cores, and the runs made so far.

A run is named by three things, in its report and in the result file: `scenario`, the work; `label`, the server; `point`,
what varies where runs are points of a curve. Runs that have all three in common are repetitions.
"""

import json
import pathlib
import subprocess
import time

from harness import results
from harness.results import PREPARATION, ROOT
from harness.servers import BenchError, Floor, Freshet, Spoken, first_line, tail
from peers import peers

# A program that loads a server ends soon after the time that it was given, or by its timeouts; one that takes so much
# longer hangs, and is killed.
HANG_S = 1800
WARM_PER_S = 200000
# A disk that is behind with what earlier runs have written holds up a write for many seconds. That shows as latency, and
# is no reason to stop.
TIMEOUT_MS = 60000


class Bench:
    """One benchmark, while it runs."""

    def __init__(self, options, folder):
        self.options = options
        self.folder = pathlib.Path(folder)
        self.programs = options.build.resolve()
        self.started_at = results.now()
        self.servers = {}
        self.runs = []
        self.checks = []
        self.left_out = []  # what could not be measured, and why; the others could
        self.titles = {}  # scenario -> what it is, in words
        self.record_name = None  # of the result file, where it is not the benchmark's

    # ---- programs ----

    def program(self, name):
        path = self.programs / ("bench" if name.startswith("bench_") else "") / name
        if not path.exists():
            raise BenchError(f"{path} is missing; ./dev build makes build/release")
        return path

    def freshet(self, *, core=None, **how):
        """Ours, with four shards on one thread unless `how` says otherwise (see servers.Freshet)."""
        core = self.options.server_core if core is None else core
        return Freshet(self.program("freshet"), self.folder, core, **how)

    def floor(self, answer, *, bodies=False):
        return Floor(self.program("bench_floor"), self.folder, self.options.server_core, answer, bodies=bodies)

    def over(self, server, protocol):
        """The same server, spoken to in another protocol than HTTP."""
        return Spoken(server, protocol)

    # ---- loads ----

    def load_command(self, server, *arguments):
        return ["taskset", "-c", str(self.options.load_core), str(self.program("bench_load")), "--target",
                server.target, "--pid", str(server.pid), "--protocol", server.protocol, "--timeout-ms", str(TIMEOUT_MS),
                *map(str, arguments)]

    def _run(self, label, command, *, look=None, every_s=None):
        """(what a program that loads a server printed, its exit code). look() is called now and then, meanwhile."""
        end_s = time.monotonic() + time_given_s(command) + HANG_S
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as program:
            try:
                while True:
                    if look is not None:
                        look()
                    left_s = end_s - time.monotonic()
                    try:
                        text, _ = program.communicate(timeout=min(left_s, every_s or left_s))
                        return text, program.returncode
                    except subprocess.TimeoutExpired:
                        if time.monotonic() >= end_s:
                            raise BenchError(f"the load on {label} did not end {HANG_S} s after its time; killed") from None
            except BaseException:
                program.kill()
                raise

    def load(self, label, server, *arguments, scenario, point=None, look=None, every_s=None):
        """One run of bench_load; its report. look() is called every so many seconds, meanwhile."""
        answered = server.answered(server.protocol)
        text, code = self._run(label, self.load_command(server, "--json", *arguments), look=look, every_s=every_s)
        report = self._accept(label, server, text, code, answered)
        return self.keep(report, label, server, scenario, point)

    def _accept(self, label, server, text, code, answered_before):
        """The report of a run. One with errors or wrong answers is no measurement, nor is one of which the server says that
        it answered more or less than the load counted."""
        report = parsed(text, label, server)
        if code != 0:
            wrong = {name: report[name] for name in ("errors", "timeouts", "unexpected", "statuses")}
            raise BenchError(f"the load on {label} went wrong: {wrong}; see {server.log}:\n{tail(server.log)}")
        if report["operations"] == 0 and report["config"]["mode"] != "idle":
            raise BenchError(f"the load on {label} had no answer in the time that was measured; a longer run may have some")
        # A load that holds idle connections does not say.
        if answered_before is not None and "answered" in report:
            answered = server.answered(server.protocol) - answered_before
            if answered != report["answered"]:
                raise BenchError(f"{label} answered {answered} requests by its own count, but the load counted "
                                 f"{report['answered']} answers: one of the two is wrong")
        return report

    def stream(self, label, server, *arguments, scenario, point=None):
        """One run of writers and subscribers, bench_stream; its report."""
        command = ["taskset", "-c", self.options.load_core, self.program("bench_stream"), "--target", server.target,
                   "--pid", server.pid, *arguments]
        text, code = self._run(label, [str(word) for word in command])
        if code != 0:
            raise BenchError(f"writers and subscribers of {label} went wrong; see {server.log}:\n{tail(server.log)}")
        return self.keep(parsed(text, label, server), label, server, scenario, point)

    def keep(self, report, label, server, scenario, point=None):
        """Names a report and puts it, with the server that it is of, into the record of this benchmark."""
        report.update(label=label, scenario=scenario, point=point or {})
        if scenario in self.titles:
            report["title"] = self.titles[scenario]
        if server is not None:
            report["server_command"] = server.command
            if scenario != PREPARATION and label not in self.servers:
                self.servers[label] = server.about()
        self.runs.append(report)
        return report

    def fill(self, server, keys, *arguments):
        shape = ["--load", "--keys", keys, "--connections", 200, *arguments]
        return self.load("fill", server, *shape, scenario=PREPARATION)

    def warm(self, server, keys, *shape):
        """Each of so many records is asked for once at least, however long that takes, so that the cache holds it."""
        asked = 0
        while asked < keys:
            report = self.load("warm", server, *shape, "--keys", keys - asked, "--key-from", asked, "--distribution",
                               "sequential", "--seconds", max(1, (keys - asked) / WARM_PER_S), "--warmup", 0,
                               scenario=PREPARATION)
            asked += report["operations"]

    def capture(self, server, *arguments):
        """The raw bytes of one answer, in a file that the floor reads."""
        answer = self.folder / f"answer-{time.monotonic_ns()}"
        _, code = self._run("capture", self.load_command(server, "--capture", answer, *arguments))
        if code != 0:
            raise BenchError(f"an answer could not be captured; see {server.log}:\n{tail(server.log)}")
        return answer

    def redis(self, *, durable=False):
        return peers.Redis(self.folder, self.options.server_core, durable=durable)

    def nginx_once(self, answer, *arguments, scenario):
        """nginx `return 200` with an answer that is as long as the captured one."""
        with peers.NginxFixed(self.folder, self.options.server_core, answer) as server:
            return self.load("nginx fixed", server, *arguments, scenario=scenario)

    def alternate(self, servers, runs, arguments, *, scenario, point=None):
        """Runs of each server in turn, A B A B; the reports of each, by label."""
        reports = {label: [] for label in servers}
        for _ in range(runs):
            for label, server in servers.items():
                reports[label].append(self.load(label, server, *arguments, scenario=scenario, point=point))
        return reports

    # ---- results ----

    def leave_out(self, what, error):
        """What could not be measured does not stop the rest, but fails the benchmark in the end."""
        print(f"  left out: {what}: {error}", flush=True)
        self.left_out.append(f"{what}: {first_line(error)}")

    def check(self, what, value, limit, *, at_least=False, unit=""):
        good = value >= limit if at_least else value <= limit
        self.checks.append({"what": what, "value": value, "limit": limit, "at_least": at_least, "unit": unit.strip(),
                            "pass": good})
        print(f"  {'pass' if good else 'FAIL'}  {what}: {value:.3g}{unit} "
              f"({'at least' if at_least else 'at most'} {limit:.3g}{unit})")

    def seconds(self, usual):
        """The length of a run: what was asked for, for all alike, or what is usual."""
        return self.options.seconds if self.options.seconds is not None else usual


def parsed(text, label, server):
    """The report that a program printed."""
    try:
        return json.loads(text)
    except ValueError:
        raise BenchError(f"the load on {label} made no report; see {server.log}:\n{tail(server.log)}") from None


def time_given_s(command):
    """The seconds for which a command is to load a server."""
    given = [float(command[at + 1]) for at, word in enumerate(command) if word in ("--seconds", "--warmup")]
    return sum(given)
