"""Words of strangers: nothing in them acts, in Markdown as GitHub reads it or on the page, and they stay readable."""

from __future__ import annotations

import html
import json
import re
import unicodedata
from pathlib import Path

import pytest

from neural_golf.leaderboard.entries import Card, Entry
from neural_golf.leaderboard.tables import render, render_graphs
from neural_golf.leaderboard.words import address, markdown, plain, suspicions
from neural_golf.referee.verdict import Verdict

markdown_it = pytest.importorskip("markdown_it", reason="markdown-it-py renders Markdown")

# What each is, and what of it GitHub would act on in a finished piece of text.
MENTION = re.compile(r"(?<!\w)@[a-z0-9]", re.IGNORECASE)
REFERENCE = re.compile(r"#\d|\bGH-\d", re.IGNORECASE)
FORMULA = re.compile(r"\$.*\$")
LINK = re.compile(r"https?://|ftp://|www\.|\w@\w+\.\w|//\w", re.IGNORECASE)
EMOJI = re.compile(r":[a-z0-9_+-]+:")
ACTS = (MENTION, REFERENCE, FORMULA, LINK, EMOJI)
TEMPLATE = re.compile(r"\{\{|\{%|\{#|\}\}|%\}")

HOSTILE = [
    "<script>alert(1)</script> <img src=x onerror=alert(1)> <!-- --> &lt;b&gt; &#36;",
    "**bold** _it_ __it__ ~~gone~~ `code` ```fence``` # head",
    "[link](javascript:alert(1)) ![image](https://evil.example/x.png) [ref][1] [^1] <https://evil.example>",
    "| cell | cell",
    r"a trailing backslash \ and \| and \\| and \$x\$",
    "$x^2$ and $$\\href{javascript:x}{y}$$ and $`x`$ and \\(x\\)",
    "{{ site.secret }} {% include x %} {# y #} {{{{x}}}} {:target}",
    "@ann and @ann/team, thanks @ann! (@ann) x@ann",
    "#12 owner/repo#12 GH-12 gh-3 ##4",
    "http://evil.example https://evil.example/a?b=c HTTPS://EVIL.EXAMPLE www.evil.example WWW.evil.example",
    "ftp://evil.example //evil.example mailto:a@evil.example a.b@evil.example xmpp:a@evil.example evil.example",
    ":tada: :+1: a:b:c",
    "two\nlines\n\n# and a heading\n- a list\n> a quote\n\n| a |\n|---|\n| b |\n\n```\nfence",
    "\ufeffbom \u00adhyphen \u200bzero \u200d\u200cjoiners \u2060word \u180evowel \u034fgrapheme",
    "\u202eevil\u202c \u2066isolate\u2069 \u061cmark \u200e\u200f",
    "\x00\x07\x1b[31mred\x1b[0m\x7f\x85\u2028\u2029",
    "\ue000private \U000f0000 \U000e0041tag \u3164filler \u115f\u1160 \uffa0 \u2800braille \ufe0fselector",
    "Z\u0351\u036b\u0343\u036a\u0302\u036bA\u0354\u0347\u035f\u0336LGO" + "\u0301" * 500,
    "\ud800 alone",
]


def pieces(text: str) -> tuple[str, list[str]]:
    """Markdown in a table as HTML, and the pieces of text between its tags."""
    parser = markdown_it.MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    made = parser.render(f"| a | b |\n|---|---|\n| {text} | end |\n")
    return made, [html.unescape(piece) for piece in re.split(r"<[^>]*>", made)]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_acts_in_markdown(text: str) -> None:
    source = markdown(text)
    assert "\n" not in source and not TEMPLATE.search(source)
    made, shown = pieces(source)
    tags = re.findall(r"<(/?\w+)", made)
    table = ["table", "thead", "tr", "th", "/th", "th", "/th", "/tr", "/thead", "tbody", "tr", "td"]
    span = [tag for tag in tags if not tag.endswith("span")]
    assert span == [*table, "/td", "td", "/td", "/tr", "/tbody", "/table"]
    assert not [piece for piece in shown for what in ACTS if what.search(piece)]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_can_be_seen_is_shown_as_it_is(text: str) -> None:
    made, _ = pieces(markdown(text))
    cell = html.unescape(re.sub(r"<[^>]*>", "", made.split("<td>")[1].split("</td>")[0]))
    assert cell == plain(text)
    kept = [c for c in plain(text) if c != " "]
    dropped = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    assert not [c for c in kept if unicodedata.category(c) in dropped]
    assert not re.search("[\u0300-\u036f]{4}|[\u034f\u115f\u1160\u2800\u3164\ufe0f\uffa0]", plain(text))


