"""The limit of infinite width from a few finite ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from mfmi.simulate._average import Average

MISFIT = 1e-2
"""Probability below which the residuals of a fit are no chance."""
TREND_ROUNDING = 1e-9
"""Relative accuracy of the theory's numbers; where every network has the same value, no scatter says how far to trust
it."""


@dataclass(frozen=True)
class Trend:
    """A value at infinite width, fitted as value + slope / n.

    Parameters
    ----------
    value, slope : float
        The fit.
    standard_error : float
        Of the value.
    degrees : float
        Degrees of freedom of the standard error (Welch and Satterthwaite).
    widths : tuple of int
        The widths that the fit rests on: the largest ones that 1/n describes, at least two.
    """

    value: float
    slope: float
    standard_error: float
    degrees: float
    widths: tuple[int, ...]

    def z_score(self, theory: float, scale: float = 0.0) -> float:
        """Return how far the value lies above `theory`, as a standard normal deviate of the same tail probability.

        The standard error is itself an estimate from few networks, so (value - theory) / standard_error follows
        Student's law; reading it as if it were normal would find too many deviations beyond 3.
        """
        error = np.hypot(self.standard_error, TREND_ROUNDING * max(abs(theory), scale))
        if error == 0:
            return 0.0 if self.value == theory else float(np.copysign(np.inf, self.value - theory))
        ratio = (self.value - theory) / error
        deviate = -stats.norm.ppf(np.exp(stats.t.logsf(abs(ratio), self.degrees)))
        return float(np.copysign(min(deviate, abs(ratio)), ratio))


def fit_trend(widths: Sequence[int], averages: Sequence[Average]) -> Trend:
    """Extrapolate a scalar average to infinite width.

    Finite-width corrections are a series in 1/n. The scatter between networks of a mean over units has variance 1/n,
    which fixes the weights of the fit without looking at the data, so the fit is linear in the averages and its error
    exact propagation. Where more than two widths do not lie on a line within their errors, the smallest is dropped
    and the fit repeated; two widths are Richardson's extrapolation.

    Parameters
    ----------
    widths : sequence of int
        At least two, all different.
    averages : sequence of Average
        Scalar averages, one per width.

    Returns
    -------
    Trend
        The fit over the largest widths that it describes.
    """
    if len(set(widths)) < 2 or len(set(widths)) != len(widths):
        raise ValueError(f"widths must hold at least two, all different, got {tuple(widths)!r}")
    order = np.argsort(widths)
    n = np.asarray(widths, dtype=np.float64)[order]
    mean, error, count = (
        np.array([float(getattr(averages[i], name)) for i in order]) for name in ("mean", "standard_error", "networks")
    )
    first = 0
    while True:
        kept = slice(first, None)
        design = np.column_stack([np.ones(len(n[kept])), 1 / n[kept]])
        root = np.sqrt(n[kept] * count[kept])
        solver = np.linalg.pinv(design * root[:, None]) * root
        value, slope = solver @ mean[kept]
        free = len(n[kept]) - 2
        if free == 0 or _fits(mean[kept] - design @ [value, slope], error[kept], design, solver, count[kept]):
            break
        first += 1
    parts = (solver[0] * error[kept]) ** 2
    total = parts.sum()
    degrees = total**2 / np.sum(parts**2 / (count[kept] - 1)) if total > 0 else float(count[kept].sum() - 2)
    return Trend(float(value), float(slope), float(np.sqrt(total)), float(degrees), tuple(int(w) for w in n[kept]))


def _fits(residual: np.ndarray, error: np.ndarray, design: np.ndarray, solver: np.ndarray, count: np.ndarray) -> bool:
    """Say whether residuals are no larger than their errors explain (Hotelling's test with the fewest degrees)."""
    projection = np.eye(len(residual)) - design @ solver
    covariance = projection * error**2 @ projection.T
    rank = len(residual) - 2
    statistic = residual @ np.linalg.pinv(covariance, rcond=1e-10, hermitian=True) @ residual / rank
    return bool(stats.f.sf(statistic, rank, count.min() - 1) > MISFIT)
