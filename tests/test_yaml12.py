"""params.yaml means the same to us and to DVC, which reads it with ruamel.yaml by version 1.2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from neural_golf.base.errors import GolfError
from neural_golf.base.yaml12 import parse_yaml, read_yaml, yaml_text

ROOT = Path(__file__).parent.parent
SCALARS = [
    "010",
    "0o10",
    "0o8",
    "0x1F",
    "0b11",
    "1_000",
    "00",
    "08",
    "-010",
    "+5",
    "-0",
    "1e3",
    "1E3",
    "1e-3",
    "1e+3",
    "1.e3",
    ".5",
    "-.5",
    "+.5",
    "5.",
    "1.0.0",
    "12e4567",
    "99bc501",
    "1e",
    "0o",
    "1:30",
    "1:30.5",
    "yes",
    "no",
    "on",
    "off",
    "y",
    "n",
    "true",
    "True",
    "TRUE",
    "tRue",
    "false",
    "~",
    "null",
    "Null",
    "NULL",
    ".inf",
    "-.Inf",
    ".INF",
    ".nan",
    "2024-01-01",
    "_1",
    "0.1_0",
    "'010'",
    '"yes"',
    "''",
]
TREES = (
    "a: &x {b: 1}\nc: {<<: *x, b: 2}",
    "a: &x {b: 1}\nc: {b: 2, <<: *x}",
    "a: &x {b: 1}\nd: &y {b: 3, e: 4}\nc: {<<: [*x, *y]}",
    "a: {b: &z [1], c: *z}",
    "\ufeffa: 1",
    "a: 'x\n  y'",
    "a: !!float 3",
)
REFUSED = (
    "a: 1\na: 2", "c: {<<: 5}", "a: \t1", "a: 1 b: 2", "a: 1\n---\nb: 2", "a: !!int", "a: !foo 3", "a: =",
    "%YAML 1.1\n---\na: yes", "? {a: 1}\n: 3", "a: !!python/object:os.x 1", "[" * 2000,
)  # fmt: skip


def dvcs(text: str) -> Any:
    serialize = pytest.importorskip("dvc.utils.serialize")
    return serialize.loads_yaml(text)


@pytest.mark.parametrize("text", [*(f"a: {word}" for word in SCALARS), *TREES])
def test_a_value_is_what_dvc_takes_it_for(text: str) -> None:
    assert repr(parse_yaml(text)) == repr(dvcs(text))


def test_the_committed_files_are_what_dvc_takes_them_for() -> None:
    for name in ("params.yaml", "dvc.yaml"):
        assert read_yaml(ROOT / name) == dvcs((ROOT / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_yaml_or_may_mean_two_things_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(GolfError) as caught:
        parse_yaml(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("word", SCALARS)
def test_text_is_written_so_that_every_reader_takes_it_for_text(word: str) -> None:
    text = yaml_text({"a": word})
    assert parse_yaml(text) == dvcs(text) == yaml.safe_load(text) == {"a": word}


@pytest.mark.parametrize(
    "value", [0, -3, 1.5, 1e-5, 1e22, float("inf"), True, None, "two\nlines", [1, {"b": []}]]
)
def test_values_come_back_as_they_were_written(value: object) -> None:
    text = yaml_text({"a": value})
    assert parse_yaml(text) == dvcs(text) == yaml.safe_load(text) == {"a": value}
