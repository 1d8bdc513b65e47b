"""Ours beside the peers: runs in turn, ratios of neighbouring runs, and the table of what was asked and what came out.

A peer that is not installed, does not start or gives wrong answers is left out of that work: it is named at once and in the
table, and the benchmark fails in the end. Without one of ours, or the floor, the work is left out.
"""

import contextlib
import dataclasses
import statistics
import time
from collections.abc import Callable

from harness.servers import BenchError, first_line
from harness.tables import print_table
from report.measured import is_floor, is_ours


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table: a blank where something has nothing to say."""

    work: str
    measure: str = ""
    ours: str = ""
    beside: str = ""
    ratio: str = ""
    target: str = ""
    verdict: str = ""


@dataclasses.dataclass(frozen=True)
class Contestant:
    """A server that takes part in some work: with options of its own; `run` is for what no load can be put on."""

    server: object
    more: tuple = ()
    run: Callable | None = None


@dataclasses.dataclass(frozen=True)
class Measure:
    """What is compared: its name, its unit, and where it stands in a report."""

    name: str
    unit: str
    path: tuple[str, ...]

    def of(self, report):
        for name in self.path:
            report = report[name]
        return report

    def text(self, reports):
        value = statistics.median(self.of(report) for report in reports)
        if self.unit == "us":
            scale, unit = (1, "us") if value < 1e3 else (1e3, "ms") if value < 1e6 else (1e6, "s")
            return f"{value / scale:.3g} {unit}"
        return f"{value:,.0f}{self.unit}"


CPU = Measure("CPU", "us", ("server", "cpu_us_per_op"))
RATE = Measure("rate", "/s", ("rate_per_s",))
P99 = Measure("p99", "us", ("latency_us", "p99"))
P999 = Measure("p99.9", "us", ("latency_us", "p99.9"))
NOTICE_P50 = Measure("notice p50", "us", ("notice_us", "p50"))
NOTICES = Measure("changes", "/s", ("notices_per_s",))


class Comparison:
    """The table of one benchmark, while it grows."""

    def __init__(self, bench, work_count):
        self.bench = bench
        self.rows = []
        self.title = ""  # of the work that is being done
        self.missing = {}  # from that work: label -> why
        self.work_count = work_count
        self.work_index = 0
        self.started_s = time.monotonic()

    # ---- work ----

    def do(self, work):
        """One kind of work. What makes it impossible does not stop the others."""
        self.work_index += 1
        self.title = self.bench.titles[work.name] = work.title
        self.missing = {}
        spent_s = time.monotonic() - self.started_s
        print(f"\n[{self.work_index}/{self.work_count}] {work.name}: {work.title}: about "
              f"{max(1, round(work.takes_s(self.bench)))} s ({spent_s / 60:.1f} min so far)", flush=True)
        try:
            work.measure(self)
        except (BenchError, OSError) as error:
            self.bench.leave_out(work.title, error)
            self.rows.append(Row(work.title, verdict=f"left out: {first_line(error)}"))

    def start(self, stack, label, make):
        """A peer that runs until the stack is left, None if it does not run."""
        try:
            return stack.enter_context(make())
        except (BenchError, OSError) as error:
            self.miss(label, error)
            return None

    def try_to(self, label, do, *arguments, **named):
        """What may go wrong with a peer: None if it did. Without ours or the floor a comparison has no meaning."""
        try:
            return do(*arguments, **named)
        except (BenchError, OSError) as error:
            if is_ours(label) or is_floor(label):
                raise
            self.miss(label, error)
            return None

    def miss(self, label, error):
        if label not in self.missing:
            self.missing[label] = first_line(error)
            self.bench.leave_out(f"{self.title}: {label}", error)

    # ---- runs ----

    def rounds(self, contestants, shape, windows, every, *, scenario):
        """Runs in turn, A B A B. label -> a report for each round, None for one that it did not take part in. every: label
        -> in every so manieth round it takes part."""
        runs = windows.rounds_of(self.bench)
        reports = {label: [None] * runs for label in contestants}
        for index in range(runs):
            for label, one in contestants.items():
                if index % every[label] == 0 and label not in self.missing:
                    arguments = [*shape, *one.more, *windows.arguments(self.bench)]
                    reports[label][index] = self.one_run(label, one, arguments, scenario)
        return {label: some for label, some in reports.items() if any(some)}

    def one_run(self, label, one, arguments, scenario):
        if one.run is not None:
            report = self.try_to(label, one.run)
            return report and self.bench.keep(report, label, one.server, scenario)
        return self.try_to(label, self.bench.load, label, one.server, *arguments, scenario=scenario)

    def show(self, reports, how=""):
        print_table(f"{self.title}{how and ', '}{how}",
                    {label: [report for report in some if report] for label, some in reports.items()})

    # ---- the table ----

    def against(self, reports, ours, beside, measure, limit=None, *, at_least=False, work=None):
        """Ours by theirs, the median of neighbouring runs; with a limit, a check. work: its name in the table, if not that
        of the whole."""
        work = work or self.title
        if ours not in reports or beside not in reports:
            label = beside if ours in reports else ours
            self.rows.append(Row(work, measure.name, beside=label, target=limit_text(limit, at_least),
                                 verdict=f"skipped: {self.missing.get(label, 'it was not run')}"))
            return
        pairs = [pair for pair in zip(reports[ours], reports[beside], strict=True) if all(pair)]
        ratio = statistics.median(measure.of(one) / measure.of(other) for one, other in pairs)
        row = Row(work, measure.name, f"{ours} {measure.text([one for one, _ in pairs])}",
                  f"{beside} {measure.text([other for _, other in pairs])}", f"{ratio:.3g}")
        self.judge(row, f"{work}: {measure.name}, {ours} / {beside}", ratio, limit, at_least=at_least)

    def bound(self, reports, ours, measure, limit, *, beside="", work=None):
        """Ours alone, against a limit in the measure's own unit."""
        work = work or self.title
        some = [report for report in reports[ours] if report]
        row = Row(work, measure.name, f"{ours} {measure.text(some)}", beside)
        self.judge(row, f"{work}: {measure.name}, {ours}", statistics.median(map(measure.of, some)), limit,
                   unit=f" {measure.unit}")

    def judge(self, row, what, value, limit=None, *, at_least=False, unit=""):
        """Adds a row, and with a limit a check."""
        if limit is None:
            print(f"        {what}: {value:.3g}{unit}")
            self.rows.append(row)
            return
        self.bench.check(what, value, limit, at_least=at_least, unit=unit)
        self.rows.append(dataclasses.replace(row, target=limit_text(limit, at_least, unit),
                                             verdict="pass" if self.bench.checks[-1]["pass"] else "FAIL"))

    def print_rows(self):
        heads = Row("work", "measure", "ours", "beside", "ratio", "target")
        # The last column is as wide as it likes: a reason may be long.
        columns = zip(*map(dataclasses.astuple, (heads, *self.rows)), strict=True)
        widths = [max(map(len, column)) for column in columns][:-1]
        spent_s = time.monotonic() - self.started_s
        print(f"\nOurs beside the peers, medians; a ratio is ours by theirs. Measured in {spent_s / 60:.1f} min\n")
        shown = None
        for row in (heads, *self.rows):
            cells = list(dataclasses.astuple(row))
            cells[0], shown = "" if row.work == shown else row.work, row.work
            padded = (cell.ljust(width) for cell, width in zip(cells, (*widths, 0), strict=True))
            print("  " + "  ".join(padded).rstrip())


def limit_text(limit, at_least=False, unit=""):
    return "" if limit is None else f"{'>=' if at_least else '<='} {limit:g}{unit}"
