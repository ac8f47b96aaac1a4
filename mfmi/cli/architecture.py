"""Architectures as options: widths, shapes and layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mfmi.arguments.ranges import DEEPEST, WIDEST
from mfmi.errors import shown

if TYPE_CHECKING:
    from mfmi.attainable import Architecture, Layer

    WidthsBase = click.ParamType[tuple[int, ...]]
    LayerBase = click.ParamType[Layer]
else:  # generic only in recent versions of click
    WidthsBase = LayerBase = click.ParamType

LAYER_FORMS = "dense:UNITS or conv:CHANNELS:KERNEL[:STRIDE], such as conv:16:3x3:2"


class WidthList(WidthsBase):
    """Whole numbers with commas between them, such as 784,100,10."""

    name = "widths"
    separator = ","

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Return the numbers, or say what is wrong with them."""
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in str(value).lower().split(self.separator)]
        if not all(part.isascii() and part.isdecimal() for part in parts):
            self.fail(f"{shown(value)} is not made of whole numbers with {self.separator!r} between them.", param, ctx)
        if not all(part.strip("0") for part in parts):
            self.fail(f"{shown(value)} holds a 0: numbers begin at 1.", param, ctx)
        if any(len(part) > len(str(WIDEST)) or int(part) > WIDEST for part in parts):
            self.fail(f"{shown(value)} holds a number greater than {WIDEST:,}.", param, ctx)
        if len(parts) - 1 > DEEPEST:
            self.fail(f"{len(parts)} numbers are more than {DEEPEST:,} layers.", param, ctx)
        return tuple(map(int, parts))


class ShapeType(WidthList):
    """Whole numbers with x between them, such as 3x32x32."""

    name = "shape"
    separator = "x"


class LayerType(LayerBase):
    """A dense or convolutional layer."""

    name = "layer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Layer:
        """Return the layer, or say how one is written."""
        from mfmi.attainable import Convolution, Dense

        if isinstance(value, Dense | Convolution):
            return value
        kind, *parts = str(value).lower().split(":")
        numbers = [ShapeType().convert(part, param, ctx) for part in parts]
        if kind == "dense" and len(numbers) == 1 and len(numbers[0]) == 1:
            return Dense(numbers[0][0])
        if kind == "conv" and len(numbers) in (2, 3) and len(numbers[0]) == 1:
            kernel = numbers[1]
            stride = numbers[2] if len(numbers) == 3 else (1,)
            return Convolution(numbers[0][0], kernel, stride * len(kernel) if len(stride) == 1 else stride)
        self.fail(f"{value!r} is not {LAYER_FORMS}.", param, ctx)


def architecture_of(
    widths: tuple[int, ...] | None, shape: tuple[int, ...] | None, layers: tuple[Layer, ...]
) -> Architecture:
    """Return what --widths, or --shape and --layer, describe.

    Raises
    ------
    click.UsageError
        If both or neither are given, or the layers do not fit.
    """
    from mfmi.attainable import Architecture

    if (widths is None) == (shape is None) or (layers and shape is None):
        raise click.UsageError("A network is given by --widths, or by --shape and --layer.")
    try:
        if widths is not None:
            return Architecture.from_widths(widths)
        assert shape is not None
        return Architecture.from_layers(shape[0], shape[1:], layers)
    except ValueError as error:
        raise click.UsageError(f"{error}.") from error
