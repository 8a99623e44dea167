"""A graph as a picture in Mermaid's text, for a person to review. It contains no text from the file."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # it brings onnxruntime, which stays in the child process
    from neural_golf.referee.folding import Folded

__all__ = ["LINE", "drawn"]

EDGES = 450  # Mermaid draws no more than 500

_WORDS = r'"[A-Za-z0-9 ,]+"'
_TIMES = r"(\|[0-9]+ times\|)?"
LINE: Final = (
    rf"^(flowchart TD|[a-z]+[0-9]*(\(\[{_WORDS}\]\)|\[{_WORDS}\]| -->{_TIMES} [a-z]+[0-9]*))$"  # each
)


def drawn(folded: Folded) -> tuple[str, ...]:
    """Lines of a Mermaid flowchart: the nodes that depend on the image, and every constant that meets them.
    Shapes are left out. An edge that stands more than once says how often.

    Names in the file are replaced by numbers, so that no line says what the file's author would like it to
    say. A graph of too many edges is drawn without its constants, and if that does not help, not at all.
    """
    boxes, edges = _drawn(folded, constants=True)
    if len(edges) > EDGES:
        boxes, edges = _drawn(folded, constants=False)
    if len(edges) > EDGES:
        return ("flowchart TD", f'answer(["a graph of {len(edges)} edges, too many to draw"])')
    return ("flowchart TD", *boxes, *edges)


def _drawn(folded: Folded, *, constants: bool) -> tuple[list[str], list[str]]:
    made = {folded.model.input_name: "image"}
    boxes = ['image(["image"])']
    edges: Counter[tuple[str, str]] = Counter()
    for k, node in enumerate(folded.nodes):
        if all(name in folded.constants for name in node.output if name):
            continue  # a shape that depends on the number of images
        boxes.append(f'n{k}(["{node.op_type}"])')
        for name in node.input:
            numbers = folded.constants.get(name)
            if constants and numbers is not None and name not in made and numbers.values.dtype != "int64":
                made[name] = f"c{len(made)}"
                if numbers.of:  # they count as the matrix of their AffineGrid
                    numbers = numbers.of.matrix
                shape = " by ".join(map(str, numbers.values.shape)) or "one number"
                filled = int((numbers.values != 0).sum())
                boxes.append(f'{made[name]}["{filled:,} of {numbers.values.size:,}, {shape}"]')
            if name in made:
                edges[made[name], f"n{k}"] += 1
        made.update((name, f"n{k}") for name in node.output if name)
    boxes.append('answer(["answer"])')
    edges[made[folded.model.output_name], "answer"] += 1
    return boxes, [f"{a} -->{f'|{n} times|' if n > 1 else ''} {b}" for (a, b), n in edges.items()]
