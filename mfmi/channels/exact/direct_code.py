"""The exact channel of neurons with known offsets, one law of the input at a time, written to be compiled.

A law is a precision r, an inner variance tau and an offset omega: x ~ N(omega, tau), u = phi(x), y = sqrt(r) u + n.
Over x there are panels that end at phi's kinks and cells, over y there is the trapezoidal rule: the density of y and
all sums over x are convolutions with the unit noise, so that a step of half of its width leaves 1e-10. Nodes of y
follow each other in equal steps, and the likelihood of every x is carried from one to the next by two products.

With g = d ln p(y|omega) / d omega and <.> the mean over the posterior of x, the heat equation that p obeys in tau and
omega gives all derivatives of J(r, tau; s) up to the second as averages of squares:

    2 dJ/dr = E Var<u>,         2 dJ/dtau = E g^2,
    dE/dr = -E Var<u>^2,        dE/dtau = dA/dr = E (d<u>/domega)^2,        dA/dtau = -E (dg/domega)^2.
"""

from __future__ import annotations

import math

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.quadrature.panels import IntArray

SPAN = 24.0
"""Noise widths of y over which likelihoods are carried along: so far no exponent falls below the smallest numbers."""
ROWS = 5
"""Values kept of every x: likelihood, its factor from one y to the next, place and two scores."""
SUMS = 6
VALUES = 8
"""Values of a law: J, E, A, dE/dr, dE/dtau, dA/dtau, 1 - r E, 1 - tau A."""
WEAK, FAR = 0.5, 30.0
"""Signal-to-noise ratio below which J is less than that of a gaussian by a divergence, unless y reaches so far."""
SERIES = 1e-3
TOO_MANY = 1_000_000_000
"""Panels that nobody has the time for, and noise widths of y."""
FADED = 1e-290
UNIT = 1.0 / math.sqrt(2.0 * math.pi)
HALF_LN_TWO_PI_E = 0.5 * math.log(2.0 * math.pi * math.e)


def lay_panels(
    law: tuple[FloatArray, FloatArray, FloatArray],
    cells: tuple[FloatArray, FloatArray],
    sizes: tuple[float, float, float],
    rule: tuple[FloatArray, FloatArray],
    start: IntArray,
    x: FloatArray,
    weight: FloatArray,
) -> None:
    """Panels in x of every law, Gauss-Legendre nodes on them, and their mass.

    Parameters
    ----------
    law : root of r, root of tau and offset, shape (n,).
    cells : edges of phi's cells, shape (m,), and its steepest slope before, between and after them, shape (m + 1,).
    sizes : reach of a law and longest panel in roots of tau, and longest image of a panel in noise widths.
    rule : nodes and weights on [0, 1].
    start : first node of every law and the end of the last, shape (n + 1,); written, and alone if `x` is empty.
    x, weight : nodes and their mass; written.
    """
    edges, slope = cells
    nodes = rule[0]
    total = 0
    for i in range(len(law[0])):
        root, width, omega = law[0][i], law[1][i], law[2][i]
        low, high = omega - sizes[0] * width, omega + sizes[0] * width
        cell = np.searchsorted(edges, low, side="right")
        start[i] = total
        while low < high:
            end = min(edges[cell], high) if cell < len(edges) else high
            wanted = (end - low) * max(1.0 / (sizes[1] * width), root * slope[cell] / sizes[2])
            pieces = math.ceil(wanted) if wanted < TOO_MANY else TOO_MANY
            length = (end - low) / max(pieces, 1)
            if len(x) > 0:
                for piece in range(max(pieces, 1)):
                    for k in range(len(nodes)):
                        place = low + (piece + nodes[k]) * length
                        g = (place - omega) / width
                        x[total] = place
                        weight[total] = rule[1][k] * length / width * math.exp(-0.5 * g * g) * UNIT
                        total += 1
            else:
                total += max(pieces, 1) * len(nodes)
            low = end
            cell += 1
    start[len(law[0])] = total


