"""Makes an SVG of matplotlib's fit a page: the theme's colours and font, no ids to clash, nothing that is fetched."""

import html
import re

from report import colours


def themed(svg: str, title: str) -> str:
    """An element for a page that has the theme's variables (colours.style)."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\n?", "", svg, flags=re.DOTALL)
    svg = re.sub(r' id="(?!m[0-9a-f]|p[0-9a-f])[a-z0-9_.]+"', "", svg)
    for variable, (light, _) in colours.THEME.items():
        if variable != "paper":
            svg = svg.replace(light, f"var(--{variable},{light})")
    # The shorthand names a size and a family; the family is the page's.
    svg = re.sub(r"(font: [^;\"]*?\d+(?:\.\d+)?px) [^;\"]*", r"\1 system-ui, sans-serif", svg)
    svg = re.sub(r' width="[\d.]+pt" height="[\d.]+pt"', "", svg, count=1)
    return svg.replace("<svg", f'<svg role="img" aria-label="{html.escape(title)}"', 1).strip() + "\n"


def standalone(svg: str) -> str:
    """The same as a file of its own: with the theme, and on paper of its own, so that it reads on any page."""
    paper = '<rect width="100%" height="100%" rx="6" style="fill:var(--paper)"/>'
    width, height = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)[0]
    opened = svg.replace("<svg", f'<svg width="{width}" height="{height}"', 1)
    return re.sub(r"(<svg[^>]*>)", rf"\1<style>{colours.style()}</style>{paper}", opened, count=1)
