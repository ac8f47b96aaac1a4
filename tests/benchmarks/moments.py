"""Moments of the activations against plain scripts, as ratios within one run.

    python tests/benchmarks/moments.py

The maps: one evaluation of q, the gap of one pair and chi for 32 x 32 networks of 50 layers, beside the same recursion
with tensor Gauss-Hermite quadrature in plain numpy (60 nodes, as scripts do; one layer timed) and scipy's adaptive quad
(one network and layer timed). The error is that of the script's q at layer 5, largest over the networks, relative.
"""

import subprocess
import sys
import time

import numpy as np
from scipy.integrate import quad
from scipy.special import roots_hermitenorm

from mfmi import activations

GRID, DEPTH, NODES = 32, 50, 60
CHECKED = 4

COLD = """
import time
from mfmi import activations
import numpy as np
start = time.perf_counter()
s = np.linspace(0.01, 10.0, 1024)
activations.get("{name}").decorrelation(s, 0.5 * s)
print(time.perf_counter() - start)
"""


def networks():
    w2, b2 = np.meshgrid(np.linspace(0.5, 3.0, GRID) ** 2, np.linspace(0.0, 1.0, GRID) ** 2)
    return w2.ravel(), b2.ravel()


def maps(phi):
    """Return q at every layer."""
    w2, b2 = networks()
    q, gap = w2 + b2, 0.5 * w2
    layers = []
    for _ in range(DEPTH):
        layers.append(q)
        phi.slope_moment(q)
        gap = w2 * phi.decorrelation(q, gap)
        q = w2 * phi.second_moment(q) + b2
        gap = np.minimum(gap, 2.0 * q)
    return np.array(layers)


def hermite_maps(phi, w2, b2, depth):
    """Run the same recursion by tensor Gauss-Hermite quadrature."""
    z, w = roots_hermitenorm(NODES)
    w = w / w.sum()
    q, k = w2 + b2, 0.5 * w2 + b2
    layers = []
    for _ in range(depth):
        layers.append(q)
        root = np.sqrt(q)[:, None]
        value = phi(root * z)
        (phi.derivative(root * z) ** 2 @ w)
        c = np.clip(k / q, -1.0, 1.0)[:, None, None]
        other = phi(root[:, :, None] * (c * z[:, None] + np.sqrt(1.0 - c * c) * z))
        k = w2 * np.einsum("ni,nij,i,j->n", value, other, w, w, optimize=True) + b2
        q = w2 * (value**2 @ w) + b2
    return np.array(layers)


def adaptive_point(phi, s, gap):
    """One layer of one network by scipy.integrate.quad: V, E phi'^2 and the pair average."""

    def density(z):
        return np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)

    c = 1.0 - gap / s
    root = np.sqrt(s)
    quad(lambda z: phi(root * z) ** 2 * density(z), -9.0, 9.0)
    quad(lambda z: phi.derivative(root * z) ** 2 * density(z), -9.0, 9.0)

    def inner(z):
        return quad(lambda y: phi(root * (c * z + np.sqrt(1.0 - c * c) * y)) * density(y), -9.0, 9.0)[0]

    return quad(lambda z: phi(root * z) * inner(z) * density(z), -9.0, 9.0)


def best(run, repeats=5):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def report(name, with_quad):
    phi = activations.get(name)
    w2, b2 = networks()
    cold = float(
        subprocess.run(
            [sys.executable, "-c", COLD.format(name=name)], capture_output=True, text=True, check=True
        ).stdout
    )
    ours = best(lambda: maps(phi))
    script = best(lambda: hermite_maps(phi, w2, b2, 1), 2) * DEPTH
    exact = maps(phi)[CHECKED]
    worst = np.max(np.abs(hermite_maps(phi, w2, b2, CHECKED + 1)[CHECKED] / exact - 1.0))
    line = (
        f"{name:10s} maps {ours * 1e3:7.1f} ms   cold tables {cold * 1e3:6.1f} ms   "
        f"numpy Gauss-Hermite {script / ours:6.0f} x slower, error {worst:.0e}"
    )
    if with_quad:
        adaptive = best(lambda: adaptive_point(phi, 2.0, 0.7), 1) * GRID * GRID * DEPTH
        line += f"   scipy quad {adaptive / ours:9.0f} x slower"
    print(line, flush=True)


def report_conditional(name, count=200_000):
    phi = activations.get(name)
    rng = np.random.default_rng(0)
    m, v = rng.normal(size=count), rng.uniform(0.05, 1.0, count)
    ours = best(lambda: phi.conditional(m, v), 3) / count
    z, w = roots_hermitenorm(NODES)
    w = w / w.sum()

    def script():
        u = m[:, None] + np.sqrt(v)[:, None] * z
        value = phi(u)
        mean = value @ w
        return mean, value**2 @ w - mean**2, phi.derivative(u) @ w

    ratio = best(script, 3) / count / ours
    print(f"{name:10s} conditional moments {ours * 1e9:6.0f} ns each   numpy Gauss-Hermite {ratio:5.1f} x")


if __name__ == "__main__":
    for activation in ("tanh", "relu", "erf", "silu", "gelu"):
        report(activation, activation in ("tanh", "erf"))
    for activation in ("tanh", "relu", "erf", "elu", "gelu"):
        report_conditional(activation)
