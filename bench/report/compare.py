"""./dev bench compare: what moved between two result files, beyond noise.

A figure moved when the ranges of its repetitions do not overlap and its medians differ by more than the threshold. With one
repetition there is no range, so no noise to compare with, and that is said. What stands in both files at the same point,
the floor or else a peer, tells the machine's share: when it moved as much, the machine did; and CPU that rose beside it got
dearer, even where a faster machine hides that.
"""

import argparse
import dataclasses
import enum
import pathlib
import re
import statistics
import sys
from collections.abc import Iterator
from typing import Any

from report import words
from report.measured import METRICS, Group, Measured, Point, ReportError, is_floor, is_ours, read_and_warn

COMPARED = ("cpu", "instructions", "rate", "writes", "notices", "write_p50", "write_p99", "p50", "p99", "rss")
# Memory is no matter of how fast a machine is.
MACHINE_INDEPENDENT = ("instructions", "rss")
THRESHOLD_PERCENT = 5.0
NAMES_MAX = 6


class Verdict(enum.Enum):
    WORSE = "worse"
    BETTER = "better"
    MACHINE = "the machine's"
    UNKNOWN = "one run: noise unknown"
    SAME = "same"


@dataclasses.dataclass(frozen=True)
class Pair:
    """The same work of the same server in both files."""

    before: Group
    after: Group
    place: tuple[str, str, Point, int]  # scenario, label, point, and the rank of its rate

    @property
    def work(self) -> tuple[str, Point, int]:
        """The place without the server."""
        return self.place[0], *self.place[2:]


@dataclasses.dataclass(frozen=True)
class Change:
    """One figure of a pair. `beside` is the change of the ratio to the reference, which is a label."""

    pair: Pair
    metric: str
    before: float
    after: float
    reference: str
    beside: float | None
    verdict: Verdict

    @property
    def change(self) -> float:
        return self.after / self.before - 1

    @property
    def size(self) -> float:
        return max(abs(self.change), abs(self.beside or 0))


# ---- what belongs together ----


def without_rate(point: Point) -> Point:
    return tuple((name, value) for name, value in point if name != "rate")


def curves(measured: Measured) -> dict[tuple[str, str, Point], list[Group]]:
    """Groups that differ in the offered rate alone, from the lowest, by scenario, label and the rest of the point."""
    found: dict[tuple[str, str, Point], list[Group]] = {}
    for group in sorted(measured.groups, key=lambda one: dict(one.point).get("rate", 0)):
        # A closed loop, without a rate, is not on the curve.
        others = (*without_rate(group.point), *([("rate", 0.0)] if "rate" in dict(group.point) else []))
        found.setdefault((group.scenario, group.label, others), []).append(group)
    return found


def pairs(before: Measured, after: Measured) -> list[Pair]:
    """The same point; or, where no rate of a curve is the same, the same rank: rates of an open loop are shares of what
    that server did in that file."""
    theirs = curves(after)
    found = []
    for key, ours in curves(before).items():
        others = theirs.get(key, [])
        exact = {other.point: other for other in others}
        if not any(group.point in exact for group in ours) and len(others) == len(ours):
            exact = {group.point: other for group, other in zip(ours, others, strict=True)}
        found += [Pair(group, exact[group.point], (*key, rank)) for rank, group in enumerate(ours) if group.point in exact]
    return found


def unpaired(before: Measured, after: Measured, paired: list[Pair]) -> Iterator[str]:
    """What only one of the files has."""
    in_pairs = {id(group) for pair in paired for group in (pair.before, pair.after)}
    for measured in (before, after):
        alone = [group for group in measured.groups if id(group) not in in_pairs]
        names = [f"{group.scenario}/{group.label}{_at(group.point)}" for group in alone]
        if names:
            yield f"only in {measured.path}: {some(names)}"


def some(names: list[str]) -> str:
    """The first few."""
    return ", ".join(names[:NAMES_MAX]) + (f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else "")


def _at(point: Point) -> str:
    return f" at {words.point(point)}" if point else ""


def reference_of(pair: Pair, paired: list[Pair]) -> Pair | None:
    """What tells the machine's share: the floor at the same place, else a peer; never one of ours."""
    beside = [
        other
        for other in paired
        if other.work == pair.work and other is not pair and not is_ours(other.before.label)
    ]
    return min(beside, key=lambda other: (not is_floor(other.before.label), other.before.label)) if beside else None


# ---- what moved ----


def _apart(before: list[float], after: list[float]) -> bool:
    """Whether the ranges of repetitions do not overlap."""
    return max(before) < min(after) or max(after) < min(before)


