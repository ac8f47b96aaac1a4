"""Information of networks that can be worked out exactly, written independently of the program."""

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq


def deep_linear(snr: float, alpha: list[float]) -> tuple[float, float]:
    """Rate and MMSE of a gaussian linear network with independent gaussian weights (theory section 8)."""
    ratios = np.array(alpha)
    before = np.concatenate(([1.0], np.cumprod(ratios)))[:-1]
    end = min(1.0, float(np.min(before * ratios)))

    def log_snr(u: float) -> float:
        return float(np.log(u) - np.log1p(-u) - np.sum(np.log(ratios - u / before)))

    top = end * (1.0 - 1e-16)
    u = brentq(lambda u: log_snr(u) - np.log(snr), 1e-300, top, xtol=1e-300, rtol=1e-15)
    # The singular part u ln u of the integrand is integrated by hand.
    smooth = quad(lambda t: -np.log1p(-t) - np.sum(np.log(ratios - t / before)), 0.0, u, epsabs=1e-14, epsrel=1e-13)[0]
    return 0.5 * (u * np.log(snr) - smooth - (u * np.log(u) - u)), 1.0 - u


def marchenko_pastur(snr: float) -> float:
    """Rate of one square gaussian layer: the closed form of Verdu and Shamai, in nats per input dimension."""
    root = np.sqrt(1.0 + 4.0 * snr)
    f = (root - 1.0) ** 2 / 4.0
    return float(np.log(1.0 + snr - f) - f / (2.0 * snr))
