"""Which plots a scenario deserves, as plain data: plots.py draws them, tests read them.

Groups whose points have the same dimensions belong together. Where nothing varies there are bars; where the offered rate
does, latency against it; where another dimension does, a curve along it.
"""

import dataclasses
import math
import re

from report import words
from report.measured import METRICS, Group, Measured, Summary, is_floor, is_ours

PERCENTILES = ("p50", "p90", "p99", "p99.9", "p99.99")
# Along a curve: what it costs, what it yields, how long it takes, what it holds.
ALONG = {"cpu": "Server CPU per operation", "cpu_per_notice": "Server CPU per notice",
         "instructions": "Instructions per operation", "rate": "Throughput", "notices": "Notices a second",
         "p99": "p99 latency", "rss": "Resident memory"}  # fmt: skip
AGAINST_RATE = ("p50", "p99", "p99.9")
# A range wider than this gets a logarithmic axis.
WIDE = 20


@dataclasses.dataclass(frozen=True)
class Bar:
    label: str
    summary: Summary


@dataclasses.dataclass(frozen=True)
class Bars:
    """One bar a server; the floor is a line across them."""

    name: str
    title: str
    unit: str
    bars: list[Bar]
    floor: float | None


@dataclasses.dataclass(frozen=True)
class Line:
    """One server's curve. `server` chooses the colour, `label` is what stands at its end, `variant` the dashes."""

    label: str
    server: str
    variant: int
    points: list[tuple[float, Summary]]


@dataclasses.dataclass(frozen=True)
class Curves:
    name: str
    title: str
    x_label: str
    y_label: str
    unit: str
    lines: list[Line]
    ticks: list[tuple[float, str]]  # along x; empty: the drawer chooses
    log_x: bool
    log_y: bool


Figure = Bars | Curves


def slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")


def order(groups: list[Group]) -> list[Group]:
    """Ours first, then the others from the cheapest, the floor last; curves in the order of their points."""

    def key(group: Group) -> tuple[int, float, str, list[float]]:
        place = 0 if is_ours(group.label) else 2 if is_floor(group.label) else 1
        costs = [one.median("cpu") for one in groups if one.label == group.label]
        known = [cost for cost in costs if cost is not None]
        # Ours keep the order of their names, so that HTTP stands before wire in each table.
        cost = 0.0 if place == 0 else min(known, default=math.inf)
        return place, cost, group.label, [value for _, value in group.point]

    return sorted(groups, key=key)


def families(groups: list[Group]) -> list[list[Group]]:
    """Groups whose points have the same dimensions."""
    found: dict[tuple[str, ...], list[Group]] = {}
    for group in groups:
        found.setdefault(tuple(name for name, _ in group.point), []).append(group)
    return [order(family) for _, family in sorted(found.items())]


def swept(family: list[Group]) -> str | None:
    """The dimension along which a family is a curve: the one with most values; None where nothing varies."""
    values = {name: {dict(group.point)[name] for group in family} for name, _ in family[0].point}
    widest = max(values, key=lambda name: (len(values[name]), name), default=None)
    return widest if widest is not None and len(values[widest]) > 1 else None


# ---- bars ----


def bars(name: str, title: str, metric: str, family: list[Group]) -> Bars | None:
    summaries = [(group.label, group.summary(metric)) for group in family]
    known = [Bar(label, summary) for label, summary in summaries if summary is not None]
    shown = [bar for bar in known if metric != "cpu" or not is_floor(bar.label)]
    if not shown:
        return None
    floor = next((bar.summary.median for bar in known if is_floor(bar.label)), None) if metric == "cpu" else None
    return Bars(f"{name}-{metric}", title, METRICS[metric].unit, shown, floor)


def _nines(percentile: str) -> float:
    """Where a percentile stands on an axis on which each further nine is as wide as the last."""
    return -math.log10(1 - float(percentile[1:]) / 100)


def percentiles(name: str, title: str, family: list[Group]) -> Curves | None:
    lines = []
    for group in family:
        points = [(_nines(percentile), group.summary(percentile)) for percentile in PERCENTILES]
        known = [(x, summary) for x, summary in points if summary is not None]
        if len(known) > 1:
            lines.append(Line(group.label, group.label, 0, known))
    ticks = [(_nines(percentile), percentile) for percentile in PERCENTILES]
    return Curves(f"{name}-percentiles", title, "percentile", "latency, µs", "us", lines, ticks, False, True) if lines else None


