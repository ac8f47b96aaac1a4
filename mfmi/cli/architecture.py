"""Architectures as options: widths, shapes and layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mfmi.arguments.text import whole_numbers_of
from mfmi.cli.generic import ParamType

if TYPE_CHECKING:
    from mfmi.attainable import Layer


class WidthList(ParamType[tuple[int, ...]]):
    """Whole numbers with commas between them, such as 784,100,10."""

    name = "widths"
    separator = ","

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Return the numbers, or say what is wrong with them."""
        if isinstance(value, tuple):
            return value
        try:
            return whole_numbers_of(str(value), self.separator)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


class ShapeType(WidthList):
    """Whole numbers with x between them, such as 3x32x32."""

    name = "shape"
    separator = "x"


class LayerType(ParamType["Layer"]):
    """A dense or convolutional layer."""

    name = "layer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Layer:
        """Return the layer, or say how one is written."""
        from mfmi.attainable import Convolution, Dense, layer_from_text

        if isinstance(value, Dense | Convolution):
            return value
        try:
            return layer_from_text(str(value))
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)
