"""``--set KEY=VALUE``: values from the command line put into the tree of a config."""

from collections.abc import Sequence

from mfmi.config.located import Position, Report, Source
from mfmi.config.yaml import ListNode, MappingNode, Node, ScalarNode, describe, extent, read
from mfmi.errors import shorten


def override(tree: Node, overrides: Sequence[str], report: Report) -> Node:
    """Replace or add values; the last word on a key counts.

    Parameters
    ----------
    tree
        The config as read.
    overrides
        Each ``key=value``, the key with dots between its parts and the value in YAML.
    report
        Receives what is wrong, located in the argument.
    """
    for rank, argument in enumerate(overrides, 1):
        key, equals, _ = argument.partition("=")
        label = f"--set {key.strip()[:80]}".strip() if key.isprintable() else "--set"
        source = Source(label, argument, from_command_line=True, rank=rank)
        at = Position(source, 1, 1)
        parts = key.strip().split(".")
        if not equals or not all(parts) or not key.isprintable():
            report.add(at, "", f"expected KEY=VALUE such as sweep.depth=[1,2], got {shorten(argument)}")
            continue
        value = read(source, report, ".".join(parts), len(key) + 1)
        if value is not None:
            tree = _put(tree, parts, 0, value, at, report)
    return tree


def _put(node: Node, parts: Sequence[str], level: int, value: Node, at: Position, report: Report) -> Node:
    """Return `node` with `value` under the path that `parts` from `level` on spell."""
    if level == len(parts):
        return value
    part = parts[level]
    path = ".".join(parts[:level])
    if isinstance(node, ListNode):
        if not part.isascii() or not part.isdecimal() or len(part) > 9 or int(part) >= len(node.items):
            report.add(at, path, f"a list of {len(node.items)} values, numbered from 0, has no {shorten(part)}")
            return node
        items = list(node.items)
        items[int(part)] = _put(items[int(part)], parts, level + 1, value, at, report)
        return ListNode(node.at, tuple(items), *extent(items))
    if not isinstance(node, MappingNode):
        report.add(at, path, f"holds {describe(node)}, in which no key can be set")
        return node
    # A key that is not there yet is the argument's own, and so are errors about it.
    name = ScalarNode(at, part, part)
    child = node.get(part)
    inner = _put(MappingNode(at, (), 1, 0) if child is None else child, parts, level + 1, value, at, report)
    entries = [(key, inner if key.text == part else old) for key, old in node.entries]
    if child is None:
        entries.append((name, inner))
    return MappingNode(node.at, tuple(entries), *extent([value for _, value in entries]))
