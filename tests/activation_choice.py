"""Activations that a test is run for: all of them in the slow suite, one of each mechanism in the fast one.

The fast one leaves out those that cost a table of pair moments of their own, or quadrature through jumps; what is left
has closed forms, or is another activation in other units.
"""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

SLOW = frozenset({"mish", "gelu_tanh", "hard_swish", "relu6", "softsign", "tanhshrink", "softshrink", "hardshrink"})


def chosen(names: Iterable[str], of_name: Callable[[str], Any] = str) -> list[Any]:
    """Parameters of a test, the costly ones marked as slow."""
    return [pytest.param(of_name(name), marks=[pytest.mark.slow] if name in SLOW else [], id=name) for name in names]