def law_values(
    law: tuple[FloatArray, FloatArray, FloatArray],
    start: IntArray,
    x: FloatArray,
    mass: FloatArray,
    u: FloatArray,
    step: float,
    reach: float,
    faint: float,
    work: tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray],
    out: FloatArray,
) -> None:
    """J and, where `out` has room for them, its derivatives, of every law.

    Parameters
    ----------
    law : root of r, root of tau and offset, shape (n,).
    start, x, mass : see `lay_panels`.
    u : phi at x.
    step, reach : of y, in noise widths.
    faint : range of a signal, in noise widths, up to which the first order in it will do.
    work : space: `ROWS` arrays as long as the largest number of nodes of a law, and one of length `SUMS`.
    out : shape (VALUES, n), or (1, n) for J alone; written.
    """
    likely, factor, place, score, twice, sums = work
    bend = math.exp(-step * step)
    for i in range(len(law[0])):
        begin, end = start[i], start[i + 1]
        root, tau = law[0][i], law[1][i] * law[1][i]
        mean, variance, total, low, high = _moments(u, mass, begin, end)
        snr = root * root * variance
        bottom, top = root * (low - mean) - reach, root * (high - mean) + reach
        if not top - bottom < TOO_MANY:
            # What is no number is none of phi's.
            for k in range(len(out)):
                out[k, i] = math.nan
            continue
        count = math.ceil((top - bottom) / step) + 1
        parts = math.ceil((top - bottom) / SPAN) if top - bottom > 1.5 * SPAN else 1
        each = (count + parts - 1) // parts
        weak = snr < WEAK and max(-bottom, top) < FAR
        for k in range(len(out)):
            out[k, i] = 0.0
        if top - bottom - 2.0 * reach <= faint:
            _first_order(law, i, (begin, end), x, mass, u, (mean, variance, total), out)
            continue
        for part in range(parts):
            first, last = part * each, min(count, (part + 1) * each)
            lower, upper = bottom + first * step, bottom + last * step
            found = _load(law, i, (begin, end), x, mass, u, (mean, total), (lower, upper, parts), reach, step, work)
            for j in range(first, last):
                y = bottom + j * step
                reference = snr / (1.0 + snr) * y
                if len(out) > 1:
                    _sums(found, reference, bend, likely, factor, place, score, twice, sums)
                    _collect(y, reference, tau, step, sums, out, i)
                else:
                    _density(found, bend, likely, factor, sums)
                if sums[0] > FADED:
                    out[0, i] += step * (_lost(sums[0], y, snr) if weak else -sums[0] * math.log(sums[0]))
        out[0, i] = 0.5 * math.log1p(snr) - out[0, i] if weak else max(out[0, i] - HALF_LN_TWO_PI_E, 0.0)
        if len(out) > 1:
            power = root * root
            out[1, i] /= power
            out[3, i] /= power * power
            out[4, i] /= power


def _load(
    law: tuple[FloatArray, FloatArray, FloatArray],
    i: int,
    nodes: tuple[int, int],
    x: FloatArray,
    mass: FloatArray,
    u: FloatArray,
    moments: tuple[float, float],
    block: tuple[float, float, int],
    reach: float,
    step: float,
    work: tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray],
) -> int:
    """Likelihoods of every x within reach of a block of y, at its first one, and their number."""
    likely, factor, place, score, twice, _ = work
    root, tau, omega = law[0][i], law[1][i] * law[1][i], law[2][i]
    mean, total = moments
    lower, upper, parts = block
    found = 0
    for k in range(nodes[0], nodes[1]):
        v = root * (u[k] - mean)
        if parts == 1 or (lower - reach < v < upper + reach):
            ahead = v - lower
            likely[found] = mass[k] / total * UNIT * math.exp(-0.5 * ahead * ahead)
            factor[found] = math.exp(step * ahead - 0.5 * step * step)
            place[found] = v
            score[found] = (x[k] - omega) / tau
            twice[found] = score[found] * score[found] - 1.0 / tau
            found += 1
    return found


