"""How text becomes HTML: through Jinja2 templates, which escape what they are given, and as Markdown."""

from __future__ import annotations

from pathlib import Path

import jinja2
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

__all__ = ["markdown", "render"]

HERE = Path(__file__).parent
SCROLL = {"class": "scroll", "tabindex": "0", "role": "region"}
PARSER = MarkdownIt("commonmark", {"html": False}).enable("table")


def markdown(text: str, *labels: str) -> Markup:
    """Markdown as HTML, in which HTML is shown as text.

    Wide tables can be scrolled, and `labels` name them for screen readers.

    The first cell of a line heads it; columns that end in `--:` are numbers.
    """
    names = iter(labels)
    parsed = PARSER.parse(text)
    tokens = []
    for number, token in enumerate(parsed):
        match token.type:
            case "paragraph_open":
                token.attrSet("class", "hint")
            case "table_open":
                tokens.append(Token("region_open", "div", 1, {**SCROLL, "aria-label": next(names, "Table")}))
            case "th_open":
                token.attrSet("scope", "col")
            case "td_open" if parsed[number - 1].type == "tr_open":
                token.tag = parsed[number + 2].tag = "th"  # opened, content, closed
                token.attrSet("scope", "row")
        if token.attrs.pop("style", "") == "text-align:right":
            token.attrSet("class", "num")
        tokens.append(token)
        if token.type == "table_close":
            tokens.append(Token("region_close", "div", -1))
    return Markup(PARSER.renderer.render(tokens, PARSER.options, {}))


def percent(part: float, digits: int | None = None) -> str:
    """A share in percent, with this many digits, or with as few as it needs.

    >>> percent(0.98), percent(0.98, 2)
    ('98\xa0%', '98.00\xa0%')
    """
    number = f"{100 * part:g}" if digits is None else f"{100 * part:.{digits}f}"
    return f"{number}\u00a0%"


def render(template: str, **view: object) -> str:
    """A template of the folder templates, with these values."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":")}
    environment.filters |= {
        "markdown": markdown,
        "percent": percent,
        "thousands": lambda number: f"{number:,}",
        "file": lambda name: (HERE / name).read_text(encoding="utf-8"),
    }
    return environment.get_template(template).render(view)
