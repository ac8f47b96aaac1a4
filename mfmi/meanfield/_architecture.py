"""Networks with normalisation and skips, as numbers per point and layer (theory (24)-(31)).

    h^1 = W^1 x + b^1,   h^{l+1} = a_l h^l + g_l [W^{l+1} phi(norm(h^l + eps^l)) + b^{l+1}],   T^L = h^L + eps_o

A plain network has a = 0 and g = 1. Column `l - 1` of an array of shape (n, L) belongs to layer l: its noise, its norm,
and the block that leads from it to layer l + 1.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mfmi.activations import Activation
from mfmi.arguments.arrays import FloatArray

NORMS = ("none", "layernorm", "rmsnorm", "batchnorm")
PLACES = ("activation", "output", "stream")
SCALES = ("absolute", "relative")


@dataclass(frozen=True)
class Architecture:
    """n networks of L layers of one kind; build it with `Architecture.of`.

    Attributes
    ----------
    phi : the activation.
    norm : "none", "layernorm", "rmsnorm" or "batchnorm" (a large batch).
    norm_at : "activation" (before phi; of a stream: pre-norm), "output" (after phi) or "stream" (post-norm).
    noise_scale : "absolute", noise variances as they are, added before the norm; "relative", shares of the signal's
        variance at that layer, added after the norm (theory (28)).
    noise_in : "branch", or "stream" where the skip carries the hidden noise too.
    input_variance : `q_x`, shape (n,).
    input_sigma_w2, input_sigma_b2 : of the first matrix, shape (n,).
    sigma_w2, sigma_b2 : of the block's matrix; of its first matrix where there are two; shape (n, L).
    skip, branch : `a` and `g`, shape (n, L).
    hidden_noise : `sigma_h^2`, or its share `eta^2` where the scale is relative, shape (n, L).
    output_noise : `sigma_o^2`, or its share, shape (n,).
    matrices : 1, or 2 for the branch `W_2 phi(W_1 norm(h + eps) + b_1) + b_2`.
    out_sigma_w2, out_sigma_b2 : of `W_2`, shape (n, L); the block's own where there is one matrix.
    hidden_ratio : width between the two matrices over that of the stream.
    """

    phi: Activation
    norm: str
    norm_at: str
    noise_scale: str
    noise_in: str
    input_variance: FloatArray
    input_sigma_w2: FloatArray
    input_sigma_b2: FloatArray
    sigma_w2: FloatArray
    sigma_b2: FloatArray
    skip: FloatArray
    branch: FloatArray
    hidden_noise: FloatArray
    output_noise: FloatArray
    matrices: Literal[1, 2] = 1
    out_sigma_w2: FloatArray | None = None
    out_sigma_b2: FloatArray | None = None
    hidden_ratio: float = 1.0

    @classmethod
    def of(
        cls,
        phi: Activation,
        depth: int,
        *,
        sigma_w2: ArrayLike,
        sigma_b2: ArrayLike = 0.0,
        output_noise: ArrayLike = 0.0,
        hidden_noise: ArrayLike = 0.0,
        skip: ArrayLike = 0.0,
        branch: ArrayLike = 1.0,
        input_variance: ArrayLike = 1.0,
        input_sigma_w2: ArrayLike | None = None,
        input_sigma_b2: ArrayLike | None = None,
        norm: str = "none",
        norm_at: str = "activation",
        noise_scale: str = "absolute",
        noise_in: str = "branch",
        matrices: int = 1,
        out_sigma_w2: ArrayLike | None = None,
        out_sigma_b2: ArrayLike | None = None,
        hidden_ratio: float = 1.0,
    ) -> Architecture:
        """Networks from numbers that broadcast: scalars, shape (n,) or, of a quantity per layer, shape (n, L).

        The first matrix is like the blocks' at layer 1 unless it is given, and `W_2` like `W_1`.

        Raises
        ------
        ValueError
            Where a word is none of those above, a number is out of range, or two settings contradict.
        """
        _check_words(norm, norm_at, noise_scale, noise_in, matrices, hidden_ratio)
        layered = {
            "sigma_w2": sigma_w2,
            "sigma_b2": sigma_b2,
            "skip": skip,
            "branch": branch,
            "hidden_noise": hidden_noise,
            "out_sigma_w2": sigma_w2 if out_sigma_w2 is None else out_sigma_w2,
            "out_sigma_b2": sigma_b2 if out_sigma_b2 is None else out_sigma_b2,
        }
        per_layer = {name: _with_layers(name, value, depth) for name, value in layered.items()}
        per_point: dict[str, FloatArray] = {
            "input_variance": np.asarray(input_variance, dtype=np.float64),
            "output_noise": np.asarray(output_noise, dtype=np.float64),
            "input_sigma_w2": _first(per_layer["sigma_w2"], input_sigma_w2),
            "input_sigma_b2": _first(per_layer["sigma_b2"], input_sigma_b2),
        }
        shapes = [a.shape for a in per_point.values()] + [a.shape[:1] for a in per_layer.values()]
        n = np.broadcast_shapes((1,), *shapes)
        numbers = {name: np.broadcast_to(value, n) for name, value in per_point.items()}
        numbers |= {name: np.broadcast_to(value, (*n, depth)) for name, value in per_layer.items()}
        for name, value in numbers.items():
            if not (np.isfinite(value).all() and (name == "branch" or (value >= 0.0).all())):
                raise ValueError(f"{name} must be finite" + ("" if name == "branch" else " and not negative"))
        numbers_of: dict[str, Any] = dict(numbers)
        words = norm, norm_at, noise_scale, noise_in
        found = cls(phi, *words, **numbers_of, matrices=_count(matrices), hidden_ratio=hidden_ratio)
        found._check()
        return found

    def _check(self) -> None:
        """Refuse what contradicts itself."""
        if self.norm_at == "stream" and self.is_normalised:
            if self.norm == "batchnorm":
                raise ValueError("norm_at: batchnorm of the stream is not covered; use activation")
            loud = self.noise_scale == "absolute" and self.noise_in == "branch"
            if loud and (self.hidden_noise[:, :-1] > 0.0).any():
                raise ValueError(
                    "norm_at: absolute hidden noise before a norm of the stream enters the stream; "
                    "set noise_in stream, or noise_scale relative"
                )
        if self.norm == "batchnorm" and self.norm_at == "output":
            raise ValueError("norm_at: batchnorm after the activation is not covered; use activation, or layernorm")

    @property
    def size(self) -> int:
        """Number of points n."""
        return len(self.input_variance)

    @property
    def depth(self) -> int:
        """Number of layers L."""
        return int(self.skip.shape[1])

    @property
    def is_normalised(self) -> bool:
        """True if there is a norm."""
        return self.norm != "none"

    @property
    def is_centred(self) -> bool:
        """True if the norm subtracts every neuron's own offset."""
        return self.norm == "batchnorm"

    @property
    def outer(self) -> tuple[FloatArray, FloatArray]:
        """Variances of weights and biases of the matrix that feeds the stream, each of shape (n, L)."""
        if self.matrices == 1 or self.out_sigma_w2 is None or self.out_sigma_b2 is None:
            return self.sigma_w2, self.sigma_b2
        return self.out_sigma_w2, self.out_sigma_b2

    @property
    def without_offset(self) -> NDArray[np.bool_]:
        """Points at which the sites of the stream have no offset: batchnorm, or an odd phi without biases."""
        if self.is_centred:
            return np.ones(self.size, dtype=bool)
        biases = (self.input_sigma_b2 > 0.0) | (self.outer[1][:, : self.depth - 1] > 0.0).any(axis=1)
        if self.matrices == 2:
            biases |= (self.sigma_b2[:, : self.depth - 1] > 0.0).any(axis=1)
        return np.asarray(~biases & self.phi.odd)

    def take(self, rows: NDArray[np.intp] | slice) -> Architecture:
        """The architectures of some of the points."""
        return self._mapped(lambda a: a[rows])

    def cut(self, depth: int) -> Architecture:
        """The same networks with layer `depth` observed."""
        return self._mapped(lambda a: a[:, :depth] if a.ndim == 2 else a)

    def _mapped(self, f: Any) -> Architecture:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: f(a) for name, a in values.items() if isinstance(a, np.ndarray)})


