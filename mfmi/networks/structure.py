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


SITES = 64
"""Sites at which a stream with offsets is averaged."""


@dataclass(frozen=True)
class Structure:
    """Norms, skips and noise of n networks, as arrays of length n.

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
        found: dict[tuple[object, ...], list[int]] = {}
        for i, key in enumerate(zip(*(getattr(self, name).tolist() for name in _ALIKE), strict=True)):
            found.setdefault(key, []).append(i)
        for positions in found.values():
            yield np.array(positions, dtype=np.intp)

    def branch_at(self, depths: NDArray[Any]) -> FloatArray:
        """The factor g of networks of depths of shape (n, D), of that shape."""
        g = np.broadcast_to(self.branch[:, None], depths.shape)
        return np.where(self.branch_by_depth[:, None], g / np.sqrt(depths), g)


def sites_of(points: Points) -> int:
    """The most sites of any of the networks: 0 without skips, 1 where no stream has offsets or is read by a matrix."""
    from mfmi.activations import get

    own = points.structured
    skips = own.skip != 0.0
    if not skips.any():
        return 0
    odd = {name: get(name).odd for name in dict.fromkeys(points.activation)}
    unbiased = (points.sigma_b == 0.0) & (own.sigma_b_in == 0.0)
    without = (own.normalization == "batchnorm") | (np.array([odd[name] for name in points.activation]) & unbiased)
    return SITES if (skips & ~without & (own.branch_matrices == 1)).any() else 1


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
    for _, argument, text in contradictions(points):
        raise ValueError(f"{argument}: {text}")


def contradictions(points: Points) -> Iterator[tuple[NDArray[np.intp], str, str]]:
    """Networks whose settings contradict each other: their positions, the setting at fault, and what to do."""
    from mfmi.activations import get

    own = points.structured
    lost = np.flatnonzero((own.norm_at == "stream") & (own.normalization != "none") & (own.skip == 0.0))
    if len(lost):
        yield lost, "norm_at", "'stream' is that of a residual network, and skip is 0; set skip, or another norm_at"
    rounds = np.array([one is not None for one in own.number_format], dtype=bool)
    wrong = np.flatnonzero(rounds & (own.noise_scale == "absolute"))
    if len(wrong):
        name = own.number_format[wrong[0]]
        yield wrong, "noise_scale", f"'absolute' contradicts sigma_noise {name!r}: rounding is relative"
    wrong = np.flatnonzero(rounds & (own.skip != 0.0) & (own.noise_in == "branch"))
    if len(wrong):
        name = own.number_format[wrong[0]]
        yield wrong, "noise_in", f"'branch' contradicts sigma_noise {name!r}: the skip is rounded too"
    for rows in own.groups():
        for placement in dict.fromkeys(points.noise_at[rows]):
            some = rows[points.noise_at[rows] == placement]
            try:
                architecture(get("tanh"), points[some], 2)
            except ValueError as error:
                argument, _, text = str(error).partition(": ")
                yield some, argument, text


def notes(points: Points) -> NDArray[np.object_]:
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
    for names, where, text in unused(points):
        note(where, f"{text} {' and '.join(names)} change{'s' if len(names) == 1 else ''} nothing")
    note(ratio_alone(points), "with a norm and relative noise only sigma_b / sigma_w changes anything")
    return found


def unused(points: Points) -> Iterator[tuple[tuple[str, ...], NDArray[np.bool_], str]]:
    """Scales that change nothing: their names, in which networks, and under which circumstances."""
    from mfmi.activations import get

    own = points.structured
    unbiased = points.sigma_b == 0.0
    yield ("sigma_w", "sigma_b"), _scaled(points, ("batchnorm",)), "with batchnorm and relative noise"
    layer = _scaled(points, ("layernorm", "rmsnorm"))
    yield ("sigma_w",), layer & unbiased, "with a norm, relative noise and no biases"
    free = {name: get(name).homogeneous for name in dict.fromkeys(points.activation)}
    plain = (own.skip == 0.0) & (own.branch_matrices == 1) & (own.normalization == "none")
    plain &= _like_first(points) & (own.noise_scale == "relative") & unbiased
    homogeneous = np.array([free[name] for name in points.activation], dtype=bool)
    text = "with relative noise, no biases and an activation that has no scale of its own"
    yield ("sigma_w",), plain & homogeneous, text


def ratio_alone(points: Points) -> NDArray[np.bool_]:
    """Networks of whose scales only `sigma_b / sigma_w` changes anything."""
    return np.asarray(_scaled(points, ("layernorm", "rmsnorm")) & (points.sigma_b > 0.0), dtype=bool)


def _like_first(points: Points) -> NDArray[np.bool_]:
    own = points.structured
    return np.asarray((own.sigma_w_in == points.sigma_w) & (own.sigma_b_in == points.sigma_b), dtype=bool)


def _scaled(points: Points, norms: tuple[str, ...]) -> NDArray[np.bool_]:
    """Networks with one of these norms before the activation, whose noise grows with the signal."""
    own = points.structured
    relative = (own.noise_scale == "relative") & (own.branch_matrices == 1) & (own.norm_at == "activation")
    return np.asarray(relative & np.isin(own.normalization, norms) & _like_first(points), dtype=bool)


def last_bit(number_format: str) -> float:
    """The step between numbers of a format, over the numbers."""
    return float(2.0 ** (1 - NUMBER_FORMATS[number_format].bits))


def flat_range(number_format: str) -> tuple[float, float]:
    """Standard deviations of a signal between which rounding is relative noise of one size."""
    known = NUMBER_FORMATS[number_format]
    return known.least, known.largest
