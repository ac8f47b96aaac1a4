"""What a network's weight matrices are drawn from: an ensemble per layer, and singular values of one's own.

A file gives the *shape* of a spectrum, `sigma_w` its scale: the mean eigenvalue of `W^T W` is `alpha sigma_w^2`, for
the entries have the variance `sigma_w^2 / columns` in every ensemble.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mfmi.arguments import check_size
from mfmi.limits import DEVIATION, VARIANCE, Range
from mfmi.names import WEIGHTS
from mfmi.spectral_layers import Gains

Array = NDArray[np.float64]

# The rounding of eigenvalues that are 0, beside the largest of n, over n.
_ROUNDING = 4.0 * np.finfo(np.float64).eps
# How far a share of eigenvalues, or a ratio, may be from what the shape of a layer says.
_SAME = 1e-9
# Nodes that stand for the eigenvalues within a factor e of each other, if there are more.
_NODES = 12


class Law(NamedTuple):
    """Squared singular values of the matrices of one layer that its shape lets be above 0.

    Attributes
    ----------
    eigenvalue, share : over their mean, ascending, and how often each occurs; nodes of a rule, see `reduced`.
    rank : share of those above 0.
    log_volume : mean logarithm of those above 0.
    largest : the largest.
    """

    eigenvalue: Array
    share: Array
    rank: float
    log_volume: float
    largest: float


@dataclass(frozen=True)
class Spectrum:
    """Haar matrices with given singular values, up to their scale.

    Equal where the name and the eigenvalues are; build one with `of_eigenvalues` or `of_matrix`.

    Attributes
    ----------
    name : what it is called in a table, such as "spectrum(eigenvalues.npy)".
    eigenvalues : of `W^T W` over their mean, ascending, as many as columns or quantiles of their law.
    sha256 : hash of the eigenvalues.
    shape : rows and columns of the matrix that they are of, or None.
    sigma_w : deviation of the entries of that matrix, times the root of its columns, or None.
    """

    name: str
    eigenvalues: Array = field(compare=False, repr=False)
    sha256: str
    shape: tuple[int, int] | None = None
    sigma_w: float | None = None

    @classmethod
    def of_eigenvalues(cls, eigenvalues: ArrayLike, name: str = "") -> Spectrum:
        """The spectrum with given eigenvalues of `W^T W`, zeros included; any number of them.

        Parameters
        ----------
        eigenvalues : 1-D, at least 0 up to rounding; only their ratios matter.
        name : what to call it; by default their hash.

        Raises
        ------
        ValueError
            They are not finite, below 0, or all 0.
        """
        values = np.asarray(eigenvalues, dtype=np.float64)
        if values.ndim != 1 or values.size == 0:
            raise ValueError(f"eigenvalues must be a list of numbers, not of shape {values.shape}")
        return cls._of(values, "spectrum", name)

    @classmethod
    def of_matrix(cls, matrix: ArrayLike, name: str = "") -> Spectrum:
        """The spectrum of a weight matrix, a row per unit, and its shape.

        Raises
        ------
        ValueError
            It is not a matrix, not finite, or 0.
        """
        table = np.asarray(matrix, dtype=np.float64)
        if table.ndim != 2 or table.size == 0:
            raise ValueError(f"a weight matrix has rows and columns, not the shape {table.shape}")
        _check_size(table, "entries", DEVIATION)
        rows, columns = table.shape
        values = np.zeros(columns)
        singular = np.linalg.svd(table, compute_uv=False)
        # Singular values are as exact as the largest, and so their squares far below it.
        singular[singular <= singular.max(initial=0.0) * max(rows, columns) * _ROUNDING] = 0.0
        values[: len(singular)] = np.square(singular)
        sigma_w = float(np.sqrt(columns * np.mean(np.square(table))))
        return cls._of(values, "matrix", name, (rows, columns), sigma_w)

    @classmethod
    def _of(
        cls, values: Array, kind: str, name: str, shape: tuple[int, int] | None = None, sigma_w: float | None = None
    ) -> Spectrum:
        _check_size(values, "eigenvalues", VARIANCE if shape else DEVIATION)
        ordered = np.sort(values)
        smallest = 0.0 if shape else ordered[-1] * len(values) * _ROUNDING
        if ordered[0] < -smallest or ordered[-1] < 0.0:
            raise ValueError(f"eigenvalues of W^T W are at least 0, not {ordered[0]:g}")
        if ordered[-1] == 0.0:
            raise ValueError("eigenvalues must not all be 0")
        ordered[ordered <= smallest] = 0.0
        ordered /= ordered.mean()
        digest = hashlib.sha256(repr(shape).encode() + ordered.astype("<f8").tobytes()).hexdigest()
        return cls(f"{kind}({name or digest[:8]})", ordered, digest, shape, sigma_w)

    def check(self, alpha: float) -> None:
        """Raise a ValueError unless a layer of `alpha` times as many units as inputs can have such a matrix."""
        if self.shape is not None:
            rows, columns = self.shape
            if abs(alpha * columns - rows) > _SAME * rows:
                raise ValueError(
                    f"{self.name} has {rows} rows and {columns} columns, a ratio of {rows / columns:g}, "
                    f"in a layer of ratio {alpha:g}"
                )
        zeros = float(np.mean(self.eigenvalues == 0.0))
        if zeros < 1.0 - alpha - _SAME:
            raise ValueError(
                f"a share of {zeros:.4g} of the eigenvalues of {self.name} is 0, but in a layer of ratio {alpha:g}, "
                f"which has fewer rows than columns, it is at least {1.0 - alpha:.4g}"
            )

    def gain(self, alpha: float) -> float:
        """Largest squared singular value where `sigma_w` is 1, in a layer of that ratio."""
        return self.law(alpha).largest * max(1.0, alpha)

    def law(self, alpha: float) -> Law:
        """Eigenvalues of the smaller of `W^T W` and `W W^T`, over their mean, in a layer of that ratio."""
        return _law(self, float(alpha))

    def described(self) -> dict[str, Any]:
        """What there is to say of it in a file's metadata, ready for JSON."""
        about: dict[str, Any] = {"eigenvalues": len(self.eigenvalues), "sha256": self.sha256}
        return about | ({"shape": list(self.shape)} if self.shape else {})

    def quantiles(self, alpha: float, count: int) -> Array:
        """The eigenvalues of `law` as so many equally likely ones, ascending, of mean 1."""
        values, share = _of_narrower(self, alpha)
        found = values[np.searchsorted(np.cumsum(share), (np.arange(count) + 0.5) / count)]
        return np.asarray(found / found.mean())


