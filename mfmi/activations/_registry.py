"""Activations by name, with parameters and aliases, and those of a user's module."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from mfmi.activations import (
    _loading,
    elu,
    gaussian_bump,
    gelu_tanh,
    hard_tanh,
    relu,
    shrink,
    sigmoid,
    snake,
    squared_relu,
    trigonometric,
    user,
)
from mfmi.activations._base import Activation
from mfmi.activations.erf import Erf
from mfmi.activations.gelu_tanh import GeluTanh
from mfmi.activations.hard_swish import HardSwish
from mfmi.activations.linear import Linear
from mfmi.activations.mish import Mish
from mfmi.activations.relu6 import Relu6
from mfmi.activations.sign import Sign
from mfmi.activations.softsign import Softsign
from mfmi.activations.tanh import Tanh
from mfmi.errors import closest

_FACTORIES: dict[str, Callable[..., Activation]] = {
    "tanh": Tanh,
    "relu": relu.relu,
    "leaky_relu": relu.leaky_relu,
    "erf": Erf,
    "hard_tanh": hard_tanh.HardTanh,
    "linear": Linear,
    "sigmoid": sigmoid.Sigmoid,
    "softplus": sigmoid.softplus,
    "elu": elu.elu,
    "selu": elu.selu,
    "gelu": gelu_tanh.gelu,
    "silu": sigmoid.Silu,
    "sin": trigonometric.sine,
    "cos": trigonometric.cosine,
    "sign": Sign,
    "abs": relu.absolute,
    "mish": Mish,
    "gelu_tanh": GeluTanh,
    "quick_gelu": sigmoid.quick_gelu,
    "hard_swish": HardSwish,
    "relu6": Relu6,
    "squared_relu": squared_relu.squared_relu,
    "star_relu": squared_relu.star_relu,
    "softsign": Softsign,
    "hard_sigmoid": hard_tanh.hard_sigmoid,
    "logsigmoid": sigmoid.logsigmoid,
    "tanhshrink": shrink.TanhShrink,
    "softshrink": shrink.softshrink,
    "hardshrink": shrink.hardshrink,
    "gaussian": gaussian_bump.gaussian,
    "snake": snake.snake,
}

# Other names of the same activation, and those of which only the parameter's default is another one.
_ALIASES = {
    "identity": "linear",
    "hardtanh": "hard_tanh",
    "leakyrelu": "leaky_relu",
    "swish": "silu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "quickgelu": "quick_gelu",
    "hardswish": "hard_swish",
    "hard_silu": "hard_swish",
    "hardsilu": "hard_swish",
    "hardsigmoid": "hard_sigmoid",
    "log_sigmoid": "logsigmoid",
    "soft_sign": "softsign",
    "tanh_shrink": "tanhshrink",
    "soft_shrink": "softshrink",
    "hard_shrink": "hardshrink",
    "relu2": "squared_relu",
    "relu_squared": "squared_relu",
    "starrelu": "star_relu",
    "sine": "sin",
}
_VARIANTS: dict[str, Callable[..., Activation]] = {"prelu": relu.prelu, "celu": elu.celu}

# What libraries call the parameters, where it is not what they are called here.
_PARAMETERS = {
    "leaky_relu": {"negative_slope": "slope", "alpha": "slope"},
    "prelu": {"init": "slope", "negative_slope": "slope"},
    "softshrink": {"threshold": "lambd"},
    "hardshrink": {"threshold": "lambd"},
    "sin": {"w0": "frequency"},
    "snake": {"alpha": "a"},
}

_LAMBDA = re.compile(r"\blambda\s*=")
_CALL = re.compile(r"\s*([A-Za-z_]\w*)\s*(?:\((.*)\))?\s*\Z", re.DOTALL)
_USER = re.compile(r"\s*[A-Za-z_][\w.]*:[A-Za-z_]\w*\s*\Z")


def names() -> tuple[str, ...]:
    """Names of the activations that come with the package, without aliases.

    Examples
    --------
    >>> import mfmi
    >>> "tanh" in mfmi.activation_names()
    True
    """
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

    Examples
    --------
    >>> import mfmi
    >>> phi = mfmi.activation("tanh")
    >>> print(phi.second_moment(1.0).round(4))
    0.3943
    >>> print(mfmi.activation("leaky_relu(0.1)")(-2.0))
    -0.2
    """
    if isinstance(spec, np.ndarray) and spec.ndim == 0:
        spec = spec.item()
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


