"""Ensembles of a network's weight matrices, one per layer, with user-supplied singular values if wanted.

A file gives the *shape* of a spectrum, `sigma_w` its scale: the mean eigenvalue of `W^T W` is `alpha sigma_w^2`, for
the entries have the variance `sigma_w^2 / columns` in every ensemble.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mfmi.arguments.arrays import FloatArray
from mfmi.names import WEIGHTS
from mfmi.networks.spectrum import WeightSpectrum


@dataclass(frozen=True)
class Weights:
    """The ensemble of every layer's weights; the last one named holds for all later layers.

    Attributes
    ----------
    layers : "gaussian", "orthogonal" or a spectrum, at least one.
    """

    layers: tuple[str | WeightSpectrum, ...]

    def __post_init__(self) -> None:
        for one in self.layers:
            if isinstance(one, str) and one not in WEIGHTS:
                raise ValueError(f"weights must be one of {', '.join(WEIGHTS)}, not {one!r}")
        if not self.layers:
            raise ValueError("weights: no layer is named")

    @classmethod
    def from_spectrum(cls, eigenvalues: ArrayLike, name: str = "") -> Weights:
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
        return cls((WeightSpectrum.from_eigenvalues(eigenvalues, name),))

    @classmethod
    def from_matrix(cls, matrix: ArrayLike, name: str = "") -> Weights:
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
        return cls((WeightSpectrum.from_matrix(matrix, name),))

    @classmethod
    def from_layers(cls, layers: Sequence[str | Weights]) -> Weights:
        """An ensemble for every layer.

        Parameters
        ----------
        layers : of layers 1, 2, ..., "gaussian", "orthogonal" or weights; the last holds for all later layers.

        Raises
        ------
        ValueError
            There is none, or a word is neither.
        """
        return cls(tuple(one for part in layers for one in (part.layers if isinstance(part, Weights) else (part,))))

    @cached_property
    def label(self) -> str:
        """Name in tables: the names of the layers' ensembles, separated by commas."""
        return ",".join(one if isinstance(one, str) else one.name for one in self.layers)

    def at(self, layer: int) -> str | WeightSpectrum:
        """The ensemble of layer 1, 2, ..."""
        return self.layers[min(layer, len(self.layers)) - 1]

    def check(self, alpha: Sequence[float]) -> None:
        """Raise a ValueError unless layers of these ratios can have such weights; no ratios are square layers."""
        if alpha and len(self.layers) > len(alpha):
            raise ValueError(f"weights of {len(self.layers)} layers in a network of {len(alpha)}")
        for layer in range(1, (len(alpha) or len(self.layers)) + 1):
            own = self.at(layer)
            if isinstance(own, WeightSpectrum):
                own.check(alpha[layer - 1] if alpha else 1.0)

    def eigenvalue_spread(self, alpha: FloatArray) -> FloatArray:
        """Relative variance of the eigenvalues of `W^T W`, zeros included, in layers of these ratios, shape (D,)."""
        found = np.empty(len(alpha))
        for i, ratio in enumerate(alpha.tolist()):
            own = self.at(i + 1)
            if isinstance(own, WeightSpectrum):
                found[i] = np.mean(np.square(own.eigenvalues)) - 1.0
            else:
                found[i] = 1.0 / ratio if own == "gaussian" else max(0.0, 1.0 / ratio - 1.0)
        return found

    def described(self) -> dict[str, Any]:
        """Metadata of the spectra among them for a file, by name, ready for JSON."""
        return {one.name: one.described() for one in self.layers if isinstance(one, WeightSpectrum)}
