"""Honest files of strangers: what passes keeps its count by hand, and what does not gets a reason or a hint."""

from __future__ import annotations

from pathlib import Path

import pytest

import attacks
import strangers
from neural_golf.referee.verdict import Verdict
from visiting.network import JUDGED


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Verdict]:
    digits = attacks.training_images(JUDGED)
    if digits is None:
        pytest.skip("the training images of MNIST are in none of the places of params.yaml")
    folder: Path = tmp_path_factory.mktemp("strangers")
    return strangers.judged(digits, folder, jobs=2)


@pytest.mark.parametrize("name", strangers.KINDS)
def test_a_stranger_gets_the_right_answer(name: str, verdicts: dict[str, Verdict]) -> None:
    kind, found = strangers.KINDS[name], verdicts[name]
    said = f"{found.verdict}: {found.reason}; counted {found.nonzero}; {found.parts}; {found.flags}"
    assert found.verdict == kind.verdict, said
    assert kind.words in found.reason, said
    if kind.verdict != "REFUSED":
        assert found.nonzero == kind.count, said
        assert all(kind.flag and kind.flag in flag for flag in found.flags), said


def test_a_hint_is_only_for_a_file_that_fails(verdicts: dict[str, Verdict]) -> None:
    for name, found in verdicts.items():
        assert ("put that into the graph" in found.reason) == (strangers.KINDS[name].verdict == "FAIL"), name


def test_the_table_has_every_kind_with_what_version_1_said() -> None:
    assert set(strangers.VERSION_1) == set(strangers.KINDS)
    lines = strangers.strangers().splitlines()
    assert len(lines) == len(strangers.KINDS) + 2
    assert all(line.count("|") - line.count("\\|") == 4 for line in lines)
