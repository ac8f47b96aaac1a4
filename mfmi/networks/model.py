"""Properties shared by all networks of a grid: the shape of the layers, real inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.arguments.checks import check_size
from mfmi.arguments.ranges import (
    DEVIATION,
    INPUT_VARIANCE,
    LAYERS_AT_ONCE,
    NUMBERS,
    PAIRS_AT_ONCE,
    ROWS_AT_ONCE,
    SITE_PAIRS_AT_ONCE,
)
from mfmi.names import OBSERVABLES, PRIORS, WEIGHTS
from mfmi.networks.convolution import Convolution
from mfmi.networks.priors import (
    InputPrior,
    MixturePrior,
    gaussian,
    gaussian_spectrum,
    rademacher,
    spike_slab,
)
from mfmi.networks.scales import LayerScales
from mfmi.networks.weights import Weights

GAUSSIAN = gaussian()

MOST_LAYERS_WITHOUT_TABLES = 16_000
"""Layers of a request up to which the exact channel is not tabulated; docs/performance.md has what either way costs."""


@dataclass(frozen=True)
class DataSet:
    """Real inputs, each as likely as any other, and the networks of finite width that they go through.

    Equal where the inputs, the width and the seed are; build one with `of`.

    Attributes
    ----------
    inputs : a row each, shape (N, n_0).
    width : units in every layer.
    seed : of the sampled hidden layers.
    sha256 : hash of the inputs.
    """

    inputs: FloatArray = field(compare=False, repr=False)
    width: int
    seed: int
    sha256: str

    @classmethod
    def of(cls, inputs: Any, width: int, seed: int = 0) -> DataSet:
        """Return the data set of a table with at least two finite rows; ValueError where it is none."""
        table = np.ascontiguousarray(inputs, dtype="<f8")
        if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] < 1 or not np.isfinite(table).all():
            raise ValueError(f"inputs must be a finite table of at least two rows, not of shape {table.shape}")
        if not np.any(table):
            raise ValueError("inputs must not all be 0")
        check_size("largest entry", float(np.abs(table).max()), DEVIATION)
        check_size("mean square", float(np.mean(np.square(table))), INPUT_VARIANCE)
        if width < 1:
            raise ValueError(f"width must be at least 1, not {width!r}")
        return cls(table, width, seed, hashlib.sha256(repr(table.shape).encode() + table.tobytes()).hexdigest())

    @property
    def variance(self) -> float:
        """Mean square of an input entry, which stands for the variance of Gaussian inputs."""
        return float(np.mean(np.square(self.inputs)))

    def described(self) -> dict[str, Any]:
        """Metadata of a file, ready for JSON."""
        rows, entries = self.inputs.shape
        about = {"sha256": self.sha256, "inputs": rows, "entries": entries, "seed": self.seed}
        return {"input.dataset": about, "network.width": self.width}


@dataclass(frozen=True)
class Model:
    """The law of the networks of a grid, as far as it is not an axis of it.

    Attributes
    ----------
    alpha : ratios `n_l / n_{l-1}` of the widths of the layers; empty for square layers at any depth.
    data : real inputs for the pairwise bounds; None where there are none.
    prior : law of the input's entries at variance 1.
    prior_name : what the law is called: "gaussian", "rademacher", "spike_slab", "spectrum" or "convolution".
    input_variance : variance of an input entry where its law says it; None where the points have it.
    observe : what is known of the observed layer: "pre-activation", with its noise, or "activation" of that.
    weights : ensembles that points name by their label, besides the gaussian and the orthogonal one.
    scales : standard deviations of every layer over those of the point; None where all layers are alike.
    convolution : positions that the layers are convolutions over; None of dense layers.
    tables : whether the exact channel is tabulated, which pays for many networks, or computed where it is asked for;
        None leaves that to the size of a request, see `for_layers`.
    """

    alpha: tuple[float, ...] = ()
    data: DataSet | None = None
    prior: InputPrior = GAUSSIAN
    prior_name: str = "gaussian"
    input_variance: float | None = None
    observe: str = "pre-activation"
    weights: tuple[Weights, ...] = ()
    scales: LayerScales | None = None
    convolution: Convolution | None = None
    tables: bool | None = None

    def __post_init__(self) -> None:
        if self.observe not in OBSERVABLES:
            raise ValueError(f"observe must be one of {', '.join(OBSERVABLES)}, not {self.observe!r}")
        if self.observe != OBSERVABLES[0] and self.mixes:
            raise ValueError(f"observe: {self.observe!r} is not known of convolutions of correlated inputs")
        for ratio in self.alpha:
            if not 0.0 < ratio < np.inf:
                raise ValueError(f"alpha must be finite and greater than 0, not {ratio!r}")
        for weights in self.weights:
            weights.check(self.alpha)

    def with_convolution(self, convolution: Convolution) -> Model:
        """The model with layers that are convolutions, whose widths are channels.

        Raises
        ------
        ValueError
            The input is of another kind. It begins with the name of the argument at fault.
        """
        if self.data is not None:
            raise ValueError("positions: a data set goes through dense networks; it does not go with a convolution")
        if self.prior_name == "spectrum":
            text = "the covariance of the input is that of a dense network; input_correlation is that of positions"
            raise ValueError(f"positions: {text}")
        if convolution.is_white:
            return replace(self, convolution=convolution)
        if not self.has_plain_input:
            text = f"correlated inputs are gaussian, and the prior is {self.prior_name}"
            raise ValueError(f"input_correlation: {text}")
        prior = gaussian_spectrum(convolution.eigenvalues)
        return replace(self, convolution=convolution, prior=prior, prior_name="convolution")

    @property
    def mixes(self) -> bool:
        """Whether the positions of a convolution are correlated, so that its frequencies differ."""
        return self.convolution is not None and not self.convolution.is_white

    @classmethod
    def with_input(cls, name: str, alpha: Sequence[float] = (), sparsity: float | None = None) -> Model:
        """The model with independent input entries of the law `name`, out of `mfmi.names.PRIORS`.

        Raises
        ------
        ValueError
            The law is unknown, or `sparsity` is missing, out of (0, 1], or there with a law that has none.
        """
        if name not in PRIORS:
            raise ValueError(f"prior must be one of {', '.join(PRIORS)}, not {name!r}")
        if name != "spike_slab":
            if sparsity is not None:
                raise ValueError(f"sparsity is that of spike_slab; {name} has none")
            return cls(tuple(alpha), prior=rademacher() if name == "rademacher" else GAUSSIAN, prior_name=name)
        if sparsity is None:
            raise ValueError("sparsity is missing: the share of the input's entries that are not 0")
        return cls(tuple(alpha), prior=spike_slab(sparsity), prior_name=name)

    @classmethod
    def with_spectrum(
        cls, eigenvalues: FloatArray, alpha: Sequence[float] = (), variance: float | None = None
    ) -> Model:
        """The model with a gaussian input whose covariance has given eigenvalues, rescaled to `variance` if given.

        Parameters
        ----------
        eigenvalues : 1-D; or samples, a row each, whose covariance has them.
        alpha : ratios of the layers.
        variance : mean eigenvalue.

        Raises
        ------
        ValueError
            The eigenvalues are not finite, below 0, or all 0.
        """
        values = np.asarray(eigenvalues, dtype=np.float64)
        check_size("largest number", float(np.abs(values).max(initial=0.0)), NUMBERS["entries"])
        values = values if values.ndim == 1 else covariance_eigenvalues(values)
        prior = gaussian_spectrum(values)
        check_size("mean eigenvalue", float(np.mean(values)), INPUT_VARIANCE)
        return cls(
            tuple(alpha),
            prior=prior,
            prior_name="spectrum",
            input_variance=float(np.mean(values)) if variance is None else variance,
        )

    def for_layers(self, count: int) -> Model:
        """The model for a request of so many layers in all, of every network and every depth those below it too."""
        return self if self.tables is not None else replace(self, tables=count > MOST_LAYERS_WITHOUT_TABLES)

    @property
    def has_plain_input(self) -> bool:
        """Whether the input's entries are independent gaussian variables."""
        return self.prior == GAUSSIAN

    @property
    def layers(self) -> int | None:
        """Number of layers that the shape has, or None where any depth will do."""
        return len(self.alpha) or (len(self.scales.sigma_w) if self.scales else None)

    def ratios(self, depth: int) -> FloatArray:
        """`alpha_l` of layers 1 to `depth`.

        Raises
        ------
        ValueError
            There are fewer layers.
        """
        if self.layers is not None and depth > self.layers:
            raise ValueError(f"depth must be at most {self.layers}, the number of layers, not {depth}")
        return np.array(self.alpha[:depth]) if self.alpha else np.ones(depth)

    def variances(self, depth: int) -> tuple[FloatArray, FloatArray]:
        """Factors of `sigma_w^2` and `sigma_b^2` in layers 1 to `depth`, each of shape (depth,); (1,) if all are 1."""
        return self.scales.variances(depth) if self.scales else (np.ones(1), np.ones(1))

    def points_at_once(self, depths: ArrayLike, *, sites: int = 0) -> int:
        """Number of points evaluated together at these depths: large enough to be fast, and bounded in memory.

        Parameters
        ----------
        depths : the observed layers of every point, at least one.
        sites : of residual streams, whose layers are known in pairs at so many sites; 0 where there are none.
        """
        count, deepest = np.size(depths) * self.networks_a_point, int(np.max(depths)) * self.networks_a_point
        pairs = PAIRS_AT_ONCE // len(self.data.inputs) ** 2 if self.data else ROWS_AT_ONCE
        sites *= self.networks_a_point
        layers = SITE_PAIRS_AT_ONCE // (sites * int(np.square(depths).sum())) if sites else ROWS_AT_ONCE
        return max(1, min(ROWS_AT_ONCE // count, LAYERS_AT_ONCE // deepest, pairs, layers))

    @property
    def networks_a_point(self) -> int:
        """Networks that a point is worked out as: the frequencies of a convolution, else one."""
        return len(self.convolution.modes.share) if self.convolution is not None and self.mixes else 1

    def depths_at_once(self, depths: ArrayLike) -> Iterator[NDArray[np.intp]]:
        """Ascending depths of one point, in blocks that are evaluated together and cost alike."""
        left = np.asarray(depths, dtype=np.intp)
        while len(left):
            # Never more than that many layers in all.
            layers = left * np.arange(1, len(left) + 1) * self.networks_a_point
            size = max(1, int(np.searchsorted(layers, LAYERS_AT_ONCE, side="right")))
            size = min(size, ROWS_AT_ONCE)
            yield left[:size]
            left = left[size:]

    @property
    def known_weights(self) -> tuple[str, ...]:
        """Labels of the ensembles that points can name."""
        return WEIGHTS + tuple(weights.label for weights in self.weights)

    def weights_of(self, label: str) -> Weights:
        """The ensembles that a point names by their label; ValueError where there are none of that label."""
        for weights in self.weights:
            if weights.label == label:
                return weights
        return Weights((label,))

    def described(self) -> dict[str, Any]:
        """Metadata of the model for a file, ready for JSON; equal for equal models."""
        found: dict[str, Any] = {"network.alpha": list(self.alpha)} if self.alpha else {}
        spectra = {name: about for weights in self.weights for name, about in weights.described().items()}
        found |= {"weights": dict(sorted(spectra.items()))} if spectra else {}
        if isinstance(self.prior, MixturePrior):
            found |= {"input.prior": self.prior_name}
            found |= {"input.sparsity": self.prior.weights[-1]} if self.prior_name == "spike_slab" else {}
        elif not self.has_plain_input and self.convolution is None:
            values = np.array(self.prior.eigenvalues)
            digest = hashlib.sha256(values.tobytes()).hexdigest()
            found["input.spectrum"] = {"eigenvalues": len(values), "sha256": digest}
        found |= {"network.convolution": self.convolution.described()} if self.convolution else {}
        found |= {"network.scales": asdict(self.scales)} if self.scales else {}
        found |= {"observe": self.observe} if self.observe != OBSERVABLES[0] else {}
        return found | (self.data.described() if self.data else {})


def covariance_eigenvalues(samples: FloatArray) -> FloatArray:
    """Eigenvalues of the covariance of samples, a row each: as many as a sample has entries.

    Raises
    ------
    ValueError
        There are less than two samples, or not all of them are finite.
    """
    table = np.asarray(samples, dtype=np.float64)
    if table.ndim < 2 or len(table) < 2 or not np.isfinite(table).all():
        raise ValueError(f"samples must be a finite table of at least two rows, not of shape {table.shape}")
    table = table.reshape(len(table), -1)
    found = np.zeros(table.shape[1])
    values = np.linalg.svd(table - table.mean(axis=0), compute_uv=False) ** 2 / len(table)
    # What is rounding beside the largest is 0: its logarithm would be a negentropy.
    found[: len(values)] = np.where(values > 1e-14 * values.max(), values, 0.0)
    return found


def ratios_of(widths: Sequence[int]) -> tuple[float, ...]:
    """Ratios `n_l / n_{l-1}` of widths `n_0, n_1, ..., n_L`."""
    return tuple(after / before for before, after in pairwise(widths))


def reason_against(weights: str, model: Model) -> str:
    """Say what bounds on networks with norms and skips need beyond a model, in words after "need"; "" where nothing."""
    if weights not in WEIGHTS:
        return f"gaussian or orthogonal weights in all layers, not {weights}"
    if any(ratio != 1.0 for ratio in model.alpha):
        return "layers of one width"
    if (not model.has_plain_input and not model.mixes) or model.data is not None:
        return "a gaussian input of independent entries"
    return f"an observed {OBSERVABLES[0]}" if model.observe != OBSERVABLES[0] else ""


SQUARE = Model()
