"""The order of nodes: some exporters write them in any order, and onnxruntime sorts them too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush

import onnx

from neural_golf.referee.rules import Refused, describe, quoted

__all__ = ["in_order"]


def in_order(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes, each after those whose outputs it reads; of those that are ready, the one that stands first.

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
    ready = [k for k, count in enumerate(waits) if not count]
    heapify(ready)
    found: list[int] = []
    while ready:
        k = heappop(ready)
        found.append(k)
        for reader in readers.get(k, []):
            waits[reader] -= 1
            if not waits[reader]:
                heappush(ready, reader)
    if len(found) < len(graph.node):
        guilty = graph.node[_on_a_cycle(graph, made, waits)]
        raise Refused(f"{describe(guilty)} is part of a cycle: it reads what it makes")
    return [graph.node[k] for k in found]


def _on_a_cycle(graph: onnx.GraphProto, made: Mapping[str, int], waits: Sequence[int]) -> int:
    """A node that waits for itself, and not only for a cycle: one that waits reads one that waits."""
    k = next(k for k, count in enumerate(waits) if count)
    seen: set[int] = set()
    while k not in seen:
        seen.add(k)
        k = next(made[name] for name in graph.node[k].input if name in made and waits[made[name]])
    return k