def _count(matrices: int) -> Literal[1, 2]:
    return 2 if matrices == 2 else 1


def _check_words(norm: str, norm_at: str, noise_scale: str, noise_in: str, matrices: int, hidden_ratio: float) -> None:
    known = (
        ("norm", norm, NORMS),
        ("norm_at", norm_at, PLACES),
        ("noise_scale", noise_scale, SCALES),
        ("noise_in", noise_in, ("branch", "stream")),
        ("matrices", matrices, (1, 2)),
    )
    for name, value, values in known:
        if value not in values:
            raise ValueError(f"{name} must be one of {', '.join(map(str, values))}, not {value!r}")
    if not (np.isfinite(hidden_ratio) and hidden_ratio > 0.0):
        raise ValueError(f"hidden_ratio must be finite and positive, not {hidden_ratio!r}")


def _with_layers(name: str, value: ArrayLike, depth: int) -> FloatArray:
    """A quantity per layer as an array of shape (n or 1, L or 1)."""
    array = np.asarray(value, dtype=np.float64)
    if array.ndim == 2 and array.shape[1] not in (1, depth):
        raise ValueError(f"{name} must have one column or {depth}, one for every layer, not {array.shape[1]}")
    if array.ndim > 2:
        raise ValueError(f"{name} must have at most two axes: points and layers")
    return array if array.ndim == 2 else array.reshape(-1, 1)


def _first(layers: FloatArray, given: ArrayLike | None) -> FloatArray:
    return layers[:, 0] if given is None else np.asarray(given, dtype=np.float64)
