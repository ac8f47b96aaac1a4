"""A user's own activation, of which a function is given and examined."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mfmi.activations import _identity, _probe, _quadrature
from mfmi.activations._base import PAIR_MOMENTS, Activation, Piece

FloatArray = NDArray[np.float64]

# The function must be finite here; beyond, an overflow makes the moments that reach it NaN.
_RANGE = 100.0

_DERIVATIVE_MISMATCH = 1e-6
_DERIVATIVE_ERROR = 1e-7
_STEPS = (0.05, 0.03, 0.01, 0.003, 0.001)

# Lengths of variation that are tried, the first that gives the same moments as the last to this accuracy is used.
_POLES = (2.0, 1.5, 1.0, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05)
_POLE_ACCURACY = 1e-10
_SHORT = 0.3
_TRIAL_VARIANCES = np.array([0.01, 0.3, 1.0, 10.0, 100.0])

# Seven digits leave two of a slope by differences, and quadrature never agrees with itself.
_SINGLE = "has no more digits than float32: compute and return float64, as it is given"

_FLAT = 1e-11

# Variances at which the rules are tried out, and their agreement; beyond the first failure moments are NaN.
_LARGE_VARIANCES = np.logspace(-1.0, 6.0, 15)
_LARGE_ACCURACY = 1e-8

# A numerical slope is not resolved below this many times its error, and near its zeros it is taken as linear.
_UNRESOLVED = 100.0
_LINEAR = 1e-6

# Distances from 0 at which phi(u) / u is followed to its limit, and how closely what is extrapolated must agree.
_NEAR_ZERO = 2.0 ** np.array([-26.0, -28.0, -30.0])
_LIMITS_AGREE = 1e-14

# From this noise variance on kappa needs no numerical slope: E[phi g] / sqrt(v) has lost less than that has.
_STEIN_FROM = 1e-5


class UserActivation(Activation):
    """An activation of which only a vectorised function is known, and perhaps its derivative and kinks.

    It stands for the function as it was examined. Where that changes, because a global that it reads does,
    `activations.get` of this object or of its name examines it anew.

    Attributes of the callable that are used if present: `derivative` (a vectorised callable; the module's
    `<function>_derivative` counts too), `kinks` (places where phi, phi' or phi'' jumps), `pole` (length of variation),
    `period`. What is not given is found from values within [-30, 30] and checked.
    """

    citation = "user's function: quadrature split at its kinks, pair moments tabulated where that is accurate"
    derivative_error: float
    largest_variance: float
    _step: float
    _function: Callable[[FloatArray], Any]
    _slope: Callable[[FloatArray], Any] | None
    _known: _identity.Identity
    _values: str

    def __init__(self, spec: str, function: Callable[..., Any], slope: Callable[..., Any] | None) -> None:
        super().__init__(spec, _function=function, _slope=slope)
        known = _identity.of_activation(function, slope)
        digest = f"{known.digest} {_identity.place_of(function)} {_identity.place_of(slope)}"
        self._set(_known=known, _digest=digest, _values=_identity.values_of(function).hex())
        _check_vectorised(self, function, "")
        self._set(**self._places())
        self._set(**self._check_derivative())
        self._set(**self._symmetries())
        self._set(**self._shape())
        self._set(**self._length_of_variation())
        self._set(largest_variance=self._largest_variance())

    @property
    def identity(self) -> str | None:
        """Name, code and values; None where the code does not tell all, or has changed since it was examined."""
        known = self._known
        is_same = known.complete and _identity.of_activation(self._function, self._slope) == known
        return f"{self.name} {known.digest} {self._values}" if is_same else None

    @property
    def code_digest(self) -> str | None:
        """Digest of the code and of what it reads, the same on every machine; None where that does not tell all."""
        return self._known.digest if self._known.complete else None

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        from mfmi.activations._loading import restored

        return restored, (self.name, self.code_digest)

    def __call__(self, u: ArrayLike) -> FloatArray:
        """Return the user's phi(u)."""
        x = np.asarray(u, dtype=np.float64)
        with np.errstate(all="ignore"):
            return np.array(self._function(x), dtype=np.float64)[()]

    def derivative(self, u: ArrayLike) -> FloatArray:
        """Return the user's phi'(u), or an eighth-order difference that crosses no kink."""
        x = np.asarray(u, dtype=np.float64)
        if self._slope is None:
            return _probe.slope(self, x, self.kinks, self._step)[()]
        with np.errstate(all="ignore"):
            return np.array(self._slope(x), dtype=np.float64)[()]

    def log_abs_derivative(self, u: ArrayLike) -> FloatArray:
        """Return ln|phi'(u)|; -inf where a numerical slope is too small to be told from 0.

        Too small a slope may only make a lower bound on information smaller. Close to an isolated zero of the slope
        a numerical slope is replaced by its tangent.
        """
        if self._slope is not None:
            return super().log_abs_derivative(u)
        x = np.asarray(u, dtype=np.float64)
        size = np.abs(self.derivative(x))
        size = np.where(size > _UNRESOLVED * self.derivative_error * self.lipschitz, size, 0.0)
        for zero in self.slope_zeros:
            edge = 0.5 * np.abs(self.derivative(np.array([zero - _LINEAR, zero + _LINEAR]))).sum() / _LINEAR
            distance = np.maximum(np.abs(x - zero), np.finfo(np.float64).eps)
            size = np.where(distance < _LINEAR, edge * distance, size)
        with np.errstate(divide="ignore"):
            return np.log(size)[()]

    def _set(self, **properties: Any) -> None:
        for key, value in properties.items():
            object.__setattr__(self, key, value)

    def _places(self) -> dict[str, Any]:
        found, jumps = _probe.find_kinks(self)
        given = getattr(self._function, "kinks", None)
        kinks = found if given is None else tuple(sorted(float(place) for place in given))
        if not all(math.isfinite(place) for place in kinks):
            raise ValueError(f"activation {self.name!r}: kinks must be finite, got {given!r}")
        jumps = tuple(place for place in kinks if any(abs(place - jump) < 1e-6 for jump in jumps))
        period = float(getattr(self._function, "period", math.inf))
        return {
            "kinks": tuple(sorted(kinks)),
            "jumps": jumps,
            "period": period,
            "differentiable": not jumps,
            "tabulated": frozenset() if jumps else PAIR_MOMENTS,
        }

    def _check_derivative(self) -> dict[str, float]:
        """Find the step on which differences agree best, and compare the derivative with them."""
        grid = self._between(np.linspace(-10.0, 10.0, 1999))
        candidates = []
        for step in _STEPS:
            fine = _probe.slope(self, grid, self.kinks, step / 1.5)
            difference = np.abs(_probe.slope(self, grid, self.kinks, step) - fine) / (1.0 + np.abs(fine))
            candidates.append((float(difference.max()), step, float(grid[np.argmax(difference)])))
        error, step, at = min(candidates)
        self._set(_step=step)
        if self._slope is None:
            if error > _DERIVATIVE_ERROR:
                if np.array_equal(self(grid), self(grid).astype(np.float32)):
                    raise ValueError(f"activation {self.name!r}: {_SINGLE}")
                raise ValueError(
                    f"activation {self.name!r}: its slope cannot be found by differences to {_DERIVATIVE_ERROR:g} "
                    f"(error about {error:.1g} at u = {at:.6g}); give it as {self.name.partition(':')[2]}_derivative, "
                    "or its kinks as an attribute of the function"
                )
            return {"derivative_error": error}
        _check_vectorised(self, self._slope, " derivative")
        fine = _probe.slope(self, grid, self.kinks, step)
        wrong = np.abs(self.derivative(grid) - fine) > (_DERIVATIVE_MISMATCH + 10.0 * error) * (1.0 + np.abs(fine))
        if wrong.any():
            at = grid[wrong][0]
            raise ValueError(
                f"activation {self.name!r}: its derivative is wrong: at u = {at:.6g} it returns "
                f"{float(self.derivative(at)):.8g}, differences give {fine[wrong][0]:.8g}"
            )
        return {"derivative_error": 0.0}

    def _between(self, grid: FloatArray) -> FloatArray:
        """Leave out points near kinks, where a difference is less accurate."""
        near = [np.abs(grid - place) < 0.02 for place in self.kinks]
        return grid[~np.any(near, axis=0)] if near else grid

    def _symmetries(self) -> dict[str, Any]:
        grid = np.linspace(0.011, 20.0, 1501)
        value, mirror = self(grid), self(-grid)
        scale = 8.0 * np.finfo(np.float64).eps * np.maximum(np.abs(value), 1e-3)
        odd = bool(np.all(np.abs(value + mirror) <= scale)) and not self.jumps
        even = bool(np.all(np.abs(value - mirror) <= scale))
        straight = bool(np.all(np.abs(self(2.0 * grid) - 2.0 * value) <= 4.0 * scale)) and bool(
            np.all(np.abs(self(-2.0 * grid) - 2.0 * mirror) <= 4.0 * scale)
        )
        sides = self._slopes_at_zero()
        return {
            "odd": odd,
            "even": even,
            "homogeneous": straight and set(self.kinks) <= {0.0} and float(self(0.0)) == 0.0,
            "slope_at_zero_squared": 0.5 * (sides[0] ** 2 + sides[1] ** 2) if not self.jumps else math.nan,
        }

    def _slopes_at_zero(self) -> FloatArray:
        """Slopes on both sides of 0: where phi(0) = 0 the limits of phi(u) / u, which has nothing to cancel."""
        if float(self(0.0)) == 0.0:
            h = np.array([[1.0], [-1.0]]) * _NEAR_ZERO
            ratio = self(h) / h
            # Extrapolated in h, twice: what is left is of the second order in h, or the function's own rounding.
            limits = (4.0 * ratio[:, 1:] - ratio[:, :-1]) / 3.0
            size = np.abs(limits).max()
            if np.all(np.abs(limits[:, 1] - limits[:, 0]) <= _LIMITS_AGREE * max(size, 1.0)):
                return np.where(np.abs(limits[:, 1]) <= _LIMITS_AGREE, 0.0, limits[:, 1])
        left = -(_LINEAR**1.5) if 0.0 in self.kinks else 0.0
        return _probe.slope(self, np.array([0.0, left]), self.kinks, self._step)

    def _shape(self) -> dict[str, Any]:
        """Monotone pieces, zeros of the slope and the steepest slope."""
        inner = [place for place in self.kinks if abs(place) < _probe.REACH]
        ends = [-_probe.REACH, *inner, _probe.REACH]
        zeros: list[float] = []
        steepest = 0.0
        for lower, upper in itertools.pairwise(ends):
            grid = np.linspace(lower, upper, 4003)[1:-1]
            size = np.abs(self.derivative(grid))
            steepest = max(steepest, self._steepest(grid, size))
            if size.max() > _FLAT:
                zeros.extend(_probe.sign_changes(self.derivative, lower, upper))
        bounds = [-math.inf, *sorted({*inner, *zeros}), math.inf]
        pieces = self._merge([self._piece(a, b, steepest) for a, b in itertools.pairwise(bounds)])
        active = [piece for piece in pieces if piece.kind != "flat"]
        return {
            "slope_zeros": tuple(zeros),
            "pieces": pieces,
            "strictly_monotone": len(pieces) == 1 and len(active) == 1 and not self.jumps,
            "images_disjoint": self._disjoint(pieces),
            "lipschitz": math.inf if self.jumps else steepest * (1.0 + 1e-6),
        }

    def _steepest(self, grid: FloatArray, size: FloatArray) -> float:
        """Refine the largest slope on a grid by two finer grids around it."""
        for _ in range(2):
            at = int(np.argmax(size))
            grid = np.linspace(grid[max(at - 1, 0)], grid[min(at + 1, grid.size - 1)], 201)
            size = np.abs(self.derivative(grid))
        return float(size.max())

    def _piece(self, lower: float, upper: float, steepest: float) -> Piece:
        inside = np.linspace(max(lower, -_probe.REACH), min(upper, _probe.REACH), 403)[1:-1]
        slopes = self.derivative(inside)
        if np.max(np.abs(slopes)) <= _FLAT * max(steepest, 1.0):
            return Piece(lower, upper, "flat")
        return Piece(lower, upper, "increasing" if slopes.sum() > 0.0 else "decreasing")

    def _merge(self, pieces: list[Piece]) -> tuple[Piece, ...]:
        merged = pieces[:1]
        for piece in pieces[1:]:
            last = merged[-1]
            if piece.kind == last.kind and piece.lower not in self.jumps:
                merged[-1] = Piece(last.lower, piece.upper, last.kind)
            else:
                merged.append(piece)
        return tuple(merged)

    def _disjoint(self, pieces: tuple[Piece, ...]) -> bool:
        """Whether the images of the pieces overlap at most in end points."""
        step = 1e-9
        images = []
        for piece in pieces:
            lower, upper = max(piece.lower, -_RANGE) + step, min(piece.upper, _RANGE) - step
            images.append(sorted((float(self(lower)), float(self(upper)))))
        images.sort()
        slack = 1e-7 * max(1.0, *(abs(value) for image in images for value in image))
        return all(later[0] >= earlier[1] - slack for earlier, later in itertools.pairwise(images))

    def _length_of_variation(self) -> dict[str, Any]:
        """Largest length on which quadrature finds the moments that it finds on the smallest.

        The rules grade their nodes towards 0 and the kinks. Where they need a short length with that, they are tried
        with a split at the steepest place, which is where a shifted function has its structure.
        """
        given = getattr(self._function, "pole", None)
        if given is not None:
            return {"pole": float(given)}
        pole = self._largest_pole()
        if pole >= _SHORT:
            return {"pole": pole}
        kinks = self.kinks
        grid = np.linspace(-_probe.REACH, _probe.REACH, 6001)
        steepest = float(grid[np.argmax(np.abs(self.derivative(grid)))])
        self._set(kinks=tuple(sorted({*kinks, steepest})))
        split_pole = self._largest_pole()
        return {"pole": split_pole} if split_pole > pole else {"pole": pole, "kinks": kinks}

    def _largest_pole(self) -> float:
        wanted = self._trial(_POLES[-1])
        for pole in _POLES:
            found = self._trial(pole)
            if np.all(np.abs(found - wanted) <= _POLE_ACCURACY * np.maximum(np.abs(wanted), 1e-2)):
                return pole
        return _POLES[-1]

    def _trial(self, pole: float) -> FloatArray:
        self._set(pole=pole)
        moments = [_quadrature.second_moment(self, _TRIAL_VARIANCES, 1.0)]
        moments.append(_quadrature.one_dimension(self, _TRIAL_VARIANCES, lambda x, rows: self.derivative(x), 1.0))
        for m in (0.0, 1.5, 6.0):
            moments.extend(_quadrature.conditional(self, np.full(5, m), _TRIAL_VARIANCES, 1.0)[:2])
        return np.concatenate(moments)

    def _largest_variance(self) -> float:
        """Largest trial variance up to which two rules agree; a periodic function, say, has one."""
        value = _quadrature.second_moment(self, _LARGE_VARIANCES, 1.0)
        finer = _quadrature.second_moment(self, _LARGE_VARIANCES, _quadrature.SECOND_OPINION)
        wrong = np.flatnonzero(~(np.abs(value - finer) <= _LARGE_ACCURACY * np.abs(finer)))
        return float(_LARGE_VARIANCES[wrong[0] - 1]) if wrong.size else math.inf

    def _answer(self, moment: str, arguments: tuple[FloatArray, ...], error: bool, *extra: float) -> Any:
        """As for every activation, but NaN for variances at which quadrature has failed when tried."""
        answer = super()._answer(moment, arguments, error, *extra)
        variance = arguments[1] if moment.startswith("conditional") else arguments[0]
        if np.all(variance <= self.largest_variance):
            return answer
        shape = np.broadcast_shapes(*(np.shape(argument) for argument in arguments))
        beyond = np.broadcast_to(variance > self.largest_variance, shape)
        mask = tuple(np.where(beyond, np.nan, part)[()] for part in (answer if error else (answer,)))
        return mask if error else mask[0]

    # ---- moments that must not use the slope where phi jumps, and the rounding of a numerical slope ---------------

    def _second_moment_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        if not self.jumps:
            return super()._second_moment_slope(s, refine)
        at = np.maximum(s, 1e-12)[:, None]
        return _quadrature.one_dimension(
            self, at[:, 0], lambda x, rows: 0.5 * self(x) ** 2 * (x * x / at[rows] - 1.0) / at[rows], refine
        )

    def _slope_moment(self, s: FloatArray, k: float, refine: float = 1.0) -> FloatArray:
        return np.full_like(s, np.nan) if self.jumps else super()._slope_moment(s, k, refine)

    def _log_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        if self.jumps or any(piece.kind == "flat" for piece in self.pieces):
            return np.full_like(s, -np.inf)
        return super()._log_slope(s, refine)

    def _conditional(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        stein_from = _STEIN_FROM if self._slope is None else math.inf
        return _quadrature.conditional(self, m, v, refine, stein_from=stein_from, stein_split=bool(self.jumps))

    def _rounding(self, moment: str, value: FloatArray, *arguments: Any) -> FloatArray:
        """Add the error of a numerical slope where the slope enters."""
        slope_error = 4.0 * self.derivative_error * self.lipschitz if self.derivative_error else 0.0
        affected = moment not in {"second_moment", "correlation", "decorrelation"}
        return super()._rounding(moment, value, *arguments) + (slope_error if affected else 0.0)


def _check_vectorised(phi: Activation, function: Callable[..., Any], what: str) -> None:
    """Refuse a function that is not elementwise on arrays or not finite, and show the first input that tells."""
    grid = np.concatenate([[-_RANGE, -1.0, -0.5, 0.0, 0.5, 1.0, _RANGE], np.linspace(-20.0, 20.0, 1601)])
    label = f"activation {phi.name!r}:{what}"
    with np.errstate(all="ignore"):
        try:
            result = np.asarray(function(grid.copy()))
        except Exception as problem:
            raise ValueError(
                f"{label} is not vectorised: an array of {grid.size} numbers from {grid[0]} on raises "
                f"{type(problem).__name__}: {problem}"
            ) from problem
        if result.shape != grid.shape:
            raise ValueError(
                f"{label} returns the wrong shape: {result.shape} for an array of shape {grid.shape} from {grid[0]} on"
            )
        if result.dtype.kind not in "fiub":
            raise ValueError(f"{label} returns {result.dtype}, not real numbers, at u = {grid[0]}")
        if result.dtype.kind == "f" and result.dtype.itemsize < 8:
            raise ValueError(f"{label} {_SINGLE}")
        bad = ~np.isfinite(result.astype(np.float64))
        if bad.any():
            raise ValueError(f"{label} returns {result[bad][0]} at u = {grid[bad][0]:.6g}")
        square = np.asarray(function(grid[:1600].reshape(40, 40).copy()))
        alone = np.array([np.asarray(function(grid[i : i + 1].copy())).ravel()[0] for i in range(0, 1600, 53)])
    if square.shape != (40, 40):
        raise ValueError(f"{label} returns the wrong shape: {square.shape} for an array of shape (40, 40)")
    mixed = ~np.isclose(alone, result[:1600:53], rtol=1e-9, atol=1e-12)
    if mixed.any():
        at = int(np.flatnonzero(mixed)[0])
        raise ValueError(
            f"{label} is not elementwise: at u = {grid[53 * at]:.6g} it returns {float(alone[at]):.8g} alone and "
            f"{float(result[53 * at]):.8g} inside an array"
        )
