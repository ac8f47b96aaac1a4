"""A bracket on the true mutual information of one small network, by nested Monte Carlo.

Everything random below the observed layer is one standard normal vector zeta: the input, and the noise of the hidden
layers if there is any. Given zeta, T is Gaussian with mean y^L(zeta) and variance sigma_o^2, so the evidence is
p(T) = E_zeta N(T; y^L(zeta), sigma_o^2), and likewise p(T | x) with the input held fixed. With proposals zeta_j ~ q(.
| T) and weights w_j = p(T, zeta_j) / q(zeta_j | T),

    E ln (1/M) sum_{j=1}^M w_j  <=  E ln p(T)  <=  E ln (1/(M+1)) sum_{j=0}^M w_j                                    (a)

where zeta_0 is the vector that produced T. Left: Jensen's inequality. Right: zeta_0 is a draw from the posterior, so
the right side minus ln p(T) is the Kullback-Leibler divergence between the law of (zeta_0, ..., zeta_M) in random
order and M + 1 draws from q, which is not negative. Both hold for every q that looks at T alone (for p(T | x): at T
and x), so a poor q costs width of the bracket and never its validity. I = E ln p(T | x) - E ln p(T) takes one side
from each.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import log_softmax, logsumexp

from mfmi.arguments.arrays import FloatArray
from mfmi.simulate._network import BLOCK_ELEMENTS, Network, NetworkLaw

STARTS = 8
GAUSS_NEWTON_STEPS = 25
MODE_SHARE, WIDE_SHARE, LINEAR_SHARE, PRIOR_SHARE = 0.5, 0.15, 0.25, 0.1
"""Shares of the proposal: Gaussians at the modes found, the same with twice the covariance, the best linear estimate of
zeta from T with its error covariance, and the prior, which bounds every weight."""


@dataclass(frozen=True)
class InformationBracket:
    """I(x; T^L | W, b) of one network, nats per input dimension.

    Parameters
    ----------
    lower, upper : float
        Unbiased estimates of two numbers that enclose it.
    lower_error, upper_error : float
        Their standard errors, from the scatter between the outer samples (weights and biases fixed).
    own_share : float
        Mean weight of the vector that produced T among its M rivals: near 0 where the proposals cover the posterior,
        near 1 where they miss it and the bracket is about ln(M) / n_0 wide whatever the information is.
    """

    lower: float
    upper: float
    lower_error: float
    upper_error: float
    own_share: float

    @property
    def saturated(self) -> bool:
        """Whether the number of inner samples, not the information, decides the bracket."""
        return self.own_share > 0.5


def measure_information(
    law: NetworkLaw, seed: np.random.SeedSequence, *, outer: int = 256, inner: int = 512
) -> InformationBracket:
    """Bracket the mutual information of one network, observed at its last layer.

    Parameters
    ----------
    law : NetworkLaw
        The network's law; the cost grows with the cube of n_0 (with noise in every layer: of the sum of all widths
        but the last).
    seed : numpy.random.SeedSequence
        Its branch of the seed.
    outer : int
        Number of observations T; the standard errors fall with its root.
    inner : int
        M, the number of proposals per observation; the bracket narrows with it.

    Returns
    -------
    InformationBracket
        In nats per input dimension.
    """
    weight_rng, rng = (np.random.default_rng(s) for s in seed.spawn(2))
    return bracket_information(law.draw(weight_rng), rng, outer=outer, inner=inner)


def bracket_information(
    network: Network, rng: np.random.Generator, *, outer: int = 256, inner: int = 512
) -> InformationBracket:
    """Bracket the mutual information of a given network, as `measure_information` does.

    Parameters
    ----------
    network : Network
        Its weights and biases; of its law the activation, the widths, the noise and the input's variance count.
    rng : numpy.random.Generator
        Of inputs, noise and proposals.
    outer, inner : int
        As of `measure_information`.

    Returns
    -------
    InformationBracket
        In nats per input dimension.
    """
    if outer < 16 or inner < 1:
        raise ValueError(f"outer must be at least 16 and inner at least 1, got {outer!r} and {inner!r}")
    law = network.law
    linear = _linear_estimate(network, rng)
    lower, upper, shares, controls = [], [], [], []
    block = max(1, 4 * BLOCK_ELEMENTS // (inner * (linear.mean.size + 4 * STARTS)))
    for start in range(0, outer, block):
        size = min(block, outer - start)
        zeta = rng.standard_normal((size, linear.mean.size))
        marginal = _Latent(network, None)
        noise = rng.standard_normal((size, law.widths[-1]))
        observed = marginal.response(zeta) + law.sigma_noise * noise
        below, above, share = _bracket_evidence(marginal, zeta, observed, linear, inner, rng)
        if law.sigma_hidden > 0 and law.depth > 1:
            known = _Latent(network, zeta[:, : law.widths[0]])
            hidden = zeta[:, law.widths[0] :]
            known_below, known_above, known_share = _bracket_evidence(known, hidden, observed, None, inner, rng)
            share = np.maximum(share, known_share)
        else:
            known_below = known_above = marginal.log_likelihood(zeta, observed)
        lower.append(known_below - above)
        upper.append(known_above - below)
        shares.append(share)
        parts = [*np.split(zeta, np.cumsum(law.widths[: -1 if law.sigma_hidden > 0 else 1])[:-1], axis=1), noise]
        controls.append(np.stack([np.sum(part**2 - 1, axis=1) for part in parts], axis=1))
    control = np.concatenate(controls)
    (low, low_error), (high, high_error) = (
        _controlled_mean(np.concatenate(values) / law.widths[0], control) for values in (lower, upper)
    )
    return InformationBracket(low, high, low_error, high_error, float(np.concatenate(shares).mean()))


def _controlled_mean(values: FloatArray, controls: FloatArray) -> tuple[float, float]:
    """Average values with controls (samples, k) of mean zero, and the standard error.

    Each half of the samples takes its regression coefficients from the other half, so that the mean stays unbiased.
    """
    half = np.arange(len(values)) < len(values) // 2
    adjusted = values.copy()
    for ours in (half, ~half):
        design = np.column_stack([np.ones(np.count_nonzero(~ours)), controls[~ours]])
        coefficients = np.linalg.lstsq(design, values[~ours], rcond=None)[0]
        adjusted[ours] -= controls[ours] @ coefficients[1:]
    return float(adjusted.mean()), float(adjusted.std(ddof=1) / np.sqrt(len(values)))


@dataclass(frozen=True)
class _Latent:
    """Integration variables: all of zeta, or the hidden noise alone at a given input (in units of sqrt(q_x))."""

    network: Network
    known_input: FloatArray | None

    def response(self, zeta: FloatArray) -> FloatArray:
        """Return y^L (..., n_L) at zeta (..., D); a known input has one row per row of the first axis."""
        signal, noises = self._split(zeta)
        y = signal
        for layer, (weight, bias) in enumerate(zip(self.network.weights, self.network.biases, strict=True)):
            if layer:
                y = self.network.law.activation(y + next(noises))
            y = y @ weight.T + bias
        return y

    def linearise(self, zeta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return y^L (rows, n_L) and its derivative by zeta (rows, n_L, D) at zeta (rows, D)."""
        law = self.network.law
        y, noises = self._split(zeta)
        jacobian = np.zeros((len(zeta), law.widths[0], zeta.shape[1]))
        column = 0
        if self.known_input is None:
            column = law.widths[0]
            jacobian[:, :, :column] = np.sqrt(law.input_variance) * np.eye(column)
        for layer, (weight, bias) in enumerate(zip(self.network.weights, self.network.biases, strict=True)):
            if layer:
                t = y + next(noises)
                if law.sigma_hidden > 0:
                    width = t.shape[1]
                    jacobian[:, :, column : column + width] += law.sigma_hidden * np.eye(width)
                    column += width
                y, jacobian = law.activation(t), law.activation.derivative(t)[:, :, None] * jacobian
            y, jacobian = y @ weight.T + bias, weight @ jacobian
        return y, jacobian

    def log_likelihood(self, zeta: FloatArray, observed: FloatArray) -> FloatArray:
        """Return ln N(T; y^L(zeta), sigma_o^2) (...)."""
        sigma = self.network.law.sigma_noise
        distance = np.sum((observed - self.response(zeta)) ** 2, axis=-1)
        return np.asarray(-distance / (2 * sigma**2) - observed.shape[-1] * np.log(np.sqrt(2 * np.pi) * sigma))

    def _split(self, zeta: FloatArray) -> tuple[FloatArray, Iterator[FloatArray | float]]:
        law = self.network.law
        scale = np.sqrt(law.input_variance)
        if self.known_input is None:
            x, rest = scale * zeta[..., : law.widths[0]], zeta[..., law.widths[0] :]
        else:
            between = (1,) * (zeta.ndim - 2)
            x, rest = scale * self.known_input.reshape(len(self.known_input), *between, -1), zeta
        if law.sigma_hidden == 0:
            return x, iter([0.0] * (law.depth - 1))
        ends = np.cumsum(law.widths[1:-1])
        return x, iter([law.sigma_hidden * part for part in np.split(rest, ends[:-1], axis=-1)])


