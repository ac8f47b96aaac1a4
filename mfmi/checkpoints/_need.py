"""Libraries that read formats, imported when a file needs one."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from mfmi.errors import OutputError


def need(library: str, path: str, *, extra: bool = True) -> ModuleType:
    """Import a library, or say in one line what to install.

    Parameters
    ----------
    library
        Name of the module.
    path
        The file that needs it.
    extra
        Whether the library is part of the extra ``checkpoints``.

    Raises
    ------
    OutputError
        The library is missing.
    """
    try:
        return import_module(library)
    except ImportError as error:
        package = "mfmi[checkpoints]" if extra else library
        raise OutputError(
            f"{path}: reading it needs {library}, which is not installed: pip install '{package}'"
        ) from error
