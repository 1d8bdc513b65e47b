"""Numbers and settings as people read them."""

import math
from typing import Any

from report.measured import METRICS, Point

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
UNITS = {"us": " µs", "/s": "/s", "bytes": "", "": ""}


def digits(value: float) -> str:
    """Three significant digits, and never an exponent: 0.0123, 4.61, 46.1, 461, 46,100 for 46,123."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def size(value: float) -> str:
    """Bytes in the largest unit that keeps them above one."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if abs(value) >= unit:
            return f"{value / unit:.3g} {name}" if abs(value) < 1000 * unit else f"{value / unit:,.0f} {name}"
    return f"{value:.0f} B"


def exact_size(value: float) -> str:
    """Bytes that somebody chose: 300 B, 10 kB, 64 KiB."""
    if value % KIB == 0 or value < 1000 or value % 1000 != 0:
        return size(value)
    return f"{value / 1000:,.10g} kB"


def amount(value: float | None, unit: str) -> str:
    """With its unit; a dash for nothing."""
    if value is None:
        return "–"
    return size(value) if unit == "bytes" else digits(value) + UNITS.get(unit, f" {unit}")


def bare(value: float | None, unit: str) -> str:
    """For a column whose head has the unit."""
    if value is None:
        return "–"
    return size(value) if unit == "bytes" else digits(value)


def short(value: float, name: str = "") -> str:
    """For the tick of an axis: 500, 10k, 2.5M; sizes of values in bytes."""
    if name.endswith("_bytes"):
        return exact_size(value)
    for unit, letter in ((10**9, "G"), (10**6, "M"), (1000, "k")):
        if abs(value) >= unit:
            return f"{value / unit:.3g}{letter}"
    return f"{value:.3g}"


DIMENSIONS = {
    "connections": "connections", "pipeline": "in flight on each", "rate": "offered rate, per second", "records": "records",
    "value_bytes": "size of a value", "threads": "threads", "subscribers": "subscribers", "shards": "shards",
}  # fmt: skip


def dimension(name: str) -> str:
    return DIMENSIONS.get(name, name.replace("_", " "))


def coordinate(name: str, value: float) -> str:
    """The value of a dimension, in a column that has its name: 10,000, or 64 KiB."""
    return exact_size(value) if name.endswith("_bytes") else f"{value:,.10g}"


def setting(name: str, value: float) -> str:
    """One coordinate of a point: '50 connections', 'values of 1 KiB'."""
    if name == "rate":
        return f"{digits(value)}/s offered"
    if name == "value_bytes":
        return f"values of {exact_size(value)}"
    if name == "pipeline":
        return f"{value:g} in flight"
    return f"{value:,.0f} {dimension(name)}" if float(value).is_integer() else f"{value:g} {dimension(name)}"


def point(coordinates: Point) -> str:
    return ", ".join(setting(name, value) for name, value in coordinates) or "–"


def axis(metric: str) -> str:
    """What an axis shows, and in what: 'CPU per operation, µs'; of sizes each tick has its unit."""
    unit = {"us": ", µs", "/s": ", per second"}.get(METRICS[metric].unit, "")
    return METRICS[metric].title + unit


def head(metric: str) -> str:
    """The head of a metric's column: 'CPU per operation, µs'."""
    unit = {"us": ", µs", "/s": "/s"}.get(METRICS[metric].unit, "")
    return METRICS[metric].title + unit


def _mix(mix: dict[str, float]) -> str:
    whole = sum(mix.values()) or 1
    return ", ".join(name if value == whole else f"{name} {100 * value / whole:.3g} %" for name, value in mix.items())


def config(settings: dict[str, Any]) -> list[str]:
    """What a load did, from the config of its report; only what is there and says something."""
    said = []
    if isinstance(settings.get("mix"), dict) and settings["mix"]:
        said.append(_mix(settings["mix"]))
    elif settings.get("path"):
        said.append(str(settings["path"]))
    if settings.get("connections"):
        said.append(f"{settings['connections']:,} connections")
    if settings.get("pipeline", 1) != 1:
        said.append(f"{settings['pipeline']} in flight on each")
    if settings.get("keys"):
        said.append(f"{settings['keys']:,} keys, {settings.get('distribution', 'uniform')}")
    if settings.get("value_bytes"):
        said.append(f"values of {exact_size(settings['value_bytes'])}")
    if settings.get("rate"):
        said.append(f"open loop, {digits(settings['rate'])}/s")
    elif settings.get("mode") == "closed":
        said.append("closed loop")
    if settings.get("seconds"):
        said.append(f"{settings['seconds']:g} s")
    return said


def common_config(runs: list[dict[str, Any]]) -> str:
    """The settings that all runs share, and how often each was run is told elsewhere."""
    configs = [run["config"] for run in runs if isinstance(run.get("config"), dict)]
    if not configs:
        return ""
    shared = {name: value for name, value in configs[0].items() if all(other.get(name) == value for other in configs)}
    return " · ".join(config(shared))
