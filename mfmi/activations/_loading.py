"""Users' activations by module:function: imported, and examined where they are not what they were."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from mfmi.activations import _identity
from mfmi.activations.user import UserActivation
from mfmi.errors import OutputError

# Functions that a process remembers as examined.
_REMEMBERED = 64

_known: dict[tuple[str, _identity.Identity, int, int], UserActivation] = {}


def load(spec: str) -> UserActivation:
    """Import a user's activation.

    Parameters
    ----------
    spec : str
        "module:function"; the module is looked for in the working directory too.

    Returns
    -------
    UserActivation

    Raises
    ------
    ValueError
        It cannot be imported, is not a function of arrays, returns NaN, or its derivative is wrong; the message says
        which.
    """
    module_name, _, function_name = spec.partition(":")
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
        close = difflib.get_close_matches(function_name, [name for name in dir(module) if not name.startswith("_")])
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise ValueError(f"activation {spec!r}: module {module_name!r} has no function {function_name!r}{hint}")
    slope = getattr(function, "derivative", None) or getattr(module, f"{function_name}_derivative", None)
    return _examined(spec, function, slope)


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
