"""golf.js, the site's reader of .golf files, in node: it reads what Python reads, refuses what Python refuses, and computes
what the engine computes. And the links of the results.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from miniature import result
from neural_golf.base.errors import GolfError
from neural_golf.base.files import write_bytes
from neural_golf.engine import engine, form
from neural_golf.net.form import Form
from neural_golf.net.plain import Plain
from neural_golf.net.spec import Network
from neural_golf.packed import decode, encode, grammar
from neural_golf.packed import file as packed
from neural_golf.packed.coder import Writer
from neural_golf.packed.file import contents, write
from neural_golf.packed.graph import to_onnx
from neural_golf.results.result import golf_file
from neural_golf.site.links import links, tables, text_of
from test_bytes import BOMBS, GOLF98, LATER_BOMBS, SPECS, drawn, said

ROOT = Path(__file__).parent.parent
MORE = [  # with those of test_bytes, every kind of layer and every word
    ("conv 6 k5 same", "leaky 0.125", "maxpool 3 s2 p1", "conv 6 k3 d2 g3", "norm", "abs", "avgpool 2 s1", "linear 10"),
    ("maxpool 2", "conv 3 k2", "leaky 0", "conv 8 k3 same nobias turns mirrors", "relu", "conv 16 k3 turns mirrors", "gap"),
    ("conv 4 k3 nobias turns", "abs", "conv 4 k3 nobias turns", "abs", "conv 4 k3 turns tied=conv2", "abs", "linear 7", "abs", "linear 10"),
    ("conv 8 k3 nobias turns mirrors", "abs", "maxpool 2", "conv 3 k1 nobias", "prelu", "avgpool 3", "linear 10 nobias"),
]  # fmt: skip
IMAGES = 200


def javascript(
    texts: Sequence[str], folder: Path, pixels: Sequence[NDArray[np.uint8]] = ()
) -> list[dict[str, Any]]:
    """What golf.js makes of files as text: of each the network, and its logits for those images that have its
    shape; or why it is refused.
    """
    if shutil.which("node") is None:
        pytest.skip("node is not on this machine, and it runs src/neural_golf/site/scripts/golf.js")
    shown = {",".join(map(str, some.shape[1:])): some.reshape(len(some), -1).tolist() for some in pixels}
    cases = {"tables": tables(), "images": shown, "texts": texts}
    (folder / "cases.json").write_text(json.dumps(cases))
    command = [
        "node",
        "tests/browser/golf.mjs",
        "src/neural_golf/site/scripts/golf.js",
        folder / "cases.json",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    found: list[dict[str, Any]] = json.loads(done.stdout)
    for one in found:
        if "refused" in one:
            assert one["type"] == "Error" and "\n" not in one["refused"] and "<" not in one["refused"]
    return found


def read(contents: Sequence[bytes], folder: Path, *pixels: NDArray[np.uint8]) -> list[dict[str, Any]]:
    return javascript([text_of(content) for content in contents], folder, pixels)


def same(told: dict[str, Any], network: Network, values: NDArray[np.float32]) -> bool:
    """Whether golf.js has read this network; its numbers exactly."""
    form = list(astuple(network.form)) if network.form else None
    mine = {
        "form": form,
        "shape": list(network.in_shape),
        "spec": list(network.spec),
        "numbers": values.tolist(),
    }
    return {name: told.get(name) for name in mine} == mine and told["nonzero"] == np.count_nonzero(values)


def images(shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Small digits, enlarged, in as many channels and of such a size; and a blank one, a dot, and noise."""
    rng = np.random.default_rng(0)
    digits = np.repeat(np.repeat(load_digits().images[: IMAGES - 12], 3, 1), 3, 2) * (255 / 16)
    made = np.zeros((IMAGES, *shape), np.uint8)
    height, width = min(24, shape[1] - 2), min(24, shape[2] - 2)
    made[: IMAGES - 12, :, 1 : 1 + height, 2 : 2 + width] = digits[:, None, :height, :width] * rng.random(
        (IMAGES - 12, shape[0], 1, 1)
    )
    made[-1, 0, 5, 7] = 255
    made[-12:-2] = rng.integers(0, 256, (10, *shape))
    return made


def test_every_kind_of_layer_is_among_the_specs() -> None:
    assert {text.split()[0] for spec in [*SPECS, *MORE] for text in spec} >= set(grammar.NAMES) - {"end"}
    assert set(tables()["titles"]) == set(grammar.NAMES) - {"end"}


