"""How a file says which layers a network has: the kinds in their order, and a few numbers for each.

A layer is the kind and the fields of that kind, each a number with a model of its own. What is usual costs
little, what came before costs less, and everything else remains possible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from neural_golf.base.errors import GolfError
from neural_golf.net.kind import Sides, in_words
from neural_golf.net.layers import KINDS
from neural_golf.packed.coder import Coder, Model

__all__ = ["Numbers", "layers", "usual_spec", "version"]

MOST_LAYERS = 64
LONG = 15  # this symbol says that a longer number follows
STEP = 64  # by how much a field's value or a kind gets more frequent each time it comes
DECIMALS = 6  # of a leaky ReLU's slope

# The kinds by their numbers. A number without a name belongs to a later version.
NAMES = ("end", "conv", "linear", "relu", "abs", "leaky", "prelu", "maxpool", "avgpool", "gap", "norm", "add")
KNOWN = {1: 11, 2: 12}  # how many of them a version has
SLOTS = 16
# How frequent a kind is after another one, before the file has said anything; every kind not named has 1.
AFTER: Mapping[str, Mapping[str, int]] = {
    "start": {"conv": 256},
    "conv": {
        "abs": 192,
        "relu": 64,
        "maxpool": 16,
        "conv": 16,
        "norm": 16,
        "prelu": 16,
        "gap": 16,
        "add": 64,
    },
    "activation": {"maxpool": 128, "linear": 64, "avgpool": 64, "conv": 64, "gap": 16, "add": 32},
    "pool": {"conv": 160, "linear": 96},
    "norm": {"abs": 96, "relu": 32, "add": 16},
    "linear": {"end": 256, "abs": 16, "relu": 16},
    "gap": {"end": 256, "linear": 32},
    "add": {"abs": 64, "relu": 64, "conv": 64, "maxpool": 32, "gap": 32},
}
GROUPS = {"relu": "activation", "abs": "activation", "leaky": "activation", "prelu": "activation"}
GROUPS |= {"maxpool": "pool", "avgpool": "pool"}


@dataclass(frozen=True)
class Field:
    """One number of a kind: what is usual, how frequent that is, and the first version that has it."""

    name: str
    usual: Mapping[int, int]
    since: int = 1


SAME = {0: 64, 2: 64}  # of rows, as one more than they are: 0 as many as columns; 2 one, as series have it

FIELDS: Mapping[str, Sequence[Field]] = {
    "conv": (
        Field("positions", {2: 64, 1: 64, 0: 64}),  # 0: one; 1: `turns`, four; 2: `turns mirrors`, eight
        Field("channels", {1: 64, 2: 64, 3: 48, 4: 48}),  # divided by the positions
        Field("kernel", {3: 96, 5: 96}),
        Field("same", {0: 96, 1: 32}),
        Field("dilation", {1: 96, 2: 32}),
        Field("groups", {1: 256}),
        Field("bias", {0: 128, 1: 32}),
        Field("tied", {0: 256}),  # 0: a kernel of its own; else the number of the convolution that has it
        Field("kernel_rows", SAME, 2),  # and `kernel` is then its columns, here and below
        Field("dilation_rows", SAME, 2),
        Field("stride", {1: 96, 2: 32}, 2),
        Field("stride_rows", SAME, 2),
    ),
    "linear": (Field("outputs", {10: 256}), Field("bias", {0: 128, 1: 32})),
    "leaky": (Field("digits", {}), Field("decimals", {})),
    "maxpool": (
        Field("size", {2: 192, 3: 32}), Field("stride", {0: 64, 1: 64}), Field("pad", {0: 128}),
        Field("size_rows", SAME, 2), Field("stride_rows", SAME, 2), Field("pad_rows", {0: 64, 1: 64}, 2),
    ),
    "avgpool": (
        Field("size", {3: 128, 2: 64}), Field("stride", {0: 64, 2: 64}), Field("pad", {0: 256}),
        Field("size_rows", SAME, 2), Field("stride_rows", SAME, 2),
    ),
    "add": (Field("back", {2: 32, 3: 64, 4: 64, 5: 32}),),  # how many layers before this one: 1 is its input
}  # fmt: skip
POSITIONS = ((), ("turns",), ("turns", "mirrors"))
ORBITS = (1, 4, 8)


class Numbers:
    """Numbers from 0 on, each with the model of its field."""

    def __init__(self, coder: Coder) -> None:
        self.coder = coder
        self._models: dict[str, Model] = {}

    def code(self, value: int, name: str, usual: Mapping[int, int]) -> int:
        """A number up to 65,550. Those up to 14 are symbols; a longer one is 15 and what is beyond that."""
        if name not in self._models:
            self._models[name] = Model([1 + usual.get(i, 0) for i in range(LONG + 1)], STEP)
        found = self.coder.adaptive(min(value, LONG), self._models[name])
        if found < LONG:
            return found
        rest = value - LONG
        length = self.coder.uniform(max(rest, 0).bit_length(), 17)
        return LONG + self.coder.uniform(max(rest, 0), 1 << length)


def version(spec: Sequence[str]) -> int:
    """The first version that can say a spec: 2 where it has a sum, a stride or unequal sides."""
    for place, text in enumerate(spec):
        kind = text.split()[0]
        values = _values(text, spec[:place])
        if kind in NAMES[KNOWN[1] :] or any(
            values[f.name] != _plain(f) for f in FIELDS.get(kind, ()) if f.since > 1
        ):
            return 2
    return 1


def _plain(field: Field) -> int:
    """What a layer that version 1 can say has in a field of version 2."""
    return int(field.name == "stride")


def layers(coder: Coder, spec: Sequence[str], told: int = 1) -> tuple[str, ...]:
    """A spec, line by line, until the layer after which it ends, as a version tells it."""
    numbers = Numbers(coder)
    followers: dict[str, Model] = {}
    found: list[str] = []
    before = "start"
    while True:
        if before not in followers:
            usual = AFTER[before]
            sizes = [1 + usual.get(NAMES[i] if i < KNOWN[told] else "", 0) for i in range(SLOTS)]
            followers[before] = Model(sizes, STEP)
        text = spec[len(found)] if len(found) < len(spec) else "end"
        kind = text.split()[0]
        number = coder.adaptive(NAMES.index(kind) if kind in NAMES else 0, followers[before])
        if number >= KNOWN[told]:
            raise GolfError("it has a layer of a later version")
        kind = NAMES[number]
        if kind == "end":
            return tuple(found)
        if len(found) == MOST_LAYERS:
            raise GolfError(f"it has more than {MOST_LAYERS} layers")
        values = _values(text, found) if text.split()[0] == kind else {}
        read = {
            field.name: numbers.code(values.get(field.name, 0), f"{kind}.{field.name}", field.usual)
            if field.since <= told
            else _plain(field)
            for field in FIELDS.get(kind, ())
        }
        found.append(_text(kind, read, found))
        before = GROUPS.get(kind, kind)


def usual_spec(spec: Sequence[str], biases: Sequence[bool]) -> tuple[str, ...]:
    """The spec as a file says it: words in one order, without defaults, training's layers and the biases
    that are all 0. biases: for each layer, whether it has one that is not 0.

    Raises GolfError for what no file can say.
    """
    made: list[str] = []
    for text, bias in zip(spec, biases, strict=True):
        kind = text.split()[0]
        if KINDS[kind].training:
            continue
        if kind not in NAMES:
            raise GolfError(f"a .golf file has no word for the layer {text!r}")
        values = _values(text, made)
        if "bias" in values:
            values["bias"] = int(bias)
        if max(values.values(), default=0) > LONG + 65535:
            raise GolfError(f"a number of the layer {text!r} is too large for a .golf file")
        made.append(_text(kind, values, made))
    if len(made) > MOST_LAYERS:
        raise GolfError(f"{len(made)} layers; a .golf file has at most {MOST_LAYERS}")
    return tuple(made)


def _names(spec: Sequence[str]) -> list[str]:
    """The names of layers: each its kind and the how many-th of its kind it is."""
    kinds = [text.split()[0] for text in spec]
    return [f"{kind}{1 + kinds[:place].count(kind)}" for place, kind in enumerate(kinds)]


def _values(text: str, before: Sequence[str]) -> dict[str, int]:
    """The fields of a layer's text, which Network.parse takes, behind other layers."""
    kind, *words = text.split()
    match kind:
        case "conv":
            positions = POSITIONS.index(tuple(word for word in ("turns", "mirrors") if word in words))
            tied = next((word.removeprefix("tied=conv") for word in words if word.startswith("tied=")), "0")
            return {
                "positions": positions,
                "channels": int(words[0]) // ORBITS[positions],
                "same": int("same" in words),
                "groups": _letter(words[2:], "g", (1, 1))[0],
                "bias": int("nobias" not in words),
                "tied": int(tied),
                **_two("kernel", _letter(words[1:2], "k", (1, 1))),
                **_two("dilation", _letter(words[2:], "d", (1, 1))),
                **_two("stride", _letter(words[2:], "s", (1, 1))),
            }
        case "linear":
            return {"outputs": int(words[0]), "bias": int("nobias" not in words)}
        case "leaky":
            return _decimal(text, words[0])
        case "maxpool" | "avgpool":
            size = _letter([f"k{words[0]}"], "k", (1, 1))
            stride, pad = _letter(words[1:], "s", size), _letter(words[1:], "p", (0, 0))
            told = _two("size", size) | _two("stride", (0, 0) if stride == size else stride)
            return told | (_two("pad", pad) if kind == "maxpool" else {"pad": 0})
        case "add":
            return {"back": len(before) - _names(before).index(words[0])}
    return {}


