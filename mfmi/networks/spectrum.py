"""Singular values of a weight matrix, given as eigenvalues or as a matrix, and their law in a layer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from mfmi.arguments.arrays import FloatArray
from mfmi.arguments.checks import check_size
from mfmi.arguments.ranges import DEVIATION, VARIANCE, Range

# The rounding of eigenvalues that are 0, beside the largest of n, over n.
_EIGENVALUE_ROUNDING = 4.0 * np.finfo(np.float64).eps


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

    eigenvalue: FloatArray
    share: FloatArray
    rank: float
    log_volume: float
    largest: float


@dataclass(frozen=True)
class WeightSpectrum:
    """Haar matrices with given singular values, up to their scale.

    Equal where the name and the eigenvalues are; build one with `from_eigenvalues` or `from_matrix`.

    Attributes
    ----------
    name : what it is called in a table, such as "spectrum(eigenvalues.npy)".
    eigenvalues : of `W^T W` over their mean, ascending, as many as columns or quantiles of their law.
    sha256 : hash of the eigenvalues.
    shape : rows and columns of the matrix that they are of, or None.
    sigma_w : standard deviation of the entries of that matrix, times the root of its columns, or None.
    """

    name: str
    eigenvalues: FloatArray = field(compare=False, repr=False)
    sha256: str
    shape: tuple[int, int] | None = None
    sigma_w: float | None = None

    @classmethod
    def from_eigenvalues(cls, eigenvalues: ArrayLike, name: str = "") -> WeightSpectrum:
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
    def from_matrix(cls, matrix: ArrayLike, name: str = "") -> WeightSpectrum:
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
        sigma_w = float(np.sqrt(columns * np.mean(np.square(table))))
        return cls.of_singular_values(np.linalg.svd(table, compute_uv=False), (rows, columns), name, sigma_w)

    @classmethod
    def of_singular_values(
        cls,
        singular: ArrayLike,
        shape: tuple[int, int],
        name: str = "",
        sigma_w: float | None = None,
        rounding: float = float(np.finfo(np.float64).eps),
    ) -> WeightSpectrum:
        """The spectrum of a weight matrix whose singular values are known, and its shape.

        Parameters
        ----------
        singular : the singular values, as many as the smaller of rows and columns.
        shape : rows and columns.
        name : what to call it; by default their hash.
        sigma_w : standard deviation of its entries, times the root of the columns.
        rounding : relative rounding of the arithmetic that found them.

        Raises
        ------
        ValueError
            They are not finite, or all 0.
        """
        rows, columns = shape
        values = np.zeros(columns)
        own = np.array(singular, dtype=np.float64)
        # Singular values are as exact as the largest, and so their squares far below it.
        own[own <= own.max(initial=0.0) * max(rows, columns) * 4.0 * rounding] = 0.0
        values[: len(own)] = np.square(own)
        return cls._of(values, "matrix", name, (rows, columns), sigma_w)

    @classmethod
    def _of(
        cls,
        values: FloatArray,
        kind: str,
        name: str,
        shape: tuple[int, int] | None = None,
        sigma_w: float | None = None,
    ) -> WeightSpectrum:
        _check_size(values, "eigenvalues", VARIANCE if shape else DEVIATION)
        ordered = np.sort(values)
        smallest = 0.0 if shape else ordered[-1] * len(values) * _EIGENVALUE_ROUNDING
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
        """Metadata of a file, ready for JSON."""
        about: dict[str, Any] = {"eigenvalues": len(self.eigenvalues), "sha256": self.sha256}
        return about | ({"shape": list(self.shape)} if self.shape else {})

    def quantiles(self, alpha: float, count: int) -> FloatArray:
        """The eigenvalues of `law` as so many equally likely ones, ascending, of mean 1."""
        values, share = _of_narrower(self, alpha)
        found = values[np.searchsorted(np.cumsum(share), (np.arange(count) + 0.5) / count)]
        return np.asarray(found / found.mean())


@lru_cache(maxsize=64)
def _law(spectrum: WeightSpectrum, alpha: float) -> Law:
    values, share = _of_narrower(spectrum, alpha)
    positive = values > 0.0
    rank = float(share[positive].sum()) if not positive.all() else 1.0
    nodes, weights = reduced(values, share)
    log_volume = float(np.average(np.log(values[positive]), weights=share[positive]))
    return Law(nodes, weights, rank, log_volume, float(values[-1]))


def _of_narrower(spectrum: WeightSpectrum, alpha: float) -> tuple[FloatArray, FloatArray]:
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


def reduced(values: FloatArray, share: FloatArray) -> tuple[FloatArray, FloatArray]:
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


def _gauss_rule(values: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
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


def _check_size(values: FloatArray, what: str, within: Range) -> None:
    wrong = values[~np.isfinite(values)]
    if wrong.size:
        raise ValueError(f"{what} must be finite, not {wrong[0]}")
    check_size(f"largest of the {what}", float(np.abs(values).max()), within)
