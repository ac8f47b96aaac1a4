"""Formulas of channels in closed form, for arrays and, compiled, for numbers: Gaussian input, output, linear layers.

Sums over nodes are their callers' own: an array's are one call, a number's a loop.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mfmi.arguments.arrays import FloatArray, Number

# A smaller variance of a pre-activation is none: below 1e-308 numbers lose digits.
FAINTEST = 1e-300


def chosen(condition: Any, one: Any, other: Any) -> Any:
    """`one` where the condition holds, else `other`; the compiler has a branch in its place."""
    return np.where(condition, one, other)


def carries_nothing(uncertain: Number, total: Number) -> Any:
    """Whether a layer's input is as good as known, by what is uncertain of it and all of its variance."""
    return (uncertain == 0.0) | (total < FAINTEST)


def information_of(share: Number) -> Number:
    """`ln(1 + x) / 2` in nats, of a signal that is x times its noise."""
    log: Any = np.log1p(share)
    found: Number = 0.5 * log
    return found


def information_over(signal: FloatArray, noise: FloatArray) -> FloatArray:
    """`information_of` the ratio of two variances, which may be too large for a number."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        ratio = signal / noise
        immense = np.isposinf(ratio) & np.isfinite(signal) & (noise > 0.0)
        return np.where(immense, 0.5 * (np.log(signal) - np.log(noise)), information_of(ratio))


def gaussian_input(r: Number, variance: Number) -> tuple[Number, Number, Number]:
    """`E`, `dE/dr` and `1 - r E` of `J_0 = ln(1 + q_x r) / 2`."""
    rest = 1.0 / (1.0 + variance * r)
    e = variance * rest
    return e, -e * e, rest


def gaussian_output(v: Number, noise: Number) -> tuple[Number, Number, Number]:
    """`A`, `dA/dV` and `1 - A V` of `J_out = ln(1 + V / sigma_o^2) / 2`."""
    a = 1.0 / (noise + v)
    return a, -a * a, noise * a


def linear_power(v: Number, noise: Number, gain: Number, residual: Number) -> Number:
    """`P = kappa^2 (V + sigma_h^2) + d` of theory (18)."""
    return gain * (v + noise) + residual


def linear_unit(r: Number, v: Number, power: Number, gain: Number) -> tuple[Number, Number, Number, Number]:
    """`P / (1 + r P)`, `kappa^2 / (1 + r P)`, `1 / (1 + r P)`, and `1 - A V` of one neuron of a linear layer."""
    left = 1.0 / (1.0 + r * power)
    power_left, gain_left = power * left, gain * left
    return power_left, gain_left, left, r * (power_left - gain_left * v) + left


def linear_derivatives(
    r: Number, power: Number, gain: Number, powers: Number, gains: Number
) -> tuple[Number, Number, Number, Number]:
    """`E`, `A`, `dE/dr`, `dA/dV` from the means of `P / (1 + r P)`, `kappa^2 / (1 + r P)` and of their squares."""
    return power, r * gain, -powers, -(r * r) * gains


def inside_norm(r: Number, v: Number, factor: Number, scale: Number, noise: Number) -> tuple[Number, Number]:
    """Precision and variance around phi whose output is multiplied by `sqrt(factor)` and whose input is divided by D.

    `scale` is `D^2`, and noise of the given variance is added to the input before that.
    """
    return factor * r, (v + noise) / scale


def outside_norm(
    factor: Number, scale: Number, e: Number, a: Number, e_r: Number, e_v: Number, a_v: Number
) -> tuple[Number, Number, Number, Number, Number]:
    """`E`, `A`, `dE/dr`, `dE/dV` and `dA/dV` outside of what `inside_norm` describes, from those inside."""
    return factor * e, a / scale, factor * factor * e_r, factor * e_v / scale, a_v / (scale * scale)


def gain_unit(r: Number, v: Number, eigenvalue: Number) -> tuple[Number, Number]:
    """`lambda / (1 + r lambda V)` and `1 / (1 + r lambda V)` of one singular value."""
    left = 1.0 / (1.0 + r * v * eigenvalue)
    return eigenvalue * left, left


def gain_derivatives(r: Number, v: Number, mean: Number, square: Number) -> tuple[Number, Number, Number, Number]:
    """`E`, `A`, `dE/dr`, `dA/dV` from the means of `lambda / (1 + r lambda V)` and of its square."""
    return v * mean, r * mean, -(v * v) * square, -(r * r) * square
