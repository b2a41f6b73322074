"""YAML from anyone as plain data: no tags that make objects, no aliases, no name given twice."""

from __future__ import annotations

from typing import Any

import yaml

from smidgen.errors import BadInput, first_line


def read_yaml(text: str, where: str) -> Any:
    """Lists, mappings and plain values. Raises BadInput that calls the text `where`."""
    try:
        return yaml.load(text, Loader=_Loader)
    except RecursionError as problem:
        raise BadInput(where, "it is nested too deep", "a list of steps is flat") from problem
    except (yaml.YAMLError, ValueError, TypeError, LookupError) as problem:  # dates and numbers out of range
        raise BadInput(where, f"not YAML ({first_line(problem)})") from problem


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):  # a few lines of them stand for billions of entries
            raise yaml.YAMLError("aliases are not read: write it out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        found = super().construct_mapping(node, deep)
        if len(found) < len(node.value):
            keys = [key.value for key, _ in node.value if isinstance(key.value, str)]
            twice = next((key for key in keys if keys.count(key) > 1), "a name")
            raise yaml.YAMLError(f"{twice} is given twice")
        return found
