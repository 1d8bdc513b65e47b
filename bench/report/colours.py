"""One colour for each server, the same on every plot and in every report, told apart by colour-blind readers too.

Freshet is blue, in shades by label; the others have hues after Okabe and Ito, darkened until they can be read as text on
white, and each with a lighter twin for a dark page. Labels of one family ("nginx fixed", "nginx proxy_cache") share a hue:
each curve has its name at its end.
"""

from report.measured import OURS, kind

# name of a CSS variable -> (on a light page, on a dark one)
THEME = {
    "ink": ("#1c2330", "#e6e9ef"),
    "quiet": ("#5b6472", "#a2abba"),
    "line": ("#dfe3e9", "#333b48"),
    "paper": ("#ffffff", "#151a22"),
    "ours-0": ("#0a5fc4", "#5aa7ff"),
    "ours-1": ("#062f6f", "#b4d6ff"),
    "ours-2": ("#0f8ba8", "#4fd0ea"),
    "ours-3": ("#5d7fb8", "#86a9e6"),
    "floor": ("#6b7382", "#939dad"),
    "redis": ("#c24a00", "#ff8a4a"),
    "memcached": ("#00805c", "#2cc795"),
    "nginx": ("#a87000", "#eab03e"),
    "varnish": ("#a8447f", "#ea8fc4"),
    "h2o": ("#6a4bb0", "#b39bf2"),
    "node": ("#7d5a3c", "#c9a27f"),
    "nats": ("#5f7a12", "#a9cc45"),
    "rocksdb": ("#444b57", "#c2c9d4"),
    "other-0": ("#8c2d3f", "#f08a9b"),
    "other-1": ("#2f6d6d", "#76c2c2"),
    "other-2": ("#77702c", "#cfc67a"),
}
FAMILIES = {"floor": "floor", "redis": "redis", "valkey": "redis", "memcached": "memcached", "nginx": "nginx",
            "varnish": "varnish", "h2o": "h2o", "node": "node", "nats": "nats", "rocksdb": "rocksdb",
            "db_bench": "rocksdb"}  # fmt: skip
PASS, FAIL = ("#13703f", "#57c98d"), ("#b3261e", "#ff8b80")
OURS_FIRST = ("freshet http", "freshet wire")


def assign(labels: list[str]) -> dict[str, str]:
    """The CSS variable of each label; the order of the labels does not matter."""
    found = {}
    ours = 0
    others = 0
    known = [label for label in OURS_FIRST if label in labels]
    for label in [*known, *sorted(set(labels) - set(known))]:
        family = kind(label)
        if family == OURS:
            found[label] = f"ours-{ours % 4}"
            ours += 1
        elif family in FAMILIES:
            found[label] = FAMILIES[family]
        else:
            found[label] = f"other-{others % 3}"
            others += 1
    return found


# Text that a curve runs through stays readable.
HALO = "svg text{paint-order:stroke;stroke:var(--paper);stroke-width:3px;stroke-linejoin:round}"


def style() -> str:
    """The theme as CSS: light, and dark for those who ask for it."""
    both = []
    for shade in (0, 1):
        names = [*THEME.items(), ("pass", PASS), ("fail", FAIL)]
        both.append("".join(f"--{name}:{pair[shade]};" for name, pair in names))
    return f":root{{{both[0]}}}@media(prefers-color-scheme:dark){{:root{{{both[1]}}}}}{HALO}"
