"""The theory's values, in the order of layers, of all that is measured."""

from __future__ import annotations

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.bounds.evaluate import evaluate_points
from mfmi.datasets import pair_covariance
from mfmi.jacobian import jacobian_moments, residual_moments
from mfmi.meanfield import propagate, trajectory
from mfmi.verification._measures import Effort, comparisons
from mfmi.verification._setting import Setting


def theory_values(setting: Setting, effort: Effort) -> dict[tuple[str, str], FloatArray]:
    """Return the theory's value by (measure, quantity), one per layer; NaN where it has none."""
    if setting.pairs:
        return {("maps", name): values for name, values in _maps_of_pairs(setting, *setting.pairs).items()}
    depths = np.arange(1, setting.depth + 1)
    measures = effort.measures(setting)
    asked = tuple(name for name in ("linear", "entropy_power") if name in effort.estimators)
    columns = evaluate_points(setting.points(), depths, asked, "nats", ("mi_linear_error",), model=setting.model)
    values = {("maps", name): columns[name] for name in ("q", "c", "chi")}
    # The bound may stand below its value by its error.
    less = columns["mi_linear_error"] if setting.model.mixes or not setting.plain else 0.0
    values["decoder", "mi_linear"] = columns["mi_linear"] + less
    if not setting.plain:
        # With hidden noise the entropy power is no matter of the determinant alone.
        bare = (depths == 1) | (setting.noise_at == "output")
        values["determinant", "mi_entropy_power"] = np.where(bare, columns["mi_entropy_power"], np.nan)
        # No block follows the last layer.
        values["maps", "chi"] = np.append(columns["chi"][:-1], np.nan)
    mean, relative = _jacobian(setting) if setting.plain else _stream_jacobian(setting)
    values["jacobian", "jacobian_mean"], values["jacobian", "jacobian_relative_variance"] = mean, relative
    if "information" in measures:
        last = evaluate_points(setting.points(), depths[-1:], effort.estimators, model=setting.model)
        for comparison in comparisons("information", effort.estimators):
            above = np.full(setting.depth - 1, np.nan)
            values["information", comparison.quantity] = np.append(above, last[comparison.quantity])
    return values


def _stream_jacobian(setting: Setting) -> tuple[FloatArray, FloatArray]:
    """As `_jacobian`, of networks with norms, skips or relative noise, theory (34)."""
    network = setting.architecture()
    found = residual_moments(network, setting.label, propagate(network))
    mean, variance = found.mean[0], found.variance[0]
    return mean, np.divide(variance, mean**2, out=np.full(setting.depth, np.nan), where=mean > 0)


def _jacobian(setting: Setting) -> tuple[FloatArray, FloatArray]:
    """Return mean, and variance over its square, of the squared singular values of the Jacobian, theory (21)."""
    hidden2 = _hidden2(setting)
    sigma_w2 = setting.sigma_w**2
    path = trajectory(
        setting.activation,
        sigma_w2,
        setting.sigma_b**2,
        hidden2,
        setting.input_variance,
        setting.correlation,
        setting.depth,
    )
    weights = setting.weights
    known = weights if isinstance(weights, str) else weights.eigenvalue_spread(np.ones(setting.depth))
    (mean,), (variance,) = jacobian_moments(setting.activation, path, sigma_w2, known)
    return mean, np.divide(variance, mean**2, out=np.full(setting.depth, np.nan), where=mean > 0)


def _hidden2(setting: Setting) -> float:
    assert not isinstance(setting.sigma_noise, str)
    return setting.sigma_noise**2 if setting.noise_at == "every" else 0.0


def _maps_of_pairs(setting: Setting, first: FloatArray, second: FloatArray) -> dict[str, FloatArray]:
    """Return q, c and chi averaged over pairs of inputs, each of its own norms and angle, theory (3)-(5)."""
    phi, hidden = setting.activation, _hidden2(setting)
    q = np.stack([np.mean(side**2, axis=1) for side in (first, second)])
    k = np.mean(first * second, axis=1)
    found: dict[str, list[float]] = {"q": [], "c": [], "chi": []}
    for layer in range(setting.depth):
        if layer:
            s_i, s_j = q + hidden
            k = pair_covariance(phi, s_i, s_j, k)
            q = phi.second_moment(q + hidden)
        q, k = (setting.sigma_w**2 * moment + setting.sigma_b**2 for moment in (q, k))
        found["q"].append(float(np.mean(q)))
        found["c"].append(float(np.mean(k) / np.mean(q)) if np.any(q > 0) else np.nan)
        found["chi"].append(float(setting.sigma_w**2 * np.mean(phi.slope_moment(q + hidden))))
    return {name: np.array(values) for name, values in found.items()}
