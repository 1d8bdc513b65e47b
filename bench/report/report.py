"""./dev bench report: result files become one HTML page, a Markdown table, and plots."""

import argparse
import importlib.util
import pathlib
import sys

from report import colours, figures, markdown, page, svg
from report.measured import Measured, ReportError, read_and_warn

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEFAULT = ROOT / "build" / "bench" / "report.html"
PLOTS_NEED = "python3-matplotlib"


def drawer() -> page.Draw | None:
    """What draws the plots, None where matplotlib is not installed: a report without plots is better than none."""
    if importlib.util.find_spec("matplotlib") is None:
        print(f"bench: no plots: they need {PLOTS_NEED}", file=sys.stderr)
        return None
    from report import plots  # here, because it takes its time

    return plots.draw


def _put(path: pathlib.Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror}") from None
    print(f"  written: {path}")


def _put_plots(all_measured: list[Measured], folder: pathlib.Path) -> None:
    draw = drawer()
    if draw is None:
        raise ReportError(f"--plots needs {PLOTS_NEED}: apt-get install {PLOTS_NEED}")
    colour_of = colours.assign(page.labels_of(all_measured))
    for measured in all_measured:
        for scenario in measured.scenarios():
            for figure in figures.of_scenario(measured, scenario):
                _put(folder / f"{figure.name}.svg", svg.standalone(draw(figure, colour_of)))


def write(paths: list[pathlib.Path], html: pathlib.Path | None = None, markdown_to: pathlib.Path | None = None,
          *, short: bool = False, plots: pathlib.Path | None = None) -> None:  # fmt: skip
    """What the command does; raises ReportError. `-` as markdown_to is the standard output."""
    all_measured = [read_and_warn(path) for path in paths]
    if html is not None:
        _put(html, page.page(all_measured, drawer()))
    for measured in all_measured:
        if measured.record.get("failure") and (markdown_to is not None or plots is not None):
            raise ReportError(f"{measured.path}: the benchmark did not finish: {measured.record['failure']}\n"
                              "Tables and plots that stand alone would not say so; the page does.")  # fmt: skip
    if markdown_to is not None:
        text = markdown.markdown(all_measured, short)
        if str(markdown_to) == "-":
            sys.stdout.write(text)
        else:
            _put(markdown_to, text)
    if plots is not None:
        _put_plots(all_measured, plots)


def main(arguments: list[str]) -> int:
    """result files as one HTML page, a Markdown table, plots"""
    parser = argparse.ArgumentParser(prog="./dev bench report", description="Turns result files into a report.")
    parser.add_argument("files", nargs="+", type=pathlib.Path, metavar="FILE",
                        help="build/bench/NAME.json, or one that is kept in build/bench/results")
    parser.add_argument("--html", type=pathlib.Path, metavar="OUT",
                        help="the page (default, where nothing else is asked for: build/bench/report.html)")
    parser.add_argument("--markdown", type=pathlib.Path, metavar="OUT", help="the tables; - is the standard output")
    parser.add_argument("--short", action="store_true", help="Markdown: the targets and CPU per operation only")
    parser.add_argument("--plots", type=pathlib.Path, metavar="FOLDER", help="each plot as an SVG file")
    options = parser.parse_args(arguments)
    nothing = options.html is None and options.markdown is None and options.plots is None
    try:
        html = DEFAULT if nothing else options.html
        write(options.files, html, options.markdown, short=options.short, plots=options.plots)
    except ReportError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


COMMANDS = {"report": main}
