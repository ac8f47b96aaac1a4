"""Write activation_moments.json: Gaussian moments of activations to 25 digits, those of pairs to 15.

Composite Gauss-Legendre between kinks and on a ladder of panels around them; every value is computed with two rules,
which must agree to as many. Takes a quarter of an hour. The definitions are written here anew, as
the libraries' documentation gives them. Run from anywhere:

    python tests/data/make_activation_moments.py [NAME ...]
"""

import functools
import itertools
import json
import sys
from pathlib import Path

import mpmath as mp

mp.mp.dps = 34

# Standard deviations that are integrated over, and numbers below which nothing is told.
TAIL = 12
SMALLEST = mp.mpf("1e-12")

ORDERS = (17, 21)
AGREEMENT = mp.mpf("1e-25")
VARIANCES = ("1e-4", "0.1", "1", "20", "1e4")
PAIR = ("2", "0.7")
PAIR_DIGITS, PAIR_TAIL, PAIR_ORDERS, PAIR_AGREEMENT = 22, 9, (11, 13), mp.mpf("1e-15")


def logistic(u):
    return 1 / (1 + mp.exp(-u)) if u > 0 else mp.exp(u) / (1 + mp.exp(u))


def softplus(u):
    return max(u, mp.mpf(0)) + mp.log1p(mp.exp(-abs(u)))


def mish(u):
    t = mp.tanh(softplus(u))
    return u * t, t + u * (1 - t * t) * logistic(u)


def swish(u, rate):
    gate = logistic(rate * u)
    return u * gate, gate * (1 + rate * u * logistic(-rate * u))


def gelu_tanh(u):
    root, cubic = mp.sqrt(2 / mp.pi), mp.mpf("0.044715")
    gate = logistic(2 * root * (u + cubic * u**3))
    other = logistic(-2 * root * (u + cubic * u**3))
    return u * gate, gate * (1 + 2 * root * u * (1 + 3 * cubic * u * u) * other)


def hard_swish(u):
    if u < -3:
        return mp.mpf(0), mp.mpf(0)
    return (u, mp.mpf(1)) if u > 3 else (u * (u + 3) / 6, (2 * u + 3) / 6)


def clipped(u, low, high, slope, shift):
    value = slope * u + shift
    return (value, mp.mpf(slope)) if low < value < high else (mp.mpf(low if value <= low else high), mp.mpf(0))


def squared(u, scale, bias):
    return (scale * u * u + bias, 2 * scale * u) if u > 0 else (bias, mp.mpf(0))


def shrunk(u, limit, soft):
    if abs(u) <= limit:
        return mp.mpf(0), mp.mpf(0)
    return u - mp.sign(u) * limit * soft, mp.mpf(1)


# phi and phi', kinks, zeros of the slope, and the angular frequency of what goes up and down (0 without).
HALF, THIRD = mp.mpf("0.5"), mp.mpf("0.3")
ACTIVATIONS = {
    "mish": (mish, (), ("zero",), 0),
    "gelu_tanh": (gelu_tanh, (), ("zero",), 0),
    "quick_gelu": (lambda u: swish(u, mp.mpf("1.702")), (), ("zero",), 0),
    "hard_swish": (hard_swish, (-3, 3), (), 0),
    "relu6": (lambda u: clipped(u, 0, 6, 1, 0), (0, 6), (), 0),
    "hard_sigmoid": (lambda u: clipped(u, 0, 1, mp.mpf(1) / 6, HALF), (-3, 3), (), 0),
    "hard_sigmoid(slope=0.2)": (lambda u: clipped(u, 0, 1, mp.mpf("0.2"), HALF), (-2.5, 2.5), (), 0),
    "squared_relu": (lambda u: squared(u, mp.mpf(1), mp.mpf(0)), (0,), (), 0),
    "star_relu": (lambda u: squared(u, mp.mpf("0.8944"), mp.mpf("-0.4472")), (0,), (), 0),
    "softsign": (lambda u: (u / (1 + abs(u)), (1 + abs(u)) ** -2), (0,), (), 0),
    "celu(alpha=0.5)": (lambda u: (u, mp.mpf(1)) if u > 0 else (mp.expm1(2 * u) / 2, mp.exp(2 * u)), (0,), (), 0),
    "softplus(beta=2.0)": (lambda u: (softplus(2 * u) / 2, logistic(2 * u)), (), (), 0),
    "logsigmoid": (lambda u: (-softplus(-u), logistic(-u)), (), (), 0),
    "tanhshrink": (lambda u: (u - mp.tanh(u), mp.tanh(u) ** 2), (), (0,), 0),
    "softshrink": (lambda u: shrunk(u, HALF, 1), (-0.5, 0.5), (), 0),
    "hardshrink": (lambda u: shrunk(u, HALF, 0), (-0.5, 0.5), (), 0),
    "gaussian": (lambda u: (mp.exp(-u * u / 2), -u * mp.exp(-u * u / 2)), (), (0,), 0),
    "snake": (lambda u: (u + mp.sin(u) ** 2, 1 + mp.sin(2 * u)), (), (), 2),
    "snake(a=0.3)": (lambda u: (u + mp.sin(THIRD * u) ** 2 / THIRD, 1 + mp.sin(2 * THIRD * u)), (), (), 0.6),
    "sin(3.0)": (lambda u: (mp.sin(3 * u), 3 * mp.cos(3 * u)), (), (), 3),
}
FLAT = {"hard_swish", "relu6", "hard_sigmoid", "hard_sigmoid(slope=0.2)", "squared_relu", "star_relu", "softshrink"}
JUMPS = {"hardshrink"}