def _still(name: str, family: list[Group]) -> list[Figure | None]:
    """Where nothing varies."""
    at = f", {words.point(family[0].point)}" if family[0].point else ""
    yields = "rate" if any(group.values("rate") for group in family) else "notices"
    return [
        bars(name, f"{ALONG['cpu']}{at}", "cpu", family),
        bars(name, f"{ALONG[yields]}{at}", yields, family),
        percentiles(name, f"Latency percentiles{at}", family),
    ]


# ---- curves ----


def is_wide(values: list[float]) -> bool:
    above = [value for value in values if value > 0]
    return len(above) > 1 and max(above) / min(above) >= WIDE


def lines_along(dimension: str, metric: str, family: list[Group]) -> list[Line]:
    """A line for each server, and for each setting of the other dimension where there are two."""
    found: dict[tuple[str, str], list[tuple[float, Summary]]] = {}
    for group in family:
        others = ", ".join(words.setting(name, value) for name, value in group.point if name != dimension)
        summary = group.summary(metric)
        if summary is not None:
            found.setdefault((group.label, others), []).append((dict(group.point)[dimension], summary))
    variants: dict[str, list[str]] = {}
    for label, others in found:
        variants.setdefault(label, []).append(others)
    return [
        Line(
            label=f"{label}, {others}" if len(variants[label]) > 1 else label,
            server=label,
            variant=variants[label].index(others),
            points=sorted(points, key=lambda point: point[0]),
        )
        for (label, others), points in found.items()
    ]


def along(name: str, dimension: str, metric: str, family: list[Group], title: str, log_y: bool = False) -> Curves | None:
    lines = lines_along(dimension, metric, family)
    if not any(len(line.points) > 1 for line in lines):
        return None
    places = sorted({x for line in lines for x, _ in line.points})
    ticks = [(x, words.short(x, dimension)) for x in places] if dimension != "rate" and len(places) <= 9 else []
    heights = [summary.median for line in lines for _, summary in line.points]
    return Curves(
        name=f"{name}-{metric}-by-{dimension}", title=title, x_label=words.dimension(dimension),
        y_label=words.axis(metric), unit=METRICS[metric].unit, lines=lines, ticks=ticks,
        log_x=dimension != "rate" and is_wide(places), log_y=log_y or is_wide(heights),
    )  # fmt: skip


def _near(family: list[Group], label: str) -> Group:
    """Of an open loop's rates the one nearest to 70 % of the highest: busy, and not yet overrun."""
    of_label = [group for group in family if group.label == label]
    wanted = 0.7 * max(dict(group.point)["rate"] for group in of_label)
    return min(of_label, key=lambda group: abs(dict(group.point)["rate"] - wanted))


def _against_rate(name: str, family: list[Group]) -> list[Figure | None]:
    found: list[Figure | None] = [
        along(name, "rate", percentile, family, f"Latency against rate: {percentile}", log_y=True)
        for percentile in AGAINST_RATE
    ]
    found.append(along(name, "rate", "cpu", family, f"{ALONG['cpu']} against rate"))
    chosen = [_near(family, label) for label in dict.fromkeys(group.label for group in family)]
    found.append(percentiles(f"{name}-open", "Latency percentiles at about 70 % of the highest rate", chosen))
    return found


def _scaling(name: str, dimension: str, family: list[Group]) -> list[Figure | None]:
    by = words.dimension(dimension)
    return [along(name, dimension, metric, family, f"{title} by {by}") for metric, title in ALONG.items()]


def of_scenario(measured: Measured, scenario: str) -> list[Figure]:
    """The plots of a scenario, in the order in which they are to be read."""
    found: list[Figure | None] = []
    for family in families(measured.of_scenario(scenario)):
        dimension = swept(family)
        # A bench of one scenario often has its name: not twice.
        name = slug(measured.name if measured.name == scenario else f"{measured.name}-{scenario}")
        if dimension is None:
            found += _still("-".join([name, *(f"{key}-{value:g}" for key, value in family[0].point)]), family)
        elif dimension == "rate":
            found += _against_rate(name, family)
        else:
            found += _scaling(name, dimension, family)
    return [figure for figure in found if figure is not None]
