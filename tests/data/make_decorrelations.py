"""Write decorrelations.json: V - K and the slope correlation of pairs, small gaps among them, in 40-digit arithmetic.

Composite Gauss-Legendre over the shared part of the pair, and inside it over what each has alone; every value is
computed with two orders, which must agree to 1e-12. Takes half an hour. Run from anywhere:

    python tests/data/make_decorrelations.py
"""

import functools
import itertools
import json
from pathlib import Path

import mpmath as mp

mp.mp.dps = 40

INNER_ORDER = 16
OUTER_ORDERS = (13, 17)
AGREEMENT = mp.mpf("1e-12")
TAIL = 9


def logistic(u):
    return 1 / (1 + mp.exp(-u)) if u > 0 else mp.exp(u) / (1 + mp.exp(u))


def softplus(u):
    return u + mp.log1p(mp.exp(-u)) if u > 0 else mp.log1p(mp.exp(u))


def silu_slope(u):
    return logistic(u) * (1 + u * logistic(-u))


# phi, phi'.
ACTIVATIONS = {
    "tanh": (mp.tanh, lambda u: mp.sech(u) ** 2),
    "softplus": (softplus, logistic),
    "silu": (lambda u: u * logistic(u), silu_slope),
}

PAIRS = (
    ("tanh", "1", "1e-10"),
    ("tanh", "0.05", "1e-3"),
    ("tanh", "20", "0.02"),
    ("tanh", "1", "1.5"),
    ("softplus", "1", "1e-6"),
    ("silu", "2", "1e-4"),
)


@functools.cache
def legendre(order):
    roots = mp.polyroots(mp.taylor(lambda x: mp.legendre(order, x), 0, order)[::-1], maxsteps=500, extraprec=400)
    rule = []
    for root in roots:
        x = mp.re(root)
        slope = order * (x * mp.legendre(order, x) - mp.legendre(order - 1, x)) / (x * x - 1)
        rule.append((x, 2 / ((1 - x * x) * slope**2)))
    return rule


def panels(m, sigma):
    """Break points for the Gaussian of mean m: steps of sigma, and a ladder from 0 where the activations bend."""
    low, high = m - TAIL * sigma, m + TAIL * sigma
    points = {mp.mpf(0), *(m + k * sigma for k in range(-TAIL, TAIL + 1))}
    step = mp.mpf("0.2")
    while step < 2 * TAIL * sigma:
        points.update((-step, step))
        step *= mp.mpf("1.8")
    return sorted(p for p in points if low <= p <= high)


def expectations(f, m, v, order):
    """E of each entry of f(u), u ~ N(m, v)."""
    sigma = mp.sqrt(v)
    total = None
    for a, b in itertools.pairwise(panels(m, sigma)):
        half = (b - a) / 2
        for x, w in legendre(order):
            u = a + half * (1 + x)
            weight = w * half * mp.npdf((u - m) / sigma) / sigma
            values = [weight * value for value in f(u)]
            total = values if total is None else [t + value for t, value in zip(total, values, strict=True)]
    return total


def conditional_moments(name, m, v):
    """Mean, variance and mean slope of phi(m + sqrt(v) g)."""
    phi, slope = ACTIVATIONS[name]
    centre = phi(m)

    def f(u):
        y = phi(u) - centre
        return [y, y * y, slope(u)]

    mean, square, kappa = expectations(f, m, v, INNER_ORDER)
    return mean + centre, square - mean**2, kappa


def pair_moments(name, s, gap, order):
    """E_m Var(phi | m), or for a negative covariance E (phi(u) - phi(-v))^2 / 2 from the two conditional means."""
    near = min(gap, 2 * s - gap)

    def f(m):
        mean, variance, kappa = conditional_moments(name, m, near)
        if gap <= s:
            return [variance, kappa**2]
        other = conditional_moments(name, -m, near)
        return [variance + (mean - other[0]) ** 2 / 2, kappa * other[2]]

    return expectations(f, mp.mpf(0), s - near, order)


def rows():
    for name, s, gap in PAIRS:
        low, high = (pair_moments(name, mp.mpf(s), mp.mpf(gap), order) for order in OUTER_ORDERS)
        for rough, fine in zip(low, high, strict=True):
            if abs(rough - fine) > AGREEMENT * abs(fine):
                raise ArithmeticError(f"{name} {s} {gap}: {rough} and {fine} disagree")
        decorrelation, slope_correlation = (mp.nstr(value, 15) for value in high)
        yield {
            "activation": name,
            "s": s,
            "gap": gap,
            "decorrelation": decorrelation,
            "slope_correlation": slope_correlation,
        }


if __name__ == "__main__":
    path = Path(__file__).with_name("decorrelations.json")
    path.write_text(json.dumps({"made_by": Path(__file__).name, "rows": list(rows())}, indent=1) + "\n")