def test_honest_words_are_left_alone() -> None:
    honest = "Zoë Müller, Nguyễn Thị Hồng, Анна Каренина, 山田太郎, שלום: w² E(g²), 98.5 %, µm, «naïve» 🏌"
    assert plain(honest) == honest == markdown(honest)
    assert plain("Zoe\u0308") == "Zoë"
    assert suspicions("author", honest) == []


@pytest.mark.parametrize(
    ("text", "word", "point"),
    [
        ("\u0410nn Example", "\u0410nn", "U+0410 CYRILLIC CAPITAL LETTER A"),
        ("The Neural G\u03bflf authors", "G\u03bflf", "U+03BF GREEK SMALL LETTER OMICRON"),
        ("Ann \u0421\u0430\u0440\u0435", "\u0421\u0430\u0440\u0435", "U+0421"),  # wholly of another alphabet
        ("\uff21nn", "\uff21nn", "U+FF21"),
        ("\U0001d400nn", "\U0001d400nn", "U+1D400"),
    ],
)
def test_look_alike_letters_are_told(text: str, word: str, point: str) -> None:
    (told,) = suspicions("author", text)
    assert told.startswith(f"look-alike letters in the author: {word} has {point}")


def test_a_link_acts_as_a_link_and_as_nothing_else() -> None:
    links = ["https://a.example/?c=1&d", "https://a.example/$x$*y*@z!'", "https://a.example/{{x}}"]
    made, _ = pieces(" ".join(f"[{k}]({address(link)})" for k, link in enumerate(links)))
    assert re.findall(r'href="([^"]*)"', made) == [
        "https://a.example/?c=1&amp;d",
        "https://a.example/%24x%24%2Ay%2A%40z%21%27",
        "https://a.example/%7B%7Bx%7D%7D",
    ]


@pytest.mark.parametrize("text", HOSTILE[:-1])
def test_both_pages_of_the_leaderboard_and_its_json_are_harmless(text: str, tmp_path: Path) -> None:
    """A whole table and the page of graphs, read by a real parser: one link for each that the card has."""
    told = {"author": "x", "method": text, "chosen_on": "held-out", "licence": "MIT", "command": text[:200]}
    card = Card.model_construct(**told, links=[], code="src", seed=1)
    verdict = Verdict("PASS", "", "a", "mnist-98", 20, 20, 20, 1, 1, 1, 1, flags=(text,))
    entries = [Entry("mnist-98", "x._y_.z", card, verdict)]
    parser = markdown_it.MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    for page, links in ((render(entries), 2), (render_graphs(entries), 1)):
        assert not TEMPLATE.search(page)
        made = parser.render(page)
        assert made.count("<a href=") == links and "<em>" not in made
        assert not re.search(r"<(script|img|del)\b", made)
        body = made.split("again.</p>")[-1]
        words = [html.unescape(piece) for piece in re.split(r"<[^>]*>", body)]
        assert not [piece for piece in words for what in ACTS if what.search(piece)]


def test_the_page_shows_words_without_what_shows_nothing(tmp_path: Path) -> None:
    from neural_golf.site import board

    row = {"rank": 1, "entry": "a", "nonzero": 1, "parameters": 1, "correct": 1, "flags": ["\u202eflag"]}
    row["card"] = {"author": "A\u202enn", "method": "by\u200b hand", "chosen_on": "train"}
    table = {"title": "T", "dataset": "d", "threshold": 1, "images": 1, "ranked": [row], "chosen_on_test": []}
    path = tmp_path / "leaderboard.json"
    path.write_text(json.dumps({"t": table}))
    ((entry,),) = (challenge.ranked for challenge in board.challenges(path, "d"))
    assert (entry.author, entry.method, entry.flags) == ("Ann", "by hand", ("flag",))
    assert not entry.reproducible  # a table of an earlier version says nothing of it
