"""A user's own activation, of which a function is given and examined."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from mfmi.activations import _choice, _identity, _jumps, _probe, _quadrature, _resolution, _steepness, _uniform, _waves
from mfmi.activations._arguments import PAIR_MOMENTS
from mfmi.activations._base import Activation, Piece
from mfmi.activations._vectorised import RANGE, SINGLE, check_vectorised, values
from mfmi.arguments.arrays import FloatArray

_DERIVATIVE_MISMATCH = 1e-6
_DERIVATIVE_ERROR = 1e-7
_STEPS = (0.05, 0.03, 0.01, 0.003, 0.001, 3e-4, 1e-4, 3e-5)

_FLAT = 1e-11
# What the steepest slope of a grid may be short of the steepest one.
_ABOVE = 1.0 + 1e-6

# With more kinks than that every moment of a pair would take seconds.
_MOST_KINKS = 256

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

    restored: ClassVar[Callable[[str, str | None], UserActivation]]
    """The loader, which makes an activation again from its name and digest when it is unpickled."""
    citation = "user's function: quadrature split at its kinks, pair moments tabulated where that is accurate"
    derivative_error: float
    largest_variance: float
    wave: _waves.Wave | None = None
    private: bool = False
    """Whether its name means something in this process alone."""
    _step: float
    _steepest: float
    _function: Callable[[FloatArray], Any]
    _slope: Callable[[FloatArray], Any] | None
    _known: _identity.Identity
    _values: str
    _powers: dict[float, _waves.ComplexArray]

    def __init__(self, spec: str, function: Callable[..., Any], slope: Callable[..., Any] | None) -> None:
        super().__init__(spec, _function=function, _slope=slope, _powers={})
        known = _identity.of_activation(function, slope)
        digest = f"{known.digest} {_identity.place_of(function)} {_identity.place_of(slope)}"
        self._set(_known=known, _digest=digest, _values=_identity.values_of(function).hex())
        check_vectorised(self, function, "")
        panels = self._places()
        self._set(**self._check_derivative(panels))
        self._set(**self._symmetries())
        self._set(**self._shape(panels))
        self._choose_rule(panels)

    @property
    def identity(self) -> str | None:
        """Name, code and values; None if the code is not complete, or has changed since it was examined."""
        known = self._known
        is_same = known.complete and _identity.of_activation(self._function, self._slope) == known
        return f"{self.name} {known.digest} {self._values}" if is_same else None

    @property
    def code_digest(self) -> str | None:
        """Digest of the code and of what it reads, the same on every machine; None if that is not complete."""
        return self._known.digest if self._known.complete else None

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        if self.private:
            raise ValueError(
                f"activation {self.name!r} is known to this process only; put the function in a module and name it "
                "module:function, for other processes and the command line"
            )
        return type(self).restored, (self.name, self.code_digest)

    def __call__(self, u: ArrayLike) -> FloatArray:
        """Return the user's phi(u)."""
        return values(self._function, u)

    def derivative(self, u: ArrayLike) -> FloatArray:
        """Return the user's phi'(u), or an eighth-order difference that crosses no kink."""
        if self._slope is None:
            return _probe.slope(self, np.array(u, dtype=np.float64), self.kinks, self._step)[()]
        return values(self._slope, u)

    def log_abs_derivative(self, u: ArrayLike) -> FloatArray:
        """Return ln|phi'(u)|; -inf where a numerical slope is too small to be distinguished from 0.

        Too small a slope may only make a lower bound on information smaller. Close to an isolated zero of the slope
        a numerical slope is replaced by its tangent.
        """
        if self._slope is not None:
            return super().log_abs_derivative(u)
        x = np.asarray(u, dtype=np.float64)
        size = np.abs(self.derivative(x))
        size = np.where(size > _UNRESOLVED * self.derivative_error * self._steepest, size, 0.0)
        for zero in self.slope_zeros:
            edge = 0.5 * np.abs(self.derivative(np.array([zero - _LINEAR, zero + _LINEAR]))).sum() / _LINEAR
            distance = np.maximum(np.abs(x - zero), np.finfo(np.float64).eps)
            size = np.where(distance < _LINEAR, edge * distance, size)
        with np.errstate(divide="ignore"):
            return np.log(size)[()]

    def _places(self) -> _resolution.Panels:
        """Find kinks and a period; return panels on which the function is smooth."""
        found, jumps = _probe.find_kinks(self)
        given = getattr(self._function, "kinks", None)
        kinks = found if given is None else tuple(sorted(float(place) for place in given))
        if not all(math.isfinite(place) for place in kinks):
            raise ValueError(f"activation {self.name!r}: kinks must be finite, got {given!r}")
        panels = _resolution.resolve(self, kinks)
        if max(panels.unresolved.size, len(kinks)) > _MOST_KINKS:
            if np.array_equal(self(panels.unresolved), self(panels.unresolved).astype(np.float32)):
                raise ValueError(f"activation {self.name!r}: {SINGLE}")
            raise ValueError(
                f"activation {self.name!r} cannot be resolved: within 30 of 0 it has kinks, jumps or noise in more "
                f"than {_MOST_KINKS} places"
            )
        if panels.unresolved.size:
            close, more = _probe.kinks_near(self, panels.unresolved)
            kinks, jumps = tuple({*kinks, *close}), (*jumps, *more)
            panels = _resolution.resolve(self, kinks)
        repeats = _waves.find(self, kinks, float(getattr(self._function, "period", math.inf)))
        wave = None
        if repeats is not None:
            reach = max(_probe.REACH, (_uniform.FAR * _uniform.TAIL + 1.0) * repeats[0])
            wave = _waves.wave(self, (*kinks, *panels.lower[np.abs(panels.lower) <= repeats[0]].tolist()), *repeats)
            jumps = _waves.continued(jumps, repeats[0], reach) if jumps else ()
            if kinks:
                kinks = _waves.continued(kinks, repeats[0], reach)
                panels = _resolution.resolve(self, kinks)
        jumps = tuple(place for place in kinks if any(abs(place - jump) < 1e-6 for jump in jumps))
        self._set(
            kinks=tuple(sorted(kinks)),
            jumps=jumps,
            period=math.inf if wave is None or wave.trend or kinks else wave.period,
            slope_period=math.inf if wave is None else wave.period,
            trend=0.0 if wave is None else wave.trend,
            wave=wave,
            differentiable=not jumps,
            tabulated=frozenset() if jumps else PAIR_MOMENTS,
        )
        return panels

    def _check_derivative(self, panels: _resolution.Panels) -> dict[str, float]:
        """Find the step on which differences agree best, and compare the derivative with them."""
        grid = self._between(np.concatenate([np.linspace(-10.0, 10.0, 1999), panels.places(10.0)]))
        if not grid.size:
            raise ValueError(f"activation {self.name!r}: its moments cannot be resolved: kinks or jumps are everywhere")
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
                    raise ValueError(f"activation {self.name!r}: {SINGLE}")
                raise ValueError(
                    f"activation {self.name!r}: its slope cannot be found by differences to {_DERIVATIVE_ERROR:g} "
                    f"(error about {error:.1g} at u = {at:.6g}); give it as {self.name.partition(':')[2]}_derivative, "
                    "or its kinks as an attribute of the function"
                )
            return {"derivative_error": error}
        check_vectorised(self, self._slope, " derivative")
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

    def _shape(self, panels: _resolution.Panels) -> dict[str, Any]:
        """Monotone pieces, zeros of the slope and the steepest slope."""
        inner = [place for place in self.kinks if abs(place) < _probe.REACH]
        ends = [-_probe.REACH, *inner, _probe.REACH]
        zeros: list[float] = []
        places = panels.places(_probe.REACH)
        steepest = float(np.max(np.abs(self.derivative(places)), initial=0.0))
        for lower, upper in itertools.pairwise(ends):
            grid = np.linspace(np.nextafter(lower, upper), np.nextafter(upper, lower), 4001)
            size = np.abs(self.derivative(grid))
            steepest = max(steepest, _steepness.refined(self.derivative, grid, size))
            if size.max() > _FLAT:
                zeros.extend(_probe.sign_changes(self.derivative, lower, upper))
        anywhere = _steepness.supremum(
            self.derivative,
            lambda u: self.derivative(u) if self._slope else _probe.slope(self, u, self.kinks, self._step / 1.5),
            steepest,
        )
        bounds = [-math.inf, *sorted({*inner, *zeros}), math.inf]
        pieces = self._merge([self._piece(a, b, steepest) for a, b in itertools.pairwise(bounds)])
        active = [piece for piece in pieces if piece.kind != "flat"]
        return {
            "slope_zeros": tuple(zeros),
            "pieces": pieces,
            "strictly_monotone": len(pieces) == 1 and len(active) == 1 and not self.jumps,
            "images_disjoint": _probe.images_disjoint(self, [(piece.lower, piece.upper) for piece in pieces], RANGE),
            "_steepest": steepest * _ABOVE,
            "lipschitz": math.inf if self.jumps else _ABOVE * anywhere,
        }

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

    def _choose_rule(self, panels: _resolution.Panels) -> None:
        """Find the rule that quadrature is done with, and the variance up to which it is right."""
        given = getattr(self._function, "pole", None)
        far = math.inf if self.wave is None else (_uniform.FAR * self.wave.period) ** 2
        chosen = _choice.choose(self, panels, far, None if given is None else float(given))
        if chosen.largest_variance == 0.0:
            raise ValueError(
                f"activation {self.name!r}: its moments cannot be resolved: {panels.difficulty()}; make it smoother, "
                "or give its kinks as an attribute of the function"
            )
        self._set(**chosen._asdict())

    def _answer(self, moment: str, arguments: tuple[FloatArray, ...], extra: tuple[float, ...], error: bool) -> Any:
        """As for every activation, but NaN for variances at which no rule is right."""
        number = int(moment.startswith("conditional"))
        limit = self.largest_variance
        if moment.endswith("log_slope") and self.wave is None and self.uniform:
            # Beyond the places that were searched, the slope of a function that goes up and down has further zeros.
            limit = min(limit, (_probe.REACH / _uniform.TAIL) ** 2)
        arrays = np.broadcast_arrays(*arguments)
        beyond = arrays[number] > limit
        if not beyond.any():
            return super()._answer(moment, arguments, extra, error)
        # Rules that would be wrong may have millions of nodes: any variance within the limit will do.
        known = tuple(
            np.where(beyond, min(limit, 1.0) if i == number else 0.0, array) for i, array in enumerate(arrays)
        )
        answer = super()._answer(moment, known, extra, error)
        mask = tuple(np.where(beyond, np.nan, part)[()] for part in (answer if error else (answer,)))
        return mask if error else mask[0]

    # ---- moments that must not use the slope where phi jumps, and the rounding of a numerical slope ---------------

    def _second_moment(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        wave = self.wave
        if wave is None:
            return super()._second_moment(s, refine)
        return wave.joined(s, wave.second_moment(s), lambda near: _quadrature.second_moment(self, near, refine))

    def _second_moment_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        if self.wave is None:
            return self._near_second_moment_slope(s, refine)
        far = self.wave.second_moment_slope(s)
        return self.wave.joined(s, far, lambda near: self._near_second_moment_slope(near, refine))

    def _near_second_moment_slope(self, s: FloatArray, refine: float) -> FloatArray:
        of_kind = _jumps.jumping_moment_slope if self.jumps else _quadrature.second_moment_slope
        return of_kind(self, s, refine)

    def _slope_moment(self, s: FloatArray, k: float, refine: float = 1.0) -> FloatArray:
        if self.jumps:
            return np.full_like(s, np.nan)
        if self.wave is None:
            return super()._slope_moment(s, k, refine)
        if k not in self._powers:
            self._powers[k] = _waves.coefficients(
                lambda u: np.abs(self.derivative(u)) ** (2.0 * k), self, self.wave.period
            )
        far = self.wave.smoothed(self._powers[k], np.zeros_like(s), s)
        return self.wave.joined(s, far, lambda near: _quadrature.slope_moment(self, near, k, refine))

    def _log_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        if self.jumps or any(piece.kind == "flat" for piece in self.pieces):
            return np.full_like(s, -np.inf)
        if self.wave is None:
            return super()._log_slope(s, refine)
        far = 2.0 * self.wave.smoothed(self._logarithm, np.zeros_like(s), s)
        return self.wave.joined(s, far, lambda near: _quadrature.log_slope(self, near, refine))

    @cached_property
    def _logarithm(self) -> _waves.ComplexArray:
        """Fourier coefficients of ln|phi'| of a wave."""
        assert self.wave is not None
        return _waves.coefficients(self.log_abs_derivative, self, self.wave.period)

    def _conditional_log_slope(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        wave = self.wave
        if wave is None:
            return super()._conditional_log_slope(m, v, refine)
        at = wave.reduced(m)
        return wave.joined(
            v,
            wave.smoothed(self._logarithm, at, v),
            lambda near: _quadrature.conditional_log_slope(self, at[~wave.is_far(v)], near, refine),
        )

    def _piece_log_slope(self, m: FloatArray, v: FloatArray, piece: Piece) -> FloatArray:
        if len(self.pieces) == 1:
            return self._conditional_log_slope(m, v)
        return _quadrature.piece_log_slope(self, m, v, piece.lower, piece.upper, 1.0)

    def _conditional(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        stein_from = _STEIN_FROM if self._slope is None else math.inf
        wave, split = self.wave, bool(self.jumps)
        if wave is None:
            return _quadrature.conditional(self, m, v, refine, stein_from=stein_from, stein_split=split)
        result = wave.conditional(m, v)
        near = np.flatnonzero(~wave.is_far(v))
        if near.size:
            at = wave.reduced(m[near])
            result[:, near] = _quadrature.conditional(
                self, at, v[near], refine, stein_from=stein_from, stein_split=split
            )
            result[0, near] += wave.trend * (m[near] - at)
        return _quadrature.mirrored(self, m, result)

    def _rounding(self, moment: str, value: FloatArray, *arguments: Any) -> FloatArray:
        """Add the error of a numerical slope where the slope enters."""
        slope_error = 4.0 * self.derivative_error * self._steepest if self.derivative_error else 0.0
        affected = moment not in {"second_moment", "correlation", "decorrelation"}
        return super()._rounding(moment, value, *arguments) + (slope_error if affected else 0.0)
