"""Base class of activations: values, slopes, and Gaussian moments, by quadrature unless in closed form."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mfmi.activations import _hermite, _pairs, _probe, _quadrature, _uniform
from mfmi.activations._arguments import MOMENTS, checked_finite, checked_moment, checked_variance
from mfmi.activations._conditional import Conditional
from mfmi.arguments.arrays import FloatArray
from mfmi.quadrature import gaussian
from mfmi.quadrature.normal import truncated_power

# Relative errors allowed for in every reported error: rounding of closed forms; rounding and the tails of quadrature.
_CLOSED_FORM_ROUNDING = 1e-13
_TRUNCATION = 1e-12


@dataclass(frozen=True)
class Piece:
    """An interval on which the activation is strictly monotone or constant, theory (17).

    Attributes
    ----------
    lower, upper : float
        Its ends, possibly infinite.
    kind : {"increasing", "decreasing", "flat"}
        How the activation runs there.
    """

    lower: float
    upper: float
    kind: Literal["increasing", "decreasing", "flat"]


WHOLE_LINE = (Piece(-math.inf, math.inf, "increasing"),)


class Activation(ABC):
    """An activation function and its moments under Gaussian pre-activations.

    Immutable, hashable and picklable; two activations are equal when their names are and, of a user's functions, what
    their values follow from. Moment methods take arrays and broadcast; scalars give a scalar; `with_error` adds an
    estimate of the absolute error.

    Attributes
    ----------
    name : str
        Canonical name with parameters, such as "leaky_relu(0.1)".
    citation : str
        Where the closed forms come from, or how the moments are computed.
    kinks, jumps : tuple of float
        Points where phi or phi' is not smooth; points where phi itself jumps.
    pole : float
        Distance of the nearest complex singularity from the real axis, or the length on which an entire function
        varies; inf for piecewise linear functions.
    period, slope_period, trend : float
        Period of phi, inf if there is none; that of phi' of a wave plus a line, and the slope of the line.
    uniform : bool
        phi varies on the length `pole` everywhere, not only near 0 and the kinks.
    pieces : tuple of Piece
        Strictly monotone or constant pieces, empty if there are infinitely many.
    images_disjoint : bool
        The images of the non-flat pieces do not overlap and contain no flat value, so that theory (17) applies.
    strictly_monotone, odd, even, homogeneous, differentiable : bool
        Properties; homogeneous means phi(t u) = t phi(u) for t > 0, differentiable that E phi'^2 is finite.
    lipschitz : float
        sup |phi'|, inf for a step.
    slope_at_zero_squared : float
        Limit of E phi'(sqrt(s) z)^2 for s -> 0: phi'(0)^2 or, at a kink, the mean of the one-sided squares.
    slope_zeros : tuple of float
        Isolated zeros of phi'.
    far : Activation or None
        Homogeneous activation that it looks like from far away, which serves its pair moments at immense variances.
    largest_variance : float
        Variance beyond which the moments cannot be resolved and are NaN.
    """

    name: str
    citation: str = ""
    kinks: tuple[float, ...] = ()
    jumps: tuple[float, ...] = ()
    pole: float = math.inf
    period: float = math.inf
    slope_period: float = math.inf
    trend: float = 0.0
    uniform: bool = False
    pieces: tuple[Piece, ...] = WHOLE_LINE
    images_disjoint: bool = True
    strictly_monotone: bool = True
    odd: bool = False
    even: bool = False
    homogeneous: bool = False
    differentiable: bool = True
    lipschitz: float = 1.0
    slope_at_zero_squared: float = 1.0
    slope_zeros: tuple[float, ...] = ()
    far: Activation | None = None
    largest_variance: float = math.inf
    closed: frozenset[str] = frozenset()
    by_name: ClassVar[Callable[[str], Activation]]
    """The registry's look-up, which makes an activation again from its name when it is unpickled."""
    tabulated: frozenset[str] = frozenset()
    _digest: str = ""

    def __init__(self, name: str, **properties: Any) -> None:
        self._set(name=name, **properties)

    def _set(self, **properties: Any) -> None:
        for key, value in properties.items():
            object.__setattr__(self, key, value)

    def __setattr__(self, key: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __repr__(self) -> str:
        return f"activation({self.name!r})"

    @property
    def identity(self) -> str | None:
        """Text that differs between different functions, the same in every process; None if there is none."""
        return self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Activation) and (other.name, other._digest) == (self.name, self._digest)

    def __hash__(self) -> int:
        return hash((self.name, self._digest))

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return type(self).by_name, (self.name,)

    @abstractmethod
    def __call__(self, u: ArrayLike) -> FloatArray:
        """Return phi(u), elementwise."""
        ...

    @abstractmethod
    def derivative(self, u: ArrayLike) -> FloatArray:
        """Return phi'(u), elementwise; at a kink the right-hand one."""
        ...

    @cached_property
    def wave_turning(self) -> float | None:
        """Turning point of a wave nearest 0; None if a period is not two mirror images between turning points."""
        if not math.isfinite(self.period) or not (self.odd or self.even) or self.kinks:
            return None
        first = 0.0 if self.even else 0.25 * self.period
        distance = self.period * np.linspace(0.0, 0.5, 33)
        left, right = self(first - distance), self(first + distance)
        one_way = np.all(np.diff(right) < 0.0) or np.all(np.diff(right) > 0.0)
        return first if one_way and np.allclose(left, right, rtol=1e-9, atol=1e-9) else None

    @cached_property
    def curvature_zeros(self) -> tuple[float, ...]:
        """Places within 30 of the origin where phi' has an extremum and no kink."""
        if math.isinf(self.pole):
            return ()
        return _probe.curvature_zeros(self.derivative, self.kinks)

    def log_abs_derivative(self, u: ArrayLike) -> FloatArray:
        """Return ln|phi'(u)|, elementwise; -inf where phi is flat."""
        with np.errstate(divide="ignore"):
            return np.log(np.abs(self.derivative(u)))

    def conditional_values(self, u: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return phi(u) and phi'(u) as fresh arrays for averaging, phi perhaps less a constant that the caller adds."""
        return self(u), self.derivative(u)

    # ---- public moments -------------------------------------------------------------------------------------------

    def second_moment(self, s: ArrayLike) -> FloatArray:
        """V(s) = E phi(sqrt(s) z)^2, theory (4), for variances s >= 0."""
        return self._value("second_moment", s)

    def second_moment_slope(self, s: ArrayLike) -> FloatArray:
        """V'(s) = dV/ds, theory (5), for variances s >= 0 (at a kink the limit s -> 0)."""
        return self._value("second_moment_slope", s)

    def slope_moment(self, s: ArrayLike, k: float = 1) -> FloatArray:
        """E |phi'(sqrt(s) z)|^(2k), theory (5) and (21), for variances s >= 0 and one number k >= 0; NaN for a step."""
        return self._value("slope_moment", s, k)

    def log_slope(self, s: ArrayLike) -> FloatArray:
        """E ln phi'(sqrt(s) z)^2, theory (19), for variances s >= 0; -inf where it diverges."""
        return self._value("log_slope", s)

    def correlation(self, s: ArrayLike, k: ArrayLike) -> FloatArray:
        """K(s, k) = E phi(u) phi(v), theory (4), u and v of variance s and covariance k, |k| <= s."""
        return self._value("correlation", s, k)

    def slope_correlation(self, s: ArrayLike, k: ArrayLike) -> FloatArray:
        """E phi'(u) phi'(v) = dK/dk (Price's theorem), u and v of variance s and covariance k, |k| <= s."""
        return self._value("slope_correlation", s, k)

    def decorrelation(self, s: ArrayLike, gap: ArrayLike) -> FloatArray:
        """V(s) - K(s, s - gap) = E (phi(u) - phi(v))^2 / 2, relatively accurate for gap -> 0; 0 <= gap <= 2 s."""
        return self._value("decorrelation", s, gap)

    def slope_correlation_gap(self, s: ArrayLike, gap: ArrayLike) -> FloatArray:
        """E phi'(u) phi'(v) at covariance s - gap, 0 <= gap <= 2 s: the slope of the correlation map, theory (5)."""
        return self._value("slope_correlation_gap", s, gap)

    def conditional(self, m: ArrayLike, v: ArrayLike) -> Conditional:
        """Mean, variance, kappa and residual of phi(m + sqrt(v) g), theory (16), (18); v >= 0.

        At v = 0 kappa is phi'(m). For a step kappa is Cov(phi, g) / sqrt(v).
        """
        return Conditional(*self._value("conditional", m, v))

    def conditional_log_slope(self, m: ArrayLike, v: ArrayLike) -> FloatArray:
        """E ln|phi'(m + sqrt(v) g)|, theory (17); -inf where it diverges; v >= 0."""
        return self._value("conditional_log_slope", m, v)

    def with_error(self, moment: str, *arguments: ArrayLike) -> tuple[Any, Any]:
        """Return a moment and an estimate of its absolute error.

        Parameters
        ----------
        moment : str
            Name of one of the methods above, such as "second_moment".
        *arguments : array_like
            Its arguments, by position.

        Returns
        -------
        value, error : ndarray or Conditional
            The value as that method returns it. The error is the difference of two quadrature rules, or that of a
            table as measured when it was built, plus an allowance for rounding.

        Raises
        ------
        ValueError
            As that method, and for an unknown moment.
        """
        if moment not in MOMENTS:
            raise ValueError(f"moment must be one of {', '.join(MOMENTS)}, got {moment!r}")
        value, error = self._answer(*checked_moment(moment, *arguments), True)
        return (Conditional(*value), Conditional(*error)) if moment == "conditional" else (value, error)

    def entropy_powers(self, m: ArrayLike, v: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Probabilities and entropy powers of the non-flat pieces of phi(m + sqrt(v) g), theory (17).

        Parameters
        ----------
        m, v : array_like
            Mean and variance >= 0 of the pre-activation, broadcast against each other.

        Returns
        -------
        p, N : ndarray, broadcast shape + (number of non-flat pieces,)
            Probability of each piece and its entropy power exp(2 h(z|piece) + 2 E[ln|phi'(z)| | piece]) / (2 pi e).
            The last axis is empty where (17) does not apply: images that overlap, or no piece that is not flat.
        """
        mean, variance = np.broadcast_arrays(checked_finite("m", m), checked_variance("v", v))
        flat_m, flat_v = mean.ravel(), variance.ravel()
        active = [piece for piece in self.pieces if piece.kind != "flat"] if self.images_disjoint else []
        p, power = np.empty((2, flat_m.size, len(active)))
        for i, piece in enumerate(active):
            p[:, i], log_power = truncated_power(flat_m, flat_v, piece.lower, piece.upper)
            with np.errstate(invalid="ignore"):
                exponent = log_power + 2.0 * self._piece_log_slope(flat_m, flat_v, piece)
            # A piece without probability counts for nothing, and its entropy is the difference of huge numbers.
            power[:, i] = np.exp(np.where((p[:, i] > 0.0) & ~np.isnan(exponent), exponent, -np.inf))
        shape = (*mean.shape, len(active))
        return p.reshape(shape), power.reshape(shape)

    def offset_rules(
        self,
        variance: FloatArray,
        width: FloatArray,
        *,
        tolerance: float,
        places: tuple[float, ...] | None = None,
        pole: float = 1.0,
        refine: float = 1.0,
    ) -> Iterator[tuple[NDArray[np.int64], FloatArray, FloatArray]]:
        """Nodes and weights for E f(m), m ~ N(0, variance), f built from moments of phi(m + width g).

        For an odd or even activation they are those of a mean over both signs, where that has half as many.

        Parameters
        ----------
        variance, width : ndarray, shape (n,)
            Variance of the neuron offset and standard deviation of the noise inside.
        tolerance : float
            As in `gaussian.offset_rule`.
        places : tuple of float, optional
            Where f has transitions as wide as the noise inside, by default the kinks.
        pole, refine : float
            Factors on the length on which f varies and on the number of nodes.

        Yields
        ------
        rows : ndarray of int64, shape (b,)
            Row numbers.
        x, w : ndarray, shape (b, M)
            Their nodes and weights.
        """
        sigma, cuts = np.sqrt(variance), self.kinks if places is None else places
        if self.uniform:
            return _uniform.offset_rules(sigma, width, cuts, pole * self.pole, refine, self.slope_period)
        return gaussian.blocked_rules(
            sigma,
            width,
            cuts,
            pole * self.pole,
            tolerance=tolerance,
            refine=refine,
            period=self.period,
            half=self.odd or self.even,
        )

    def hermite(self, m: FloatArray, v: FloatArray, count: int) -> FloatArray:
        """Coefficients `E phi(m + sqrt(v) g) He_n(g) / sqrt(n!)`, n < count, of flat arrays; shape (k, count)."""
        return _hermite.coefficients(self, m, v, count)

    # ---- private moments on flat arrays: quadrature unless an activation knows better -----------------------------

    def _second_moment(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return _quadrature.second_moment(self, s, refine)

    def _second_moment_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return _quadrature.second_moment_slope(self, s, refine)

    def _slope_moment(self, s: FloatArray, k: float, refine: float = 1.0) -> FloatArray:
        return _quadrature.slope_moment(self, s, k, refine)

    def _log_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return _quadrature.log_slope(self, s, refine)

    def _conditional(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        return _quadrature.conditional(self, m, v, refine)

    def _conditional_log_slope(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        return _quadrature.conditional_log_slope(self, m, v, refine)

    def _decorrelation(self, s: FloatArray, gap: FloatArray, refine: float = 1.0) -> FloatArray:
        return _pairs.value(self, "decorrelation", s, gap, refine)

    def _slope_correlation_gap(self, s: FloatArray, gap: FloatArray, refine: float = 1.0) -> FloatArray:
        return _pairs.value(self, "slope_correlation_gap", s, gap, refine)

    def _correlation(self, s: FloatArray, k: FloatArray, refine: float = 1.0) -> FloatArray:
        return _pairs.value(self, "correlation", s, k, refine)

    def _piece_log_slope(self, m: FloatArray, v: FloatArray, piece: Piece) -> FloatArray:
        return self._conditional_log_slope(m, v)

    def _pair_error(self, moment: _pairs.PairMoment, s: FloatArray, x: FloatArray, value: FloatArray) -> FloatArray:
        """Absolute error of a pair moment that comes from a table."""
        return _pairs.error(self, moment, s, x, value)

    def _rounding(self, moment: str, value: FloatArray, *arguments: Any) -> FloatArray:
        """Absolute error to allow for rounding and tails, on top of the difference of two rules."""
        return (_CLOSED_FORM_ROUNDING if moment in self.closed else _TRUNCATION) * np.abs(value)

    def _value(self, moment: str, *arguments: Any) -> FloatArray:
        value: FloatArray = self._answer(*checked_moment(moment, *arguments), False)
        return value

    def _answer(self, moment: str, arguments: tuple[FloatArray, ...], extra: tuple[float, ...], error: bool) -> Any:
        arrays = np.broadcast_arrays(*arguments)
        shape = arrays[0].shape
        flat = [np.ascontiguousarray(array).ravel() for array in arrays]
        method: Callable[..., FloatArray] = getattr(self, f"_{moment}")
        value = method(*flat, *extra)
        if not error:
            return value.reshape(value.shape[:-1] + shape)[()]
        estimate = self._rounding(moment, value, *flat, *extra)
        if moment in self.closed:
            pass
        elif moment in self.tabulated:
            estimate = np.add(estimate, self._pair_error(cast(_pairs.PairMoment, moment), flat[0], flat[1], value))
        else:
            with np.errstate(invalid="ignore"):
                difference = np.abs(value - method(*flat, *extra, refine=_quadrature.SECOND_OPINION))
            estimate = estimate + _quadrature.SAFETY * np.where(np.isnan(difference) & np.isinf(value), 0.0, difference)
        return tuple(part.reshape(part.shape[:-1] + shape)[()] for part in (value, estimate))
