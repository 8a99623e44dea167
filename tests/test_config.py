"""params.yaml: what is wrong is named, in one line, before any work starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from neural_golf import cli, config
from neural_golf.base.errors import GolfError

ROOT = Path(__file__).parent.parent


def write(tmp_path: Path, raw: object) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(raw if isinstance(raw, str) else yaml.safe_dump(raw))
    return path


def test_the_committed_file_is_valid() -> None:
    settings = config.load(ROOT / "params.yaml")
    assert settings.prune.threshold == 0.98


def test_settings_cannot_be_changed(raw: dict[str, Any]) -> None:
    settings = config.Config.model_validate(raw)
    with pytest.raises(ValueError, match="frozen"):
        settings.prune.threshold = 0.5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("section", "key", "value", "named"),
    [
        ("prune", "treshold", 0.98, "prune.treshold is not a known key; did you mean threshold?"),
        ("prune", "threshold", 98, "prune.threshold = 98: Input should be less than 1; 98 % is 0.98"),
        ("baseline", "learning_rate", -0.1, "baseline.learning_rate = -0.1"),
        ("baseline", "network", ["conv 4 k9", "linear 10"], "kernels go from 1 to 7"),
        ("baseline", "network", ["conv 4 k3"], "must end in one number per class"),
        ("tune", "gamma", [0.9, 0.1], "the lower end 0.9 is above the upper end 0.1"),
        ("tune", "batch_step", 7, "tune.batch_step = 7: from 16 to 32 is not a whole number of steps of 7"),
        ("roster", "tuned", [1, 1], "a seed stands twice"),
        ("roster", "tuned", [], "roster.tuned"),
        ("data", "places", {"mnist": []}, "data.places names no place for mnist"),
        ("prune", "judges", ["train"], "prune.judges.0 = 'train'"),
        ("baseline", "learning_rate", float("inf"), "baseline.learning_rate = inf"),
        ("baseline", "mean", float("nan"), "baseline.mean = nan"),
        ("golf98", "recipe", {"rate": float("inf")}, "golf98.recipe.rate = inf"),
        ("interpret", "networks", ["tuned", "golf98-heldout-1"], "golf98-heldout-1 is not in this run"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_the_key(
    tmp_path: Path, raw: dict[str, Any], section: str, key: str, value: object, named: str
) -> None:
    raw[section][key] = {**raw[section][key], **value} if key == "recipe" else value
    with pytest.raises(GolfError) as caught:
        config.load(write(tmp_path, raw))
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_section_is_named(tmp_path: Path, raw: dict[str, Any]) -> None:
    raw["prunee"] = {}
    with pytest.raises(GolfError, match="prunee is not a known key; did you mean prune"):
        config.load(write(tmp_path, raw))


def test_a_missing_key_is_named(tmp_path: Path, raw: dict[str, Any]) -> None:
    del raw["prune"]["threshold"]
    with pytest.raises(GolfError, match=r"prune\.threshold: Field required"):
        config.load(write(tmp_path, raw))


@pytest.mark.parametrize("name", config.WORKSPACES)
def test_the_sections_of_the_workspaces_are_checked_too(
    tmp_path: Path, raw: dict[str, Any], name: str
) -> None:
    raw[name]["tune"]["trials"] = 0
    with pytest.raises(GolfError, match=rf"{name} section.*tune\.trials"):
        config.load(write(tmp_path, raw))


@pytest.mark.parametrize("text", ["a: [", "just words", "\x00", "a: 2001-99-99", "[" * 3000])
def test_what_is_not_yaml_is_said_so(tmp_path: Path, text: str) -> None:
    with pytest.raises(GolfError, match=r"params\.yaml"):
        config.load(write(tmp_path, text))


def test_a_mistyped_key_is_named_and_not_only_the_one_that_is_missing_for_it(
    tmp_path: Path, raw: dict[str, Any]
) -> None:
    raw["prune"]["treshold"] = raw["prune"].pop("threshold")
    with pytest.raises(GolfError, match=r"prune\.treshold is not a known key; did you mean threshold\?"):
        config.load(write(tmp_path, raw))


def test_a_key_that_stands_twice_is_named(tmp_path: Path) -> None:
    """PyYAML alone takes the last one and says nothing."""
    text = (
        (ROOT / "params.yaml").read_text().replace("  threshold: 0.98", "  threshold: 0.9\n  threshold: 0.98")
    )
    with pytest.raises(GolfError, match="the key threshold stands more than once") as caught:
        config.load(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_the_demo_draws_networks_that_it_makes(raw: dict[str, Any]) -> None:
    settings = config.Config.model_validate(config.merged(raw))
    assert set(settings.interpret.networks) <= set(config.variants(settings))


def test_the_command_line_says_it_in_one_line_and_fails(
    tmp_path: Path, raw: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raw["prune"]["threshold"] = 98
    write(tmp_path, raw)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["pruned"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("golf pruned: params.yaml: prune.threshold = 98")
    assert error.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["params.yaml"]


def test_the_demo_lays_its_values_over_single_keys(raw: dict[str, Any]) -> None:
    merged = config.merged(raw)
    assert merged["data"]["dataset"] == "digits"
    assert merged["data"]["seed"] == raw["data"]["seed"]
    assert not set(config.WORKSPACES) & set(merged)


def test_fashion_has_its_own_data_set_and_statistics(raw: dict[str, Any]) -> None:
    settings = config.Config.model_validate(config.merged(raw, "fashion"))
    assert settings.data.dataset == "fashion-mnist"
    sections = (settings.reference, settings.baseline, settings.tune, settings.tuned, settings.prelu)
    assert {(s.mean, s.std) for s in sections} == {(0.2860, 0.3530)}
