"""params.yaml: what is wrong is named, in one line, before any work starts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from neural_golf import cli, config
from neural_golf.base.errors import GolfError
from neural_golf.config import sections

ROOT = Path(__file__).parent.parent


def write(tmp_path: Path, raw: object) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(raw if isinstance(raw, str) else yaml.safe_dump(raw))
    return path


def test_the_committed_file_is_valid() -> None:
    settings = config.load(ROOT / "params.yaml")
    assert settings.prune.threshold == 0.98


def test_settings_cannot_be_changed(raw: dict[str, Any]) -> None:
    settings = config.check(raw)
    with pytest.raises(ValueError, match="frozen"):
        settings.prune.threshold = 0.5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("section", "key", "value", "named"),
    [
        ("prune", "treshold", 0.98, "prune.treshold is not a known key; did you mean threshold?"),
        ("prune", "threshold", 98, "prune.threshold = 98: Input should be less than 1; 98 % is 0.98"),
        ("baseline", "learning_rate", -0.1, "baseline.learning_rate = -0.1"),
        ("baseline", "network", ["conv 4 k9", "linear 10"], "kernels go from 1 to 7"),
        ("baseline", "network", ["conv 4 k3"], "last layer must give one number per class"),
        ("tune", "gamma", [0.9, 0.1], "the lower end 0.9 is above the upper end 0.1"),
        ("prune", "judges", ["train"], "prune.judges.0 = 'train'"),
        ("baseline", "learning_rate", float("inf"), "baseline.learning_rate = inf"),
        ("baseline", "epoch", 3, "baseline.epoch is not a known key; did you mean epochs?"),
        ("tuned", "batch", 32, "give all of batch, learning_rate, step and gamma, or none"),
        ("prune", "threshold", "98", "prune.threshold = '98'"),
        ("prune", "threshold", "ninety", "prune.threshold = 'ninety'"),
        ("data", "heldout", [5000], "data.heldout = [5000]"),
        ("data", "dataset", "minst", "data.dataset = 'minst' is not in datasets; there are"),
        ("site", "goals", [98], "site.goals.0 = 98: Input should be less than 1; 98 % is 0.98"),
        ("handbook", "arms", {"odd": {"rates": 1.0}}, "handbook: arms.odd.rates: "),
        ("golf98", "enter", [123], "enter: 123 is not one of recipe.sizes"),
        ("golf98", "recipe", {"rate": float("inf")}, "golf98.recipe.rate = inf"),
        (
            "golf98",
            "recipe",
            {"kept_as": ["conv 4 k3", "linear 10"]},
            "golf98.recipe.kept_as: it must have the parameters of",
        ),
        ("golf98", "recipe", {"kept_as": ["conv 4 k9", "linear 10"]}, "golf98.recipe.kept_as"),
        (
            "handbook",
            "arms",
            {"odd": {"kept_as": ["gap"]}},
            "handbook.arms.odd.kept_as: it must have the parameters",
        ),
        (
            "handbook",
            "recipe",
            {"kept_as": ["gap"]},
            "kept_as: it must have the parameters of `network`",
        ),
        ("search", "recipe", {"kept_as": ["gap"]}, "search.recipe: kept_as: leave it out"),
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


@pytest.mark.parametrize(
    ("table", "line", "change", "named"),
    [
        ("rows", "baselin", {}, "rows.baselin.by: Field required"),
        ("rows", "baseline", {"bye": "training"}, "rows.baseline.bye is not a known key; did you mean by?"),
        ("rows", "baseline", {"by": "trainings"}, "rows.baseline.by = 'trainings'"),
        ("rows", "baseline", {"by": []}, "rows.baseline.by = []"),
        ("rows", "baseline", None, "rows.baseline"),
        ("rows", "baseline", {"seeds": [1, 1]}, "rows.baseline.seeds = [1, 1]: a seed stands twice"),
        ("rows", "baseline", {"seeds": []}, "rows.baseline: a row needs at least one seed"),
        ("rows", "baseline", {"seeds": [-1]}, "rows.baseline.seeds.0 = -1"),
        ("rows", "baseline", {"of": "tuned"}, "rows.baseline: `of` names the row that is zeroed or packed, and only"),
        ("rows", "baseline", {"blog": {"nonzero": 3, "parameter": 3}}, "rows.baseline.blog.parameter is not a known"),
        ("rows", "pruned", {"of": None}, "rows.pruned: `of` names the row that is zeroed or packed, and only"),
        ("rows", "pruned", {"seeds": [0]}, "rows.pruned: a row needs at least one seed, and a row by zeroing"),
        ("rows", "pruned", {"of": "tunde"}, "rows.pruned.of = 'tunde' is not a row made by training"),
        ("rows", "pruned", {"of": "golf98"}, "rows.pruned.of = 'golf98' is not a row made by training"),
        ("rows", "pruned", {"of": "prelu_pruned"}, "rows.pruned.of = 'prelu_pruned' is not a row made by"),
        ("rows", "site", {"by": "training", "seeds": [0], "method": "m"}, "rows.site: a row may not have the name"),
        ("rows", "site", {"by": "zeroing", "of": "tuned", "method": "m"}, "rows.site: a row may not have the name"),
        ("rows", "data", {"by": "descent"}, "rows.data: a row may not have the name of a section"),
        ("rows", "export", {"by": "zeroing", "of": "tuned", "method": "m"}, "rows.export: a row may not have"),
        ("rows", "mine", {"by": "training", "seeds": [0], "method": "m"}, "mine: Field required"),
        ("rows", "My-row", {"by": "zeroing", "of": "tuned", "method": "m"}, "rows.My-row: a row's name"),
        ("datasets", "mnist", {"torchvison": "MNIST"}, "datasets.mnist.torchvison is not a known key; did you mean torchvision"),
        ("datasets", "mnist", {"npz": "a.npz"}, "datasets.mnist: name one source, torchvision, npz, csv, folder or bundled; found: torchvision and npz"),
        ("datasets", "mnist", {"torchvision": None}, "datasets.mnist: name one source"),
        ("datasets", "digits", {"places": ["../shared"]}, "datasets.digits: only a data set of torchvision has places"),
        ("datasets", "digits", {"bundled": "iris"}, "datasets.digits.bundled = 'iris'"),
        ("datasets", "mnist", {"std": 0}, "datasets.mnist.std = 0"),
        ("datasets", "mnist", {"mean": float("nan")}, "datasets.mnist.mean = nan"),
    ],
)  # fmt: skip
def test_a_wrong_line_of_a_table_is_one_line_that_names_it(
    tmp_path: Path, raw: dict[str, Any], table: str, line: str, change: dict[str, Any] | None, named: str
) -> None:
    raw[table][line] = None if change is None else {**raw[table].get(line, {}), **change}
    with pytest.raises(GolfError) as caught:
        config.load(write(tmp_path, raw))
    assert str(caught.value).startswith("params.yaml: ")
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_whatever_stands_anywhere_the_error_is_one_line(raw: dict[str, Any]) -> None:
    """Every value of the file in turn is replaced by values of other kinds."""

    def places(tree: Any) -> Iterator[tuple[Any, Any]]:
        items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
        for key, value in list(items):
            yield tree, key
            yield from places(value)

    raw["handbook"]["arms"] = dict(list(raw["handbook"]["arms"].items())[:2])
    raw["workspaces"] = {"demo": {"rows": {"reference": None}, "tune": {"trials": 8}}}
    refused = 0
    for number, (tree, key) in enumerate(places(raw)):
        kept = tree[key]
        odd = [None, "98", -1, {}, [None], {1: {}}, {"a": {"b": []}}, 10**400, date(2001, 1, 1)]
        tree[key] = odd[number % len(odd)]
        try:
            config.check(raw)
            config.merged(raw, "demo")
        except GolfError as error:
            refused += 1
            assert "\n" not in str(error) and str(error).startswith("params.yaml: ")
        tree[key] = kept
    assert refused > 100


@pytest.mark.parametrize("name", ["export", "baseline", "site"])
def test_a_workspace_may_not_have_the_name_of_a_command(
    tmp_path: Path, raw: dict[str, Any], monkeypatch: pytest.MonkeyPatch, name: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    raw["workspaces"][name] = {}
    write(tmp_path, raw)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["ladder"]) == 1
    assert (
        f"workspaces.{name}: a workspace may not have the name of a command or row" in capsys.readouterr().err
    )


def test_a_row_with_the_name_of_a_command_is_one_line_on_the_command_line(
    tmp_path: Path, raw: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raw["rows"] |= {"bench": {"by": "zeroing", "of": "tuned", "method": "m"}, 3: {"by": "training"}}
    write(tmp_path, raw)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["ladder"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_mistyped_row_is_named_with_what_it_may_have_been(tmp_path: Path, raw: dict[str, Any]) -> None:
    """Its settings stand in the section of its name, which then is unknown."""
    raw["rows"]["baselin"] = raw["rows"].pop("baseline")
    with pytest.raises(GolfError) as caught:
        config.load(write(tmp_path, raw))
    assert "baselin" in str(caught.value) and "\n" not in str(caught.value)
    assert "params.yaml: baseline is not a known key; did you mean baselin?" in str(caught.value)


@pytest.mark.parametrize("value", [None, [], 3, "mnist", {"mnist": None}, {"mnist": []}, {}])
@pytest.mark.parametrize("key", ["rows", "datasets", "data", "baseline", "workspaces", "prune", "handbook"])
def test_a_section_of_another_kind_is_one_line(
    tmp_path: Path, raw: dict[str, Any], key: str, value: object
) -> None:
    if key == "workspaces" and value in (None, {}):
        return
    raw[key] = value
    with pytest.raises(GolfError) as caught:
        config.load(write(tmp_path, raw))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("params.yaml")


@pytest.mark.parametrize("name", ["demo", "fashion"])
def test_the_sections_of_the_workspaces_are_checked_too(
    tmp_path: Path, raw: dict[str, Any], name: str
) -> None:
    raw["workspaces"][name]["tune"]["trials"] = 0
    with pytest.raises(GolfError, match=rf"with workspaces\.{name}\).*tune\.trials"):
        config.load(write(tmp_path, raw))


def test_an_unknown_key_of_a_workspace_is_named(tmp_path: Path, raw: dict[str, Any]) -> None:
    raw["workspaces"]["demo"]["tune"]["trails"] = 3
    with pytest.raises(
        GolfError, match=r"workspaces\.demo\): tune\.trails is not a known key; did you mean trials"
    ):
        config.load(write(tmp_path, raw))


def test_a_null_of_a_workspace_takes_a_key_out(raw: dict[str, Any]) -> None:
    """A row with its settings, and single settings, back to their defaults."""
    raw["workspaces"]["demo"] |= {
        "rows": {**raw["workspaces"]["demo"]["rows"], "reference": None, "prelu": {"blog": None}},
        "reference": None,
        "datasets": {"digits": {"mean": None, "std": None}},
    }
    tree = config.merged(raw, "demo")
    assert "reference" not in tree["rows"] and "reference" not in tree
    settings = config.check(tree)
    assert "reference" not in settings.variants()
    assert settings.rows["prelu"].blog is None
    assert settings.datasets["digits"].mean is None
    assert "reference" in raw["rows"], "the tree itself must stay as it was"


def test_a_null_deep_in_what_a_workspace_adds_is_no_value(raw: dict[str, Any]) -> None:
    """Where the tree has nothing that could be laid over, the nulls go as well."""
    raw["workspaces"]["demo"]["datasets"] = {"mine": {"npz": "a.npz", "test": None}}
    assert config.merged(raw, "demo")["datasets"]["mine"] == {"npz": "a.npz"}


def test_settings_of_a_row_have_the_type_of_what_makes_it(raw: dict[str, Any]) -> None:
    settings = config.check(raw)
    for name, row in settings.rows.items():
        kind = sections.Prune if row.by == "zeroing" else config.SETTINGS[row.by]
        assert type(settings.settings(name)) is kind
    assert settings.rows_by("zeroing") == ["pruned", "prelu_pruned"]
    descents = ["golf98", "golf99", "open98", "open99"]
    assert settings.rows_by("training", "descent") == ["baseline", "tuned", "prelu", *descents]
    assert settings.rows_by("packing") == ["bytes98", "bytes99"]


def test_a_new_row_is_a_line_and_a_section(raw: dict[str, Any]) -> None:
    raw["rows"]["tiny"] = {"by": "training", "seeds": [0], "method": "Smaller."}
    raw["tiny"] = {"network": ["conv 2 k4", "relu", "maxpool 4", "linear 10"], "epochs": 3}
    raw["rows"]["tiny_pruned"] = {"by": "zeroing", "of": "tiny", "method": "Zeroed."}
    settings = config.check(raw)
    assert settings.settings("tiny").chosen == {}
    assert "tiny" in settings.variants() and "tiny_pruned-heldout-saliency" in settings.variants()


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
    settings = config.check(config.merged(raw, "demo"))
    assert set(settings.interpret.networks) <= set(settings.variants())


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


@pytest.mark.parametrize("command", ["tuned", "fashion", "data"])
def test_a_file_that_cannot_be_read_is_told_by_the_commands_that_it_names_too(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "params.yaml").write_text("rows: {tuned: [}")
    monkeypatch.chdir(tmp_path)
    assert cli.main([command]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"golf {command}: params.yaml cannot be read: not YAML")
    assert error.count("\n") == 1


def test_a_quoted_number_is_one_line_on_the_command_line_too(
    tmp_path: Path, raw: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raw["prune"]["threshold"] = "98"
    write(tmp_path, raw)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["pruned"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(
        "golf pruned: params.yaml: prune.threshold = '98': Input should be a valid number"
    )
    assert "take the quotes away" in error
    assert error.count("\n") == 1


def test_the_demo_lays_its_values_over_single_keys(raw: dict[str, Any]) -> None:
    merged = config.merged(raw, "demo")
    assert merged["data"]["dataset"] == "digits"
    assert merged["data"]["seed"] == raw["data"]["seed"]
    assert "workspaces" not in merged


def test_fashion_has_its_own_data_set_and_statistics(raw: dict[str, Any]) -> None:
    settings = config.check(config.merged(raw, "fashion"))
    assert settings.data.dataset == "fashion-mnist"
    assert (settings.dataset.mean, settings.dataset.std) == (0.2860, 0.3530)
