"""The tables of a report, as plain data that page.py and markdown.py write down."""

import dataclasses
from typing import Any

from report import colours, figures, words
from report.measured import FLOOR, METRICS, Group, Measured, Point, fell_behind, is_floor, is_ours

# What a table of a scenario has a column for, where any of its runs has it.
COLUMNS = ("cpu", "instructions", "rate", "writes", "write_p50", "write_p99", "notices", "p50", "p99", "p99.9", "p99.99",
           "rss", "written")  # fmt: skip
# And one of the kinds of operations in a mix.
BY_KIND = ("p50", "p99", "p99.9", "p99.99")


@dataclasses.dataclass(frozen=True)
class Cell:
    """`mark` is '', 'ours', 'pass' or 'fail'; `note` is the spread, told more quietly."""

    text: str
    mark: str = ""
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Table:
    """Columns whose name starts with '>' hold numbers."""

    columns: list[str]
    rows: list[list[Cell]]


def _cells(*texts: str) -> list[Cell]:
    return [Cell(text) for text in texts]


def targets(all_measured: list[Measured]) -> Table | None:
    """Every limit that was checked."""
    several = len(all_measured) > 1
    rows = []
    for measured in all_measured:
        for check in measured.record["checks"]:
            unit = {"": "", "us": "us", "MiB": "MiB"}.get(check.get("unit", ""), check.get("unit", ""))
            limit = f"{'≥' if check.get('at_least') else '≤'} {words.amount(check['limit'], unit)}"
            verdict = Cell("pass", "pass") if check["pass"] else Cell("FAIL", "fail")
            bench = _cells(measured.name) if several else []
            rows.append([*bench, *_cells(check["what"], words.amount(check["value"], unit), limit), verdict])
    return Table([*(["bench"] if several else []), "what", ">measured", ">target", ""], rows) if rows else None


def targets_met(all_measured: list[Measured]) -> tuple[int, int]:
    """How many of how many."""
    checks = [check for measured in all_measured for check in measured.record["checks"]]
    return sum(1 for check in checks if check["pass"]), len(checks)


# ---- CPU: one row for each work ----


def _work(measured: Measured, scenario: str, point: Point, several: bool) -> str:
    parts = [f"{measured.name}: {scenario}" if several and measured.name != scenario else scenario]
    return ", ".join([*parts, *(words.setting(name, value) for name, value in point)])


def _still_families(measured: Measured) -> list[list[Group]]:
    """Of each scenario the groups where nothing varies, if they tell CPU."""
    found = []
    for scenario in measured.scenarios():
        for family in figures.families(measured.of_scenario(scenario)):
            if figures.swept(family) is None and any(group.values("cpu") for group in family):
                found.append(family)
    return found


def _cpu_row(family: list[Group], columns: list[str]) -> list[Cell]:
    """The columns, and then the other servers from the cheapest. Ours is bold where none but the floor is cheaper."""
    medians = [(group.median("cpu"), group.label) for group in family]
    known = sorted((value, label) for value, label in medians if value is not None)
    contestants = [(value, label) for value, label in known if not is_floor(label)]
    cells = {}
    for value, label in known:
        best = len(contestants) > 1 and (value, label) == contestants[0]
        cells[label] = Cell(words.bare(value, "us"), "best" if best else "")
    others = ", ".join(f"{label} {words.bare(value, 'us')}" for value, label in known if label not in columns)
    return [*(cells.get(label, Cell("")) for label in columns), Cell(others)]


def cpu(all_measured: list[Measured]) -> Table | None:
    """Server CPU per operation, the main table."""
    families = [(measured, family) for measured in all_measured for family in _still_families(measured)]
    labels = {group.label for _, family in families for group in family}
    columns = [label for label in (*colours.OURS_FIRST, FLOOR) if label in labels]
    several = len(all_measured) > 1
    rows = [
        [Cell(_work(measured, family[0].scenario, family[0].point, several)), *_cpu_row(family, columns)]
        for measured, family in families
    ]
    return Table(["work", *(f">{label}" for label in columns), "the others"], rows) if rows else None


# ---- a scenario ----


def _spread(group: Group, metric: str) -> str:
    summary = group.summary(metric)
    if summary is None or summary.count < 2:
        return ""
    unit = METRICS[metric].unit
    return f"{words.bare(summary.low, unit)}–{words.bare(summary.high, unit)}"