@lru_cache(maxsize=64)
def _law(spectrum: Spectrum, alpha: float) -> Law:
    values, share = _of_narrower(spectrum, alpha)
    positive = values > 0.0
    rank = float(share[positive].sum()) if not positive.all() else 1.0
    nodes, weights = reduced(values, share)
    log_volume = float(np.average(np.log(values[positive]), weights=share[positive]))
    return Law(nodes, weights, rank, log_volume, float(values[-1]))


def _of_narrower(spectrum: Spectrum, alpha: float) -> tuple[Array, Array]:
    """Eigenvalues that a layer's shape lets be above 0, over their mean, ascending, and their shares."""
    values, count = spectrum.eigenvalues, len(spectrum.eigenvalues)
    share = np.full(count, 1.0 / count)
    if alpha < 1.0:
        # Those beyond the rows are 0 whatever the matrix.
        above = np.cumsum(share[::-1])[::-1] - share
        share = np.clip(alpha - above, 0.0, share)
    share = share / share.sum()
    values, share = values[share > 0.0], share[share > 0.0]
    return values / (values @ share), share


def reduced(values: Array, share: Array) -> tuple[Array, Array]:
    """Nodes that stand for eigenvalues, and their shares.

    Equal ones are one. Of the others, more than twelve within a factor e of each other are replaced by the Gauss rule
    of their law. What a chain takes of them, `ln(1 + t lambda)` and its derivatives, is analytic but for a cut from
    `-1 / t` to minus infinity; so the rule's error falls like 4.1^(-2 * 12), and is rounding.

    Parameters
    ----------
    values, share : ascending, at least 0, and how often each occurs, shape (m,).

    Returns
    -------
    nodes, weights : ndarray
        Of the same total weight and mean, at most twelve for each factor e between the ends.
    """
    nodes, inverse = np.unique(values, return_inverse=True)
    weights = np.bincount(inverse.ravel(), weights=share).astype(np.float64)
    if len(nodes) <= _NODES:
        return nodes, weights
    with np.errstate(divide="ignore"):
        bins = np.where(nodes > 0.0, np.floor(np.log(nodes)), -np.inf)
    parts = [_gauss_rule(nodes[bins == one], weights[bins == one]) for one in np.unique(bins)]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _gauss_rule(values: Array, weights: Array) -> tuple[Array, Array]:
    """The Gauss rule of a law on some values, by Lanczos' method with full orthogonalisation."""
    if len(values) <= _NODES:
        return values, weights
    total = weights.sum()
    basis = np.zeros((_NODES, len(values)))
    diagonal, beside = np.zeros(_NODES), np.zeros(_NODES - 1)
    vector = np.sqrt(weights / total)
    for i in range(_NODES):
        basis[i] = vector
        image = values * vector
        diagonal[i] = image @ vector
        for _ in range(2):
            image -= basis[: i + 1].T @ (basis[: i + 1] @ image)
        if i + 1 < _NODES:
            beside[i] = np.linalg.norm(image)
            vector = image / beside[i]
    nodes, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1))
    return nodes, total * np.square(vectors[0])


