"""Norms, skips and relative noise of networks, as arrays with a network per entry (theory (24)-(31))."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.meanfield import NUMBER_FORMATS, Architecture

if TYPE_CHECKING:
    from mfmi.activations import Activation
    from mfmi.networks.points import Points
    from mfmi.networks.scales import LayerScales

# What all networks of an `Architecture` share; a branch of 1 / sqrt(depth) makes every depth a network of its own.
_ALIKE = (
    *("normalization", "norm_at", "noise_scale", "noise_in"),
    *("branch_matrices", "hidden_ratio", "branch_by_depth"),
)


@dataclass(frozen=True)
class Structure:
    """What networks are besides a stack of layers, as arrays of length n.

    Attributes
    ----------
    normalization : "none", "layernorm", "rmsnorm" or "batchnorm".
    norm_at : "activation", "output" or "stream"; None without a norm.
    noise_scale : "absolute" or "relative".
    noise_in : "branch" or "stream".
    skip, branch : factors a and g of theory (30).
    branch_by_depth : whether `branch` is divided by the root of the depth of the row.
    branch_matrices : 1 or 2.
    hidden_ratio : width between two matrices over that of the stream.
    sigma_w_in, sigma_b_in : of the first matrix.
    sigma_w_out, sigma_b_out : of the second matrix of a branch; without one, of no effect.
    number_format : number format whose rounding the noise stands for, or None.
    """

    normalization: NDArray[np.object_]
    norm_at: NDArray[np.object_]
    noise_scale: NDArray[np.object_]
    noise_in: NDArray[np.object_]
    skip: FloatArray
    branch: FloatArray
    branch_by_depth: NDArray[np.bool_]
    branch_matrices: NDArray[np.int32]
    hidden_ratio: FloatArray
    sigma_w_in: FloatArray
    sigma_b_in: FloatArray
    sigma_w_out: FloatArray
    sigma_b_out: FloatArray
    number_format: NDArray[np.object_]

    @classmethod
    def plain(cls, points: Points) -> Structure:
        """Neither norms nor skips, and absolute noise."""
        n = len(points)

        def all_of(value: Any) -> Any:
            return np.full(n, value, dtype=object if value is None or isinstance(value, str) else None)

        words = all_of("none"), all_of(None), all_of("absolute"), all_of("branch")
        blocks = all_of(0.0), all_of(1.0), all_of(False), np.ones(n, dtype=np.int32), all_of(1.0)
        scales = points.sigma_w, points.sigma_b, points.sigma_w, points.sigma_b
        values: tuple[Any, ...] = (*words, *blocks, *scales, all_of(None))
        return cls(*values)

    def __len__(self) -> int:
        return len(self.skip)

    def __getitem__(self, rows: slice | NDArray[Any]) -> Structure:
        """Those of the points `rows`."""
        return Structure(*(getattr(self, field.name)[rows] for field in fields(self)))

    def is_plain(self, points: Points) -> NDArray[np.bool_]:
        """Networks that are a stack of layers after all."""
        blocks = (self.skip == 0.0) & (self.branch == 1.0) & ~self.branch_by_depth & (self.branch_matrices == 1)
        first = (self.sigma_w_in == points.sigma_w) & (self.sigma_b_in == points.sigma_b)
        words = (self.normalization == "none") & (self.noise_scale == "absolute")
        return np.asarray(blocks & first & words, dtype=bool)

    def groups(self) -> Iterator[NDArray[np.intp]]:
        """Positions of the networks that differ in numbers alone, in order of first appearance."""
        keys = list(zip(*(getattr(self, name).tolist() for name in _ALIKE), strict=True))
        for key in dict.fromkeys(keys):
            yield np.array([i for i, one in enumerate(keys) if one == key], dtype=np.intp)

    def branch_at(self, depths: NDArray[Any]) -> FloatArray:
        """The factor g of networks of depths of shape (n, D), of that shape."""
        g = np.broadcast_to(self.branch[:, None], depths.shape)
        return np.where(self.branch_by_depth[:, None], g / np.sqrt(depths), g)


def architecture(phi: Activation, points: Points, depth: int, scales: LayerScales | None = None) -> Architecture:
    """The networks of points of one of `Structure.groups`, down to a layer, with the scales of the layers if given.

    Raises
    ------
    ValueError
        Two of their settings contradict.
    """
    own = points.structured
    every = points.noise_at == "every"
    share = np.square(points.sigma_noise)
    w, b, out_w, out_b = scales.blocks(depth) if scales else np.ones((4, 1))
    first_w, first_b = scales.variances(1) if scales else np.ones((2, 1))
    return Architecture.of(
        phi,
        depth,
        sigma_w2=np.outer(np.square(points.sigma_w), w),
        sigma_b2=np.outer(np.square(points.sigma_b), b),
        output_noise=share,
        hidden_noise=np.where(every, share, 0.0),
        skip=own.skip,
        branch=own.branch_at(np.full((len(points), 1), depth))[:, 0],
        input_variance=points.input_variance,
        input_sigma_w2=np.square(own.sigma_w_in) * first_w,
        input_sigma_b2=np.square(own.sigma_b_in) * first_b,
        norm=own.normalization[0],
        norm_at=own.norm_at[0] or "activation",
        noise_scale=own.noise_scale[0],
        noise_in=own.noise_in[0],
        matrices=int(own.branch_matrices[0]),
        out_sigma_w2=np.outer(np.square(own.sigma_w_out), out_w),
        out_sigma_b2=np.outer(np.square(own.sigma_b_out), out_b),
        hidden_ratio=float(own.hidden_ratio[0]),
    )


def check(points: Points) -> None:
    """Refuse settings that contradict each other.

    Raises
    ------
    ValueError
        It says which, and what to do.
    """
    from mfmi.activations import get

    own = points.structured
    in_stream = (own.norm_at == "stream") & (own.normalization != "none") & (own.skip == 0.0)
    if in_stream.any():
        raise ValueError("norm_at: 'stream' is that of a residual network, and skip is 0; set skip, or another norm_at")
    wrong = (own.number_format != None) & (own.noise_scale == "absolute")  # noqa: E711 - entry by entry
    if wrong.any():
        raise ValueError(
            f"noise_scale: 'absolute' contradicts sigma_noise {own.number_format[wrong][0]!r}: rounding is relative"
        )
    wrong = (own.number_format != None) & (own.skip != 0.0) & (own.noise_in == "branch")  # noqa: E711
    if wrong.any():
        raise ValueError(
            f"noise_in: 'branch' contradicts sigma_noise {own.number_format[wrong][0]!r}: the skip is rounded too"
        )
    for rows in own.groups():
        architecture(get("tanh"), points[rows], 2)


def notes(phi: Activation, points: Points) -> NDArray[np.object_]:
    """Say what of each network's settings changes nothing, and what stands for something else; "" for neither."""
    own = points.structured
    found = np.full(len(points), "", dtype=object)

    def note(where: NDArray[np.bool_], text: str) -> None:
        for row in np.flatnonzero(where):
            found[row] = f"{found[row]}; {text}" if found[row] else text

    for name in dict.fromkeys(one for one in own.number_format if one is not None):
        note(
            own.number_format == name,
            f"sigma_noise: the relative noise that rounding to {name} is equivalent to, an approximation",
        )
    relative = (own.noise_scale == "relative") & (own.branch_matrices == 1)
    like_first = (own.sigma_w_in == points.sigma_w) & (own.sigma_b_in == points.sigma_b)
    before = relative & like_first & (own.norm_at == "activation")
    batch = before & (own.normalization == "batchnorm")
    layer = before & np.isin(own.normalization, ("layernorm", "rmsnorm"))
    note(batch, "with batchnorm and relative noise sigma_w and sigma_b change nothing")
    note(layer & (points.sigma_b == 0.0), "with a norm, relative noise and no biases sigma_w changes nothing")
    note(layer & (points.sigma_b > 0.0), "with a norm and relative noise only sigma_b / sigma_w changes anything")
    if phi.homogeneous:
        free = relative & like_first & (own.normalization == "none") & (points.sigma_b == 0.0) & (own.skip == 0.0)
        note(free, "with relative noise and no biases sigma_w changes nothing: the activation has no scale of its own")
    return found


def flat_range(number_format: str) -> tuple[float, float]:
    """Standard deviations of a signal between which rounding is relative noise of one size."""
    known = NUMBER_FORMATS[number_format]
    return known.least, known.largest
