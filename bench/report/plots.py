"""Draws figures as SVG with matplotlib: the only file that needs it.

matplotlib knows colours, a page has a light and a dark theme: each colour is drawn as on a light page, and then named as
the theme's variable of it. Text stays text, in the page's font. The same figure gives the same bytes.
"""

import io
import math
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, MultipleLocator, NullFormatter, NullLocator

from report import colours, svg, words
from report.figures import Bars, Curves, Figure, Line
from report.measured import is_ours

WIDTH = 500  # of all plots, in px
CURVES_HEIGHT = 300
BAR_HEIGHT = 30
FONT = 12
LETTER = 6.3  # px, what a letter of that size takes on average
BOLD_LETTER = 7.3
DPI = 72
DASHES = ["-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2))]

matplotlib.use("svg")
SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none", "font.family": "sans-serif", "font.size": FONT, "axes.spines.top": False,
    "axes.spines.right": False, "axes.edgecolor": colours.THEME["line"][0], "axes.labelcolor": colours.THEME["quiet"][0],
    "xtick.color": colours.THEME["quiet"][0], "ytick.color": colours.THEME["quiet"][0],
    "text.color": colours.THEME["ink"][0], "axes.grid": True,
    "grid.color": colours.THEME["line"][0], "grid.linewidth": 0.8, "axes.axisbelow": True,
    "xtick.major.size": 0, "ytick.major.size": 0, "xtick.minor.size": 0, "ytick.minor.size": 0,
}  # fmt: skip


def _colour(name: str) -> str:
    return colours.THEME[name][0]


def _sheet(height: float, left: float, right: float, top: float, bottom: float) -> tuple[Sheet, Axes]:
    """Axes with these margins, all in px."""
    sheet = Sheet(figsize=(WIDTH / DPI, height / DPI), dpi=DPI)
    axes = sheet.add_axes((left / WIDTH, bottom / height, (WIDTH - left - right) / WIDTH, (height - top - bottom) / height))
    return sheet, axes


def _title(sheet: Sheet, height: float, title: str, below: str) -> None:
    sheet.text(0.01, 1 - 15 / height, title, fontsize=FONT + 1.5, fontweight="bold", va="center")
    sheet.text(0.01, 1 - 34 / height, below, color=_colour("quiet"), va="center")


def _tick(unit: str) -> FuncFormatter:
    return FuncFormatter(lambda value, _: words.size(value) if unit == "bytes" else words.short(value))


UNIT_NAMES = {"us": "µs", "/s": "a second", "bytes": "bytes", "": ""}


# ---- bars ----


def _draw_bar(axes: Axes, place: float, bar: Bars, index: int, colour: str) -> None:
    one = bar.bars[index]
    ours = is_ours(one.label)
    axes.barh(place, one.summary.median, height=0.62, color=_colour(colour), alpha=1.0 if ours else 0.62, linewidth=0)
    if one.summary.high > one.summary.low:
        axes.plot([one.summary.low, one.summary.high], [place, place], color=_colour("ink"), linewidth=1.2,
                  marker="|", markersize=7, markeredgewidth=1.2)
    axes.annotate(words.amount(one.summary.median, bar.unit), (max(one.summary.high, one.summary.median), place), (6, 0),
                  textcoords="offset points", va="center", fontweight="bold" if ours else "normal")


def _draw_bars(figure: Bars, colour_of: dict[str, str]) -> Sheet:
    count = len(figure.bars)
    height = 64 + count * BAR_HEIGHT + (22 if figure.floor is not None else 8)
    labels = [bar.label for bar in figure.bars]
    left = min(190.0, 16 + LETTER * max(len(label) for label in labels))
    told = max(len(words.amount(bar.summary.median, figure.unit)) for bar in figure.bars)
    right = max(70.0, 8 + BOLD_LETTER * told)  # 1,151,819/s is whole, too
    sheet, axes = _sheet(height, left, right, 52, 14 + (18 if figure.floor is not None else 0))
    spread = any(bar.summary.count > 1 for bar in figure.bars)
    _title(sheet, height, figure.title,
           UNIT_NAMES[figure.unit] + (", median of the runs, whiskers from the smallest to the largest" if spread else ""))
    for index, bar in enumerate(figure.bars):
        _draw_bar(axes, count - 1 - index, figure, index, colour_of[bar.label])
    axes.set_yticks([count - 1 - index for index in range(count)], labels)
    for text in axes.get_yticklabels():
        ours = is_ours(text.get_text())
        text.set(color=_colour("ink"), fontweight="bold" if ours else "normal")
    axes.set_ylim(-0.6, count - 0.4)
    axes.set_xlim(0, max([bar.summary.high for bar in figure.bars] + [figure.floor or 0]) * 1.04 or 1)
    axes.grid(False)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    if figure.floor is not None:
        axes.axvline(figure.floor, color=_colour("floor"), linewidth=1.5, dashes=(4, 3))
        axes.annotate(f"floor {words.amount(figure.floor, figure.unit)}", (figure.floor, -0.6), (0, -11), ha="center",
                      va="center", textcoords="offset points", color=_colour("quiet"), annotation_clip=False)
    return sheet


# ---- curves ----