def _letter(words: Sequence[str], letter: str, default: Sides) -> Sides:
    """The numbers in a word such as d2 or d1x2."""
    for word in words:
        down, _, across = word[1:].partition("x")
        if word[0] == letter and down.isdecimal():
            return int(down), int(across or down)
    return default


def _two(name: str, sides: Sides) -> dict[str, int]:
    """Two numbers as fields: the columns', and one more than the rows', or 0 if both are equal."""
    rows, columns = sides
    return {name: columns, f"{name}_rows": 0 if rows == columns else 1 + rows}


def _sides(name: str, values: Mapping[str, int]) -> Sides:
    """What `_two` has made fields of."""
    rows, columns = values.get(f"{name}_rows", 0), values[name]
    return (rows - 1 if rows else columns), columns


def _decimal(text: str, word: str) -> dict[str, int]:
    try:
        value = Decimal(word).normalize()
    except InvalidOperation:
        value = Decimal(-1)
    decimals = max(0, -int(value.as_tuple().exponent))
    digits = int(value.scaleb(decimals))
    if value < 0 or decimals > DECIMALS or digits > LONG + 65535:
        raise GolfError(f"the slope of the layer {text!r} has too many digits for a .golf file")
    return {"digits": digits, "decimals": decimals}


def _text(kind: str, values: Mapping[str, int], before: Sequence[str]) -> str:
    """A layer as a spec writes it behind others."""
    words = [kind]
    match kind:
        case "conv":
            if values["positions"] >= len(POSITIONS) or max(values["same"], values["bias"]) > 1:
                raise GolfError("a convolution of a later version")
            kernel, stride, dilation = (_sides(name, values) for name in ("kernel", "stride", "dilation"))
            words += [str(values["channels"] * ORBITS[values["positions"]]), f"k{in_words(kernel)}"]
            words += ["same"] * values["same"]
            words += [f"s{in_words(stride)}"] * (stride != (1, 1))
            words += [f"d{in_words(dilation)}"] * (dilation != (1, 1))
            words += [f"g{values['groups']}"] * (values["groups"] != 1)
            words += ["nobias"] * (not values["bias"])
            words += [f"tied=conv{values['tied']}"] * (values["tied"] > 0)
            words += POSITIONS[values["positions"]]
        case "linear":
            if values["bias"] > 1:
                raise GolfError("a linear layer of a later version")
            words += [str(values["outputs"])] + ["nobias"] * (not values["bias"])
        case "leaky":
            if values["decimals"] > DECIMALS:
                raise GolfError("a slope with too many digits")
            words.append(f"{Decimal(values['digits']).scaleb(-values['decimals']):f}")
        case "maxpool" | "avgpool":
            stride, pad = _sides("stride", values), _sides("pad", values)
            words.append(in_words(_sides("size", values)))
            words += [f"s{in_words(stride)}"] * (stride != (0, 0))
            words += [f"p{in_words(pad)}"] * (pad != (0, 0))
        case "add":
            if not 1 <= values["back"] <= len(before):
                raise GolfError("it adds a layer that there is not")
            words.append(_names(before)[-values["back"]])
    return " ".join(words)
