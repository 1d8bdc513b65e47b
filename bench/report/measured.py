"""What result files say: read with care, and gathered into groups of repetitions.

A group is what one server (label) did in one kind of work (scenario) at one point of a curve; its runs are repetitions,
of which the median counts and the smallest and largest are the spread. Files are never mixed: ratios hold within one run
of the harness only.
"""

import dataclasses
import json
import pathlib
import re
import statistics
import sys
from collections.abc import Callable
from typing import Any

SCHEMA = 1
# The scenario of runs that fill or warm a server (harness/results.py).
PREPARATION = "fill"
OURS = "freshet"
FLOOR = "floor"
UNSENT_SHARE_MAX = 0.01  # as in load/main.c

Point = tuple[tuple[str, float], ...]


class ReportError(Exception):
    """A file that cannot be reported on; its text says which, what is wrong with it and what to do."""


# ---- figures of a run ----


def number_at(run: dict[str, Any], *names: str) -> float | None:
    """The number that stands there, None where there is none."""
    value: Any = run
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ReportError(f"{'.'.join(names)} is no number: {value!r}")
    return value


def first_number(run: dict[str, Any], *paths: tuple[str, ...]) -> float | None:
    for path in paths:
        value = number_at(run, *path)
        if value is not None:
            return value
    return None


def unless_zero(*paths: tuple[str, ...]) -> Callable[[dict[str, Any]], float | None]:
    """Of what takes time, and of what is done a second: 0 is what was not measured, or not done."""
    return lambda run: first_number(run, *paths) or None


def latency(percentile: str) -> Callable[[dict[str, Any]], float | None]:
    """Of an answer, or of a notice: from the write to the subscriber."""
    return unless_zero(("latency_us", percentile), ("notice_us", percentile))


def written_per_byte(run: dict[str, Any]) -> float | None:
    """Bytes written to disk for each byte of the keys and values that were sent."""
    written = number_at(run, "server", "write_bytes")
    sent = number_at(run, "logical_bytes_written")
    return written / sent if written and sent else None


def fell_behind(run: dict[str, Any]) -> bool:
    """Whether operations of an open loop were due and not sent in the end: its latency is that of a queue that grows."""
    return (number_at(run, "unsent") or 0) > UNSENT_SHARE_MAX * (number_at(run, "operations") or 0)


@dataclasses.dataclass(frozen=True)
class Metric:
    """One figure of a run. `unit` is one of us, /s, bytes, or empty for a count."""

    name: str
    title: str
    unit: str
    of: Callable[[dict[str, Any]], float | None]
    lower_is_better: bool = True


