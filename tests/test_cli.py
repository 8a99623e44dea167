"""The command line: every command explains itself."""

from __future__ import annotations

import pytest

from neural_golf import cli


@pytest.mark.parametrize(
    "command", [[], ["data"], ["verify"], ["submit"], ["leaderboard"], ["bench"], ["demo"]]
)
def test_help_is_printed(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([*command, "--help"])
    assert end.value.code == 0
    assert "usage: golf" in capsys.readouterr().out


def test_every_stage_has_a_command_with_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    shown = capsys.readouterr().out
    for stage in cli.STAGES:
        assert stage in shown