def _check_size(values: Array, what: str, within: Range) -> None:
    wrong = values[~np.isfinite(values)]
    if wrong.size:
        raise ValueError(f"{what} must be finite, not {wrong[0]}")
    check_size(f"largest of the {what}", float(np.abs(values).max()), within)


class Factors(NamedTuple):
    """The F matrices of a chain of D layers: one a layer, or two rotations around the singular values.

    Attributes
    ----------
    alpha : rows over columns, shape (F,).
    rotates : which are orthogonal, the others gaussian, shape (F,).
    scaled : which have the layer's `sigma_w^2`; the others have 1, shape (F,).
    last : number of the last one of every layer, shape (D,).
    gains : the singular values between rotations.
    rank : dimensions that a layer passes on, over the narrower of its two sides, shape (D,).
    log_volume : what the singular values add to the mean logarithm of a layer's squared ones above 0, shape (D,).
    """

    alpha: Array
    rotates: NDArray[np.bool_]
    scaled: NDArray[np.bool_]
    last: NDArray[np.intp]
    gains: Gains
    rank: Array
    log_volume: Array

    @property
    def linear(self) -> NDArray[np.bool_]:
        """Which of the layers between the matrices are singular values, shape (F - 1,)."""
        return ~np.isin(np.arange(len(self.alpha) - 1), self.last)


