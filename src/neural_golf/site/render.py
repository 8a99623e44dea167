"""How text becomes HTML: through Jinja2 templates, which escape what they are given, and as Markdown."""

from __future__ import annotations

import functools
import html
import itertools
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import jinja2
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

__all__ = ["Section", "markdown", "render", "sections"]

HERE = Path(__file__).parent
SCROLL = {"class": "scroll", "tabindex": "0", "role": "region"}
PARSER = MarkdownIt("commonmark", {"html": True}).enable("table")
TEXT = ("inline", "fence", "code_block")
Section = tuple[str, str, str]  # the place of a heading, its words, and the text below it

# Where a link of a document leads in the site: from its address to another, or to None for nothing.
Way = Callable[[str], str | None]


def markdown(text: str, *labels: str, way: Way | None = None, paragraphs: str = "hint") -> Markup:
    """Markdown as HTML, in which HTML is shown as text, and comments not at all.

    Wide tables can be scrolled, and `labels` name them for screen readers. The first cell of a line heads
    it; columns that end in `--:` are numbers. Headings have the places that GitHub gives them. `way` tells
    where a link leads; a link that leads nowhere becomes plain words. paragraphs: the class of paragraphs.
    """
    names = itertools.chain(labels, ("Table",), (f"Table {k}" for k in itertools.count(2)))
    parsed = PARSER.parse(text)
    tokens: list[Token] = []
    taken: dict[str, int] = {}
    for number, token in enumerate(parsed):
        match token.type:
            case "paragraph_open" if paragraphs:
                token.attrSet("class", paragraphs)
            case "heading_open":
                token.attrSet("id", _place(parsed[number + 1].content, taken))
            case "fence" | "code_block":
                token = Token("html_block", "", 0, content=_code(token.content))
            case "html_block":
                token.content = _shown(token.content)
            case "table_open":
                tokens.append(Token("region_open", "div", 1, {**SCROLL, "aria-label": next(names)}))
            case "th_open":
                token.attrSet("scope", "col")
            case "td_open" if parsed[number - 1].type == "tr_open":
                token.tag = parsed[number + 2].tag = "th"  # opened, content, closed
                token.attrSet("scope", "row")
            case "inline":
                _inline(token.children or [], way)
        if token.attrs.pop("style", "") == "text-align:right":
            token.attrSet("class", "num")
        tokens.append(token)
        if token.type == "table_close":
            tokens.append(Token("region_close", "div", -1))
    return Markup(PARSER.renderer.render(tokens, PARSER.options, {}))


def _code(text: str) -> str:
    """A block of code, which can be scrolled with the keyboard."""
    return f'<pre tabindex="0"><code>{html.escape(text, quote=False)}</code></pre>\n'


def _shown(text: str) -> str:
    """HTML as text, without comments: places that commands fill stand in these."""
    without = re.sub(r"<!--.*?-->\n?", "", text, flags=re.DOTALL)
    return html.escape(without)


def _inline(children: Sequence[Token], way: Way | None) -> None:
    """Links and pictures of one paragraph, led to where they are in the site."""
    open_links: list[bool] = []
    for token in children:
        if token.type == "html_inline":
            token.type, token.content = "text", _shown_inline(token.content)
        elif token.type == "link_open":
            target = way(str(token.attrs["href"])) if way else str(token.attrs["href"])
            open_links.append(target is not None)
            if target is None:
                token.tag, token.attrs = "span", {}
            else:
                token.attrs["href"] = target
        elif token.type == "link_close" and open_links and not open_links.pop():
            token.tag = "span"
        elif token.type == "image" and way:
            token.attrs["src"] = way(str(token.attrs["src"])) or ""


def _shown_inline(text: str) -> str:
    return "" if text.startswith("<!--") else text


def _place(words: str, taken: dict[str, int]) -> str:
    """The place of a heading as GitHub names it; the same words again get a number.

    >>> _place("What `golf new` says", {})
    'what-golf-new-says'
    """
    name = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
    count = taken.get(name, 0)
    taken[name] = count + 1
    return f"{name}-{count}" if count else name


def sections(text: str) -> list[Section]:
    """The headings of a document with the text below each, for the search."""
    taken: dict[str, int] = {}
    found: list[tuple[str, str, list[str]]] = []
    parsed = PARSER.parse(text)
    for number, token in enumerate(parsed):
        if token.type == "heading_open":
            words = parsed[number + 1].content
            found.append((_place(words, taken), words.replace("`", ""), []))
        elif found and token.type in TEXT and parsed[number - 1].type != "heading_open":
            words = "".join(one.content for one in token.children or [] if one.type != "html_inline")
            found[-1][2].append(words or token.content)
    return [(place, words, " ".join(" ".join(body).split())) for place, words, body in found]


def percent(part: float, digits: int | None = None) -> str:
    """A share in percent, with this many digits, or with as few as it needs.

    >>> percent(0.98), percent(0.98, 2)
    ('98\xa0%', '98.00\xa0%')
    """
    number = f"{100 * part:g}" if digits is None else f"{100 * part:.{digits}f}"
    return f"{number}\u00a0%"


@functools.cache
def environment() -> jinja2.Environment:
    """Jinja2 for the folder templates, with the filters that these use."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":")}
    made.filters |= {
        "markdown": markdown,
        "percent": percent,
        "thousands": lambda number: f"{number:,}",
    }
    return made


def render(template: str, **view: object) -> str:
    """A template of the folder templates, with these values."""
    return environment().get_template(template).render(view)
