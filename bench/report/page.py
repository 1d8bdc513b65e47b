"""The report as one HTML page: no script, nothing that is fetched, readable in light and dark and on a phone."""

import base64
import datetime
import html
from collections.abc import Callable
from typing import Any

from report import colours, figures, tables, words
from report.figures import Figure
from report.measured import Measured
from report.tables import Cell, Table

# Draws a figure with the CSS variable of each label's colour.
Draw = Callable[[Figure, dict[str, str]], str]

STYLE = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1120px;margin:0 auto;padding:40px 24px 80px}
h1{font-size:30px;line-height:1.2;margin:0 0 6px;letter-spacing:-.01em}
h2{font-size:21px;margin:56px 0 6px;padding-top:20px;border-top:1px solid var(--line);letter-spacing:-.005em}
h3{font-size:16px;margin:26px 0 4px}h3 .quiet{font-weight:400;font-size:13px}
p{margin:6px 0 14px;max-width:72ch}
a{color:var(--ours-0);text-decoration:none}a:hover{text-decoration:underline}
.quiet,.note{color:var(--quiet)}.quiet{font-size:14.5px}.note{font-size:12px;display:block}
.failure{border-left:4px solid var(--fail);padding:8px 14px;margin:14px 0}
nav{margin:18px 0 0;font-size:14.5px;line-height:1.9}nav a{margin-right:16px;white-space:nowrap}
dl{display:grid;align-content:start;grid-template-columns:max-content 1fr;gap:2px 18px;margin:14px 0;font-size:14.5px}
dt{color:var(--quiet)}dd{margin:0;overflow-wrap:anywhere}
.where{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,320px),1fr));gap:0 40px}
.scroll{overflow-x:auto;margin:14px 0 22px}
table{border-collapse:collapse;font-size:14.5px;font-variant-numeric:tabular-nums;min-width:min(100%,560px)}
th{font-weight:500;color:var(--quiet);text-align:left;vertical-align:bottom;font-size:13px}
th,td{padding:6px 14px 6px 0;border-bottom:1px solid var(--line)}
td{vertical-align:top}tr :first-child{white-space:nowrap}
.n{text-align:right;white-space:nowrap}
tr.ours td{font-weight:600}tr.ours .note{font-weight:400}
.best{font-weight:650}.pass{color:var(--pass)}.fail{color:var(--fail);font-weight:700}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:20px 36px;margin:18px 0 8px}
.plots figure{margin:0}.plots svg{width:100%;height:auto;display:block;max-width:560px}
code,pre{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
pre{margin:8px 0 14px;padding:12px 14px;border:1px solid var(--line);border-radius:6px;overflow-x:auto}
code{overflow-wrap:anywhere}
details{margin:6px 0}summary{cursor:pointer;color:var(--quiet);font-size:14.5px}
.dot{display:inline-block;width:10px;height:10px;border-radius:50%;margin-right:8px}
@media(max-width:600px){main{padding:24px 16px 60px}h1{font-size:25px}th,td{padding-right:12px}}
@media print{main{max-width:none}h2{break-after:avoid}figure,tr{break-inside:avoid}}
"""


def escape(text: Any) -> str:
    return html.escape(str(text))


# ---- pieces ----


def _cell(cell: Cell, numeric: bool) -> str:
    names = " ".join(name for name in ("n" if numeric else "", cell.mark if cell.mark != "ours" else "") if name)
    note = f'<span class="note">{escape(cell.note)}</span>' if cell.note else ""
    return f"<td{f' class={chr(34)}{names}{chr(34)}' if names else ''}>{escape(cell.text)}{note}</td>"


def table(data: Table | None) -> str:
    if data is None:
        return ""
    numeric = [column.startswith(">") for column in data.columns]
    heads = "".join(
        f'<th class="n">{escape(column[1:])}</th>' if right else f"<th>{escape(column)}</th>"
        for column, right in zip(data.columns, numeric, strict=True)
    )
    rows = []
    for row in data.rows:
        cells = "".join(_cell(cell, right) for cell, right in zip(row, numeric, strict=True))
        rows.append(f'<tr class="ours">{cells}</tr>' if row[0].mark == "ours" else f"<tr>{cells}</tr>")
    body = "\n".join(rows)
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>\n{body}\n</tbody></table></div>\n'


def _pairs(pairs: list[tuple[str, str]]) -> str:
    """Pairs whose second half is HTML."""
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{value}</dd>' for name, value in pairs)}</dl>\n"


def _when(record: dict[str, Any]) -> str:
    try:
        start, end = (datetime.datetime.fromisoformat(record[name]) for name in ("started_at", "ended_at"))
    except (KeyError, TypeError, ValueError):
        return str(record.get("started_at", ""))
    seconds = (end - start).total_seconds()
    took = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"
    return f"{start:%Y-%m-%d %H:%M} {start.tzname() or ''}, {took}"


def _where(measured: Measured) -> str:
    """What was measured, with what, where and when."""
    record = measured.record
    what = [("bench", f"<b>{escape(measured.name)}</b>"), ("when", escape(_when(record)))]
    what += [(name, escape(record[name])) for name in ("commit", "build") if record.get(name)]
    what += [("again", f"<code>{escape(tables.command(record))}</code>")]
    return _pairs(what)


def _machines(all_measured: list[Measured]) -> str:
    """The machine once, and each bench; or the machine of each, when they differ."""
    machines: dict[tuple[tuple[str, str], ...], list[Measured]] = {}
    for measured in all_measured:
        machines.setdefault(tuple(tables.machine(measured.record)), []).append(measured)
    parts = []
    if len(machines) > 1:
        parts.append('<p class="failure">These files come from different machines or kernels: compare within one only.</p>')
    for machine, of_machine in machines.items():
        parts.append(f'<div class="where">{_pairs([(name, escape(value)) for name, value in machine])}')
        parts += [_where(measured) for measured in of_machine]
        parts.append("</div>\n")
    return "".join(parts)


# ---- sections ----


def anchor(measured: Measured, scenario: str) -> str:
    return figures.slug(f"{measured.name}-{scenario}")


def heading(measured: Measured, scenario: str, several: bool) -> str:
    return f"{measured.name}: {scenario}" if several and measured.name != scenario else scenario


def _scenario(measured: Measured, scenario: str, several: bool, draw: Draw | None, colour_of: dict[str, str]) -> str:
    runs = [run for group in measured.of_scenario(scenario) for run in group.runs]
    title, about = measured.title(scenario), words.common_config(runs)
    drawn = [draw(figure, colour_of) for figure in figures.of_scenario(measured, scenario)] if draw else []
    still, curves = tables.scenario(measured, scenario)
    listed = "".join(table(data) for data in curves)
    plots = "".join(f"<figure>{svg}</figure>\n" for svg in drawn)
    return (
        f'<h2 id="{anchor(measured, scenario)}">{escape(heading(measured, scenario, several))}</h2>\n'
        + (f"<p>{escape(title)}</p>\n" if title else "")
        + (f'<p class="quiet">{escape(about)}</p>\n' if about else "")
        + (f'<div class="plots">\n{plots}</div>\n' if plots else "")
        + "".join(table(data) for data in still)
        + (f"<details><summary>the curves in figures</summary>{listed}</details>\n" if curves else "")
    )


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary><pre>{escape(text)}</pre></details>\n"


def _server(label: str, about: dict[str, Any], colour: str | None) -> str:
    dot = f'<span class="dot" style="background:var(--{colour})"></span>' if colour else ""
    version = f' <span class="quiet">{escape(about["version"])}</span>' if about.get("version") else ""
    parts = [f"<h3>{dot}{escape(label)}{version}</h3>\n"]
    if about.get("does_not"):
        parts.append(f"<p>Does not: {escape(str(about['does_not']).strip())}</p>\n")
    if about.get("command"):
        parts.append(_folded("command", " ".join(map(str, about["command"]))))
    if about.get("config"):
        parts.append(_folded("configuration", about["config"]))
    return "".join(parts)


def _servers(all_measured: list[Measured], colour_of: dict[str, str]) -> str:
    servers = tables.servers(all_measured)
    if not servers:
        return ""
    told = "".join(_server(label, about, colour_of.get(label)) for label, about in servers.items())
    return f'<h2 id="servers">The servers</h2>\n{told}'


def _raw(all_measured: list[Measured]) -> str:
    """The files themselves: whoever doubts a figure has what it was made from."""
    links = []
    for measured in all_measured:
        data = base64.b64encode(measured.text.encode()).decode()
        name = escape(measured.path.name)
        links.append(f'<li><a download="{name}" href="data:application/json;base64,{data}">{name}</a></li>\n')
    about = "<p>Every run’s full report, as the harness wrote it.</p>"
    return f'<h2 id="raw">Raw results</h2>\n{about}\n<ul>{"".join(links)}</ul>\n'


HOW = """<h2 id="how">How to read it</h2>
<p>CPU per operation is the run time of all threads of the server between the end of the warm-up and the end of a run,
over the answers counted at the same two moments. Servers are pinned to one core and the load to another, runs of different
servers alternate, and the median of the runs counts; the range beneath a figure is the spread of the runs. <b>Beside
floor</b> is the median of the ratios of neighbouring runs to the floor, the leanest responder that sends the same bytes:
what the kernel alone costs. <b>Written/byte</b> is bytes written to disk for each byte of keys and values sent.
In an open loop latency counts from the time a request was due, so that a server that stalls cannot hide it.</p>
"""


def _summary(all_measured: list[Measured]) -> str:
    met, of = tables.targets_met(all_measured)
    failed = [measured for measured in all_measured if measured.record.get("failure")]
    failures = "".join(f'<p class="failure"><b>{escape(one.name)} is not complete:</b> {escape(one.record["failure"])}</p>\n'
                       for one in failed)  # fmt: skip
    verdict = f"<p>{met} of {of} targets met.</p>\n" if of > 0 else ""
    return verdict + failures


def labels_of(all_measured: list[Measured]) -> list[str]:
    return [group.label for measured in all_measured for group in measured.groups]


def page(all_measured: list[Measured], draw: Draw | None) -> str:
    """The whole page; without `draw` it has no plots."""
    several = len(all_measured) > 1
    colour_of = colours.assign(labels_of(all_measured))
    sections = [(measured, scenario) for measured in all_measured for scenario in measured.scenarios()]
    links = [("#targets", "targets")] if tables.targets(all_measured) else []
    links += [(f"#{anchor(measured, scenario)}", heading(measured, scenario, several)) for measured, scenario in sections]
    links += [("#servers", "servers"), ("#how", "how to read it"), ("#raw", "raw results")]
    names = ", ".join(dict.fromkeys(measured.name for measured in all_measured))
    targets = tables.targets(all_measured)
    cpu = tables.cpu(all_measured)
    parts = [
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n',
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n',
        '<meta name="color-scheme" content="light dark">\n',
        f"<title>Freshet, measured: {escape(names)}</title>\n<style>{colours.style()}{STYLE}</style></head><body><main>\n",
        f'<h1>Freshet, measured</h1>\n<p class="quiet">{escape(names)}</p>\n',
        _summary(all_measured),
        _machines(all_measured),
        f"<nav>{''.join(f'<a href={chr(34)}{href}{chr(34)}>{escape(text)}</a> ' for href, text in links)}</nav>\n",
        f'<h2 id="targets">Targets</h2>\n{table(targets)}' if targets else "",
        "" if draw else '<p class="quiet">The plots are missing: python3-matplotlib was not installed.</p>\n',
        f'<h2 id="cpu">Server CPU per operation, µs</h2>\n{table(cpu)}' if cpu else "",
        *(_scenario(measured, scenario, several, draw, colour_of) for measured, scenario in sections),
        _servers(all_measured, colour_of),
        HOW,
        _raw(all_measured),
        "</main></body></html>\n",
    ]
    return "".join(parts)
