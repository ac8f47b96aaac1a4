"""Arguments of the Python functions, checked: a wrong one is a ValueError that names it and its value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.ranges import Range
from mfmi.errors import likeliest, shown


def numbers(argument: str, given: object, within: Range) -> NDArray[np.float64]:
    """Numbers in a range.

    Parameters
    ----------
    argument : what to call them.
    given : a number or an array of numbers.
    within : the numbers that are taken.

    Returns
    -------
    ndarray
        Of the shape of `given`.

    Raises
    ------
    ValueError
        It holds something else; the message names the argument and the first wrong value.
    """
    wrong = ValueError(f"{argument}: {shown(given)} is not a number or an array of numbers")
    try:
        raw = np.asarray(given)
        if raw.dtype.kind == "O" and not all(isinstance(one, Real) and not isinstance(one, bool) for one in raw.flat):
            raise wrong
        if raw.dtype.kind not in "iufO":
            raise wrong
        array = np.asarray(raw, dtype=np.float64) + 0.0  # no negative zero
    except (TypeError, ValueError, OverflowError):
        raise wrong from None
    taken = np.isfinite(array) & (array >= within.least) & (array <= within.most)
    if within.zero:
        taken |= array == 0.0
    if not taken.all():
        first = float(array[~taken].flat[0])
        raise ValueError(f"{argument}: {first!r} {within.objection(first)}")
    return array


def number(argument: str, given: object, within: Range) -> float:
    """A single number in a range; errors as of `numbers`."""
    array = numbers(argument, given, within)
    if array.ndim:
        raise ValueError(f"{argument}: {shown(given)} is not a single number")
    return float(array)


def whole_numbers(argument: str, given: object, most: int, least: int = 1) -> NDArray[np.int64]:
    """A whole number or a sequence of them, at least one, as a 1-D array.

    Parameters
    ----------
    argument : what to call them.
    given : the numbers.
    most, least : the bounds, included.

    Raises
    ------
    ValueError
        It holds something else.
    """
    try:
        array = np.atleast_1d(np.asarray(listed(given)))
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.dtype.kind == "O" and array.size and all(isinstance(one, int) for one in array.flat):  # beyond 64 bits
        first = next(one for one in array.flat if not least <= one <= most)
        raise ValueError(f"{argument}: {shown(first)} is not in {least}..{most}")
    if array.dtype.kind not in "iu" or array.ndim != 1 or array.size == 0:
        raise ValueError(f"{argument}: {shown(given)} is not an integer or a sequence of integers")
    wrong = (array < least) | (array > most)
    if wrong.any():
        raise ValueError(f"{argument}: {array[wrong][0].item()!r} is not in {least}..{most}")
    return array.astype(np.int64)


def whole_number(argument: str, given: object, most: int, least: int = 1) -> int:
    """A single whole number; errors as of `whole_numbers`."""
    several = given.ndim > 0 if isinstance(given, np.ndarray) else isinstance(given, Iterable)
    if several:
        raise ValueError(f"{argument}: {shown(given)} is not a single integer")
    return int(whole_numbers(argument, given, most, least)[0])


def words(argument: str, given: object, allowed: Sequence[str]) -> NDArray[np.object_]:
    """Words out of a few, a numpy string as good as a text.

    Parameters
    ----------
    argument : what to call them.
    given : a word or an array of words.
    allowed : the words that there are.

    Returns
    -------
    ndarray of object
        Texts, of the shape of `given`.

    Raises
    ------
    ValueError
        It holds something else.
    """
    array = objects(given)
    for word in array.flat:
        if not isinstance(word, str) or word not in allowed:
            near = likeliest(word, allowed) if isinstance(word, str) else None
            hint = f" (did you mean {near}?)" if near else ""
            raise ValueError(f"{argument}: {shown(word)} is not one of {', '.join(allowed)}{hint}")
    return array


def word(argument: str, given: object, allowed: Sequence[str]) -> str:
    """A single word out of a few; errors as of `words`."""
    array = words(argument, given, allowed)
    if array.ndim:
        raise ValueError(f"{argument}: {shown(given)} is not a single word")
    return str(array.item())


def objects(given: object) -> NDArray[np.object_]:
    """An array of what is given as it is: of shape () for a single thing, else of the shape of the sequence.

    Numpy strings become texts.
    """
    parts = listed(given)
    if isinstance(parts, np.ndarray):
        array = parts.astype(object)
    elif isinstance(parts, list):
        if parts and all(isinstance(one, list | tuple) and len(one) == len(parts[0]) for one in parts):
            return np.stack([objects(one) for one in parts])
        array = np.empty(len(parts), dtype=object)
        array[:] = parts
    else:
        array = np.empty((), dtype=object)
        array[()] = parts
    texts = np.empty(array.size, dtype=object)
    texts[:] = [str(one) if isinstance(one, str) else one for one in array.flat]
    return texts.reshape(array.shape)


def listed(given: object) -> object:
    """A sequence or an iterator as a list or an array; everything else as it is."""
    if isinstance(given, np.ndarray | str | bytes) or not isinstance(given, Iterable):
        return given
    return list(given)


def broadcast_arrays(named: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Arrays of the shape at which the named ones meet; a ValueError says which do not."""
    try:
        return list(np.broadcast_arrays(*named.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in named.items() if array.ndim)
        raise ValueError(f"the shapes do not broadcast: {shapes}") from None


def check_size(what: str, size: float, within: Range) -> None:
    """Raise a ValueError unless a size, such as the largest of many numbers, is in a range."""
    objection = within.objection(size)
    if objection is not None:
        raise ValueError(f"the {what}, {size:g}, {objection}")


def flag(argument: str, given: object) -> bool:
    """True or False, a numpy one as good; a ValueError names anything else."""
    array = np.asarray(given)
    if array.ndim or array.dtype.kind != "b":
        raise ValueError(f"{argument}: {shown(given)} is neither True nor False")
    return bool(array)