@dataclass(frozen=True)
class _Gaussians:
    """Concentric Gaussians per observation, which differ by a factor in their standard deviations.

    Parameters
    ----------
    mean : ndarray (rows, D)
        Their common centre.
    whitening : ndarray (rows, D, D)
        A root of the precision at scale 1.
    log_shares : tuple of (scale, log share)
        One each, the share a number or of shape (rows,).
    """

    mean: FloatArray
    whitening: FloatArray
    log_shares: tuple[tuple[float, FloatArray | float], ...]

    def log_density(self, zeta: FloatArray) -> FloatArray:
        """Return ln of the density (rows, M) at zeta (rows, M, D), shares included."""
        size = zeta.shape[-1]
        white = (zeta - self.mean[:, None, :]) @ np.swapaxes(self.whitening, -1, -2)
        square = np.sum(white**2, axis=-1)
        log_det = np.linalg.slogdet(self.whitening)[1] - size * np.log(2 * np.pi) / 2
        parts = (
            (log_det + share - size * np.log(scale))[:, None] - square / (2 * scale**2)
            for scale, share in self.log_shares
        )
        return np.asarray(reduce(np.logaddexp, parts))

    def draw(self, noise: FloatArray) -> FloatArray:
        """Turn normal noise (rows, M, D), of the chosen scales, into draws."""
        return np.asarray(self.mean[:, None, :] + noise @ np.swapaxes(np.linalg.inv(self.whitening), -1, -2))


