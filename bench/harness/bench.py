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
from harness.servers import BenchError, Floor, Freshet, Spoken, tail
from peers import peers


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
                server.target, "--pid", str(server.pid), "--protocol", server.protocol, *map(str, arguments)]

    def load(self, label, server, *arguments, scenario, point=None):
        """One run of bench_load; its report."""
        answered = server.answered(server.protocol)
        result = subprocess.run(self.load_command(server, "--json", *arguments), stdout=subprocess.PIPE, text=True,
                                cwd=ROOT, check=False)
        report = self._accept(label, server, result.stdout, result.returncode, answered)
        return self.keep(report, label, server, scenario, point)

    def load_watched(self, label, server, look, every_s, *arguments, scenario, point=None):
        """One run during which look() is called now and then."""
        command = self.load_command(server, "--json", *arguments)
        answered = server.answered(server.protocol)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as load:
            try:
                while load.poll() is None:
                    look()
                    time.sleep(every_s)
            except BaseException:
                load.kill()
                raise
            report = self._accept(label, server, load.stdout.read(), load.returncode, answered)
        return self.keep(report, label, server, scenario, point)

    def _accept(self, label, server, text, code, answered_before):
        """The report of a run. One with errors or wrong answers is no measurement, nor is one of which the server says that
        it answered more or less than the load counted."""
        try:
            report = json.loads(text)
        except ValueError:
            raise BenchError(f"the load on {label} made no report; see {server.log}:\n{tail(server.log)}") from None
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
        command = [str(word) for word in command]
        result = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, check=False)
        if result.returncode != 0:
            raise BenchError(f"writers and subscribers of {label} went wrong; see {server.log}:\n{tail(server.log)}")
        return self.keep(json.loads(result.stdout), label, server, scenario, point)

    def keep(self, report, label, server, scenario, point=None):
        """Names a report and puts it, with the server that it is of, into the record of this benchmark."""
        report.update(label=label, scenario=scenario, point=point or {})
        if server is not None:
            report["server_command"] = server.command
            if scenario != PREPARATION and label not in self.servers:
                self.servers[label] = server.about()
        self.runs.append(report)
        return report

    def fill(self, server, keys, *arguments):
        shape = ["--load", "--keys", keys, "--connections", 200, *arguments]
        return self.load("fill", server, *shape, scenario=PREPARATION)

    def warm(self, server, *shape):
        """Each key of the shape at least once, so that the cache holds what it will be asked for."""
        seconds = 2
        while True:
            report = self.load("warm", server, *shape, "--distribution", "sequential", "--seconds", seconds, "--warmup", 0,
                               scenario=PREPARATION)
            if report["operations"] >= report["config"]["keys"]:
                return report
            seconds = 2 * seconds * report["config"]["keys"] / report["operations"]

    def capture(self, server, *arguments):
        """The raw bytes of one answer, in a file that the floor reads."""
        answer = self.folder / f"answer-{time.monotonic_ns()}"
        subprocess.run(self.load_command(server, "--capture", answer, *arguments), cwd=ROOT, check=True)
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

    def check(self, what, value, limit, *, at_least=False, unit=""):
        good = value >= limit if at_least else value <= limit
        self.checks.append({"what": what, "value": value, "limit": limit, "at_least": at_least, "unit": unit.strip(),
                            "pass": good})
        print(f"  {'pass' if good else 'FAIL'}  {what}: {value:.3g}{unit} "
              f"({'at least' if at_least else 'at most'} {limit:.3g}{unit})")

    def seconds(self, usual):
        return self.options.seconds if self.options.seconds is not None else usual