def test_networks_are_read_exactly_and_compute_what_the_engine_computes(tmp_path: Path) -> None:
    """Each spec with each form of the images, and one on images of another shape: the logits of 200 images."""
    made = [drawn(spec, 0.4, 8, seed) for spec in [*SPECS, *MORE] for seed in range(3)]
    made += [drawn(SPECS[3], 0.4, 8, seed, (2, 19, 24)) for seed in range(3)]
    shown = {shape: images(shape) for shape in {network.in_shape for network, _ in made}}
    found = read([encode(*one) for one in made], tmp_path, *shown.values())
    for (network, values), told in zip(made, found, strict=True):
        assert same(told, network, values), (network.spec, told)
        pixels = shown[network.in_shape]
        wanted = engine(network).logits(values, pixels)
        scale = np.abs(wanted).max(axis=1, keepdims=True)
        assert (np.abs(told["logits"] - wanted) <= 1e-4 * scale).all(), network
        best = np.sort(wanted, axis=1)
        sure = best[:, -1] - best[:, -2] > 1e-5 * scale[:, 0]
        assert (np.argmax(told["logits"], 1) == wanted.argmax(1))[sure].all() and sure.mean() > 0.9
        # In float64 both are the same but for the order of sums.
        seen = pixels / 255
        if network.form:
            seen = form._resampled(seen, form._matrices(seen, network.form))
        exact = Plain(network, values.astype(np.float64)).forward(seen.transpose(1, 2, 3, 0))[-1]
        assert (np.abs(told["logits"] - exact.reshape(-1, IMAGES).T) <= 1e-9 * scale).all(), network


def test_a_tied_kernel_may_stand_in_other_positions_than_its_own_layer_has(tmp_path: Path) -> None:
    """What the referee scores is the ONNX file, so it is what golf.js has to agree with."""
    spec = ("conv 4 k3 nobias", "conv 16 k3 nobias turns tied=conv1", "abs", "conv 4 k3 nobias", "gap")
    content = encode(*drawn(spec, 0.7, 3, 0, (4, 12, 12)))
    pixels = images((4, 12, 12))
    (told,) = read([content], tmp_path, pixels)
    seen = pixels.astype(np.float32) / 255
    (wanted,) = onnxruntime.InferenceSession(to_onnx(content)).run(["logits"], {"image": seen})
    np.testing.assert_allclose(told["logits"], wanted, atol=1e-4 * np.abs(wanted).max())


def mutated(rng: np.random.Generator, content: bytes) -> bytes:
    """With up to three bytes changed, cut off, added or left out."""
    made = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(0, len(made)))
        match rng.integers(0, 4):
            case 0:
                made[at] ^= 1 << rng.integers(0, 8)
            case 1:
                del made[max(at, 1) :]
            case 2:
                made += rng.bytes(rng.integers(1, 4))
            case _ if len(made) > 1:
                del made[at]
    return bytes(made)


def test_what_is_accepted_and_what_is_refused_is_the_same_in_both_languages(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    networks = [
        drawn(spec, share, 8, seed) for spec in [*SPECS, *MORE] for share, seed in ((0.05, 0), (0.3, 1))
    ]
    originals = [encode(*one) for one in networks]
    files = [mutated(rng, content) for content in originals for _ in range(40)]
    files += [rng.bytes(rng.integers(1, 60)) for _ in range(600)]
    accepted = 0
    for content, told in zip(files, read(files, tmp_path), strict=True):
        try:
            network, values = decode(content)
        except GolfError as error:
            assert "refused" in told, (content.hex(), error)
        else:
            assert same(told, network, values), (content.hex(), told)
            accepted += 1
    assert 20 < accepted < len(files) - 100


def scale_halved(patch: pytest.MonkeyPatch) -> bytes:
    found = contents(*drawn(SPECS[2], 0.3, 8, 3))
    first = drawn(SPECS[2], 0.3, 8, 3)[0].tensors[0].slice
    levels = found.levels.copy()
    levels[first] *= 2
    return write(replace(found, levels=levels, scales=(found.scales[0] - 8, *found.scales[1:])))


def usual_form(patch: pytest.MonkeyPatch) -> bytes:
    patch.setattr(packed, "Form", lambda *_: Form(0.5))  # so that no form is the usual one
    patch.setattr(packed, "_network", lambda spec, shape, form: Network.parse(spec, shape, Form()))
    return encode(*drawn(GOLF98, 0.1, 4, 1))


def usual_shape(patch: pytest.MonkeyPatch) -> bytes:
    patch.setattr(packed, "USUAL_SHAPE", (1, 1, 1))
    return encode(*drawn(GOLF98, 0.1, 4, 0))


def long_number(patch: pytest.MonkeyPatch) -> bytes:
    class Wide(Writer):
        def uniform(self, value: int, total: int) -> int:  # 17: of how many bits the number after it is
            return super().uniform(value + (total == 17), total)

    patch.setattr(packed, "Writer", Wide)
    return encode(*drawn(("conv 20 k3", "gap"), 0.5, 3, 0))


def field(kind: str, **told: int) -> Callable[[pytest.MonkeyPatch], bytes]:
    """A file in which a layer of that kind has these fields; its text means the same."""

    def made(patch: pytest.MonkeyPatch) -> bytes:
        values = grammar._values
        patch.setattr(
            grammar,
            "_values",
            lambda text, before: values(text, before) | (told if text.startswith(kind) else {}),
        )
        patch.setattr(grammar, "_text", lambda kind, values, before: next(texts))
        spec = ("conv 4 k3 nobias", "leaky 0.5", "maxpool 2", "linear 10 nobias")
        texts = iter(spec * 9)
        return encode(*drawn(spec, 0.3, 4, 0))

    return made


def too_large(patch: pytest.MonkeyPatch) -> bytes:
    """The largest size is told as one more than it is."""
    code = grammar.Numbers.code
    patch.setattr(
        grammar.Numbers,
        "code",
        lambda self, value, name, usual: code(self, value + (name == "most"), name, usual),
    )
    return encode(*drawn(GOLF98, 0.3, 4, 0))


SECOND_WAYS = {
    "a scale and levels twice as large": scale_halved,
    "the usual form as numbers": usual_form,
    "the usual shape as numbers": usual_shape,
    "a number with more bits": long_number,
    "a stride that is the size": field("maxpool", stride=2),
    "a slope with a zero behind it": field("leaky", digits=50, decimals=2),
    "a largest size that no number has": too_large,
    "a byte more": lambda patch: encode(*drawn(GOLF98, 0.1, 4, 0)) + b"\0",
}


@pytest.mark.parametrize("way", SECOND_WAYS)
def test_a_second_way_to_say_the_same_is_refused(
    way: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    content = SECOND_WAYS[way](monkeypatch)
    monkeypatch.undo()
    with pytest.raises(GolfError, match="not canonical"):
        decode(content)
    (told,) = read([content], tmp_path)
    assert "it is not canonical" in told["refused"]


def test_impossible_and_enormous_networks_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grammar, "MOST_LAYERS", 100)  # for the writer
    shapes = [said(("linear 10",), (1, 0, 28)), said(("conv 1 k1", "linear 10"), (0, 5, 5))]
    files = [said(spec) for spec, _ in BOMBS.values()] + shapes
    files += [said(spec, version=2) for spec in LATER_BOMBS.values()]
    assert all("refused" in told for told in read(files, tmp_path))
    assert "refused" in read([b"\xff" * packed.MOST_BYTES], tmp_path)[0]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"), ("A", "missing at its end"), ("AB", "last character"), ("AB==", "stands in it"), ("A+/B", "stands in it"),
        ("A\nAA", "stands in it"), ("<b>", "stands in it"), ("\U0001f3cc", "stands in it"), ("A" * 87_383, "longer than any"),
    ],
)  # fmt: skip
def test_text_that_is_no_link_is_refused(text: str, why: str, tmp_path: Path) -> None:
    (told,) = javascript([text], tmp_path)
    assert why in told["refused"]


