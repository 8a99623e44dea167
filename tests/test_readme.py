"""What the README and the documents show is true: code runs, links lead somewhere, no figure is typed in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from neural_golf import config

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"))
)

# Documents in which numbers may stand in prose, and why.
EXEMPT = {
    "docs/frontier-notes.md": "a dated log of single experiments: its figures are what was seen on the day",
    "docs/rules.md": "its numbers are the rules; tests/test_rules.py compares them with the code",
    "docs/bytes.md": "its numbers are the format; tests/test_bytes.py has a decoder that was written from it",
    "docs/versions.md": "tests/test_rules.py holds its tables against the tests that make them",
}
# Numbers that are no results: constants of the code or of the data that a document has to name.
FACTS = {
    "docs/engine.md": {
        "16": "lanes: images side by side in memory",
        "8": "lanes of the smaller copy of the kernels; taps that share their loads",
        "6": "output channels of a block",
        "4": "columns, or taps, of a block",
        "12": "columns of a sparse block",
        "2": "images of a micro-batch, among 1, 2, 4 and 8",
        "3": "pixels of the larger window of a pool that is written out",
    },
    "docs/reliability.md": {"1.1": "a version of YAML", "1.2": "a version of YAML"},
}
GENERATED = re.compile(
    r"<!-- (?P<name>\w+): written by .*?<!-- end of (?P=name) -->"
    r"|<!-- measured: .*?<!-- end of measured -->",
    re.DOTALL,
)
NO_PROSE = (
    GENERATED,
    re.compile(r"^( *)```.*?^\1```", re.DOTALL | re.MULTILINE),  # code
    re.compile(r"(?<=\n\n)(?: {4,}.*\n)+|(?<=#)[^\n]*\n(?: {4}.*\n)+"),  # code, indented
    re.compile(r"``.*?``|`[^`]*`", re.DOTALL),
    re.compile(r"<!--.*?-->", re.DOTALL),
    re.compile(r"\]\([^)]*\)"),  # where a link leads
)
NO_FIGURES = re.compile(
    r"arXiv:\d{4}\.\d{4,5}"
    r"|\b(?:19|20)\d\d\b"  # years
    r"|\b(?:python)?3\.1\d\b"  # versions of Python
    r"|\b\d+(?:-\d+)+\b"  # names of networks by their channels, 4-5-4
    r"|\b[A-Za-z][A-Za-z]*-?\d+(?:-\d+)*\b"  # names: golf98, mnist-98, x86-64, AVX-512, int8
    r"|^\d+\. "  # items of a list
    r"|(?<![\d.,])[01](?![\d.,]\d|\d)",  # nothing and one
    re.MULTILINE,
)
STRAY = re.compile(r"\d[\dx.,]*(?<![.,])")


def prose(text: str) -> str:
    """What a person wrote as sentences: no generated part, no code, no address."""
    for pattern in NO_PROSE:
        text = pattern.sub(lambda found: "\n" * found[0].count("\n"), text)
    return text


def strays(text: str) -> list[str]:
    """The numbers in the prose that no command wrote and that are no name, year, version or paper."""
    return STRAY.findall(NO_FIGURES.sub("", prose(text)))


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name not in EXEMPT])
def test_no_number_stands_in_prose_that_no_command_wrote(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    allowed = FACTS.get(name, {})
    assert [number for number in strays(text) if number not in allowed] == []


def test_every_exception_is_needed() -> None:
    for name in EXEMPT:
        assert (ROOT / name).exists(), name
    for name, facts in FACTS.items():
        assert set(facts) <= set(strays((ROOT / name).read_text(encoding="utf-8"))), name


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It needs 575 parameters.", ["575"]),
        ("97.3 % of 10,000 images", ["97.3", "10,000"]),
        ("images of 28x28 pixels", ["28x28"]),
        ("| reference | 1,199,882 |", ["1,199,882"]),
        ("of golf98 and 4-5-4, set to 0, on Python 3.12, arXiv:1503.02531 of 2015", []),
        ("`threshold: 0.98` and [the table](file-17.md)", []),
        ("<!-- ladder: written by `golf ladder` -->\n| 575 |\n<!-- end of ladder -->\nall 3 of them", ["3"]),
        ("```yaml\nseeds: 17\n```\nand 18", ["18"]),
        ("So:\n\n    golf run 17\n\nand 18", ["18"]),
    ],
)
def test_the_search_for_strays_tells_figures_from_names(text: str, found: list[str]) -> None:
    assert strays(text) == found


def test_the_readme_is_short_and_begins_with_what_matters() -> None:
    lines = README.splitlines()
    settings = config.load(ROOT / "params.yaml")
    rows = settings.rows_by("descent", "packing")
    told = [row for row in rows if re.search(rf"^\| {row} ", README, re.MULTILINE)]
    assert len(lines) + len(rows) - len(told) <= 120  # also where every row holds a size
    screen = "\n".join(lines[:24])
    assert re.search(r"!\[[^]]+\]\([^)]*front\.\w+\)", screen)
    assert "    make results" in screen and "    make test" in screen
    assert "<!-- ladder: written by `golf ladder` -->" in screen


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("README.md", "ladder"),
        ("docs/ladder.md", "ladder"),
        ("docs/engine.md", "bench"),
        ("docs/interpretability.md", "interpret"),
        ("docs/handbook/README.md", "pages"),
    ],
)
def test_every_document_has_its_generated_part(name: str, block: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    command = {"pages": "handbook"}.get(block, block)
    begin, end = f"<!-- {block}: written by `golf {command}` -->\n", f"<!-- end of {block} -->"
    assert text.count(begin) == text.count(end) == 1
    assert text.index(begin) < text.index(end)


def test_the_ten_lines_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert code
    exec(code[1], {})
    guesses = capsys.readouterr().out
    assert re.fullmatch(r"\[\d \d\]\n", guesses)
    assert guesses[1] == "1"  # an upright stroke is a one


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_to_files(name: str) -> None:
    path = ROOT / name
    for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        assert "://" in link or (path.parent / link).exists(), link


@pytest.mark.parametrize("name", DOCUMENTS)
def test_commands_are_make_targets(name: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"(?:`|^ {4})make ([a-z][\w-]*)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_map_is_true() -> None:
    """docs/map.md names every room of the code, and no other."""
    text = (ROOT / "docs/map.md").read_text(encoding="utf-8")
    tree = next(part for part in text.split("```") if "\ncli.py" in part)
    named = set(re.findall(r"^(\w+(?:\.py|/))", tree, re.MULTILINE))
    rooms = {
        path.name + "/" * path.is_dir()
        for path in (ROOT / "src/neural_golf").iterdir()
        if path.name[0] not in "_." and (path.suffix == ".py" or (path / "__init__.py").exists())
    }
    assert named == rooms