METRICS = {
    metric.name: metric
    for metric in [
        Metric("cpu", "CPU per operation", "us", unless_zero(("server", "cpu_us_per_op"))),
        Metric("cpu_per_notice", "CPU per notice", "us", unless_zero(("server", "cpu_us_per_notice"))),
        Metric("instructions", "instructions per operation", "", unless_zero(("server", "instructions_per_op"))),
        Metric("rate", "throughput", "/s", lambda run: number_at(run, "rate_per_s"), lower_is_better=False),
        Metric("writes", "writes", "/s", unless_zero(("writes_per_s",)), lower_is_better=False),
        Metric("notices", "notices", "/s", unless_zero(("notices_per_s",)), lower_is_better=False),
        Metric("write_p50", "write p50", "us", unless_zero(("write_us", "p50"))),
        Metric("write_p99", "write p99", "us", unless_zero(("write_us", "p99"))),
        Metric("p50", "p50", "us", latency("p50")),
        Metric("p90", "p90", "us", latency("p90")),
        Metric("p99", "p99", "us", latency("p99")),
        Metric("p99.9", "p99.9", "us", latency("p99.9")),
        Metric("p99.99", "p99.99", "us", latency("p99.99")),
        Metric("max", "max", "us", latency("max")),
        Metric("rss", "RSS", "bytes", unless_zero(("server", "rss_after_bytes"), ("server", "rss_after"))),
        Metric("written", "written/byte", "", written_per_byte),
    ]
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Summary:
    """The median of repetitions, the smallest and the largest of them."""

    median: float
    low: float
    high: float
    count: int


def summarise(values: list[float]) -> Summary:
    return Summary(statistics.median(values), min(values), max(values), len(values))


# ---- groups ----


@dataclasses.dataclass(frozen=True)
class Group:
    """The repetitions of one (scenario, label, point)."""

    scenario: str
    label: str
    point: Point
    runs: list[dict[str, Any]]

    def values(self, metric: str) -> list[float]:
        values = (METRICS[metric].of(run) for run in self.runs)
        return [value for value in values if value is not None]

    def summary(self, metric: str) -> Summary | None:
        values = self.values(metric)
        return summarise(values) if values else None

    def median(self, metric: str) -> float | None:
        summary = self.summary(metric)
        return summary.median if summary else None

    def kinds(self) -> list[str]:
        """The kinds of operations, where a run did several."""
        found = (run.get("latency_us_by_kind") for run in self.runs)
        return list(dict.fromkeys(kind for kinds in found if isinstance(kinds, dict) for kind in kinds))

    def median_of_kind(self, kind: str, percentile: str) -> float | None:
        """Of the latency of one kind of operation."""
        values = [number_at(run, "latency_us_by_kind", kind, percentile) or None for run in self.runs]
        known = [value for value in values if value is not None]
        return statistics.median(known) if known else None

    def ratios(self, other: "Group", metric: str) -> list[float]:
        """Of two that alternated, the ratios of neighbours: a machine that slows down slows both of a pair. Of others the
        one ratio of their medians; none where there is nothing to divide."""
        ours, theirs = self.values(metric), other.values(metric)
        if not ours or not theirs or 0 in theirs:
            return []
        if len(ours) == len(theirs):
            return [one / two for one, two in zip(ours, theirs, strict=True)]
        return [statistics.median(ours) / statistics.median(theirs)]

    def ratio(self, other: "Group", metric: str) -> float | None:
        ratios = self.ratios(other, metric)
        return statistics.median(ratios) if ratios else None


def kind(label: str) -> str:
    """The first word of a label: the program, whatever its protocol or settings."""
    return re.split(r"[^a-z0-9_]", label.lower(), maxsplit=1)[0]


def is_ours(label: str) -> bool:
    return kind(label) == OURS


def is_floor(label: str) -> bool:
    return kind(label) == FLOOR


@dataclasses.dataclass(frozen=True)
class Measured:
    """One result file."""

    path: pathlib.Path
    text: str
    record: dict[str, Any]
    groups: list[Group]
    warnings: list[str]

    @property
    def name(self) -> str:
        return str(self.record["bench"])

    def title(self, scenario: str) -> str:
        """What a scenario is, in words, where its runs say so."""
        runs = (run for group in self.of_scenario(scenario) for run in group.runs)
        return next((str(run["title"]) for run in runs if run.get("title")), "")

    def scenarios(self) -> list[str]:
        return list(dict.fromkeys(group.scenario for group in self.groups))

    def of_scenario(self, scenario: str) -> list[Group]:
        return [group for group in self.groups if group.scenario == scenario]

    def find(self, scenario: str, label: str, point: Point) -> Group | None:
        wanted = (scenario, label, point)
        return next((group for group in self.groups if (group.scenario, group.label, group.point) == wanted), None)

    def floor_of(self, group: Group) -> Group | None:
        """The floor that was measured beside a group, at the same point."""
        beside = (one for one in self.groups if (one.scenario, one.point) == (group.scenario, group.point))
        return next((one for one in beside if is_floor(one.label)), None)


def gather(runs: list[dict[str, Any]]) -> list[Group]:
    found: dict[tuple[str, str, Point], Group] = {}
    for run in runs:
        if run["scenario"] != PREPARATION:
            key = (run["scenario"], run["label"], tuple(sorted(run["point"].items())))
            found.setdefault(key, Group(*key, runs=[])).runs.append(run)
    return list(found.values())


# ---- reading ----


def _no_number(text: str) -> float:
    raise ReportError(f"{text} stands where a number should: a division by nothing; measure again")


def _check_run(run: Any, where: str) -> None:
    if not isinstance(run, dict):
        raise ReportError(f"{where} is no object")
    for name in ("scenario", "label"):
        if not isinstance(run.get(name), str) or not run[name].strip():
            raise ReportError(f"{where} has no {name!r}: which server did what?")
    point = run.setdefault("point", {})
    if not isinstance(point, dict):
        raise ReportError(f"{where}: 'point' is no object")
    try:
        for name in point:
            number_at(point, name)
        for metric in METRICS.values():
            metric.of(run)
        fell_behind(run)
    except ReportError as error:
        raise ReportError(f"{where} ({run['scenario']}, {run['label']}): {error}") from None


def _check_check(check: Any, where: str) -> None:
    try:
        good = isinstance(check["what"], str) and isinstance(check["pass"], bool)
        numbers = number_at(check, "value") is not None and number_at(check, "limit") is not None
    except (TypeError, KeyError, ReportError):
        good = numbers = False
    if not good or not numbers:
        raise ReportError(f"{where} needs 'what', 'value', 'limit' and 'pass'")


def _check_record(record: Any) -> list[str]:
    """Raises ReportError with what is wrong; returns what is worth a warning."""
    if not isinstance(record, dict) or "bench" not in record or not isinstance(record.get("runs"), list):
        raise ReportError("is no result file of ./dev bench: it has no 'bench' and 'runs'")
    if "schema" not in record:
        raise ReportError("is a result file from before results had a schema; measure again")
    if record["schema"] != SCHEMA:
        raise ReportError(f"has schema {record['schema']!r}, and this program reads {SCHEMA}: take the one that wrote it")
    for name in ("machine", "servers"):
        if not isinstance(record.setdefault(name, {}), dict):
            raise ReportError(f"{name!r} is no object")
    for index, check in enumerate(record.setdefault("checks", [])):
        _check_check(check, f"check {index + 1}")
    warnings = []
    for index, run in enumerate(record["runs"]):
        where = f"run {index + 1}"
        _check_run(run, where)
        if run["scenario"] != PREPARATION and not isinstance(run.get("server"), dict):
            warnings.append(f"{where} ({run['scenario']}, {run['label']}) has no 'server' block, so no CPU and no memory: "
                            "was the generator given --pid?")
    if not record["checks"] and all(run["scenario"] == PREPARATION for run in record["runs"]):
        failure = record.get("failure")
        raise ReportError(f"is empty: nothing was measured{f' ({failure})' if failure else ''}")
    return warnings


def read(path: str | pathlib.Path) -> Measured:
    path = pathlib.Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ReportError(f"{path}: {error.strerror if isinstance(error, OSError) else 'is no text'}") from None
    if not text.strip():
        raise ReportError(f"{path}: is empty")
    try:
        record = json.loads(text, parse_constant=_no_number)
        warnings = _check_record(record)
    except ValueError as error:
        raise ReportError(f"{path}: is no JSON: {error}") from None
    except ReportError as error:
        raise ReportError(f"{path}: {error}") from None
    return Measured(path, text, record, gather(record["runs"]), warnings)


def read_and_warn(path: str | pathlib.Path) -> Measured:
    measured = read(path)
    for warning in measured.warnings:
        print(f"bench: {path}: {warning}", file=sys.stderr)
    return measured
