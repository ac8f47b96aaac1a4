"""Gaussian pairs of unequal variances: what an activation and wide layers make of two inputs of their own norms.

`Activation.correlation` and `decorrelation` know pairs of one variance. Here u and w, of variances s_i and s_j and
correlation c, share a standard normal X: `u = sqrt(s_i |c|) X + sqrt(s_i (1 - |c|)) g`, w likewise with the sign of c
and its own g. Given X they are independent, so that

    E phi(u) phi(w) = E_X mean_i mean_j,    E (phi(u) - phi(w))^2 = E_X [(mean_i - mean_j)^2 + var_i + var_j]

with the conditional means and variances of theory (16); the second is a sum of positive terms and keeps its relative
accuracy where u and w are nearly the same.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mfmi.activations import Activation, _uniform
from mfmi.arguments.arrays import FloatArray
from mfmi.quadrature import gaussian

# Arguments may exceed their limits by the caller's own rounding.
_SLACK = 1e-12


def pair_covariance(phi: Activation, s_i: ArrayLike, s_j: ArrayLike, k: ArrayLike) -> FloatArray:
    """Return E phi(u) phi(w) for a Gaussian pair of any two variances (theory (4) with s_i and s_j).

    Parameters
    ----------
    phi
        Activation.
    s_i, s_j, k
        Variances and covariance, `|k| <= sqrt(s_i s_j)`; they broadcast.

    Returns
    -------
    ndarray
        Broadcast shape; absolute error about 1e-10 times `sqrt(V(s_i) V(s_j))`.

    Raises
    ------
    ValueError
        If a variance is negative or the covariance too large.
    """
    first, second, covariance = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (s_i, s_j, k)))
    _check_variances(first, second)
    product = np.sqrt(first) * np.sqrt(second)
    return _pair_expectation(phi, first, second, product - covariance, _product)


def pair_distance(phi: Activation, s_i: ArrayLike, s_j: ArrayLike, v: ArrayLike) -> FloatArray:
    """Return E (phi(u) - phi(w))^2 for a Gaussian pair of any two variances and `v = E (u - w)^2`.

    Parameters
    ----------
    phi
        Activation.
    s_i, s_j, v
        Variances and squared distance, `(sqrt(s_i) - sqrt(s_j))^2 <= v <= (sqrt(s_i) + sqrt(s_j))^2`; they broadcast.

    Returns
    -------
    ndarray
        Broadcast shape; relatively accurate also for small v.

    Raises
    ------
    ValueError
        If a variance is negative or v out of its range.
    """
    first, second, distance = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (s_i, s_j, v)))
    _check_variances(first, second)
    shortfall = 0.5 * (distance - (np.sqrt(first) - np.sqrt(second)) ** 2)
    return _pair_expectation(phi, first, second, shortfall, _squared_difference)


def mean_field_distances(
    phi: Activation,
    norm_i: ArrayLike,
    norm_j: ArrayLike,
    distance: ArrayLike,
    *,
    sigma_w2: float,
    sigma_b2: float,
    depth: int,
) -> FloatArray:
    """Return the squared distance per neuron of two inputs in the limit of wide layers, theory (3)-(4).

    Parameters
    ----------
    phi
        Activation.
    norm_i, norm_j, distance
        `|x_i|^2 / n_0`, `|x_j|^2 / n_0` and `|x_i - x_j|^2 / n_0`, broadcast to shape (pairs,).
    sigma_w2, sigma_b2
        Variances of the weights (times fan-in) and biases.
    depth
        Number of layers.

    Returns
    -------
    ndarray
        `v_ij = q_i + q_j - 2 k_ij` of the pre-activations, shape (pairs, depth). What theory (20) calls the given
        distances; those of a network of finite width scatter around them (`mfmi.datasets.pair_factors`).
    """
    first, second, apart = np.broadcast_arrays(
        *(np.atleast_1d(np.asarray(a, dtype=np.float64)) for a in (norm_i, norm_j, distance))
    )
    q_i, q_j, v = sigma_w2 * first + sigma_b2, sigma_w2 * second + sigma_b2, sigma_w2 * apart
    distances = np.empty((v.size, depth))
    for layer in range(depth):
        distances[:, layer] = v
        if layer + 1 < depth:
            v = sigma_w2 * pair_distance(phi, q_i, q_j, v)
            q_i = sigma_w2 * phi.second_moment(q_i) + sigma_b2
            q_j = sigma_w2 * phi.second_moment(q_j) + sigma_b2
    return distances


def _check_variances(s_i: FloatArray, s_j: FloatArray) -> None:
    if not (np.isfinite(s_i).all() and np.isfinite(s_j).all() and (s_i >= 0.0).all() and (s_j >= 0.0).all()):
        raise ValueError("s_i and s_j must be finite variances >= 0")


def _product(mean_i: FloatArray, mean_j: FloatArray, var_i: FloatArray, var_j: FloatArray) -> FloatArray:
    return mean_i * mean_j


def _squared_difference(mean_i: FloatArray, mean_j: FloatArray, var_i: FloatArray, var_j: FloatArray) -> FloatArray:
    return (mean_i - mean_j) ** 2 + var_i + var_j


def _pair_expectation(
    phi: Activation,
    s_i: FloatArray,
    s_j: FloatArray,
    shortfall: FloatArray,
    combine: Callable[[FloatArray, FloatArray, FloatArray, FloatArray], FloatArray],
) -> FloatArray:
    """Return E_X of `combine` at covariance `sqrt(s_i s_j) - shortfall`."""
    product = np.sqrt(s_i) * np.sqrt(s_j)
    slack = _SLACK * (s_i + s_j)
    if not ((shortfall >= -slack) & (shortfall <= 2.0 * product + slack)).all():
        raise ValueError("the covariance must be at most sqrt(s_i s_j) in absolute value")
    gap = np.divide(shortfall, product, out=np.ones(product.shape), where=product > 0.0).ravel()
    gap = np.clip(gap, 0.0, 2.0)  # 1 - c
    apart = np.minimum(gap, 2.0 - gap)  # 1 - |c|
    sign = np.where(gap <= 1.0, 1.0, -1.0)
    larger = np.sqrt(np.maximum(s_i, s_j).ravel())
    scale_i, scale_j = (
        np.divide(np.sqrt(s.ravel()), larger, out=np.zeros(larger.shape), where=larger > 0.0) for s in (s_i, s_j)
    )
    var_i, var_j = s_i.ravel() * apart, s_j.ravel() * apart

    def integrand(x: FloatArray, rows: NDArray[np.int64]) -> FloatArray:
        at_i = phi.conditional(scale_i[rows, None] * x, var_i[rows, None])
        at_j = phi.conditional((sign * scale_j)[rows, None] * x, var_j[rows, None])
        return combine(at_i.mean, at_j.mean, at_i.variance, at_j.variance)[None]

    shared, own = larger * np.sqrt(1.0 - apart), larger * np.sqrt(apart)
    kinks = _kinks(phi, scale_i, sign * scale_j)
    if phi.uniform:
        value = _uniform.mean(integrand, shared, own, kinks, phi.pole)
    else:
        value = gaussian.expectation(integrand, shared, own, kinks if phi.kinks else (), phi.pole)[0]
    return np.asarray(value.reshape(product.shape)[()])


def _kinks(phi: Activation, scale_i: FloatArray, scale_j: FloatArray) -> FloatArray:
    """Return where either conditional moment bends, shape (n, 2 K), in units of the shared variable."""
    with np.errstate(divide="ignore", invalid="ignore"):
        places = [np.asarray(phi.kinks) / scale[:, None] for scale in (scale_i, scale_j)]
    far = np.finfo(np.float64).max
    return np.sort(np.nan_to_num(np.concatenate(places, axis=1), nan=0.0, posinf=far, neginf=-far), axis=1)
