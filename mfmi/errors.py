"""Errors that a user can correct, one class per cause; the command line reports each in one line with an exit code."""

import difflib
import os
import traceback
from collections.abc import Iterable
from functools import lru_cache

# Characters of a wrong value that a message repeats.
_LONGEST = 80
# Likeness from which on a word is suggested for another; that of dotted names that end in it, of words that begin with
# it, and of words that contain it.
_LIKE, _ENDS, _BEGINS, _CONTAINS = 0.6, 0.95, 0.8, 0.65
# A wrong word longer than any right one is not looked at, one shorter than this is not searched for within others.
_LONGEST_WORD, _LEAST_PART = 80, 3


class MfmiError(Exception):
    """Base of every error that is the user's to mend."""


class ConfigError(MfmiError):
    """A sweep config that cannot be run as it stands."""


class NumericsError(MfmiError):
    """A quantity that cannot be computed to its stated accuracy."""


class OutputError(MfmiError):
    """A file that cannot be read or written, or that is in the way."""


class ResumeError(MfmiError):
    """A partial sweep that does not belong to the config that wants to resume it."""


class MfmiWarning(UserWarning):
    """Warning for the user, such as a skipped line; the command line shows it as one line."""


class ArgumentError(ValueError):
    """An argument that does not go with the others; the command line says the same of its options.

    Attributes
    ----------
    argument, value : name of the argument, and what was given.
    reason : what is wrong, in words that follow the argument and its value; names of others stand in backquotes.
    """

    argument: str
    value: object
    reason: str

    def __init__(self, argument: str, value: object, reason: str) -> None:
        super().__init__(f"{argument}: {shown(value)} {reason}")
        self.argument, self.value, self.reason = argument, value, reason


def place_of(error: BaseException) -> str:
    """Return file and line of the innermost call of this package that an error came through, or of any if of none."""
    frames = traceback.extract_tb(error.__traceback__)
    package = os.path.dirname(os.path.abspath(__file__))
    own = [frame for frame in frames if frame.filename.startswith(package + os.sep)] or frames
    if not own:
        return "nowhere"
    return f"{os.path.relpath(own[-1].filename, os.path.dirname(package))}:{own[-1].lineno}"


def shown(value: object) -> str:
    """Return a value as a message repeats it."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # whatever a foreign __repr__ raises, and integers too long for a decimal text
        text = f"a {type(value).__name__}"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ..."


def brief(reason: str, most: int = 300) -> str:
    """As many whole words of a reason as there is room for."""
    return reason if len(reason) <= most else reason[: most - 3].rsplit(" ", 1)[0] + " ..."


def shorten(text: str, width: int = 40) -> str:
    """`text` in quotes on one line, at most about `width` characters, safe for a terminal."""
    return repr(text if len(text) <= width else text[: width - 1] + "…")


def closest(word: str, options: Iterable[str], count: int = 1) -> tuple[str, ...]:
    """Return what a wrong word was probably meant to be: every message that suggests a name asks here.

    Parameters
    ----------
    word
        The word that is not among the options.
    options
        The words that there are. Case, and whether words are joined by hyphens, underscores or spaces, do not count.
    count
        The most that are returned.

    Returns
    -------
    tuple of str
        The likeliest first; empty where none is close.
    """
    return _closest(word, tuple(options), count)


def likeliest(word: str, options: Iterable[str]) -> str | None:
    """The first of `closest`, or None."""
    return next(iter(closest(word, options)), None)


def did_you_mean(word: str, options: Iterable[str], count: int = 1) -> str:
    """`closest` as the end of a message, " Did you mean 'relu' or 'elu'?"; empty where none is close."""
    found = closest(word, options, count)
    return f" Did you mean {' or '.join(map(repr, found))}?" if found else ""


@lru_cache(maxsize=1024)
def _closest(word: str, options: tuple[str, ...], count: int) -> tuple[str, ...]:
    wanted = _folded(word)
    if not wanted or len(wanted) > _LONGEST_WORD:
        return ()
    matcher = difflib.SequenceMatcher(b=wanted)
    found: list[tuple[float, float, int]] = []
    for place, option in enumerate(options):
        folded = _folded(option)
        matcher.set_seq1(folded)
        ratio = part = matcher.ratio()
        if folded.endswith(f".{wanted}"):
            ratio = part = _ENDS
        elif len(wanted) >= _LEAST_PART and wanted in folded:
            part = max(ratio, _BEGINS if folded.startswith(wanted) else _CONTAINS)
        if part >= _LIKE:
            found.append((-part, -ratio, place))
    return tuple(dict.fromkeys(options[place] for *_, place in sorted(found)))[:count]


def _folded(word: str) -> str:
    return "_".join(word.strip().lower().replace("-", " ").replace("_", " ").split())