# Others in other units, of which the moments of one variable tell enough.
STRETCHED = {"quick_gelu", "hard_sigmoid", "hard_sigmoid(slope=0.2)", "celu(alpha=0.5)", "softplus(beta=2.0)"}


@functools.cache
def legendre(order):
    rule = []
    for i in range(1, order + 1):
        x = mp.cos(mp.pi * (i - mp.mpf("0.25")) / (order + HALF))
        for _ in range(8):
            value, slope = polynomial(order, x)
            x -= value / slope
        rule.append((x, 2 / ((1 - x * x) * polynomial(order, x)[1] ** 2)))
    return rule


def polynomial(order, x):
    """Legendre polynomial and its slope."""
    before, value = mp.mpf(1), x
    for n in range(1, order):
        before, value = value, ((2 * n + 1) * x * value - n * before) / (n + 1)
    return value, order * (x * value - before) / (x * x - 1)


@functools.cache
def special(name):
    """Kinks and zeros of the slope."""
    phi, kinks, zeros, _ = ACTIVATIONS[name]
    found = [mp.findroot(lambda u: phi(u)[1], -1) if zero == "zero" else mp.mpf(zero) for zero in zeros]
    return [mp.mpf(kink) for kink in kinks], found


def panels(name, m, sigma, tail):
    """Break points: steps of sigma or of a wave, and ladders around 0, kinks and zeros of the slope."""
    low, high = m - tail * sigma, m + tail * sigma
    kinks, zeros = special(name)
    frequency = ACTIVATIONS[name][3]
    step = min(sigma, mp.mpf(1) / frequency) if frequency else sigma
    count = int((high - low) / step) + 1
    points = {low, high, *(low + (high - low) * k / count for k in range(count + 1))}
    for centre in {mp.mpf(0), *kinks, *zeros}:
        points.add(centre)
        size = mp.mpf("0.3")
        while size < 2 * tail * sigma + abs(centre - m):
            points.update((centre - size, centre + size))
            size *= mp.mpf("1.6")
    return sorted(p for p in points if low <= p <= high)


def expectations(f, name, m, v, order, tail=TAIL):
    """E of each entry of f(u), u ~ N(m, v)."""
    sigma = mp.sqrt(v)
    total = None
    for a, b in itertools.pairwise(panels(name, m, sigma, tail)):
        half = (b - a) / 2
        for x, w in legendre(order):
            u = a + half * (1 + x)
            weight = w * half * mp.npdf((u - m) / sigma) / sigma
            values = [weight * value for value in f(u)]
            total = values if total is None else [t + value for t, value in zip(total, values, strict=True)]
    return total


