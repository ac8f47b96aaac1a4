"""Types of options that say what they hold, which not all versions of click let them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click import Choice, ParamType
else:

    class ParamType(click.ParamType):
        """A type of options; click's own takes a type in brackets only in newer versions."""

        def __class_getitem__(cls, _: Any) -> type:
            return cls

    class Choice(click.Choice):
        """One of a few words, likewise."""

        def __class_getitem__(cls, _: Any) -> type:
            return cls


__all__ = ["Choice", "ParamType"]