def _floor_cell(measured: Measured, group: Group) -> Cell:
    floor = measured.floor_of(group)
    ratio = group.ratio(floor, "cpu") if floor is not None and floor is not group else None
    return Cell(f"{words.digits(ratio)}×" if ratio is not None else "")


def scenario(measured: Measured, name: str) -> tuple[list[Table], list[Table]]:
    """A table for each kind of point: those where nothing varies, and those along a curve."""
    still: list[Table] = []
    curves: list[Table] = []
    for family in figures.families(measured.of_scenario(name)):
        by_kind = _by_kind(family)
        where = still if figures.swept(family) is None else curves
        where += [_family(measured, family), *([by_kind] if by_kind else [])]
    return still, curves


def _by_kind(groups: list[Group]) -> Table | None:
    """The latency of each kind of operation, of those that did several."""
    rows = []
    for group in groups:
        for kind in group.kinds():
            row = [Cell(group.label, "ours" if is_ours(group.label) else "")]
            row += [Cell(words.coordinate(dimension, value)) for dimension, value in group.point]
            rows.append([*row, Cell(kind), *(Cell(words.bare(group.median_of_kind(kind, name), "us")) for name in BY_KIND)])
    dimensions = (f">{words.dimension(dimension)}" for dimension, _ in groups[0].point)
    return Table(["server", *dimensions, "operation", *(f">{name}, µs" for name in BY_KIND)], rows) if rows else None


def _family(measured: Measured, groups: list[Group]) -> Table:
    metrics = [metric for metric in COLUMNS if any(group.values(metric) for group in groups)]
    floors = any(measured.floor_of(group) not in (None, group) for group in groups)
    columns = ["server", *(f">{words.dimension(dimension)}" for dimension, _ in groups[0].point)]
    for metric in metrics:
        columns += [f">{words.head(metric)}", *([">beside floor"] if floors and metric == "cpu" else [])]
    rows = []
    for group in groups:
        row = [Cell(group.label, "ours" if is_ours(group.label) else "")]
        row += [Cell(words.coordinate(dimension, value)) for dimension, value in group.point]
        for metric in metrics:
            note = _spread(group, metric) if metric in ("cpu", "rate", "notices") else ""
            if metric == "rate" and any(map(fell_behind, group.runs)):
                note = f"{note}, fell behind".removeprefix(", ")
            row.append(Cell(words.bare(group.median(metric), METRICS[metric].unit), "", note))
            row += [_floor_cell(measured, group)] if floors and metric == "cpu" else []
        rows.append([*row, Cell(str(len(group.runs)))])
    return Table([*columns, ">runs"], rows)


# ---- where and how ----


def cores(record: dict[str, Any]) -> str:
    server, load = record.get("server_core"), record.get("load_core")
    return "" if server is None else f"server on core {server}, load on core {load}"


def machine(record: dict[str, Any]) -> list[tuple[str, str]]:
    """What was measured on, as pairs of a name and a value."""
    of = record["machine"]
    memory = of.get("memory_bytes")
    said = [
        ("CPU", of.get("cpu")), ("cores", of.get("cpus")), ("memory", words.size(memory) if memory else None),
        ("disk", of.get("disk")), ("OS", of.get("os")), ("kernel", of.get("kernel")), ("pinned", cores(record)),
    ]  # fmt: skip
    return [(name, str(value)) for name, value in said if value]


def command(record: dict[str, Any]) -> str:
    """What to type to run it again: how people call it, whichever file stands behind it."""
    words_of = [str(word) for word in record.get("command", [])]
    if words_of and words_of[0].endswith("run.py"):
        words_of = ["./dev", "bench", *words_of[1:]]
    return " ".join(words_of)


def servers(all_measured: list[Measured]) -> dict[str, dict[str, Any]]:
    """Each server by its label; of the same label in several files the first that says most."""
    found: dict[str, dict[str, Any]] = {}
    for measured in all_measured:
        for label, about in measured.record["servers"].items():
            if label not in found and isinstance(about, dict):
                found[label] = about
    ours_first = sorted(found, key=lambda label: (not is_ours(label), is_floor(label), label))
    return {label: found[label] for label in ours_first}