def _change(before: list[float], after: list[float]) -> float | None:
    """Of the medians."""
    if not before or not after or statistics.median(before) <= 0:
        return None
    return statistics.median(after) / statistics.median(before) - 1


def _beside(pair: Pair, metric: str, reference: Pair | None) -> tuple[list[float], list[float]]:
    """The ratios to the reference in both files."""
    if reference is None or metric in MACHINE_INDEPENDENT:
        return [], []
    return pair.before.ratios(reference.before, metric), pair.after.ratios(reference.after, metric)


def _moved(before: list[float], after: list[float], threshold: float) -> bool:
    change = _change(before, after)
    enough = min(len(before), len(after)) > 1
    return change is not None and abs(change) > threshold and enough and _apart(before, after)


def _sign(metric: str, change: float) -> Verdict:
    return Verdict.WORSE if (change > 0) == METRICS[metric].lower_is_better else Verdict.BETTER


def _verdict(metric: str, values: tuple[list[float], list[float]], ratios: tuple[list[float], list[float]],
             threshold: float) -> Verdict:  # fmt: skip
    change, beside = _change(*values) or 0, _change(*ratios)
    if min(map(len, values)) < 2 and abs(change) > threshold:
        return Verdict.UNKNOWN
    if not _moved(*values, threshold):
        return Verdict.SAME
    if beside is not None and abs(beside) <= threshold:
        return Verdict.MACHINE
    return _sign(metric, change)


def judge(pair: Pair, metric: str, reference: Pair | None, threshold: float) -> Change | None:
    """None where one of the two has no such figure."""
    values = pair.before.values(metric), pair.after.values(metric)
    if _change(*values) is None:
        return None
    ratios = _beside(pair, metric, reference)
    beside = _change(*ratios)
    label = reference.before.label if reference is not None and beside is not None else ""
    before, after = (statistics.median(of_one) for of_one in values)
    verdict = _verdict(metric, values, ratios, threshold)
    if verdict is Verdict.SAME and metric == "cpu" and is_ours(pair.before.label) and _moved(*ratios, threshold):
        # A machine that got faster hides what got dearer.
        verdict = _sign(metric, beside or 0)
    return Change(pair, metric, before, after, label, beside, verdict)


def changes(before: Measured, after: Measured, threshold: float) -> list[Change]:
    """Every figure that both files have, the largest change first."""
    paired = pairs(before, after)
    found = []
    for pair in paired:
        reference = reference_of(pair, paired)
        for metric in COMPARED:
            if metric == "rate" and pair.before.point != pair.after.point:
                continue  # an open loop yields what was offered, and that is another rate
            change = judge(pair, metric, reference, threshold)
            if change is not None:
                found.append(change)
    return sorted(found, key=lambda change: (-change.size, change.pair.place, change.metric))


# ---- what makes the files hard to compare ----


def _settled(text: Any) -> str:
    """A configuration without what differs from run to run: ports, and the folder of the run."""
    text = re.sub(r"\S*/run-[^\s;\"]+", "FOLDER", str(text or ""))
    return re.sub(r"(:|\b(?:port|listen)\s+)\d{4,5}\b", r"\1N", text)


def _load_differences(pair: Pair) -> Iterator[str]:
    """Settings of the load that are not the same."""
    before, after = (pair.before.runs[0].get("config"), pair.after.runs[0].get("config"))
    if not isinstance(before, dict) or not isinstance(after, dict):
        return
    for name in before:
        # The rate of an open loop is a share of the capacity that was found.
        if name not in ("target", "rate") and name in after and before[name] != after[name]:
            yield f"{name} {before[name]} and {after[name]}"


def warnings(before: Measured, after: Measured, paired: list[Pair]) -> Iterator[str]:
    one, two = before.record, after.record
    for name in sorted({*one["machine"], *two["machine"]}):
        if one["machine"].get(name) != two["machine"].get(name):
            yield f"the machines differ: {name} {one['machine'].get(name)} and {two['machine'].get(name)}"
    for name in ("build", "server_core", "load_core"):
        if one.get(name) != two.get(name):
            yield f"{name.replace('_', ' ')} differs: {one.get(name)} and {two.get(name)}"
    for label in sorted(set(one["servers"]) & set(two["servers"])):
        left, right = one["servers"][label], two["servers"][label]
        if left.get("version") != right.get("version") and not is_ours(label):
            yield f"{label} differs: {left.get('version')} and {right.get('version')}"
        if _settled(left.get("config")) != _settled(right.get("config")):
            yield f"the configuration of {label} differs"
    loads: dict[str, list[str]] = {}
    for pair in paired:
        for difference in _load_differences(pair):
            loads.setdefault(difference, []).append(f"{pair.before.scenario}/{pair.before.label}")
    for difference, of in loads.items():
        yield f"the load differs: {difference} ({some(list(dict.fromkeys(of)))})"
    for measured in (before, after):
        if measured.record.get("failure"):
            yield f"{measured.path} is of a benchmark that did not finish: {measured.record['failure']}"