@dataclass(frozen=True)
class _LinearEstimate:
    """zeta given T as if (zeta, T) were Gaussian: mean + gain (T - centre), with the error's whitening."""

    mean: FloatArray
    centre: FloatArray
    gain: FloatArray
    whitening: FloatArray


def _linear_estimate(network: Network, rng: np.random.Generator) -> _LinearEstimate:
    law = network.law
    size = law.widths[0] + (sum(law.widths[1:-1]) if law.sigma_hidden > 0 else 0)
    zeta = rng.standard_normal((20 * (size + law.widths[-1]) + 1000, size))
    response = _Latent(network, None).response(zeta)
    observed = response + law.sigma_noise * rng.standard_normal(response.shape)
    mean, centre = zeta.mean(axis=0), observed.mean(axis=0)
    cross = (zeta - mean).T @ (observed - centre)
    gain = cho_solve(cho_factor((observed - centre).T @ (observed - centre)), cross.T).T
    error = zeta - mean - (observed - centre) @ gain.T
    root = np.linalg.cholesky(error.T @ error / len(error))
    return _LinearEstimate(mean, centre, gain, np.linalg.inv(root))


def _bracket_evidence(
    latent: _Latent,
    own: FloatArray,
    observed: FloatArray,
    linear: _LinearEstimate | None,
    inner: int,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return both sides of (a) and the weight share of `own`, each (rows,)."""
    rows, size = own.shape
    components = _proposals(latent, observed, size, linear, rng)
    parts = [(number, *part) for number, component in enumerate(components) for part in component.log_shares]
    shares = np.exp(np.stack([np.broadcast_to(share, rows) for _, _, share in parts], axis=-1))
    uniform = rng.random((rows, inner, 1)) * shares.sum(axis=-1)[:, None, None]
    chosen = np.sum(uniform > np.cumsum(shares, axis=-1)[:, None, :-1], axis=-1)
    owner, scale = (np.array(column)[chosen] for column in list(zip(*parts, strict=True))[:2])
    noise = scale[..., None] * rng.standard_normal((rows, inner, size))
    draws = np.empty_like(noise)
    for number, component in enumerate(components):
        np.copyto(draws, component.draw(noise), where=(owner == number)[..., None])
    candidates = np.concatenate([own[:, None], draws], axis=1)
    proposal = np.full(candidates.shape[:2], -np.inf)
    for component in components:
        np.logaddexp(proposal, component.log_density(candidates), out=proposal)
    prior = -np.sum(candidates**2, axis=-1) / 2 - size * np.log(2 * np.pi) / 2
    weights = prior + latent.log_likelihood(candidates, observed[:, None]) - proposal
    below = logsumexp(weights[:, 1:], axis=1) - np.log(inner)
    above = logsumexp(weights, axis=1) - np.log(inner + 1)
    return below, above, np.exp(log_softmax(weights, axis=1)[:, 0])


def _proposals(
    latent: _Latent, observed: FloatArray, size: int, linear: _LinearEstimate | None, rng: np.random.Generator
) -> list[_Gaussians]:
    """Return the Gaussians of the mixture q(. | T)."""
    rows = len(observed)
    prior_share = PRIOR_SHARE
    starts = rng.standard_normal((STARTS, rows, size))
    starts[0] = 0
    components = []
    if linear is not None:
        starts[0] = linear.mean + (observed - linear.centre) @ linear.gain.T
        whitening = np.broadcast_to(linear.whitening, (rows, size, size))
        components.append(_Gaussians(starts[0], whitening, ((1.0, np.log(LINEAR_SHARE)),)))
    else:
        prior_share += LINEAR_SHARE
    modes, roots, losses = zip(*(_find_mode(latent, start, observed) for start in starts), strict=True)
    # Laplace's evidence of each mode; half of the share is even, because the largest may be a mode's neighbour's.
    log_evidence = -np.stack(losses) - np.log(np.abs(np.diagonal(roots, axis1=-2, axis2=-1))).sum(axis=-1)
    mode_shares = np.logaddexp(log_softmax(log_evidence, axis=0), -np.log(STARTS)) - np.log(2)
    for mode, root, share in zip(modes, roots, mode_shares, strict=True):
        scales = (1.0, share + np.log(MODE_SHARE)), (np.sqrt(2), share + np.log(WIDE_SHARE))
        components.append(_Gaussians(mode, np.swapaxes(root, -1, -2), scales))
    identity = np.broadcast_to(np.eye(size), (rows, size, size))
    components.append(_Gaussians(np.zeros((rows, size)), identity, ((1.0, np.log(prior_share)),)))
    return components


def _find_mode(latent: _Latent, start: FloatArray, observed: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Descend to a mode of p(zeta | T) by damped Gauss-Newton steps.

    Returns
    -------
    tuple
        The point (rows, D), the Cholesky factor of the Gauss-Newton Hessian there (rows, D, D), and -ln p(T, zeta)
        there up to a constant (rows,).
    """
    variance = latent.network.law.sigma_noise**2
    zeta, damping = start, np.full(len(start), 1e-2)
    identity = np.eye(start.shape[1])

    def evaluate(point: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        response, jacobian = latent.linearise(point)
        miss = observed - response
        loss = np.sum(point**2, axis=1) / 2 + np.sum(miss**2, axis=1) / (2 * variance)
        descent = np.einsum("rij,ri->rj", jacobian, miss) / variance - point
        return loss, descent, identity + np.swapaxes(jacobian, 1, 2) @ jacobian / variance, point

    loss, descent, hessian, _ = evaluate(zeta)
    for _ in range(GAUSS_NEWTON_STEPS):
        damped = hessian * (1 + damping[:, None, None] * identity)
        step = np.asarray(np.linalg.solve(damped, descent[..., None])[..., 0], dtype=np.float64)
        new_loss, new_descent, new_hessian, new_zeta = evaluate(zeta + step)
        better = new_loss < loss
        damping = np.where(better, damping / 5, damping * 5)
        zeta = np.where(better[:, None], new_zeta, zeta)
        loss, descent = np.where(better, new_loss, loss), np.where(better[:, None], new_descent, descent)
        hessian = np.where(better[:, None, None], new_hessian, hessian)
    return zeta, np.asarray(np.linalg.cholesky(hessian), dtype=np.float64), loss
