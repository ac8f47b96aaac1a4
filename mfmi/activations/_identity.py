"""Digest of all that a user's function computes its values from, to recognise the function again.

That is its byte code with constants, defaults and attributes, what it finds in its closure and among its globals, and
the same of every Python function among these. Objects of numpy and scipy are known by their names. Where something
else is reached, such as an object with a state, a file or a generator of random numbers, the code does not show it; the
function's values on a grid have to do then, and what is computed of it is not kept beyond the process.
"""

from __future__ import annotations

import builtins
import dis
import hashlib
import importlib
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

_LIBRARIES = frozenset({"numpy", "scipy", "math", "cmath", "operator"})
_UFUNC_HOMES = ("numpy", "scipy.special")

# Parts of these libraries whose values are not those of their arguments alone.
_UNSTEADY = frozenset(
    {"ctypeslib", "datasets", "empty", "empty_like", "frompyfunc", "fromfile", "genfromtxt", "io", "lib", "load"}
    | {"loadtxt", "memmap", "random", "rvs", "testing"}
)
_BUILTINS = frozenset(
    {"abs", "bool", "complex", "divmod", "enumerate", "float", "int", "isinstance", "len", "list", "max", "min"}
    | {"pow", "range", "reversed", "round", "slice", "sorted", "sum", "tuple", "zip", "TypeError", "ValueError"}
)
_STORES = frozenset({"STORE_GLOBAL", "DELETE_GLOBAL", "STORE_DEREF", "DELETE_DEREF", "STORE_ATTR", "IMPORT_NAME"})
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis))
_FORMS = (tuple, list, dict, set, frozenset)

_GRID = np.sinh(np.linspace(-9.0, 9.0, 20_011))


@dataclass(frozen=True)
class Identity:
    """Digest that differs between two functions of the same name.

    Attributes
    ----------
    digest : of its code, and of its values where the code is not complete; equal for equal functions.
    complete : whether the code determines the values, so that the digest is the same in every process and on every
    machine.
    """

    digest: str
    complete: bool


def of_activation(function: Callable[..., Any], slope: Callable[..., Any] | None) -> Identity:
    """Identify an activation by its function, its slope and what the function says about itself.

    Parameters
    ----------
    function, slope : callable
        The slope is None where there is none.
    """
    functions = [function, slope]
    reader = _Reader()
    for value in (*functions, *(getattr(function, name, None) for name in ("kinks", "pole", "period"))):
        reader.read(value)
    if reader.complete:
        return Identity(reader.hash.hexdigest(), True)
    for one in functions:
        if one is not None:
            reader.hash.update(values_of(one))
    return Identity(reader.hash.hexdigest(), False)


def place_of(function: Callable[..., Any] | None) -> int:
    """Return which object a function is; a bound method is a new one every time, what it is bound to is not."""
    return id(getattr(function, "__self__", function))


def values_of(function: Callable[..., Any]) -> bytes:
    """Return a digest of a function's values on a dense grid, or of what it raises there."""
    with np.errstate(all="ignore"):
        try:
            found = np.asarray(function(_GRID.copy()))
            content = f"{found.dtype} {found.shape} ".encode() + found.tobytes()
        except Exception as problem:  # what is wrong with it is said where it is examined
            content = repr(problem).encode()
    return hashlib.sha256(content).digest()