def _draw_line(axes: Axes, line: Line, colour: str) -> None:
    ours = is_ours(line.server)
    xs = [x for x, _ in line.points]
    dashes = DASHES[1] if colour == "floor" else DASHES[line.variant % len(DASHES)]
    axes.plot(xs, [summary.median for _, summary in line.points], color=_colour(colour), linewidth=2.6 if ours else 1.6,
              linestyle=dashes, marker="o", markersize=4.5 if ours else 3.2, zorder=3 if ours else 2)
    if any(summary.high > summary.low for _, summary in line.points):
        axes.fill_between(xs, [summary.low for _, summary in line.points], [summary.high for _, summary in line.points],
                          color=_colour(colour), alpha=0.13, linewidth=0)


def _scale_x(axes: Axes, figure: Curves) -> None:
    xs = [x for line in figure.lines for x, _ in line.points]
    if figure.log_x:
        if min(xs) <= 0:
            axes.set_xscale("symlog", linthresh=min(x for x in xs if x > 0), linscale=0.5)
        else:
            axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
    if figure.ticks:
        axes.set_xticks([x for x, _ in figure.ticks], [text for _, text in figure.ticks])
    elif not figure.log_x:
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_formatter(_tick(""))
    if figure.x_label.startswith("offered"):
        axes.set_xlim(left=0)


def _steps(ratio: float) -> tuple[int, ...]:
    """Which numbers of each decade a logarithmic axis names: the more, the fewer decades there are."""
    if ratio >= 2000:
        return (1,)
    return (1, 3) if ratio >= 8 else (1, 2, 3, 5, 7)


def _scale_y(axes: Axes, figure: Curves) -> None:
    medians = [summary.median for line in figure.lines for _, summary in line.points]
    if figure.log_y and min(medians) > 0:
        axes.set_yscale("log")
        steps = LogLocator(10, _steps(max(medians) / min(medians)))
        axes.yaxis.set_major_locator(LogLocator(4) if figure.unit == "bytes" else steps)
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        top = max(summary.high for line in figure.lines for _, summary in line.points) * 1.08 or 1
        axes.set_ylim(0, top)
        # Sizes are read in powers of two: 64 MiB, 128 MiB.
        powers = MultipleLocator(2 ** math.ceil(math.log2(top / 5))) if figure.unit == "bytes" else None
        axes.yaxis.set_major_locator(powers or MaxNLocator(5))
    axes.yaxis.set_major_formatter(_tick(figure.unit))
    axes.grid(False, axis="x")


def _apart(places: list[float], least: float, low: float, high: float) -> list[float]:
    """The same places from below, moved until neighbours are `least` apart and all within the range where that fits."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + least) if moved else max(place, low))
    top = high
    for index in range(len(moved) - 1, -1, -1):
        moved[index] = min(moved[index], top)
        top = moved[index] - least
    return moved


def _name_lines(axes: Axes, figure: Curves, colour_of: dict[str, str], height: float) -> None:
    """The names in a column at the right, each as high as its line's end; a name that had to move has a thin line to it."""
    lasts = ((line.points[-1], line) for line in figure.lines)
    ends = sorted(((axes.transData.transform((x, summary.median)), line) for (x, summary), line in lasts),
                  key=lambda end: (end[0][1], end[1].label))  # fmt: skip
    edge = max(end[0] for end, _ in ends)
    places = _apart([end[1] for end, _ in ends], FONT + 3, 30, height - 56)
    for ((x, y), line), place in zip(ends, places, strict=True):
        colour = _colour(colour_of[line.server])
        away = abs(place - y) > FONT / 3 or edge - x > FONT
        thread = {"arrowstyle": "-", "color": colour, "linewidth": 0.7, "alpha": 0.6, "shrinkA": 2, "shrinkB": 4,
                  "relpos": (0, 0.5), "linestyle": ":"}  # fmt: skip
        axes.annotate(line.label, (x, y), (edge + 14, place), xycoords="figure pixels",
                      textcoords="figure pixels", color=colour, va="center", annotation_clip=False,
                      fontweight="bold" if is_ours(line.server) else "normal", arrowprops=thread if away else None)


def _draw_curves(figure: Curves, colour_of: dict[str, str]) -> Sheet:
    height = max(CURVES_HEIGHT, 100 + (FONT + 3) * len(figure.lines))
    right = min(210.0, 26 + LETTER * max(len(line.label) for line in figure.lines))
    sheet, axes = _sheet(height, 52, right, 56, 44)
    _title(sheet, height, figure.title, figure.y_label + (", logarithmic" if figure.log_y else ""))
    for line in figure.lines:
        _draw_line(axes, line, colour_of[line.server])
    _scale_x(axes, figure)
    _scale_y(axes, figure)
    axes.set_xlabel(figure.x_label + (", logarithmic" if figure.log_x else ""), labelpad=6)
    _name_lines(axes, figure, colour_of, height)
    return sheet


def draw(figure: Figure, colour_of: dict[str, str]) -> str:
    """The figure as an SVG element for a page that has the theme's variables."""
    with matplotlib.rc_context({**SETTINGS, "svg.hashsalt": figure.name}):
        sheet = _draw_bars(figure, colour_of) if isinstance(figure, Bars) else _draw_curves(figure, colour_of)
        out = io.StringIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        sheet.savefig(out, format="svg", transparent=True, metadata=nothing)
    return svg.themed(out.getvalue(), figure.title)
