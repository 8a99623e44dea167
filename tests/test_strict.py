"""Small files of strangers: nothing in them surprises, grows or takes long."""

from __future__ import annotations

import contextlib
import resource
import time
from pathlib import Path

import pytest

from neural_golf.base.errors import GolfError
from neural_golf.referee.challenge import load_challenge
from neural_golf.referee.strict import MOST_BYTES, parse_strict, read_strict

LAUGHS = "a: &a [x]\n" + "".join(
    f"{chr(98 + k)}: &{chr(98 + k)} [{','.join(['*' + chr(97 + k)] * 9)}]\n" for k in range(20)
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("seed: 12", 12),
        ("seed: -3", -3),
        ("seed: 0", 0),
        ("seed: [1, 2]", [1, 2]),
        ("seed: {a: 1}", {"a": 1}),
        ("seed: true", True),
        ("seed: null", None),
        ("seed: ~", None),
        ("seed:", None),
        # PyYAML would make numbers, dates and truth values of these.
        ("seed: 1_000", "1_000"),
        ("seed: 1:30", "1:30"),
        ("seed: 010", "010"),
        ("seed: 0x10", "0x10"),
        ("seed: 0b11", "0b11"),
        ("seed: 1.5", "1.5"),
        ("seed: 1e3", "1e3"),
        ("seed: .inf", ".inf"),
        ("seed: -0", "-0"),
        ("seed: +1", "+1"),
        ("seed: 2001-01-01", "2001-01-01"),
        ("seed: 2001-99-99", "2001-99-99"),
        ("seed: yes", "yes"),
        ("seed: Off", "Off"),
        ("seed: True", "True"),
        ("seed: =", "="),
        ("seed: \u0661", "\u0661"),  # a digit of another script
        ("seed: " + "9" * 5000, "9" * 5000),
        ('seed: "12"', "12"),
        ("seed: 'null'", "null"),
        ("seed: |\n  two\n  lines", "two\nlines"),
        ("seed: a # comment", "a"),
        ("--- {seed: 1}\n...\n", 1),
        ("seed: [[[[[[[1]]]]]]]", [[[[[[[1]]]]]]]),
    ],
)
def test_a_word_is_what_it_looks_like(text: str, value: object) -> None:
    found = parse_strict(text)["seed"]
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: &x 1\nb: 2", "it has an anchor, &x"),
        ("a: 1\nb: *a", "it has an alias, *a"),
        ("a: *a", "it has an alias, *a"),
        (LAUGHS, "it has an anchor, &a"),
        ("&a a: 1", "it has an anchor, &a"),
        ("a: &a {b: 1}\nc: {<<: *a}", "it has an anchor, &a"),
        ("<<: {a: 1}", "it has a merge key, <<"),
        ("a: !!int 1", "it has a tag, tag:yaml.org,2002:int"),
        ("a: !!python/object/apply:os.system [true]", "it has a tag, tag:yaml.org,2002:python/object"),
        ("a: !x 1", "it has a tag, !x"),
        ("!!map {a: 1}", "it has a tag"),
        ("%YAML 1.2\n---\na: 1", "it has directives"),
        ("%TAG ! tag:x,2000:\n---\na: 1", "it has directives"),
        ("a: 1\n---\nb: 1", "it has more than one document"),
        ("", "it is empty"),
        ("# nothing", "it is empty"),
        ("a: 1\na: 2", "the key a stands more than once"),
        ("a: 1\n'a': 2", "the key a stands more than once"),
        ("? [a]\n: 1", "a key is not a word"),
        ("{[a]: 1}", "a key is not a word"),
        ("[" * 3000, "it is nested more than 8 deep"),
        ("[" * 9 + "]" * 9, "it is nested more than 8 deep"),
        ("{a: " * 500, "it is nested more than 8 deep"),
        ("".join(f"{' ' * k}a:\n" for k in range(300)), "it is nested more than 8 deep"),
        ("- " * 30_000, "it is nested more than 8 deep"),
        ("-\n" * 30_000, "it has more than 2000 values"),
        ("[" + "," .join("1" * 3000) + "]", "it has more than 2000 values"),
        ("a: [", "while parsing"),
        ("a: 'x", "while scanning"),
        ("a: \x1b[31m", "special characters are not allowed"),
        ("\u202e: 1\n\u202e: 2", r"the key \u202e stands more than once"),
    ],
)  # fmt: skip
def test_what_else_yaml_can_do_is_an_error_in_one_line(text: str, why: str) -> None:
    with pytest.raises(GolfError) as caught:
        parse_strict(text)
    said = str(caught.value)
    assert said.startswith("not YAML (") and why in said
    assert said.isascii() and said.isprintable() and len(said) < 400


@pytest.mark.parametrize(
    "text",
    [
        "[" * MOST_BYTES,
        "- " * (MOST_BYTES // 2),
        "a" * MOST_BYTES,
        "#\n" * (MOST_BYTES // 2),
        "a: |\n" + " x\n" * (MOST_BYTES // 3 - 2),
        "a: >\n" + " \n" * (MOST_BYTES // 2 - 3),
        'a: "' + "\\x41" * (MOST_BYTES // 4 - 2) + '"',
        "a: " + "b\n " * (MOST_BYTES // 3 - 2),
        "%A\n" * (MOST_BYTES // 3),
        "? " * (MOST_BYTES // 2),
        "".join(f"k{k}: 1\n" for k in range(6000)),
    ],
    ids=lambda text: text[:6],
)
def test_the_longest_file_takes_a_second(text: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF)
    with contextlib.suppress(GolfError):
        parse_strict(text)
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert after.ru_utime - before.ru_utime < 1


def test_a_file_is_read_only_if_it_is_one_and_small(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: " + "x" * (MOST_BYTES - 3))
    assert len(read_strict(path)["a"]) == MOST_BYTES - 3
    path.write_text("a: " + "x" * (MOST_BYTES - 2))
    with pytest.raises(GolfError, match="65537 bytes; the limit is 65536"):
        read_strict(path)
    path.write_bytes(b"a: \xff")
    with pytest.raises(GolfError, match="not text"):
        read_strict(path)
    begin = time.monotonic()
    for name in ("/dev/zero", str(tmp_path)):
        with pytest.raises(GolfError, match="not a file"):
            read_strict(Path(name))
    assert time.monotonic() - begin < 1


def test_a_challenge_by_path_is_read_in_the_same_way(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("name: &a tiny\ntitle: *a\n")
    with pytest.raises(GolfError, match=r"c\.yaml': not YAML \(it has an anchor, &a\)"):
        load_challenge(str(path), files=True)
    for name in (
        str(path),
        "../c.yaml",
        "/dev/zero.yaml",
        "mnist-98.yaml",
        "./mnist-98",
        "challenges/mnist-98",
        "",
    ):
        with pytest.raises(GolfError, match="does not exist; there are fashion-mnist-85"):
            load_challenge(name)
