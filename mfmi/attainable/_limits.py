"""The most that an architecture can carry, whatever its weights (theory 6; Foggo & Yu 2020).

The weights are limited by the largest squared singular value `g_l` of each matrix, the activation by the largest
slope `lip`; `G = prod g_l lip^(2(L-1))` is the largest squared singular value of the Jacobian. Noise of variance
`sigma_o^2` is added to the observed pre-activation of the last layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mfmi.arguments.arrays import FloatArray
from mfmi.attainable._architecture import Architecture, Dense, initial_gain
from mfmi.attainable._covariance import InputCovariance


@dataclass(frozen=True)
class LayerLimit:
    """Limits set by one layer on its own.

    Attributes
    ----------
    layer : number of the layer; 0 is the input.
    kind : "input", "dense" or "convolution".
    width : units.
    rank : input directions that its own shape lets through.
    gain : largest squared singular value of its weights; NaN for the input.
    limit : theory (22) in nats if no other layer dropped any direction; all layers' gains count.
    """

    layer: int
    kind: str
    width: int
    rank: int
    gain: float
    limit: float


@dataclass(frozen=True)
class Capacity:
    """Largest attainable information, in total nats.

    Attributes
    ----------
    attained : supremum over linear networks within the limits, theory (22).
    is_supremum : whether it is; false if convolutions see a coloured input, where `attained` is only never exceeded
        by linear networks (short kernels cannot choose the best directions at each frequency).
    ceiling : what no network within the limits exceeds when the input is Gaussian, theory (23).
    log_gain : ln G.
    n_0 : number of input entries.
    layers : the limits, from the input to layer L.
    bottleneck : number of the layer that limits most, the first of equals.
    """

    attained: float
    is_supremum: bool
    ceiling: float
    log_gain: float
    n_0: int
    layers: tuple[LayerLimit, ...]
    bottleneck: int

    def efficiency(self, information: ArrayLike) -> FloatArray:
        """Return the share of `attained` that an information in nats per input dimension makes up."""
        return np.asarray(information, dtype=np.float64) * self.n_0 / self.attained


def capacity(
    architecture: Architecture,
    gains: ArrayLike,
    lipschitz: float,
    noise_variance: float,
    covariance: InputCovariance,
    *,
    ceiling_covariance: InputCovariance | None = None,
) -> Capacity:
    """Return the largest attainable information of an architecture.

    Parameters
    ----------
    architecture
        The layers.
    gains
        Limit on the largest squared singular value of each weight matrix, shape (L,).
    lipschitz
        `sup |phi'|`; infinity for a step, which makes both values infinite after more than one layer.
    noise_variance
        `sigma_o^2` > 0.
    covariance
        Of the input; of its invariants for linear networks that ignore a symmetry group.
    ceiling_covariance
        The one that the ceiling counts, by default the same. A nonlinear network can ignore a group and still read
        what no linear one can: pass the whole covariance unless the first weight matrix ignores the group.

    Returns
    -------
    Capacity
        In total nats.

    Raises
    ------
    ValueError
        If an argument is out of range or the shapes disagree.

    Notes
    -----
    (22): the weights' product maps Sigma^(1/2) to a matrix of rank at most d with i-th singular value at most
    sqrt(G mu_i). (23): Poincare's inequality for a Gaussian input bounds the trace of the output's covariance by
    `E tr(J Sigma J^T) <= G sum_{i<=d} mu_i`; maximum entropy and concavity do the rest. Noise in hidden layers is
    independent of the input, so both hold with it too.
    """
    limits = np.asarray(gains, dtype=np.float64)
    if limits.shape != (len(architecture.stages),) or not (np.isfinite(limits).all() and (limits > 0.0).all()):
        raise ValueError(f"gains must be {len(architecture.stages)} positive numbers, not {gains!r}")
    full = covariance if ceiling_covariance is None else ceiling_covariance
    for inputs in (covariance, full):
        if inputs.n_0 != architecture.n_0:
            raise ValueError(f"covariance must be of {architecture.n_0} input entries, not {inputs.n_0}")
    log_gain = float(log_total_gain(np.log(limits).sum(), lipschitz, len(limits)))
    log_snr = log_gain - float(np.log(_positive("noise_variance", noise_variance)))
    layers = _limits(architecture, limits, log_snr, covariance)
    rank = min(stage.total_rank for stage in architecture.stages)
    observed = architecture.stages[-1].width
    return Capacity(
        attained=_nats(architecture.keep(_spectra(architecture, covariance)), log_snr),
        is_supremum=covariance.is_white or not architecture.is_convolutional,
        ceiling=observed * _nats(np.array([full.eigenvalues[:rank].sum() / observed]), log_snr),
        log_gain=log_gain,
        n_0=architecture.n_0,
        layers=layers,
        bottleneck=_bottleneck(layers),
    )


def _limits(
    architecture: Architecture, gains: FloatArray, log_snr: float, covariance: InputCovariance
) -> tuple[LayerLimit, ...]:
    spectra = _spectra(architecture, covariance)
    n_0 = architecture.n_0
    limits = [LayerLimit(0, "input", n_0, n_0, np.nan, _nats(spectra.ravel(), log_snr))]
    for number, (stage, gain) in enumerate(zip(architecture.stages, gains, strict=True), 1):
        kind = "dense" if isinstance(stage.layer, Dense) else "convolution"
        limit = _nats(architecture.keep(spectra, only=number), log_snr)
        limits.append(LayerLimit(number, kind, stage.width, stage.total_rank, float(gain), limit))
    return tuple(limits)


def _bottleneck(layers: Sequence[LayerLimit]) -> int:
    """Return the number of the layer with the least limit, up to rounding the first of equals."""
    least = min(layer.limit for layer in layers)
    return next(layer.layer for layer in layers if layer.limit <= least * (1.0 + 1e-12))


def _spectra(architecture: Architecture, covariance: InputCovariance) -> FloatArray:
    if architecture.is_convolutional:
        return covariance.per_frequency(architecture.channels, architecture.sizes)
    return covariance.eigenvalues.reshape(*(1 for _ in architecture.sizes), -1)


def _nats(eigenvalues: FloatArray, log_snr: float) -> float:
    """Return `1/2 sum ln(1 + e^log_snr mu)`, also where the exponential overflows."""
    present = eigenvalues[eigenvalues > 0.0]
    return float(0.5 * np.logaddexp(0.0, log_snr + np.log(present)).sum())


def _positive(name: str, value: ArrayLike) -> FloatArray:
    array = np.asarray(value, dtype=np.float64)
    if not (np.isfinite(array).all() and (array > 0.0).all()):
        raise ValueError(f"{name} must be positive and finite, not {value!r}")
    return array


def log_total_gain(log_gains: ArrayLike, lipschitz: ArrayLike, depth: ArrayLike) -> FloatArray:
    """Return `ln G` of theory (22).

    Parameters
    ----------
    log_gains
        `sum_l ln g_l`.
    lipschitz
        `sup |phi'|`, at least 0, perhaps infinite; it does not count at depth 1. 0 is that of a constant, which passes
        nothing on: `ln G` is -inf.
    depth
        Number of weight matrices, at least 1.
    """
    slopes = np.asarray(lipschitz, dtype=np.float64)
    layers = np.asarray(depth, dtype=np.float64)
    if not (slopes >= 0.0).all():
        raise ValueError(f"lipschitz must be at least 0, not {lipschitz!r}")
    if not (layers >= 1.0).all():
        raise ValueError(f"depth must be at least 1, not {depth!r}")
    with np.errstate(divide="ignore"):
        each = np.where(layers == 1.0, 0.0, np.log(slopes))
    activations = 2.0 * (layers - 1.0) * each
    return np.asarray(log_gains, dtype=np.float64) + activations


def attained(
    weights: str | FloatArray,
    sigma_w2: ArrayLike,
    lipschitz: ArrayLike,
    noise_variance: ArrayLike,
    input_variance: ArrayLike,
    depth: ArrayLike,
    input_spectrum: ArrayLike | None = None,
    alpha: ArrayLike | None = None,
) -> FloatArray:
    """Return theory (22) for wide layers at the gains of the initialisation, in nats per input dimension.

    Parameters
    ----------
    weights
        "gaussian" or "orthogonal"; or the largest squared singular value of every layer's weights where `sigma_w2` is
        1, of at least as many layers as the largest depth.
    sigma_w2, lipschitz, noise_variance, input_variance, depth
        Numbers or arrays that broadcast, such as (n, 1) and (D,).
    input_spectrum
        Eigenvalues of the input's covariance in units of `input_variance`, shape (m,), each standing for 1/m of the
        input's dimensions; white by default.
    alpha
        `n_l / n_{l-1}` of at least as many layers as the largest depth; square layers by default.

    Returns
    -------
    ndarray
        Broadcast shape; infinite where a step of infinite slope stands after the first layer. For a white input and
        an observed layer that is the smallest it is the ceiling (23) as well.
    """
    layers = np.asarray(depth, dtype=np.intp)
    variance = np.asarray(sigma_w2, dtype=np.float64)
    if not (np.isfinite(variance).all() and (variance >= 0.0).all()):
        raise ValueError(f"sigma_w2 must be finite and not negative, not {sigma_w2!r}")
    log_of_each = np.log(variance, out=np.full(variance.shape, -np.inf), where=variance > 0.0)
    ratios = np.ones(int(layers.max())) if alpha is None else _positive("alpha", alpha)
    relative = initial_gain(weights, 1.0, ratios) if isinstance(weights, str) else _positive("weights", weights)
    log_gains = layers * log_of_each + np.cumsum(np.log(relative))[layers - 1]
    share = np.minimum.accumulate(np.minimum(1.0, np.cumprod(ratios)))[layers - 1]
    log_gain = log_total_gain(log_gains, lipschitz, layers)
    log_snr = log_gain + np.log(
        _positive("input_variance", input_variance) / _positive("noise_variance", noise_variance)
    )
    if input_spectrum is None:
        return np.asarray(0.5 * share * np.logaddexp(0.0, log_snr))
    spectrum = InputCovariance.from_spectrum(input_spectrum).eigenvalues
    with np.errstate(divide="ignore"):
        rates: FloatArray = np.logaddexp(0.0, log_snr[..., None] + np.log(spectrum))
    # How much of each eigenvalue's dimensions passes, the largest first.
    passing = np.clip(share[..., None] * len(spectrum) - np.arange(len(spectrum)), 0.0, 1.0)
    return np.asarray(0.5 * (passing * rates).sum(axis=-1) / len(spectrum))


def efficiency(information: ArrayLike, attainable: ArrayLike) -> FloatArray:
    """Return information over capacity, both in nats per input dimension; NaN where the capacity is infinite."""
    rate, most = np.broadcast_arrays(
        np.asarray(information, dtype=np.float64), np.asarray(attainable, dtype=np.float64)
    )
    share = np.full(rate.shape, np.nan)
    np.divide(rate, most, out=share, where=np.isfinite(most) & (most > 0.0))
    return share