# ---- telling ----


def _percent(change: float | None) -> str:
    return "" if change is None else f"{round(100 * change):+d} %"


def _shown_point(pair: Pair) -> str:
    if pair.before.point == pair.after.point:
        return words.point(pair.before.point) if pair.before.point else ""
    rates = " and ".join(words.digits(dict(group.point)["rate"]) for group in (pair.before, pair.after))
    others = without_rate(pair.before.point)
    return f"{words.point(others)}, {rates}/s offered" if others else f"{rates}/s offered"


def _row(change: Change) -> list[str]:
    metric = METRICS[change.metric]
    beside = f"{change.reference} {_percent(change.beside)}" if change.beside is not None else ""
    return [
        change.pair.before.scenario, change.pair.before.label, _shown_point(change.pair), metric.title,
        words.amount(change.before, metric.unit), words.amount(change.after, metric.unit), _percent(change.change), beside,
        change.verdict.value,
    ]  # fmt: skip


HEAD = ["scenario", "server", "point", "what", "A", "B", "change", "ratio to", ""]
RIGHT = (4, 5, 6)


def table(rows: list[list[str]]) -> str:
    """Columns as wide as they need to be; none for what no row has."""
    kept = [index for index in range(len(HEAD)) if any(row[index] for row in rows)]
    widths = {index: max(len(row[index]) for row in [HEAD, *rows]) for index in kept}
    lines = []
    for row in [HEAD, *rows]:
        cells = (row[index].rjust(widths[index]) if index in RIGHT else row[index].ljust(widths[index]) for index in kept)
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)


def _summary(found: list[Change]) -> str:
    counts = {verdict: sum(1 for change in found if change.verdict is verdict) for verdict in Verdict}
    said = [f"{counts[Verdict.WORSE]} worse", f"{counts[Verdict.BETTER]} better"]
    if counts[Verdict.MACHINE]:
        said.append(f"{counts[Verdict.MACHINE]} moved as the machine did")
    if counts[Verdict.UNKNOWN]:
        said.append(f"{counts[Verdict.UNKNOWN]} that cannot be told from noise: one run says nothing about the spread; "
                    "measure with --runs 5")  # fmt: skip
    said.append(f"{counts[Verdict.SAME]} within noise")
    return ", ".join(said)


def compare(before: Measured, after: Measured, threshold: float) -> tuple[str, list[Change]]:
    """What the command prints, and all changes."""
    paired = pairs(before, after)
    if not paired:
        told = "; ".join(unpaired(before, after, paired))
        raise ReportError(f"nothing to compare: no server did the same work in both files ({told})")
    found = changes(before, after, threshold)
    lines = [f"A  {before.path}  {before.name} at {before.record.get('commit', '?')}",
             f"B  {after.path}  {after.name} at {after.record.get('commit', '?')}"]  # fmt: skip
    lines += [f"warning: {warning}" for warning in dict.fromkeys(warnings(before, after, paired))]
    lines += [f"note: {text}" for text in unpaired(before, after, paired)]
    shown = [_row(change) for change in found if change.verdict is not Verdict.SAME]
    lines += ["", table(shown), ""] if shown else [""]
    return "\n".join([*lines, _summary(found)]), found


def percent(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < 1000:
        raise argparse.ArgumentTypeError(f"{text}: a number of percent from 0 on is needed")
    return value


def main(arguments: list[str]) -> int:
    """what moved between two result files, beyond noise"""
    parser = argparse.ArgumentParser(prog="./dev bench compare", description="Compares two result files, B with A.",
                                     formatter_class=argparse.RawDescriptionHelpFormatter, epilog=__doc__)
    parser.add_argument("before", type=pathlib.Path, metavar="A")
    parser.add_argument("after", type=pathlib.Path, metavar="B")
    parser.add_argument("--threshold", type=percent, default=THRESHOLD_PERCENT, metavar="PERCENT",
                        help="medians that differ by less are the same (default 5)")
    parser.add_argument("--fail-on-worse", action="store_true", help="exit with 1 when something of Freshet got worse")
    options = parser.parse_args(arguments)
    try:
        text, found = compare(read_and_warn(options.before), read_and_warn(options.after), options.threshold / 100)
    except ReportError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(text)
    worse = any(change.verdict is Verdict.WORSE and is_ours(change.pair.before.label) for change in found)
    return 1 if worse and options.fail_on_worse else 0


COMMANDS = {"compare": main}
