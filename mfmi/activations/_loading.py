"""Users' activations by module:function: imported, and examined where they are not what they were."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy.special

from mfmi.activations import _identity
from mfmi.activations.user import UserActivation
from mfmi.errors import OutputError, closest

# Functions that a process remembers as examined.
_REMEMBERED = 64

# Functions that have names in this process only.
_MOST_CALLABLES = 4096
_callables: dict[str, Callable[..., Any]] = {}

_known: dict[tuple[str, _identity.Identity, int, int], UserActivation] = {}


def load(spec: str) -> UserActivation:
    """Import a user's activation.

    Parameters
    ----------
    spec : str
        "module:function"; the module is looked for in the working directory too.

    Raises
    ------
    ValueError
        It cannot be imported, is not a function of arrays, returns NaN, or its derivative is wrong; the message says
        which.
    """
    module_name, _, function_name = spec.partition(":")
    if spec in _callables:
        return _examined(spec, _callables[spec], _slope_of(_callables[spec]))
    here = os.getcwd()
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as problem:
        raise ValueError(
            f"activation {spec!r}: cannot import module {module_name!r}: {type(problem).__name__}: {problem}"
        ) from problem
    finally:
        if added and here in sys.path:
            sys.path.remove(here)
    function = getattr(module, function_name, None)
    if not callable(function):
        if hasattr(module, function_name):
            kind = type(function).__name__
            raise ValueError(
                f"activation {spec!r}: {function_name!r} of module {module_name!r} is no function but {kind}"
            )
        functions = [name for name in dir(module) if not name.startswith("_") and callable(getattr(module, name, None))]
        close = closest(function_name, functions, 3)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise ValueError(f"activation {spec!r}: module {module_name!r} has no function {function_name!r}{hint}")
    return _examined(spec, function, _slope_of(function) or getattr(module, f"{function_name}_derivative", None))


def in_use(spec: str) -> bool:
    """Whether this process has imported that function already, for a user who named it."""
    return spec in _callables or any(name == spec for name, *_ in _known)


def of_callable(function: Callable[..., Any]) -> UserActivation:
    """Return the activation of a function that is given itself.

    It has the name under which its module gives it. What no module gives, such as a lambda or a closure, gets one that
    this process alone knows.

    Parameters
    ----------
    function : callable
        Takes and returns arrays.
    """
    spec = _name_of(function)
    module_name, _, function_name = spec.partition(":")
    if getattr(sys.modules.get(module_name), function_name, None) is function:
        return load(spec)
    taken, identity = 1, _identity.of_activation(function, _slope_of(function))
    name = spec
    while not _is_free(name, function, identity):
        taken += 1
        name = f"{spec}_{taken}"
    while len(_callables) >= _MOST_CALLABLES:
        _callables.pop(next(iter(_callables)))
    # One of the same code and data stands for all of them, and is examined once.
    function = _callables.get(name, function)
    activation = _examined(name, function, _slope_of(function))
    activation._set(private=True)
    _callables[name] = function
    return activation


def _is_free(name: str, function: Callable[..., Any], identity: _identity.Identity) -> bool:
    """Whether a name stands for nothing else: another function has another, one of the same code and data may share."""
    known = _callables.get(name)
    if known is None:
        module_name, _, function_name = name.partition(":")
        return not hasattr(sys.modules.get(module_name), function_name)
    return known is function or (identity.complete and _identity.of_activation(known, _slope_of(known)) == identity)


def _name_of(function: Callable[..., Any]) -> str:
    """Name of a function as "module:function"."""
    while isinstance(function, partial):
        function = function.func
    named = function if hasattr(function, "__name__") else type(function)
    module = "numpy" if getattr(np, named.__name__, None) is function else getattr(named, "__module__", None)
    if isinstance(function, np.ufunc) and module != "numpy":
        module = "scipy.special" if getattr(scipy.special, named.__name__, None) is function else "numpy"
    word = re.sub(r"\W", "", named.__name__)
    return f"{module or type(function).__module__}:{word}"


def _slope_of(function: Callable[..., Any]) -> Callable[..., Any] | None:
    slope: Callable[..., Any] | None = getattr(function, "derivative", None)
    return slope


def current(activation: UserActivation) -> UserActivation:
    """Return the activation of the same function as it is now: a global that it reads may have changed."""
    return _examined(activation.name, activation._function, activation._slope)


def _examined(spec: str, function: Callable[..., Any], slope: Callable[..., Any] | None) -> UserActivation:
    """Return the activation of a function, from memory if it is the one that has been examined under this name.

    Another object of the same code is another one: the globals that it reads may change on their own.
    """
    identity = _identity.of_activation(function, slope)
    key = spec, identity, _identity.place_of(function), _identity.place_of(slope)
    if key not in _known:
        activation = UserActivation(spec, function, slope)
        while len(_known) >= _REMEMBERED:
            _known.pop(next(iter(_known)), None)
        _known[key] = activation
    return _known[key]


def restored(spec: str, code_digest: str | None) -> UserActivation:
    """Load the activation that another process has sent by its name."""
    activation = load(spec)
    if code_digest is not None and activation.code_digest != code_digest:
        raise OutputError(f"activation {spec!r}: its code is not that of the process that named it; start both anew")
    return activation


UserActivation.restored = staticmethod(restored)