@dataclass(frozen=True)
class Weights:
    """The ensemble of every layer's weights; the last one named holds for all layers behind it.

    Attributes
    ----------
    layers : "gaussian", "orthogonal" or a spectrum, at least one.
    """

    layers: tuple[str | Spectrum, ...]

    def __post_init__(self) -> None:
        for one in self.layers:
            if isinstance(one, str) and one not in WEIGHTS:
                raise ValueError(f"weights must be one of {', '.join(WEIGHTS)}, not {one!r}")
        if not self.layers:
            raise ValueError("weights: no layer is named")

    @classmethod
    def spectrum(cls, eigenvalues: ArrayLike, name: str = "") -> Weights:
        """Haar matrices with given singular values, in every layer.

        Parameters
        ----------
        eigenvalues : of `W^T W`, zeros included, 1-D, as many as columns or any number of quantiles of their law. Only
            their ratios matter: `sigma_w` is the scale, and the mean eigenvalue `alpha sigma_w^2`.
        name : what a table calls them, as "spectrum(name)"; by default the first digits of their hash.

        Raises
        ------
        ValueError
            They are not finite, below 0, or all 0.
        """
        return cls((Spectrum.of_eigenvalues(eigenvalues, name),))

    @classmethod
    def matrix(cls, matrix: ArrayLike, name: str = "") -> Weights:
        """Haar matrices with the singular values of a matrix, in every layer; these must have its shape.

        Parameters
        ----------
        matrix : shape (n_l, n_{l-1}), a row per unit. At the `sigma_w` of `Weights.at(1)` singular values are its own.
        name : what a table calls it, as "matrix(name)"; by default the first digits of a hash.

        Raises
        ------
        ValueError
            It is not a matrix, not finite, or 0.
        """
        return cls((Spectrum.of_matrix(matrix, name),))

    @classmethod
    def per_layer(cls, layers: Sequence[str | Weights]) -> Weights:
        """An ensemble for every layer.

        Parameters
        ----------
        layers : of layers 1, 2, ..., "gaussian", "orthogonal" or weights; the last holds for all layers behind it.

        Raises
        ------
        ValueError
            There is none, or a word is neither.
        """
        return cls(tuple(one for part in layers for one in (part.layers if isinstance(part, Weights) else (part,))))

    @cached_property
    def label(self) -> str:
        """What a table calls them: the names of the layers' ensembles with commas between them."""
        return ",".join(one if isinstance(one, str) else one.name for one in self.layers)

    def at(self, layer: int) -> str | Spectrum:
        """The ensemble of layer 1, 2, ..."""
        return self.layers[min(layer, len(self.layers)) - 1]

    def check(self, alpha: Sequence[float]) -> None:
        """Raise a ValueError unless layers of these ratios can have such weights; no ratios are square layers."""
        if alpha and len(self.layers) > len(alpha):
            raise ValueError(f"weights of {len(self.layers)} layers in a network of {len(alpha)}")
        for layer in range(1, (len(alpha) or len(self.layers)) + 1):
            own = self.at(layer)
            if isinstance(own, Spectrum):
                own.check(alpha[layer - 1] if alpha else 1.0)

    def factors(self, alpha: Array) -> Factors:
        """The matrices of a chain whose layers have these ratios, shape (D,).

        Of a layer with more columns than rows the first rotation keeps as many dimensions as there are rows, of another
        the second one embeds them: so the singular values stand at the narrower side.
        """
        ratios, rotates, scaled, last = [], [], [], []
        laws: list[Law] = []
        rank, log_volume = np.ones(len(alpha)), np.zeros(len(alpha))
        for i, ratio in enumerate(alpha.tolist()):
            own = self.at(i + 1)
            if isinstance(own, Spectrum):
                law = own.law(ratio)
                laws.append(law)
                rank[i], log_volume[i] = law.rank, law.log_volume
                ratios += [min(1.0, ratio), max(1.0, ratio)]
                rotates += [True, True]
                scaled += [True, False]
            else:
                ratios.append(ratio)
                rotates.append(own == "orthogonal")
                scaled.append(True)
            last.append(len(ratios) - 1)
        return Factors(
            np.array(ratios), np.array(rotates), np.array(scaled), np.array(last), _gains(laws), rank, log_volume
        )

    def eigenvalue_spread(self, alpha: Array) -> Array:
        """Relative variance of the eigenvalues of `W^T W`, zeros included, in layers of these ratios, shape (D,)."""
        found = np.empty(len(alpha))
        for i, ratio in enumerate(alpha.tolist()):
            own = self.at(i + 1)
            if isinstance(own, Spectrum):
                found[i] = np.mean(np.square(own.eigenvalues)) - 1.0
            else:
                found[i] = 1.0 / ratio if own == "gaussian" else max(0.0, 1.0 / ratio - 1.0)
        return found

    def described(self) -> dict[str, Any]:
        """What there is to say of the spectra among them in a file's metadata, by their names, ready for JSON."""
        return {one.name: one.described() for one in self.layers if isinstance(one, Spectrum)}


def _gains(laws: list[Law]) -> Gains:
    most = max((len(law.eigenvalue) for law in laws), default=0)
    eigenvalue, share = np.zeros((2, len(laws), most))
    for i, law in enumerate(laws):
        eigenvalue[i, : len(law.eigenvalue)], share[i, : len(law.share)] = law.eigenvalue, law.share
    return Gains(eigenvalue, share)
