"""Conditions on rows, such as ``depth == 20 and phase == "chaotic"``, as Arrow expressions."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from mfmi.errors import likeliest

NUMBER, TEXT, TRUTH, NULL = "a number", "text", "a condition", "null"

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
}
# The unchecked ones: a division by zero is infinite, not an error.
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: pc.add,
    ast.Sub: pc.subtract,
    ast.Mult: pc.multiply,
    ast.Div: pc.divide,
}


@dataclass(frozen=True)
class Condition:
    """A condition on rows.

    Attributes
    ----------
    expression : for `pyarrow.Table.filter`.
    columns : the columns that it looks at.
    words : columns of text, each with a word that it is compared with.
    """

    expression: pc.Expression
    columns: frozenset[str]
    words: tuple[tuple[str, str], ...] = ()


def parse(text: str, kinds: Mapping[str, str]) -> Condition:
    """Understand a condition; nothing in it is ever executed.

    ``and``, ``or``, ``not``, comparisons (chained too), ``in`` and ``not in`` a list, ``is null`` and ``is not null``,
    ``+ - * /``, ``abs()`` and parentheses, over columns, numbers and quoted text. As in SQL, a comparison with null is
    neither true nor false, and a row is kept where the whole is true.

    Parameters
    ----------
    text
        The condition.
    kinds
        "string" or a number's dtype, by name of column.

    Returns
    -------
    Condition
        What to filter by.

    Raises
    ------
    ValueError
        The condition has a mistake; the message says which, and where.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        column = getattr(error, "offset", None)
        place = f" at character {column}" if column else ""
        raise ValueError(f"cannot read {_shortened(text)!r}{place}: {getattr(error, 'msg', error)}") from None
    reader = _Reader(kinds)
    try:
        expression, kind = reader.read(tree.body)
    except RecursionError:
        raise ValueError("the condition is nested too deeply") from None
    if kind != TRUTH:
        raise ValueError(f"{_shortened(text)!r} is {kind}, not a condition")
    return Condition(expression, frozenset(reader.columns), tuple(reader.words))


def _shortened(text: str, length: int = 60) -> str:
    """As much of a condition as a message holds."""
    return text if len(text) <= length else f"{text[:length]}..."


class _Reader:
    def __init__(self, kinds: Mapping[str, str]) -> None:
        self.kinds = kinds
        self.columns: set[str] = set()
        self.words: list[tuple[str, str]] = []

    def read(self, node: ast.expr) -> tuple[Any, str]:
        """Return the expression for a node, and what it is."""
        match node:
            case ast.BoolOp(op=op, values=values):
                parts = [self._read_as(TRUTH, value) for value in values]
                whole = parts[0]
                for part in parts[1:]:
                    whole = whole & part if isinstance(op, ast.And) else whole | part
                return whole, TRUTH
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return ~self._read_as(TRUTH, operand), TRUTH
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return pc.scalar(-1.0) * self._read_as(NUMBER, operand), NUMBER
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                return _ARITHMETIC[type(op)](self._number(left), self._number(right)), NUMBER
            case ast.Call(func=ast.Name(id="abs"), args=[argument], keywords=[]):
                return pc.abs(self._number(argument)), NUMBER
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                return self._compare(left, ops, comparators), TRUTH
            case ast.Name(id="null"):
                return None, NULL
            case ast.Name(id=name):
                return self._column(name)
            case ast.Constant(value=None):
                return None, NULL
            case ast.Constant(value=bool()):
                pass
            case ast.Constant(value=int() | float() as value):
                return pc.scalar(float(value)), NUMBER
            case ast.Constant(value=str() as value):
                return pc.scalar(value), TEXT
        raise ValueError(f"{ast.unparse(node)!r} is not something that a condition can contain")

    def _column(self, name: str) -> tuple[Any, str]:
        if name not in self.kinds:
            near = likeliest(name, self.kinds)
            hint = f" (did you mean {near!r}?)" if near else f": the columns are {', '.join(self.kinds)}"
            raise ValueError(f"no column {name!r}{hint}")
        self.columns.add(name)
        return pc.field(name), TEXT if self.kinds[name] == "string" else NUMBER

    def _number(self, node: ast.expr) -> Any:
        """Return a number as float64: integers must neither overflow nor divide like integers."""
        return self._read_as(NUMBER, node).cast("float64")

    def _read_as(self, wanted: str, node: ast.expr) -> Any:
        expression, kind = self.read(node)
        if kind != wanted:
            raise ValueError(f"{ast.unparse(node)!r} is {kind} where {wanted} is needed")
        return expression

    def _compare(self, left: ast.expr, ops: list[ast.cmpop], comparators: list[ast.expr]) -> Any:
        whole = None
        for op, right in zip(ops, comparators, strict=True):
            part = self._one_comparison(left, op, right)
            whole = part if whole is None else whole & part
            left = right
        return whole

    def _one_comparison(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Any:
        if isinstance(op, ast.In | ast.NotIn):
            if not isinstance(right, ast.List | ast.Tuple | ast.Set) or not right.elts:
                raise ValueError(f"{ast.unparse(right)!r} is not a list of values, such as [1, 2]")
            members = [self._one_comparison(left, ast.Eq(), value) for value in right.elts]
            whole = members[0]
            for member in members[1:]:
                whole = whole | member
            return whole if isinstance(op, ast.In) else ~whole
        match left, right:
            case (ast.Name(id=name), ast.Constant(value=str() as word)) | (
                ast.Constant(value=str() as word),
                ast.Name(id=name),
            ):
                self.words.append((name, word))
        a, kind_a = self.read(left)
        b, kind_b = self.read(right)
        if NULL in (kind_a, kind_b):
            return self._null_test(a if kind_b == NULL else b, op)
        if kind_a != kind_b or kind_a == TRUTH or isinstance(op, ast.Is | ast.IsNot):
            raise ValueError(
                f"{ast.unparse(left)!r} is {kind_a} and {ast.unparse(right)!r} is {kind_b}: they cannot be compared"
                if kind_a != kind_b or kind_a == TRUTH
                else "'is' is for null only; use =="
            )
        return _COMPARISONS[type(op)](a, b)

    @staticmethod
    def _null_test(expression: Any, op: ast.cmpop) -> Any:
        if expression is None:
            raise ValueError("null is compared with null")
        if isinstance(op, ast.Is | ast.Eq):
            return expression.is_null(nan_is_null=True)
        if isinstance(op, ast.IsNot | ast.NotEq):
            return ~expression.is_null(nan_is_null=True)
        raise ValueError("null is neither less nor greater than anything: use 'is null' or 'is not null'")