def _first_order(
    law: tuple[FloatArray, FloatArray, FloatArray],
    i: int,
    nodes: tuple[int, int],
    x: FloatArray,
    mass: FloatArray,
    u: FloatArray,
    moments: tuple[float, float, float],
    out: FloatArray,
) -> None:
    """Values of a law whose signal is small beside the noise whatever x is."""
    power, tau, omega = law[0][i] * law[0][i], law[1][i] * law[1][i], law[2][i]
    mean, variance, total = moments
    out[0, i] = 0.5 * math.log1p(power * variance)
    if len(out) == 1:
        return
    slope, bend = 0.0, 0.0
    for k in range(nodes[0], nodes[1]):
        score = (x[k] - omega) / tau
        slope += mass[k] * score * (u[k] - mean)
        bend += mass[k] * (score * score - 1.0 / tau) * (u[k] - mean)
    slope, bend = slope / total, bend / total
    out[1, i] = variance / (1.0 + power * variance)
    out[2, i] = power * slope * slope
    out[3, i] = -variance * variance
    out[4, i] = slope * slope
    out[5, i] = -power * bend * bend
    out[6, i] = 1.0 / (1.0 + power * variance)
    out[7, i] = 1.0 - tau * out[2, i]


def _moments(u: FloatArray, mass: FloatArray, begin: int, end: int) -> tuple[float, float, float, float, float]:
    """Mean, variance and mass of u, and its range."""
    centre = u[(begin + end) // 2]
    mean, total, low, high = 0.0, 0.0, centre, centre
    for k in range(begin, end):
        mean += mass[k] * (u[k] - centre)
        total += mass[k]
        low, high = min(low, u[k]), max(high, u[k])
    mean = centre + mean / total
    variance = 0.0
    for k in range(begin, end):
        variance += mass[k] * (u[k] - mean) * (u[k] - mean)
    return mean, variance / total, total, low, high


def _sums(
    count: int,
    reference: float,
    bend: float,
    likely: FloatArray,
    factor: FloatArray,
    place: FloatArray,
    score: FloatArray,
    twice: FloatArray,
    sums: FloatArray,
) -> None:
    """Density of y, its derivatives in the offset, and moments about a reference; likelihoods go on to the next y."""
    zeroth, scored, bent, first, scored_first, second = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(count):
        now = likely[k]
        deviation = place[k] - reference
        slope = now * score[k]
        moved = now * deviation
        zeroth += now
        scored += slope
        bent += now * twice[k]
        first += moved
        scored_first += slope * deviation
        second += moved * deviation
        likely[k] = now * factor[k]
        factor[k] *= bend
    sums[0], sums[1], sums[2], sums[3], sums[4], sums[5] = zeroth, scored, bent, first, scored_first, second


def _density(count: int, bend: float, likely: FloatArray, factor: FloatArray, sums: FloatArray) -> None:
    """Density of y; likelihoods go on to the next y."""
    total = 0.0
    for k in range(count):
        total += likely[k]
        likely[k] *= factor[k]
        factor[k] *= bend
    sums[0] = total


def _collect(y: float, reference: float, tau: float, step: float, sums: FloatArray, out: FloatArray, i: int) -> None:
    """Add one y to the averages of squares; those of u are in units of the noise."""
    density = sums[0]
    if density <= FADED:
        return
    score, mean = sums[1] / density, sums[3] / density
    bend = sums[2] / density - score * score
    moved = sums[4] / density - mean * score
    variance = max(sums[5] / density - mean * mean, 0.0)
    noise = mean + reference - y
    weight = step * density
    out[1, i] += weight * variance
    out[2, i] += weight * score * score
    out[3, i] -= weight * variance * variance
    out[4, i] += weight * moved * moved
    out[5, i] -= weight * bend * bend
    out[6, i] += weight * noise * noise
    out[7, i] += weight * (1.0 + tau * bend)


def _lost(density: float, y: float, snr: float) -> float:
    """Integrand p ln(p / q) - p + q >= 0 of the divergence from the gaussian q of variance 1 + snr."""
    gaussian = UNIT / math.sqrt(1.0 + snr) * math.exp(-0.5 * y * y / (1.0 + snr))
    more = density / gaussian - 1.0
    if abs(more) < SERIES:
        return gaussian * more * more * (0.5 - more * (1.0 / 6.0 - more * (1.0 / 12.0 - more / 20.0)))
    return gaussian * ((1.0 + more) * math.log1p(more) - more)


INNER = (_load, _first_order, _moments, _sums, _density, _collect, _lost)
FREE = (_sums, _density)