class _Reader:
    """Walks through code and data, and takes all of it into one hash.

    Attributes
    ----------
    hash : of what has been read.
    complete : whether nothing was met whose content does not show.
    """

    def __init__(self) -> None:
        self.hash = hashlib.sha256()
        self.complete = True
        self._numbers: dict[int, int] = {}
        self._kept: list[Any] = []

    def read(self, value: Any) -> None:
        """Take in a value."""
        if type(value) in _PLAIN:
            return self._note(type(value).__name__, repr(value))
        if isinstance(value, types.FunctionType | list | dict):
            # What can contain itself; whether two equal constants are one object differs between processes.
            if id(value) in self._numbers:
                return self._note("again", self._numbers[id(value)])
            self._numbers[id(value)] = len(self._numbers)
            self._kept.append(value)  # so that no other object gets its id
        library = _library_name(value)
        if library is not None:
            if _UNSTEADY.intersection(library.split(".")):
                self.complete = False
            return self._note("library", library)
        if type(value) in _FORMS:
            return self._read_form(value)
        if isinstance(value, np.ndarray | np.generic):
            return self._read_array(np.asarray(value), type(value))
        if isinstance(value, types.FunctionType):
            return self._read_function(value)
        if isinstance(value, types.MethodType):
            return self._read_all("method", value.__func__, value.__self__)
        if type(value) is partial:
            return self._read_all("partial", value.func, value.args, value.keywords)
        self.complete = False
        return self._note("object", f"{type(value).__module__}.{type(value).__qualname__}")

    def _note(self, *words: object) -> None:
        for word in words:
            content = word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogatepass")
            self.hash.update(f"{len(content)}:".encode() + content)

    def _read_all(self, name: str, *values: Any) -> None:
        self._note(name)
        for value in values:
            self.read(value)

    def _read_form(self, value: Any) -> None:
        self._note(type(value).__name__, len(value))
        if isinstance(value, dict):
            for pair in value.items():
                self._read_all("pair", *pair)
            return
        if isinstance(value, set | frozenset):
            self.complete &= all(type(one) in _PLAIN for one in value)
            value = sorted(value, key=repr)
        for one in value:
            self.read(one)

    def _read_array(self, value: np.ndarray[Any, Any], kind: type) -> None:
        self.complete &= not value.dtype.hasobject and kind.__module__ == "numpy"
        self._note("array", value.dtype.str, value.shape, value.tobytes())

    def _read_function(self, function: types.FunctionType) -> None:
        self._note("function")
        self._read_code(function.__code__)
        self._read_all("defaults", function.__defaults__, function.__kwdefaults__, vars(function))
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            self._note("closure", name)
            try:
                self.read(cell.cell_contents)
            except ValueError:
                self._note("empty")
        known = function.__globals__
        for name, attributes in sorted(_names_in(function.__code__).items()):
            self._note("global", name)
            if name not in known:
                self._note("builtin")
                self.complete &= name in _BUILTINS and hasattr(builtins, name)
            elif isinstance(known[name], types.ModuleType):
                self._read_module(known[name], attributes)
            else:
                self.read(known[name])

    def _read_module(self, module: types.ModuleType, attributes: Iterable[str]) -> None:
        """Take in what is asked of a module, by the names of all attributes that the code asks of anything."""
        library = _library_name(module)
        self._note("module", library or module.__name__)
        for name in sorted(attributes):
            if library is not None:
                self.complete &= name not in _UNSTEADY
            elif hasattr(module, name):
                found = getattr(module, name)
                if isinstance(found, types.ModuleType):
                    self._read_module(found, attributes)
                else:
                    self._note(name)
                    self.read(found)

    def _read_code(self, code: types.CodeType) -> None:
        self._note("code", code.co_code, code.co_argcount, code.co_kwonlyargcount, code.co_flags, code.co_names)
        self._note(code.co_varnames, code.co_freevars, code.co_cellvars, getattr(code, "co_exceptiontable", b""))
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self._read_code(constant)
            else:
                self.read(constant)
        self.complete &= not any(_is_store(instruction, code) for instruction in dis.get_instructions(code))


def _is_store(instruction: dis.Instruction, code: types.CodeType) -> bool:
    """Whether an instruction has a lasting effect or imports; a cell of the code itself dies with the call."""
    if instruction.opname in {"STORE_DEREF", "DELETE_DEREF"}:
        return instruction.argval in code.co_freevars
    return instruction.opname in _STORES


def _codes_in(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes_in(constant)


def _names_in(code: types.CodeType) -> dict[str, set[str]]:
    """Globals that a code reads, each with all attributes that the code reads of anything."""
    found: set[str] = set()
    attributes: set[str] = set()
    for one in _codes_in(code):
        for instruction in dis.get_instructions(one):
            if instruction.opname in {"LOAD_GLOBAL", "LOAD_NAME"}:
                found.add(instruction.argval)
            elif instruction.opname in {"LOAD_ATTR", "LOAD_METHOD"}:
                attributes.add(instruction.argval)
    return dict.fromkeys(found, attributes)


def _library_name(value: Any) -> str | None:
    """Name of an object of a library that gives the same object under it; None for what is not one."""
    if isinstance(value, types.ModuleType):
        return value.__name__ if value.__name__.partition(".")[0] in _LIBRARIES else None
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    if not isinstance(name, str) or not callable(value):
        return None
    home = getattr(value, "__module__", None)
    homes = _UFUNC_HOMES if isinstance(value, np.ufunc) else (home,) if isinstance(home, str) else ()
    for place in homes:
        if place == "builtins":
            return f"builtins.{name}" if name in _BUILTINS and getattr(builtins, name) is value else None
        if place.partition(".")[0] in _LIBRARIES and _resolves(place, name, value):
            return f"{place}.{name}"
    return None


def _resolves(place: str, name: str, value: Any) -> bool:
    try:
        found: Any = importlib.import_module(place)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        return False
    return found is value
