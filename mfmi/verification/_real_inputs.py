"""The theory beside finite networks that see real inputs: with the covariance of the inputs, and without it.

The theory knows of Gaussian inputs. Rotations of the input do not matter to random weights, so all that it can take
from a data set is the spectrum of its covariance; the white theory takes the mean of that spectrum alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from mfmi.activations import Activation
from mfmi.arguments.arrays import FloatArray
from mfmi.bounds.evaluate import evaluate_points
from mfmi.networks.model import Model
from mfmi.networks.points import Points
from mfmi.simulate import NetworkLaw, measure_real_inputs, network_seed

QUANTITIES = ("linear", "total")


@dataclass(frozen=True)
class RealInputRow:
    """One layer: nats per input dimension.

    Attributes
    ----------
    quantity : "linear" (readable by the best linear decoder) or "total".
    layer : the observed layer.
    measured, standard_error : average over networks, and its error from their scatter.
    with_covariance : theory with the spectrum of the inputs' covariance; `total` is the replica value.
    white : theory with inputs of the same mean square, all directions alike.
    """

    quantity: str
    layer: int
    measured: float
    standard_error: float
    with_covariance: float
    white: float


def compare_real_inputs(
    activation: Activation,
    inputs: FloatArray,
    sigma_w: float,
    *,
    sigma_b: float = 0.0,
    sigma_noise: float = 0.1,
    weights: Literal["gaussian", "orthogonal"] = "gaussian",
    width: int | None = None,
    depth: int = 3,
    networks: int = 8,
    seed: int = 0,
    quantities: Sequence[str] = QUANTITIES,
) -> tuple[RealInputRow, ...]:
    """Measure finite networks on a data set and set both theories beside them.

    Parameters
    ----------
    activation
        phi.
    inputs
        One input a row, shape (N, n_0). Their mean is taken off; it would act as one more bias.
    sigma_w, sigma_b, sigma_noise
        Standard deviations of weights, biases and output noise.
    weights
        "gaussian" or "orthogonal".
    width
        Units of every layer, by default n_0.
    depth
        Number of layers.
    networks, seed
        How many networks are drawn, at least two, and from where.
    quantities
        "linear", "total" or both. The theory of the total is the replica value, whose tables take half a minute
        or more for a smooth activation that has not been asked for before.

    Returns
    -------
    tuple of RealInputRow
        One per layer and quantity. The total information cannot exceed `ln(N) / n_0`, of which the theory does not
        know: it is about inputs that never repeat.

    Raises
    ------
    ValueError
        If the inputs are no such table, or vary in no direction.
    """
    data = np.asarray(inputs, dtype=np.float64)
    if data.ndim != 2 or len(data) < 2 or not np.isfinite(data).all():
        raise ValueError(f"inputs must be a finite table of at least two rows, not of shape {data.shape}")
    centred = data - data.mean(axis=0)
    n_0 = centred.shape[1]
    eigenvalues = np.maximum(np.linalg.eigvalsh(centred.T @ centred / len(centred)), 0.0)
    variance = float(eigenvalues.mean())
    if variance == 0.0:
        raise ValueError("inputs must vary")
    if not quantities or not set(quantities) <= set(QUANTITIES):
        raise ValueError(f"quantities must be some of {', '.join(QUANTITIES)}, not {quantities!r}")
    if networks < 2:
        raise ValueError(f"networks must be at least 2, not {networks}")
    widths = (n_0, *(width or n_0,) * depth)
    law = NetworkLaw(activation, widths, sigma_w, sigma_b, sigma_noise, weights=weights, input_variance=variance)
    asked = {"with_total": "total" in quantities}
    samples = [measure_real_inputs(law, centred, network_seed(seed, widths[1], k), **asked) for k in range(networks)]
    theories = [_theory(law, weights, spectrum, quantities) for spectrum in (eigenvalues, np.full(n_0, variance))]
    rows = []
    for layer in range(depth):
        for quantity in quantities:
            values = np.array([getattr(sample, quantity)[layer] for sample in samples]) / n_0
            error = float(values.std(ddof=1) / np.sqrt(networks))
            expected = (float(theory[quantity][layer]) for theory in theories)
            rows.append(RealInputRow(quantity, layer + 1, float(values.mean()), error, *expected))
    return tuple(rows)


def _theory(law: NetworkLaw, weights: str, eigenvalues: FloatArray, quantities: Sequence[str]) -> dict[str, FloatArray]:
    """Return the theory's values for Gaussian inputs of a given spectrum, a value per layer."""
    points = Points.of(
        [law.activation],  # type: ignore[list-item]
        law.sigma_w,
        sigma_b=law.sigma_b,
        sigma_noise=law.sigma_noise,
        weights=weights,
        input_variance=law.input_variance,
    )
    alpha = [after / before for before, after in pairwise(law.widths)]
    estimators = {"linear": "linear", "total": "replica"}
    columns = evaluate_points(
        points,
        np.arange(1, law.depth + 1),
        [estimators[name] for name in quantities],
        model=Model.with_spectrum(eigenvalues, alpha),
    )
    return {name: columns[f"mi_{estimators[name]}"] for name in quantities}
