"""The order of nodes: some exporters write them in any order, and onnxruntime sorts them too."""

from __future__ import annotations

from collections import deque

import onnx

from neural_golf.referee.rules import Refused, describe, quoted

__all__ = ["in_order"]


def in_order(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes, each after those whose outputs it reads; as they stand where the order allows it.

    Raises Refused for a name that nothing makes, and for a cycle.
    """
    made = {name: k for k, node in enumerate(graph.node) for name in node.output if name}
    given = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    waits: list[int] = []
    readers: dict[int, list[int]] = {}
    for k, node in enumerate(graph.node):
        before = {made[name] for name in node.input if name in made}
        missing = next((n for n in node.input if n and n not in made and n not in given), None)
        if missing is not None:
            raise Refused(f"{describe(node)} reads {quoted(missing)}, which nothing makes")
        waits.append(len(before))
        for source in before:
            readers.setdefault(source, []).append(k)
    if all(made[n] < k for k, node in enumerate(graph.node) for n in node.input if n in made):
        return list(graph.node)
    ready = deque(k for k, count in enumerate(waits) if not count)
    found: list[int] = []
    while ready:
        k = ready.popleft()
        found.append(k)
        for reader in readers.get(k, []):
            waits[reader] -= 1
            if not waits[reader]:
                ready.append(reader)
    if len(found) < len(graph.node):
        stuck = next(k for k, count in enumerate(waits) if count)
        raise Refused(f"{describe(graph.node[stuck])} is part of a cycle, or behind one")
    return [graph.node[k] for k in found]
