"""Errors that a user can correct, one class per cause; the command line reports each in one line with an exit code."""

import os
import traceback

# Characters of a wrong value that a message repeats.
_LONGEST = 80


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


def shorten(text: str, width: int = 40) -> str:
    """`text` in quotes on one line, at most about `width` characters, safe for a terminal."""
    return repr(text if len(text) <= width else text[: width - 1] + "…")