def mean_log_slope(name, v, order):
    """E ln phi'^2, by the tanh-sinh rule next to zeros of the slope."""
    sigma = mp.sqrt(v)
    zeros = special(name)[1]

    def f(u):
        return 2 * mp.log(abs(ACTIVATIONS[name][0](u)[1])) * mp.npdf(u / sigma) / sigma

    total = mp.mpf(0)
    around = min(mp.mpf("0.29"), 3 * sigma)
    points = panels(name, mp.mpf(0), sigma, TAIL)
    points = [p for p in points if p in zeros or all(abs(p - zero) > around for zero in zeros)]
    for a, b in itertools.pairwise(points):
        if a in zeros or b in zeros:
            total += mp.quad(f, [a, b], maxdegree=9 + order % 4)
        else:
            half = (b - a) / 2
            total += half * sum(w * f(a + half * (1 + x)) for x, w in legendre(order))
    return total


def agreed(rough, fine, place, agreement=AGREEMENT, digits=25):
    if abs(rough - fine) > agreement * max(abs(fine), SMALLEST):
        raise ArithmeticError(f"{place}: {rough} and {fine} disagree")
    return mp.nstr(fine, digits)


def single(name, q):
    """V, D1, k1 and E ln phi'^2; for waves the last has infinitely many poles and is left out."""
    phi = ACTIVATIONS[name][0]
    v = mp.mpf(q)

    def f(u):
        value, slope = phi(u)
        return [value * value, slope * slope, slope]

    rough, fine = (expectations(f, name, mp.mpf(0), v, order) for order in ORDERS)
    for quantity, a, b in zip(("V", "D1", "k1"), rough, fine, strict=True):
        if (quantity == "V" or name not in JUMPS) and abs(b) > SMALLEST:
            yield {"activation": name, "quantity": quantity, "q": q, "value": agreed(a, b, (name, quantity, q))}
    if name in FLAT | JUMPS:
        yield {"activation": name, "quantity": "E_log_dphi2", "q": q, "value": "-inf"}
    elif not ACTIVATIONS[name][3]:
        rough, fine = (mean_log_slope(name, v, order) for order in ORDERS)
        value = agreed(rough, fine, (name, "E_log_dphi2", q))
        yield {"activation": name, "quantity": "E_log_dphi2", "q": q, "value": value}


def pair(name, q, c):
    """E phi phi and E phi' phi' at correlations c and -c, from the means given the shared part.

    The means are smooth on the scale of what each has alone: equal steps over the shared part converge as a Gaussian.
    """
    phi = ACTIVATIONS[name][0]
    s, share = mp.mpf(q), mp.mpf(c)
    own, sigma = mp.sqrt(s * (1 - share)), mp.sqrt(s * share)
    found = []
    for order, fineness in zip(PAIR_ORDERS, (mp.mpf("0.44"), mp.mpf("0.40")), strict=True):
        step = fineness * own
        count = int(PAIR_TAIL * sigma / step) + 1
        means = [expectations(phi, name, k * step, own**2, order, PAIR_TAIL) for k in range(-count, count + 1)]
        weights = [step * mp.npdf(k * step / sigma) / sigma for k in range(-count, count + 1)]
        products = {}
        for sign, others in (("", means), ("-", means[::-1])):
            for i, quantity in enumerate(("E_phi_phi", "E_dphi_dphi")):
                terms = zip(weights, means, others, strict=True)
                products[quantity, sign + c] = sum(w * one[i] * other[i] for w, one, other in terms)
        found.append(products)
    for quantity, correlation in found[0]:
        if quantity == "E_phi_phi" or name not in JUMPS:
            both = (products[quantity, correlation] for products in found)
            value = agreed(*both, (name, quantity, q, correlation), PAIR_AGREEMENT, 15)
            yield {"activation": name, "quantity": quantity, "q": q, "c": correlation, "value": value}


def rows(name):
    for q in VARIANCES:
        if not (ACTIVATIONS[name][3] and q == "1e4"):
            yield from single(name, q)
    with mp.workdps(PAIR_DIGITS):
        if name not in STRETCHED:
            yield from pair(name, *PAIR)


if __name__ == "__main__":
    conventions = "as in gaussian_moments.json; made by make_activation_moments.py"
    path = Path(__file__).with_name("activation_moments.json")
    for activation in sys.argv[1:] or ACTIVATIONS:
        new = list(rows(activation))
        kept = json.loads(path.read_text())["references"] if path.exists() else []
        found = [row for row in kept if row["activation"] != activation] + new
        path.write_text(json.dumps({"conventions": conventions, "references": found}, indent=0) + "\n")
        print(activation, len(found), flush=True)
