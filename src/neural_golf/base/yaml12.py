"""YAML by the rules of version 1.2, as DVC reads params.yaml: `010` is 10, `yes` and `1:30` are text, and
`1e-3` is a number. What is written is read back as it was by either version.

PyYAML alone knows version 1.1 and says 8, true, 90 and text.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from neural_golf.base.errors import GolfError

__all__ = ["parse_yaml", "read_stages", "read_yaml", "yaml_text"]

_PLAIN = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "float": (
        r"[-+]?[0-9][0-9_]*(?:\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)|[-+]?\.[0-9_]+(?:[eE][-+][0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
    "int": (r"[-+]?(?:0b[01_]+|0o?[0-7_]+|[0-9][0-9_]*|0x[0-9a-fA-F_]+)", "-+0123456789"),
}


def parse_yaml(text: str) -> Any:
    """The values of a YAML text. Raises GolfError, in one line, for whatever a stranger may write.

    PyYAML lets other errors than its own through for a wrong date or number, or for deep nesting.
    A key that stands twice is an error too; PyYAML would silently take the last one.
    """
    try:
        loader = _Loader(text)
        found = loader.get_single_data()
    except (yaml.YAMLError, ValueError, AttributeError, LookupError, TypeError, RecursionError) as error:
        raise GolfError(f"not YAML ({' '.join(str(error).split()) or type(error).__name__})") from None
    if loader.yaml_version not in (None, (1, 2)):
        raise GolfError("a line %YAML asks for another version than 1.2; take it out")
    return found


def read_yaml(path: Path) -> Any:
    """The values of a YAML file. Raises GolfError that names it where it is missing or no YAML."""
    try:
        return parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GolfError(f"{path} is missing: run this in the project's folder") from None
    except (OSError, UnicodeDecodeError, GolfError) as error:
        raise GolfError(f"{path} cannot be read: {error}") from None


def read_stages(path: Path) -> dict[str, dict[str, Any]]:
    """The stages of a dvc.yaml by name. Raises GolfError as `read_yaml` does, and where it has none."""
    tree = read_yaml(path)
    stages = tree.get("stages") if isinstance(tree, dict) else None
    if not isinstance(stages, dict) or not all(isinstance(stage, dict) for stage in stages.values()):
        raise GolfError(
            f"{path} has no `stages` with a section for each; `git checkout {path}` brings it back"
        )
    return stages


def yaml_text(value: Any, **style: Any) -> str:
    """Plain values as YAML, with their keys in their order."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, **style)
    return text


class _Loader(yaml.SafeLoader):
    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        twice = [key for key, count in keys.items() if count > 1]
        if twice:
            problem = f"the key {twice[0]} stands more than once"
            raise yaml.constructor.ConstructorError(problem, node.start_mark)
        return node


class _Dumper(yaml.SafeDumper):
    pass


def _whole_number(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node)).replace("_", "")
    prefix = text.lstrip("+-")[:2].lower()
    return int(text, 0) if prefix in ("0b", "0o", "0x") else int(text)


_Loader.add_constructor("tag:yaml.org,2002:int", _whole_number)
_Loader.yaml_implicit_resolvers = {
    first: [rule for rule in rules if rule[0].rpartition(":")[2] not in _PLAIN]
    for first, rules in _Loader.yaml_implicit_resolvers.items()
}
for _name, (_pattern, _first) in _PLAIN.items():
    # The dumper keeps the rules of version 1.1 as well: what either would read as no text gets quotes.
    for _kind in (_Loader, _Dumper):
        _tag = f"tag:yaml.org,2002:{_name}"
        _kind.add_implicit_resolver(_tag, re.compile(f"(?:{_pattern})$"), list(_first))
