"""Activations by name, with parameters and aliases, and those of a user's module."""

from __future__ import annotations

import ast
import difflib
import inspect
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from mfmi.activations import _loading, elu, relu, trigonometric, user
from mfmi.activations._base import Activation
from mfmi.activations.erf import Erf
from mfmi.activations.gelu import Gelu
from mfmi.activations.hard_tanh import HardTanh
from mfmi.activations.linear import Linear
from mfmi.activations.sigmoid import Sigmoid, Silu, Softplus
from mfmi.activations.sign import Sign
from mfmi.activations.tanh import Tanh

_FACTORIES: dict[str, Callable[..., Activation]] = {
    "tanh": Tanh,
    "relu": relu.relu,
    "leaky_relu": relu.leaky_relu,
    "erf": Erf,
    "hard_tanh": HardTanh,
    "linear": Linear,
    "sigmoid": Sigmoid,
    "softplus": Softplus,
    "elu": elu.elu,
    "selu": elu.selu,
    "gelu": Gelu,
    "silu": Silu,
    "sin": trigonometric.sine,
    "cos": trigonometric.cosine,
    "sign": Sign,
    "abs": relu.absolute,
}

_ALIASES = {"identity": "linear", "hardtanh": "hard_tanh", "leakyrelu": "leaky_relu", "swish": "silu"}

_CALL = re.compile(r"\s*([A-Za-z_]\w*)\s*(?:\((.*)\))?\s*\Z", re.DOTALL)
_USER = re.compile(r"\s*[A-Za-z_][\w.]*:[A-Za-z_]\w*\s*\Z")


def names() -> tuple[str, ...]:
    """Names of the activations that come with the package, without aliases."""
    return tuple(_FACTORIES)


def get(spec: str | Activation | Callable[..., Any]) -> Activation:
    """Return the activation of a name such as "tanh", "leaky_relu(0.1)", "elu(alpha=0.5)" or "module:function".

    Parameters
    ----------
    spec : str, Activation or callable
        A callable is a numpy ufunc or another vectorised function. An activation is returned as it is; a user's
        function that has changed since it was examined is examined again.

    Returns
    -------
    Activation

    Raises
    ------
    ValueError
        The name is unknown (the message lists close ones), or a parameter is unknown or out of range.
    """
    if isinstance(spec, user.UserActivation):
        return _loading.current(spec)
    if isinstance(spec, Activation):
        return spec
    if callable(spec):
        return _loading.of_callable(spec)
    if not isinstance(spec, str):
        raise ValueError(f"activation must be a name, a vectorised function or an activation, got {spec!r}")
    # Nothing but its code and values says whether a user's function is the one that had this name before.
    return _loading.load(spec.strip()) if _USER.match(spec) else _parse(spec)


Activation.by_name = staticmethod(get)


@lru_cache(maxsize=512)
def _parse(spec: str) -> Activation:
    call = _CALL.match(spec)
    name = call.group(1).lower() if call else spec.strip()
    name = _ALIASES.get(name, name)
    if call is None or name not in _FACTORIES:
        raise ValueError(f"unknown activation {_shortened(spec)}{_suggestion(name)}")
    factory = _FACTORIES[name]
    positional, named = _arguments(spec, call.group(2) or "")
    signature = inspect.signature(factory)
    try:
        signature.bind(*positional, **named)
    except TypeError as problem:
        takes = f"takes {', '.join(signature.parameters)}" if signature.parameters else "takes no parameters"
        raise ValueError(f"activation {spec!r}: {name} {takes}") from problem
    return factory(*positional, **named)


def _arguments(spec: str, text: str) -> tuple[list[float], dict[str, float]]:
    """Read a list of numbers, plain or named, without evaluating anything."""
    try:
        call = ast.parse(f"f({text})", mode="eval").body
        assert isinstance(call, ast.Call)
        positional = [_number(value) for value in call.args]
        named = {str(pair.arg): _number(pair.value) for pair in call.keywords}
    except (SyntaxError, ValueError, TypeError, OverflowError, RecursionError, MemoryError) as problem:
        raise ValueError(f"activation {_shortened(spec)}: parameters must be numbers") from problem
    return positional, named


def _number(node: ast.expr) -> float:
    value = ast.literal_eval(node)
    if isinstance(value, bool):
        raise TypeError("a truth value is not a number")
    return float(value)


def _suggestion(name: str) -> str:
    close = difflib.get_close_matches(name, [*_FACTORIES, *_ALIASES], n=3, cutoff=0.5)
    canonical = list(dict.fromkeys(_ALIASES.get(match, match) for match in close))
    hint = f"; did you mean {' or '.join(canonical)}?" if canonical else "."
    return f"{hint} Known: {', '.join(_FACTORIES)}, or your own as module:function"


def _shortened(spec: str) -> str:
    return repr(spec if len(spec) <= 80 else spec[:79] + "…")
