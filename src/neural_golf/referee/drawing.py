"""A graph as a picture in Mermaid's text, for a person to review. It contains no text from the file."""

from __future__ import annotations

from typing import Final

from neural_golf.referee.counting import Graph
from neural_golf.referee.operators import counted_attributes, schema_of

__all__ = ["LINE", "drawn"]

_WORDS = r'"[A-Za-z0-9 ,]+"'
LINE: Final = rf"^(flowchart TD|[a-z]+[0-9]*(\(\[{_WORDS}\]\)|\[{_WORDS}\]| --> [a-z]+[0-9]*))$"  # each line


def drawn(graph: Graph) -> tuple[str, ...]:
    """Lines of a Mermaid flowchart: the nodes, and every tensor that counts. Shapes are left out.

    Names in the file are replaced by numbers, so that no line says what the file's author would like it to
    say.
    """
    made = {graph.input_name: "image"}
    lines = ["flowchart TD", 'image(["image"])']
    for k, constant in enumerate(graph.constants):
        if not constant.free:
            made[constant.name] = f"c{k}"
            shape = " by ".join(map(str, constant.array.shape)) or "one number"
            filled = int((constant.array != 0).sum())
            lines.append(f'c{k}["{filled:,} of {constant.array.size:,}, {shape}"]')
    for k, node in enumerate(graph.nodes):
        own = len(counted_attributes(node, schema_of(node, graph.opset)))
        lines.append(f'n{k}(["{node.op_type}{f", {own} of its own" if own else ""}"])')
        lines += [f"{made[name]} --> n{k}" for name in dict.fromkeys(node.input) if name in made]
        made.update((name, f"n{k}") for name in node.output if name)
    return (*lines, 'answer(["answer"])', f"{made[graph.output_name]} --> answer")