def test_a_file_made_to_be_slow_is_known_by_its_steps(tmp_path: Path) -> None:
    """The page lets a network answer that takes up to 2 ** 26 of them; how long one takes is not measured here."""
    network, values = drawn(("conv 1000 k3 nobias", *["abs"] * 20, "gap"), 0.5, 3, 0)
    slow, quick = read([encode(network, values), encode(*drawn(GOLF98, 0.1, 4, 0))], tmp_path)
    assert slow["steps"] > 2**26 and quick["steps"] < 2**22


def test_a_result_with_a_file_has_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = {f"b-{seed}": encode(*drawn(GOLF98, 0.1, 4, seed)) for seed in range(2)}
    found = [
        result(90, 9800 + seed, "heldout", "b", size=90, seed=seed, name=name, bytes=len(files[name]))
        for seed, name in enumerate(files)
    ]
    for name, content in files.items():
        write_bytes(golf_file(name), content)
    made = links([result(500, 9800), *found])
    assert [link.result.bytes for link in made] == sorted(len(content) for content in files.values())
    assert [link.result for link in made if link.first] == [found[1]]
    for link in made:
        assert base64.urlsafe_b64decode(link.text + "=" * (-len(link.text) % 4)) == files[link.result.name]
    write_bytes(golf_file("b-0"), files["b-0"] + b"\0")
    with pytest.raises(GolfError, match=r"b-0\.golf is not as long as the referee says"):
        links(found)


def test_the_sites_count_of_an_onnx_file_is_the_referees_for_every_entry() -> None:
    """It is preliminary: what a graph makes of its numbers, it does not see. Of these, it is exact."""
    if shutil.which("node") is None:
        pytest.skip("node is not on this machine, and it runs src/neural_golf/site/scripts/onnx.js")
    board = json.loads((ROOT / "leaderboard/leaderboard.json").read_text())
    rows = {
        ROOT / "leaderboard" / name / row["entry"] / "model.onnx": (row["nonzero"], row["parameters"])
        for name, table in board.items()
        if table.get("score") != "bytes"
        for row in (*table["ranked"], *table["chosen_on_test"])
    }
    command = ["node", "tests/browser/count.mjs", "src/neural_golf/site/scripts/onnx.js", *map(str, rows)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert [tuple(found) for found in json.loads(done.stdout)] == list(rows.values()) and len(rows) > 40


def test_a_hundred_bytes_are_134_characters() -> None:
    assert len(text_of(bytes(100))) == 134
