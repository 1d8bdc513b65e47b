"""The report's tables in Markdown, for a README."""

from report import page, tables, words
from report.measured import Measured
from report.tables import Cell, Table


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _cell(cell: Cell, ours: bool) -> str:
    text = _escape(cell.text)
    if text and (ours or cell.mark in ("best", "fail")):
        text = f"**{text}**"
    return f"{text} ({_escape(cell.note)})" if cell.note else text


def table(data: Table | None) -> str:
    if data is None:
        return ""
    heads = [_escape(column.removeprefix(">")) for column in data.columns]
    rules = ["--:" if column.startswith(">") else "---" for column in data.columns]
    lines = [heads, rules]
    for row in data.rows:
        lines.append([_cell(cell, index == 0 and cell.mark == "ours") for index, cell in enumerate(row)])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _where(all_measured: list[Measured]) -> str:
    """Each machine, and what ran there: once where all files come from one."""
    found: dict[str, list[str]] = {}
    for measured in all_measured:
        found.setdefault(_machine(measured), []).append(f"`{tables.command(measured.record)}`")
    return "\n".join(f"{machine}: {', '.join(dict.fromkeys(commands))}.\n" for machine, commands in found.items())


def _machine(measured: Measured) -> str:
    machine = ", ".join(value if name not in ("cores", "kernel", "memory") else f"{value} {name}" if name != "kernel"
                        else f"kernel {value}" for name, value in tables.machine(measured.record))  # fmt: skip
    commit = measured.record.get("commit")
    return f"Measured on {machine}{f', commit {commit}' if commit else ''}"


def markdown(all_measured: list[Measured], short: bool) -> str:
    """All tables; short: the targets, and CPU per operation."""
    several = len(all_measured) > 1
    parts = [_where(all_measured)]
    for title, data in (("Targets", tables.targets(all_measured)),
                        ("Server CPU per operation, µs", tables.cpu(all_measured))):  # fmt: skip
        if data is not None:
            parts.append(f"### {title}\n\n{table(data)}")
    if not short:
        for measured in all_measured:
            for scenario in measured.scenarios():
                runs = [run for group in measured.of_scenario(scenario) for run in group.runs]
                title, about = measured.title(scenario), words.common_config(runs)
                parts += [f"### {page.heading(measured, scenario, several)}\n", *(f"{text}\n" for text in (title, about) if text)]
                parts += [table(data) for some in tables.scenario(measured, scenario) for data in some]
        parts.append(_servers(all_measured))
    return "\n".join(part for part in parts if part)


def _servers(all_measured: list[Measured]) -> str:
    rows = [[Cell(label), Cell(str(about.get("version") or "")), Cell(str(about.get("does_not") or "").strip())]
            for label, about in tables.servers(all_measured).items()]  # fmt: skip
    return f"### The servers\n\n{table(Table(['server', 'version', 'does not'], rows))}" if rows else ""
