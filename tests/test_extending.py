"""docs/extending.md: each diff applies to this repository and touches as few files as the page says."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SECTIONS = re.split(r"^## ", (ROOT / "docs/extending.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
# The most files that a change may touch.
MOST = {
    "data set": 1,
    "challenge": 1,
    "row of the ladder": 2,
    "compression technique": 3,
    "figure": 2,
    "layer kind": 6,
}


def test_the_page_has_the_six_changes() -> None:
    titles = [re.match(r"An? ([^:]+): ", section) for section in SECTIONS]
    assert [title and title[1] for title in titles] == list(MOST)


@pytest.mark.parametrize("section", SECTIONS, ids=[section.partition(":")[0] for section in SECTIONS])
def test_a_diff_applies_and_touches_few_files(section: str) -> None:
    blocks = re.findall(r"^```diff\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    (diff,) = blocks
    asked = ["git", "apply", "--check", "-"]
    done = subprocess.run(asked, cwd=ROOT, input=diff, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    title = section.partition(":")[0].partition(" ")[2]
    assert len(set(re.findall(r"^\+\+\+ b/(\S+)", diff, re.MULTILINE))) <= MOST[title]
