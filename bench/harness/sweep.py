"""Sweeps: the cost of one operation at points along which one thing grows, as a table.

A step is marked: a point that costs half as much again as the one before, measured by the floor where there is one; where the
work at a point is as much more, half as much again for each of it. What goes wrong at a point, or with one server there, is
told and left out: the other points, and what was measured of this one, are kept.
"""

import contextlib
import dataclasses
import statistics
from collections.abc import Callable

from harness import results
from harness.servers import BenchError
from harness.tables import cpu_us

SECONDS = 1.5
STEP_MAX = 1.5
MARK = "*"
KINDS = {"freshet http": "freshet", "freshet wire": "wire"}  # label -> what bench_stream calls it


@dataclasses.dataclass(frozen=True)
class Column:
    """One kind of work on one server; floor: the column that shows what the kernel alone costs."""

    scenario: str
    label: str
    floor: str | None = None
    value: Callable = cpu_us


class Sweep:
    """The runs of one dimension: at each point, repetitions in each column. grows: the work at a point is as much more. Its
    table is printed when the block ends, however it ends."""

    def __init__(self, bench, point_name, title, columns, *, grows=False):
        self.grows = grows
        self.bench = bench
        self.point_name = point_name
        self.title = title
        self.columns = {f"{column.label} {column.scenario}": column for column in columns}
        self.rows = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.rows:
            self.print()

    def name(self, at):
        return f"{self.point_name.replace('_', ' ')} {at}"

    def points(self, every, few=None):
        """Those to measure, one after another, as long as there is time."""
        for at in few if few is not None and self.bench.options.quick else every:
            spent_minutes = (results.now() - self.bench.started_at).total_seconds() / 60
            if spent_minutes > self.bench.options.minutes:
                self.bench.leave_out(self.name(at), f"{spent_minutes:.1f} minutes are over; --minutes gives more")
            else:
                yield at

    @contextlib.contextmanager
    def point(self, at):
        """What makes a point impossible does not stop the others."""
        try:
            yield
        except (BenchError, OSError) as error:
            self.bench.leave_out(self.name(at), error)

    def load(self, at, servers, *arguments, scenario):
        """Runs of bench_load at one point, each server in turn. servers: label -> server."""
        self.run(at, servers, scenario, lambda label, server, *window: self.bench.load(
            label, server, *arguments, *window, scenario=scenario, point={self.point_name: at}))

    def stream(self, at, servers, *arguments, scenario):
        """The same with bench_stream."""
        self.run(at, servers, scenario, lambda label, server, *window: self.bench.stream(
            label, server, "--server", KINDS[label], *arguments, *window, scenario=scenario, point={self.point_name: at}))

    def run(self, at, servers, scenario, one_run):
        """Each server in turn, A B A B. One that fails is left out of the rest of the point."""
        seconds = self.bench.seconds(SECONDS)
        failed = set()
        for _ in range(self.bench.options.runs):
            for label, server in servers.items():
                if label in failed:
                    continue
                try:
                    report = one_run(label, server, "--seconds", seconds, "--warmup", min(1, seconds / 4))
                except (BenchError, OSError) as error:
                    failed.add(label)
                    self.bench.leave_out(f"{self.name(at)}, {label} {scenario}", error)
                else:
                    self.rows.setdefault(at, {}).setdefault(f"{label} {scenario}", []).append(report)

    def cost(self, at, name):
        reports = self.rows[at].get(name)
        return None if reports is None else statistics.median(self.columns[name].value([one]) for one in reports)

    def ratio(self, at, name):
        """To the floor's cost; None where there is none."""
        cost, floor = self.cost(at, name), self.columns[name].floor
        floor_cost = None if floor is None else self.cost(at, floor)
        return None if cost is None or floor_cost is None else cost / floor_cost

    def steps_up(self, before, at, name):
        """Whether this point costs more than it should by the point before."""
        if before is None or self.columns[name].label == "floor" or None in (self.cost(before, name), self.cost(at, name)):
            return False
        if self.grows:
            return self.cost(at, name) / at > STEP_MAX * self.cost(before, name) / before
        if None not in (self.ratio(at, name), self.ratio(before, name)):
            return self.ratio(at, name) > STEP_MAX * self.ratio(before, name)
        return self.cost(at, name) > STEP_MAX * self.cost(before, name)

    def cell(self, before, at, name):
        cost, ratio = self.cost(at, name), self.ratio(at, name)
        return (("-" if cost is None else f"{cost:.3f}") + ("" if ratio is None else f" {ratio:5.2f} x")
                + (MARK if self.steps_up(before, at, name) else " "))

    def print(self):
        names = list(self.columns)
        widths = {name: max(len(name), 20 if self.columns[name].floor else 11) + 2 for name in names}
        print(f"\n{self.title}: CPU us each, medians of {self.bench.options.runs}")
        print(f"  {self.point_name.replace('_', ' '):>12}" + "".join(f"{name:>{widths[name]}}" for name in names))
        before = None
        for at in self.rows:
            print(f"  {at:>12}" + "".join(f"{self.cell(before, at, name):>{widths[name]}}" for name in names))
            before = at
