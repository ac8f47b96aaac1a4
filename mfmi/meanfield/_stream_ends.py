"""Fixed points, phases and depth scales of networks with norms, skips and relative noise (theory (24)-(33))."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mfmi.activations import Activation
from mfmi.arguments.arrays import FloatArray
from mfmi.meanfield._architecture import Architecture
from mfmi.meanfield._correlation_map import CRITICAL, correlation_fixed_point
from mfmi.meanfield._fixed_points import certainty, scales_of, slope_moment
from mfmi.meanfield._length_map import reached
from mfmi.meanfield._power_laws import power_laws
from mfmi.meanfield._table import PointTable

STREAM_OF_ONE = "a stream of skip 1 has no xi (how it goes with depth: columns growth, exponent_c, exponent_grad)"


@dataclass(frozen=True)
class StreamEnds(PointTable):
    """Fixed points, phases and depth scales of networks of one architecture, each field of shape (n,).

    Attributes
    ----------
    q_star, c_star, chi_1, chi_q, chi_c, xi_q, xi_c, xi_grad, phase, status, message : as in `FixedPoint`, in units of
        what a layer holds. `chi_1` is the slope relative to the variance, so that 1 is the edge with a norm too. NaN
        where a stream of skip 1 or more grows without end; of skip 1, `phase` after a norm in the branch is that of
        the plain normalised network, else "unbounded", and `c_star` is the limit of its power law.
    law, growth, exponent_c, exponent_grad, rate : as in `PowerLaws`; "none" and NaN for other skips.
    """

    q_star: Any
    c_star: Any
    chi_1: Any
    chi_q: Any
    chi_c: Any
    xi_q: Any
    xi_c: Any
    xi_grad: Any
    phase: Any
    law: Any
    growth: Any
    exponent_c: Any
    exponent_grad: Any
    rate: Any
    status: Any
    message: Any


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def stream_ends(network: Architecture) -> StreamEnds:
    """Fixed points, phases and depth scales of networks whose layers are all like the first.

    With the variance settled, the distance x of a pair obeys `x' = alpha (x + nu) + W (V(t) - K(t, x + nu))`, `alpha`
    being what the skip keeps and `nu` the noise: the map of a plain network with weights `W / (1 - alpha)`.

    Parameters
    ----------
    network : n networks.
    """
    phi, map_ = network.phi, _Map(network)
    level = map_.level()
    # A norm of what has no variance is 0 / 0.
    known = np.isfinite(level.q) & (~np.asarray(map_.normed) | (level.scale2 > 0.0))
    t = np.where(known, level.t, 1.0)
    unit = np.where(known, level.scale2, 1.0)
    carried = map_.skip2 / (unit if map_.post else 1.0)
    inner = map_.first_w2 / unit
    weight = map_.branch2 * map_.outer_w2 * map_.gain2(t) * inner
    noise = np.where(known, level.noise, 0.0) * inner
    kept = 1.0 - carried
    pull = noise / kept if map_.in_stream else noise
    top = inner * np.where(known, level.apart, 0.0) + (noise - pull)
    slope = np.where(known, carried + weight * slope_moment(phi, t), np.nan)
    apart = np.where(known, top, np.nan)
    if network.is_centred:
        # Without their offsets any two inputs end as if they were independent.
        c = np.where(apart > 0.0, 0.0, 1.0 + 0.0 * apart)
        # Of a stream that grows without end any gap will do.
        away = np.where(known, np.minimum(top + pull, 2.0 * t), t)
        steep = phi.slope_correlation_gap(t, away) if phi.differentiable else np.nan
        flat = weight / kept * steep
    else:
        plain = (slope - carried) / kept
        c, flat = correlation_fixed_point(phi, weight / kept, map_.biased, pull, t, apart, plain)
    gap = (1.0 - c) * top + (pull - noise)
    # A pair of variance 0 has no correlation: it ends together.
    c_star = np.where(known, np.where(level.q > 0.0, 1.0 - gap / (inner * level.q), 1.0), np.nan)
    chi_c = np.where(known, carried + kept * flat, np.nan)
    found = scales_of(phi, level.seen, (level.q, c_star), (slope, np.where(known, level.slope, np.nan), chi_c))
    status = certainty(phi, level.seen, found)
    if map_.normed:
        for where, words in ((np.isnan(level.q), "stays as it is"), (level.q == 0.0, "decays to 0, which has no norm")):
            alone = where & (map_.branch2 == 0.0)
            status["status"][alone], status["message"][alone] = "ok", f"without branches the stream {words}"
    return _with_laws(network, found | status)


def edge_after_norm(network: Architecture) -> FloatArray:
    """The sigma_w of the edge of chaos after a norm before the activation (theory (25)).

    Parameters
    ----------
    network : n networks with one matrix per branch and a skip of at most 1; their `sigma_w2` is of no effect.

    Returns
    -------
    ndarray
        Shape (n,); NaN where there is no edge, and 0 where all sigma_w lie on it.
    """
    map_, phi = _Map(network), network.phi
    skip2, share = map_.skip2, map_.share
    s = 1.0 + share * map_.relative
    own = np.asarray(phi.decorrelation(s, s) if network.is_centred else phi.second_moment(s))
    gain = slope_moment(phi, s)
    if map_.relative and map_.in_stream:
        with np.errstate(divide="ignore", invalid="ignore"):
            gain = gain * np.where(share > 0.0, (1.0 - skip2 * s) / (1.0 - skip2), 1.0)
    bias = np.zeros(network.size) if network.is_centred else map_.branch2 * map_.outer_b2
    # Beside a stream that grows without end, noise of a given size is none.
    noise = share * (not map_.relative) * np.where(skip2 < 1.0, 1.0 - skip2 * (not map_.in_stream), 0.0)
    needed, excess = bias + noise, map_.branch2 * (gain - own)
    level = np.abs(excess) <= CRITICAL * map_.branch2 * gain
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.sqrt(needed / excess)
    reachable = ~level & (excess > 0.0) & (needed > 0.0)
    return np.where(reachable, found, np.where(level & (needed == 0.0), 0.0, np.nan))


@dataclass(frozen=True)
class _Level:
    """Variances at the fixed point, each of shape (n,).

    Attributes
    ----------
    q : of the stream, without noise; inf where it grows without end.
    apart : what of it a pair of independent inputs does not share, before biases: `q`, or less with batchnorm.
    t : what the activation sees.
    scale2 : what the norm divides by.
    noise : hidden noise, in units of the stream.
    slope : of the length map.
    seen : `t`, inf where the variance grows without end and NaN where it is not known.
    """

    q: FloatArray
    apart: FloatArray
    t: FloatArray
    scale2: FloatArray
    noise: FloatArray
    slope: FloatArray
    seen: FloatArray


class _Map:
    """One layer of networks that are alike but for their numbers."""

    def __init__(self, network: Architecture) -> None:
        self.net, phi = network, network.phi
        self.phi: Activation = phi
        self.skip2, self.branch2 = network.skip[:, 0] ** 2, network.branch[:, 0] ** 2
        self.outer_w2, self.outer_b2 = (part[:, 0] for part in network.outer)
        two = network.matrices == 2
        ones, zeros = np.ones(network.size), np.zeros(network.size)
        self.first_w2 = network.sigma_w2[:, 0] if two else ones
        self.first_b2 = network.sigma_b2[:, 0] if two else zeros
        self.relative = network.noise_scale == "relative"
        self.share = network.hidden_noise[:, 0]
        self.in_stream = network.noise_in == "stream"
        self.normed = network.is_normalised and network.norm_at != "output"
        self.post = network.is_normalised and network.norm_at == "stream"
        self.after = network.is_normalised and network.norm_at == "output"
        self.biased = self.outer_b2 + self.first_b2

    def gain2(self, t: FloatArray) -> FloatArray:
        """Factor by which a norm after the activation multiplies its square."""
        if not self.after:
            return np.ones_like(t)
        centred = self.net.norm == "layernorm"
        return 1.0 / np.asarray(self.phi.decorrelation(t, t) if centred else self.phi.second_moment(t))

    def level(self) -> _Level:
        """The variance that the input ends at."""
        return self._normed_level() if self.normed else self._free_level()

    def _kept(self) -> FloatArray:
        """Share of the variance that the skip keeps, relative noise included."""
        return self.skip2 * (1.0 + self.share * (self.relative and self.in_stream))

    def _source(self) -> FloatArray:
        """Absolute noise that the skip carries on."""
        return self.skip2 * self.share * (not self.relative and self.in_stream)

    def _normed_level(self) -> _Level:
        """Ends where the norm alone settles the activation's argument."""
        size = 1.0 + self.share if self.relative else np.ones(self.net.size)
        t = self.first_w2 * size + self.first_b2
        second = np.asarray(self.phi.second_moment(t))
        block = own = self.branch2 * (self.outer_w2 * second + self.outer_b2)
        if self.net.is_centred:
            # A pair of independent inputs shares the offsets of the neurons alone.
            own = self.branch2 * self.outer_w2 * np.asarray(self.phi.decorrelation(t, t - self.first_b2))
        if self.post:
            q = block + self.skip2 * (size if self.in_stream or not self.relative else 1.0)
            noise = self.share * q if self.relative else self.share
            scale2 = q if self.relative else q + self.share
            return _Level(q, q, t, scale2, noise, np.zeros_like(q), np.where(np.isfinite(q), t, np.nan))
        kept, source = self._kept(), self._source()
        grows = (kept >= 1.0) & ((own > 0.0) | (source > 0.0))
        apart = np.where(grows, np.inf, (own + source) / (1.0 - kept))
        q = apart
        if self.net.is_centred:
            # The offsets carry no noise.
            offsets = block - own
            grows |= (self.skip2 >= 1.0) & (offsets > 0.0)
            q = apart + np.where(offsets > 0.0, offsets / (1.0 - self.skip2), 0.0)
            q = np.where(grows, np.inf, q)
        noise = self.share * apart if self.relative else self.share
        scale2 = apart if self.relative else apart + self.share
        seen = np.where(grows, np.inf, np.where(np.isfinite(q), t, np.nan))
        return _Level(q, apart, t, scale2, noise, kept, seen)

    def _free_level(self) -> _Level:
        """A plain length map, of what the activation sees."""
        net, rel = self.net, self.share if self.relative else np.zeros(self.net.size)
        absolute = np.zeros(net.size) if self.relative else self.share
        kept, source = self._kept(), self._source()
        grow = np.where(kept < 1.0, (1.0 + rel) / (1.0 - kept), np.nan)
        first = net.input_sigma_w2 * net.input_variance + net.input_sigma_b2
        start = self.first_w2 * ((1.0 + rel) * first + absolute) + self.first_b2
        if self.after:
            q = np.where(kept < 1.0, (self.branch2 * (self.outer_w2 + self.outer_b2) + source) / (1.0 - kept), np.inf)
            t = self.first_w2 * ((1.0 + rel) * q + absolute) + self.first_b2
            return self._level(q, t, rel * q + absolute, kept, np.where(np.isinf(q), np.inf, t))
        w2 = self.first_w2 * grow * self.branch2 * self.outer_w2
        shift = self.first_w2 * (grow * (self.branch2 * self.outer_b2 + source) + absolute) + self.first_b2
        seen = np.full(net.size, np.inf)
        rows = np.flatnonzero(kept < 1.0)
        seen[rows] = reached(self.phi, w2[rows], shift[rows], start[rows], kept[rows]).s
        at = np.where(np.isfinite(seen), seen, 1.0)
        block = self.branch2 * (self.outer_w2 * np.asarray(self.phi.second_moment(at)) + self.outer_b2)
        q = np.where(np.isfinite(seen), (block + source) / (1.0 - kept), seen)
        steep = np.asarray(self.phi.second_moment_slope(at))
        slope = kept + self.branch2 * self.outer_w2 * self.first_w2 * (1.0 + rel) * steep
        return self._level(q, at, rel * q + absolute, slope, seen)

    def _level(self, q: FloatArray, t: FloatArray, noise: FloatArray, slope: FloatArray, seen: FloatArray) -> _Level:
        return _Level(q, q, t, np.ones_like(q), noise, slope, seen)


def _with_laws(network: Architecture, found: dict[str, Any]) -> StreamEnds:
    """Replace the fixed point of streams of skip 1 by their power laws."""
    laws = power_laws(network)
    ones = (network.skip[:, 0] == 1.0) & (found["phase"] == "unbounded")
    for name in ("q_star", "chi_1", "chi_q", "chi_c", "xi_q", "xi_c", "xi_grad"):
        found[name] = np.where(ones, np.nan, found[name])
    found["c_star"] = np.where(ones, laws.c_star, found["c_star"])
    p = laws.exponent_grad
    after = ones & network.is_normalised & (laws.law == "power")
    phase = np.where(p < 1.0, "ordered", "chaotic").astype(object)
    phase[np.abs(p - 1.0) <= CRITICAL] = "critical"
    found["phase"] = np.where(after, phase, found["phase"])
    found["status"] = np.where(ones, "ok", found["status"]).astype(object)
    found["message"] = np.where(ones, STREAM_OF_ONE, found["message"]).astype(object)
    exponents = {name: getattr(laws, name) for name in ("law", "growth", "exponent_c", "exponent_grad", "rate")}
    return StreamEnds(**found, **exponents)