def of_file(name: str) -> Activation:
    """Return the activation that a file of results names, without running code because a file says so.

    Parameters
    ----------
    name : str
        As the file has it. A user's function must be in use in this process already.

    Returns
    -------
    Activation

    Raises
    ------
    ValueError
        The function is not in use, or is not what it was; or the name is unknown.
    """
    if _USER.match(name) and not _loading.in_use(name.strip()):
        raise ValueError(f"a file that names code does not run it: --act {name.strip()} does")
    return get(name)


@lru_cache(maxsize=512)
def _parse(spec: str) -> Activation:
    call = _CALL.match(spec)
    name = call.group(1).lower() if call else spec.strip()
    name = _ALIASES.get(name, name)
    factory = _FACTORIES.get(name) or _VARIANTS.get(name)
    if call is None or factory is None:
        raise ValueError(f"unknown activation {_shortened(spec)}{_suggestion(name)}")
    signature = inspect.signature(factory)
    positional, named = _arguments(spec, call.group(2) or "")
    spellings = _PARAMETERS.get(name, {})
    renamed = {spellings.get(key, key): value for key, value in named.items()}
    try:
        if len(renamed) < len(named):
            raise TypeError("one parameter under two names")
        bound = signature.bind(*positional, **renamed).arguments
    except TypeError as problem:
        takes = f"takes {', '.join(signature.parameters)}" if signature.parameters else "takes no parameters"
        near = {one for key in renamed if key not in signature.parameters for one in closest(key, signature.parameters)}
        hint = f" (did you mean {' and '.join(sorted(near))}?)" if near else ""
        raise ValueError(f"activation {spec!r}: {name} {takes}{hint}") from problem
    for key, value in bound.items():
        if isinstance(value, str) and signature.parameters[key].annotation != "str":
            raise ValueError(f"activation {_shortened(spec)}: parameters must be numbers")
        if not isinstance(value, str) and signature.parameters[key].annotation == "str":
            raise ValueError(f"activation {_shortened(spec)}: {key} must be a word, got {value!r}")
    return factory(**bound)


def _arguments(spec: str, text: str) -> tuple[list[float | str], dict[str, float | str]]:
    """Read a list of numbers and words, plain or named, without evaluating anything."""
    try:
        # PyTorch's documentation writes lambda, its code lambd, as Python keeps the word for itself.
        call = ast.parse(f"f({_LAMBDA.sub('lambd=', text)})", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError("more than one call")
        positional = [_value(value) for value in call.args]
        named = {str(pair.arg): _value(pair.value) for pair in call.keywords}
    except (SyntaxError, ValueError, TypeError, OverflowError, RecursionError, MemoryError) as problem:
        formula = "; a formula of your own is given as module:function" if re.search(r"\bx\b|[*^/]", text) else ""
        raise ValueError(f"activation {_shortened(spec)}: parameters must be numbers{formula}") from problem
    return positional, named


def _value(node: ast.expr) -> float | str:
    if isinstance(node, ast.Name):
        return node.id
    value = ast.literal_eval(node)
    return str(value).lower() if isinstance(value, (str, bool)) else float(value)


def _suggestion(name: str) -> str:
    close = closest(name.partition("(")[0], [*_FACTORIES, *_VARIANTS, *_ALIASES], 3)
    canonical = list(dict.fromkeys(_ALIASES.get(match, match) for match in close))
    hint = f"; did you mean {' or '.join(canonical)}?" if canonical else "."
    return f"{hint} Known: {', '.join([*_FACTORIES, *_VARIANTS])}, or your own as module:function"


def _shortened(spec: str) -> str:
    return repr(spec if len(spec) <= 80 else spec[:79] + "…")
