"""Variances as formulas of a layer's sizes, such as ``2*inputs/(inputs+outputs)``, and their limit in wide layers."""

from __future__ import annotations

import ast
import functools
import math
import operator
from collections.abc import Callable, Mapping

# Wide enough for every size beside it to vanish, narrow enough for its square to be a float64.
WIDE = 1e150
_HUGE = 1e50

_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


def evaluated(formula: str, sizes: Mapping[str, float]) -> float:
    """Return the value of a formula.

    Parameters
    ----------
    formula
        Sums, products, quotients, powers and sqrt() of numbers and names.
    sizes
        The values of the names.

    Raises
    ------
    ValueError
        The formula has anything else in it, or a name that `sizes` lacks.
    """
    return _value(_parsed(formula), sizes)


def variables(formula: str) -> frozenset[str]:
    """Return the names that a formula depends on."""
    names = {node.id for node in ast.walk(_parsed(formula)) if isinstance(node, ast.Name)}
    return frozenset(names - {"sqrt"})


def limit(formula: str, sizes: Mapping[str, float]) -> float:
    """Return the value in square layers of unlimited width: 0 or inf where it vanishes or grows with the width.

    Parameters
    ----------
    formula
        As in `evaluated`.
    sizes
        The values of the names other than ``inputs``, ``outputs`` and ``fan_in``, which are the width.
    """
    wide = {**sizes, "inputs": WIDE, "outputs": WIDE}
    wide["fan_in"] = WIDE * sizes.get("window", 1.0) / sizes.get("groups", 1.0)
    if sizes.get("groups") == math.inf:  # a depthwise layer: a group for each channel
        wide["fan_in"] = sizes.get("window", 1.0)
    value = evaluated(formula, wide)
    if value > _HUGE:
        return math.inf
    return 0.0 if value < 1.0 / _HUGE else value


@functools.cache
def _parsed(formula: str) -> ast.expr:
    return ast.parse(formula, mode="eval").body


def _value(node: ast.expr, sizes: Mapping[str, float]) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value)
    if isinstance(node, ast.Name) and node.id in sizes:
        return float(sizes[node.id])
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.left, sizes), _value(node.right, sizes))
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "sqrt" and len(node.args) == 1:
        return math.sqrt(_value(node.args[0], sizes))
    raise ValueError(f"{ast.unparse(node)!r} is neither a number, a size nor arithmetic of them")
