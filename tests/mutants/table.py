"""Small faults that the tests must notice: a sign, a factor, a dropped bias, an average inside a logarithm."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One fault: what stands in a file exactly once, and what it becomes."""

    name: str
    file: str
    original: str
    mutated: str

    def applied_to(self, text: str) -> str:
        """The file's text with the fault in it; a ValueError unless the original stands there exactly once."""
        if text.count(self.original) != 1:
            raise ValueError(f"{self.name}: found {text.count(self.original)} times in {self.file}")
        return text.replace(self.original, self.mutated)


# The tests to try first, nearest to the fault; what they miss meets the whole fast suite.
_ACTIVATIONS = ("tests/activations/test_activations_reference.py", "tests/activations/test_activations_invariants.py")
TESTS_OF = {
    "mfmi/quadrature/gaussian.py": ("tests/quadrature/test_gaussian.py",),
    "mfmi/activations/relu.py": _ACTIVATIONS,
    "mfmi/activations/erf.py": _ACTIVATIONS,
    "mfmi/activations/sign.py": _ACTIVATIONS,
    "mfmi/activations/hard_tanh.py": _ACTIVATIONS,
    "mfmi/activations/tanh.py": _ACTIVATIONS,
    "mfmi/activations/elu.py": _ACTIVATIONS,
    "mfmi/activations/trigonometric.py": _ACTIVATIONS,
    "mfmi/meanfield/_maps.py": ("tests/meanfield/test_meanfield.py",),
    "mfmi/meanfield/_length_map.py": ("tests/meanfield/test_fixed_points.py",),
    "mfmi/meanfield/_fixed_points.py": ("tests/meanfield/test_fixed_points.py",),
    "mfmi/meanfield/_correlation_map.py": ("tests/meanfield/test_fixed_points.py",),
    "mfmi/meanfield/_edge.py": ("tests/meanfield/test_edge_of_chaos.py",),
    "mfmi/chain/ensembles.py": (
        "tests/chain/test_ensembles.py",
        "tests/chain/test_chain.py",
        "tests/chain/test_point_solver.py",
    ),
    "mfmi/channels/gains.py": ("tests/networks/test_weight_ensembles.py",),
    "mfmi/networks/spectrum.py": ("tests/networks/test_weight_ensembles.py",),
    "mfmi/channels/elementwise.py": ("tests/channels/test_interfaces.py", "tests/chain/test_chain.py"),
    "mfmi/quadrature/normal.py": ("tests/channels/test_scalar_channel.py", "tests/bounds/test_replica.py"),
    "mfmi/quadrature/chebyshev.py": ("tests/channels/test_exact_tables.py",),
    "mfmi/bounds/factors.py": ("tests/networks/test_weight_ensembles.py",),
    "mfmi/networks/weights.py": ("tests/networks/test_weight_ensembles.py",),
    "mfmi/channels/layers.py": (
        "tests/channels/test_interfaces.py",
        "tests/chain/test_chain.py",
        "tests/chain/test_point_solver.py",
    ),
    "mfmi/channels/closed/bounds.py": (
        "tests/bounds/test_fisher_bound.py",
        "tests/channels/test_interfaces.py",
        "tests/bounds/test_estimators.py",
    ),
    "mfmi/channels/closed/offsets.py": (
        "tests/channels/test_closed_tables.py",
        "tests/bounds/test_fisher_bound.py",
        "tests/channels/test_interfaces.py",
    ),
    "mfmi/quadrature/splines.py": ("tests/channels/test_closed_tables.py",),
    "mfmi/channels/exact/channel.py": ("tests/channels/test_scalar_channel.py", "tests/bounds/test_replica.py"),
    "mfmi/channels/exact/piecewise_linear.py": (
        "tests/channels/test_scalar_channel.py",
        "tests/bounds/test_replica.py",
    ),
    "mfmi/channels/exact/mixture_density.py": ("tests/channels/test_scalar_channel.py",),
    "mfmi/channels/exact/smooth.py": ("tests/channels/test_scalar_channel.py",),
    "mfmi/channels/exact/step.py": ("tests/channels/test_exact_tables.py", "tests/channels/test_scalar_channel.py"),
    "mfmi/channels/exact/tiles.py": ("tests/channels/test_exact_tables.py",),
    "mfmi/channels/exact/tile_builder.py": ("tests/channels/test_exact_tables.py",),
    "mfmi/channels/observed/activation.py": (
        "tests/channels/test_output_channel.py",
        "tests/bounds/test_decoded_layers.py",
    ),
    "mfmi/channels/observed/folded.py": ("tests/channels/test_output_channel.py",),
    "mfmi/channels/observed/outputs.py": ("tests/bounds/test_observed_activation.py",),
    "mfmi/channels/priors.py": ("tests/channels/test_priors.py",),
    "mfmi/networks/priors.py": ("tests/channels/test_priors.py",),
    "mfmi/chain/potential.py": (
        "tests/chain/test_point_solver.py",
        "tests/chain/test_chain.py",
        "tests/bounds/test_replica.py",
    ),
    "mfmi/chain/search.py": ("tests/chain/test_point_solver.py", "tests/chain/test_chain.py"),
    "mfmi/chain/newton.py": ("tests/chain/test_point_solver.py", "tests/chain/test_chain.py"),
    "mfmi/chain/compiled/_descent.py": ("tests/chain/test_point_solver.py",),
    "mfmi/chain/compiled/_channel.py": ("tests/chain/test_point_solver.py",),
    "mfmi/bounds/estimators.py": (
        "tests/bounds/test_estimators.py",
        "tests/networks/test_rectangular.py",
        "tests/bounds/test_problems.py",
        "tests/networks/test_input_laws.py",
    ),
    "mfmi/bounds/propagation.py": ("tests/bounds/test_estimators.py",),
    "mfmi/bounds/problem.py": (
        "tests/bounds/test_observed_activation.py",
        "tests/bounds/test_decoded_layers.py",
        "tests/networks/test_rectangular.py",
        "tests/bounds/test_estimators.py",
        "tests/bounds/test_further_columns.py",
        "tests/networks/test_input_laws.py",
        "tests/bounds/test_replica.py",
    ),
    "mfmi/bounds/evaluate.py": ("tests/bounds/test_evaluation.py", "tests/test_api.py"),
    "mfmi/jacobian/_jacobian.py": ("tests/jacobian/test_isometry.py",),
    "mfmi/attainable/_limits.py": ("tests/attainable/test_capacity.py",),
    "mfmi/datasets/_pairs.py": ("tests/datasets/test_datasets_pairs.py",),
    "mfmi/datasets/_pair_chain.py": ("tests/datasets/test_datasets.py",),
    "mfmi/datasets/_bounds.py": ("tests/datasets/test_datasets.py",),
    "mfmi/simulate/_network.py": ("tests/simulate/test_simulate.py",),
    "mfmi/simulate/_maps.py": ("tests/simulate/test_simulate.py",),
    "mfmi/simulate/_decoder.py": ("tests/simulate/test_simulate.py",),
    "mfmi/simulate/_nested_monte_carlo.py": ("tests/simulate/test_simulate.py",),
    "mfmi/simulate/_trend.py": ("tests/simulate/test_simulate.py",),
    "mfmi/simulate/_average.py": ("tests/simulate/test_simulate.py",),
    "mfmi/verification/_theory.py": ("tests/cli/test_cli_verify.py",),
}

# Files whose results the cache directory keeps: their faults must not meet numbers from before.
CACHED = (
    "mfmi/channels/exact/channel.py",
    "mfmi/channels/exact/piecewise_linear.py",
    "mfmi/channels/exact/mixture_density.py",
    "mfmi/channels/exact/smooth.py",
    "mfmi/channels/exact/step.py",
    "mfmi/channels/exact/tile_builder.py",
)

# Survivors, each with its paragraph in docs/testing.md.
EXPLAINED: tuple[str, ...] = ("the last step is not taken",)

_FAULTS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "mfmi/quadrature/gaussian.py": (
        (
            "the measure of the map is forgotten",
            "np.exp(-0.5 * nodes_z**2) * np.cosh(t) * np.abs(reach) * w",
            "np.exp(-0.5 * nodes_z**2) * np.abs(reach) * w",
        ),
        (
            "kinks are ignored",
            "    if len(kinks):\n        return _panel_rule",
            "    if False:\n        return _panel_rule",
        ),
    ),
    "mfmi/activations/relu.py": (
        (
            "half of the slope moment",
            "slope_at_zero_squared=0.5 * (left * left + right * right)",
            "slope_at_zero_squared=0.25 * (left * left + right * right)",
        ),
        (
            "a sign in the arc-cosine kernel",
            "+ (0.5 * np.pi - theta) * np.cos(theta)",
            "- (0.5 * np.pi - theta) * np.cos(theta)",
        ),
        (
            "left and right are swapped in kappa",
            "self.right * ndtr(t) + self.left * ndtr(-t)",
            "self.right * ndtr(-t) + self.left * ndtr(t)",
        ),
        ("a factor 2 in the residual", "4.0 * self._even_part**2 * v", "2.0 * self._even_part**2 * v"),
    ),
    "mfmi/activations/erf.py": (
        (
            "a factor 2 in the arcsine law",
            "2.0 / np.pi * np.arctan2(2.0 * s, np.sqrt(1.0 + 4.0 * s))",
            "2.0 / np.pi * np.arctan2(2.0 * s, np.sqrt(1.0 + 2.0 * s))",
        ),
        ("a factor 2 in the slope moment", "np.sqrt(1.0 + 4.0 * k * s)", "np.sqrt(1.0 + 2.0 * k * s)"),
        ("variance for deviation in kappa", "kappa = _SLOPE / np.sqrt(scale)", "kappa = _SLOPE / scale"),
    ),
    "mfmi/activations/sign.py": (
        ("a factor 2 in the gain of a step", "2.0 * density(t) / sigma, 0.0)", "density(t) / sigma, 0.0)"),
        ("half of the decorrelation", "return 4.0 / np.pi * np.arctan2", "return 2.0 / np.pi * np.arctan2"),
    ),
    "mfmi/activations/hard_tanh.py": (
        ("one of two tails", "+ erfc(np.sqrt(half_square))", "+ 0.5 * erfc(np.sqrt(half_square))"),
        ("half of the covariance of the ramps", "- 2.0 * covariance, 0.0)", "- covariance, 0.0)"),
    ),
    "mfmi/activations/tanh.py": (
        ("the pole is taken too far away", "pole = 0.5 * math.pi", "pole = 5.0 * math.pi"),
        ("a sign in ln phi'", "far = 2.0 * (x - math.log(2.0) +", "far = 2.0 * (x + math.log(2.0) +"),
    ),
    "mfmi/activations/elu.py": (
        (
            "a sign in E ln phi'",
            "+ math.log(self.alpha) - np.sqrt(2.0 * s / np.pi)",
            "+ math.log(self.alpha) + np.sqrt(2.0 * s / np.pi)",
        ),
        (
            "the positive half is forgotten",
            "powers[0] * (0.5 + powers[1] * _below(s, 2.0 * k))",
            "powers[0] * (powers[1] * _below(s, 2.0 * k))",
        ),
    ),
    "mfmi/activations/trigonometric.py": (
        (
            "deviation for variance in E cos",
            "-0.5 * np.expm1(-2.0 * s) if self.odd",
            "-0.5 * np.expm1(-2.0 * np.sqrt(s)) if self.odd",
        ),
    ),
    "mfmi/meanfield/_maps.py": (
        ("the first bias is dropped", "q[:, 0] = w2[:, 0] * q_x + b2[:, 0]", "q[:, 0] = w2[:, 0] * q_x"),
        ("the later biases are dropped", "second + b2[:, layer + 1]", "second"),
        ("hidden noise is not seen", "        s = q[:, layer] + h2\n", "        s = q[:, layer]\n"),
        ("the sign of the correlation", "np.stack([1.0 - c_0, np.ones(n)", "np.stack([1.0 + c_0, np.ones(n)"),
        (
            "noise of two runs is the same",
            "np.minimum(gaps[:starts, :, layer] + h2, 2.0 * s)",
            "np.minimum(gaps[:starts, :, layer], 2.0 * s)",
        ),
        ("chi without sigma_w^2", "chi[:, layer] = after * finite", "chi[:, layer] = finite"),
        ("deviation for variance of the weights", "q[:, 0] = w2[:, 0] * q_x", "q[:, 0] = np.sqrt(w2[:, 0]) * q_x"),
    ),
    "mfmi/meanfield/_length_map.py": (
        (
            "fixed points about to merge are missed",
            "split = sign * _mismatch(phi, middle, w2[row], shift[row]) < 0.0",
            "split = np.zeros(len(row), dtype=bool)",
        ),
        ("the end of a straight line", "shift / (1.0 - slope), np.inf", "shift * (1.0 - slope), np.inf"),
        ("what repels attracts", "(first < 0) | ((w2 *", "(first > 0) | ((w2 *"),
    ),
    "mfmi/meanfield/_fixed_points.py": (
        ("the sign of a depth scale", "scale = -1.0 / np.log(np.abs(slope))", "scale = 1.0 / np.log(np.abs(slope))"),
        (
            "V' and E phi'^2 are mixed up",
            "chi_q = w2 * np.asarray(phi.second_moment_slope(at))",
            "chi_q = w2 * slope_moment(phi, at)",
        ),
        (
            "q* without the bias",
            "w2 * np.asarray(phi.second_moment(at)) + b2, at)",
            "w2 * np.asarray(phi.second_moment(at)), at)",
        ),
    ),
    "mfmi/meanfield/_correlation_map.py": (
        (
            "the slope of the correlation map without noise",
            "phi.slope_correlation_gap(s[rows], np.minimum(gap + h2[rows], 2 * s[rows]))",
            "phi.slope_correlation_gap(s[rows], np.minimum(gap, 2 * s[rows]))",
        ),
        ("c* without its q*", "c_star[rows] = 1.0 - gap / q_star[rows]", "c_star[rows] = 1.0 - gap"),
    ),
    "mfmi/meanfield/_edge.py": (
        (
            "the edge of chaos without noise",
            "b2 = q - w2 * np.asarray(phi.second_moment(s))",
            "b2 = s - w2 * np.asarray(phi.second_moment(s))",
        ),
        ("a branch is lost", "inside = s > h2[rows]", "inside = s > h2[rows] + 1.0"),
    ),
    "mfmi/chain/ensembles.py": (
        (
            "a sign in the gaussian bracket",
            "alpha * a * (v - sigma_w2 * e)",
            "alpha * a * (v + sigma_w2 * e)",
        ),
        (
            "alpha is dropped",
            "LogMap(*gaussian_precision(self.alpha * self.sigma_w2, a, v))",
            "LogMap(*gaussian_precision(self.sigma_w2, a, v))",
        ),
        (
            "a sign in the R transform",
            "np.log(sigma_w2 * e) - np.log(left)",
            "np.log(sigma_w2 * e) + np.log(left)",
        ),
        (
            "wide for narrow",
            "-np.maximum(1.0, alpha) * chosen",
            "-np.minimum(1.0, alpha) * chosen",
        ),
        ("a bracket where the precision vanishes", "np.maximum(theta, 0.0), 0.5", "np.maximum(theta, -0.5), 0.5"),
    ),
    "mfmi/channels/gains.py": (
        (
            "the order of activations and gains",
            "yield ~self.linear, self.activations",
            "yield self.linear, self.activations",
        ),
        ("gains of another layer", "own = slice(before, after)", "own = slice(0, after - before)"),
    ),
    "mfmi/networks/spectrum.py": (
        (
            "a law without its weights",
            "return nodes, total * np.square(vectors[0])",
            "return nodes, np.full(_NODES, total / _NODES)",
        ),
        (
            "singular values for their squares",
            "values[: len(own)] = np.square(own)",
            "values[: len(own)] = own",
        ),
        ("zeros of the shape count", "share = np.clip(alpha - above, 0.0, share)", "pass"),
    ),
    "mfmi/channels/elementwise.py": (
        (
            "twice the information of a gaussian",
            "found: Number = 0.5 * np.log1p(share)",
            "found: Number = np.log1p(share)",
        ),
        ("the residual is dropped", "gain * (v + noise) + residual", "gain * (v + noise)"),
        ("the surrogate's noise is dropped", "gain * (v + noise) + residual", "gain * v + residual"),
        ("all singular values are one", "left = 1.0 / (1.0 + r * v * eigenvalue)", "left = 1.0 / (1.0 + r * v)"),
    ),
    "mfmi/quadrature/normal.py": (
        (
            "half of the offsets",
            "sides = 2.0 if phi.odd or phi.even else 1.0",
            "sides = 1.0",
        ),
    ),
    "mfmi/quadrature/chebyshev.py": (
        ("a factor 2 in a recurrence", "dd[:, k] = 4.0 * d[:, k - 1]", "dd[:, k] = 2.0 * d[:, k - 1]"),
    ),
    "mfmi/bounds/factors.py": (
        ("both rotations bear the scale", "scaled += [True, False]", "scaled += [True, True]"),
        (
            "the wide rotation first",
            "ratios += [min(1.0, ratio), max(1.0, ratio)]",
            "ratios += [max(1.0, ratio), min(1.0, ratio)]",
        ),
    ),
    "mfmi/networks/weights.py": (("the first ensemble for all layers", "min(layer, len(self.layers)) - 1", "0"),),
    "mfmi/channels/layers.py": (
        (
            "the average inside the logarithm",
            'np.einsum("nkm,nkm->nk", self.weight[rows], np.log1p(r[rows, :, None] * power))',
            'np.log1p(r[rows] * np.einsum("nkm,nkm->nk", self.weight[rows], power))',
        ),
        ("the channel's noise is dropped", "tau = v + self.hidden_noise\n", "tau = v\n"),
    ),
    "mfmi/channels/closed/bounds.py": (
        ("the residual does not disturb", " / (1.0 + precision * residual[rows, :, None])))", "))"),
        ("every piece is certain", "weight * share[..., piece],", "weight,"),
        (
            "maximum entropy twice",
            "out[rows] = 0.5 * _mean(_capacities(",
            "out[rows] = _mean(_capacities(",
        ),
        (
            "half of the variance that blurs the offset",
            "/ (1.0 + precision * power[rows, :, None]))",
            "/ (1.0 + 0.5 * precision * power[rows, :, None]))",
        ),
        (
            "twice an integral over the variance",
            "np.concatenate((start, 0.5 * cells))",
            "np.concatenate((start, cells))",
        ),
    ),
    "mfmi/channels/closed/offsets.py": (
        ("the law of the offset is too wide", "np.sqrt(np.maximum(s - tau, 0.0))", "np.sqrt(np.maximum(s, 0.0))"),
        ("no valley is looked at where phi turns", "*phi.slope_zeros, ", ""),
    ),
    "mfmi/quadrature/splines.py": (("a tenth of what splines miss", "_CUBIC = 384.0", "_CUBIC = 3840.0"),),
    "mfmi/channels/exact/channel.py": (
        ("the offset has all the variance", "variance = np.maximum(s - tau, 0.0)", "variance = np.maximum(s, 0.0)"),
    ),
    "mfmi/channels/exact/piecewise_linear.py": (
        (
            "a second moment for a variance",
            "second = np.maximum(second - mean * mean, 0.0)",
            "second = np.maximum(second, 0.0)",
        ),
        (
            "variance for deviation in the score",
            "score += weight * moved / (sigma * sigma)",
            "score += weight * moved / sigma",
        ),
    ),
    "mfmi/channels/exact/smooth.py": (
        ("the score without its scale", "likelihood(g.copy()) / sigma, g / sigma", "likelihood(g.copy()) / sigma, g"),
        ("the remaining variance in the wrong unit", "remaining / self.r[:, :, None]", "remaining"),
        (
            "images under one precision of several",
            "share = self.root[row] / self.largest[row, None]",
            "share = 0.0 * self.root[row] + 1.0",
        ),
    ),
    "mfmi/channels/exact/mixture_density.py": (
        (
            "a second moment for a variance, smooth",
            "self.second / safe - mean * mean, 0.0)",
            "self.second / safe, 0.0)",
        ),
        ("a polynomial of the wrong kind", "2.0 * place * now - before", "place * now - before"),
        ("images that are near but not quite", "PAIR_REACH = 13.0", "PAIR_REACH = 3.0"),
    ),
    "mfmi/channels/exact/step.py": (
        ("half the width of the log odds", "width = 2.0 * np.sqrt(r)", "width = np.sqrt(r)"),
        ("half of an entropy", "-np.exp(up) * up - np.exp(down) * down", "-np.exp(up) * up"),
    ),
    "mfmi/channels/exact/tiles.py": (
        (
            "the second derivative of a logarithm",
            "j_aa = -left * (aa + a * a) / j - j_a * j_a",
            "j_aa = -left * (aa + a * a) / j",
        ),
        ("the width of a tile", "(2.0 / WIDTHS[1]) ** j", "(1.0 / WIDTHS[1]) ** j"),
    ),
    "mfmi/channels/exact/tile_builder.py": (
        (
            "the inner offsets are forgotten",
            "for number in range(place[2] + 1):",
            "for number in range(place[2], place[2] + 1):",
        ),
        ("a table that is always right", "MARGIN * (tail + miss)", "0.0 * (tail + miss)"),
    ),
    "mfmi/channels/observed/activation.py": (
        ("the ends of a piece", "j += 0.5 * v * bulge / s", "j += 0.0 * v * bulge / s"),
        ("a step's curvature at small variances", "a = found.a / np.sqrt(share)", "a = found.a * np.sqrt(share)"),
        ("an atom is not told apart", "j -= after[0]", "j -= 0.0 * after[0]"),
    ),
    "mfmi/channels/observed/folded.py": (
        ("branches of the same density", " - log_ratio\n", "\n"),
        ("offsets of another law", "np.sqrt(share) * grid", "share * grid"),
    ),
    "mfmi/channels/observed/outputs.py": (
        (
            "the gain's average before the logarithm",
            "np.log1p(self.gain * v[:, None]))",
            "np.log1p((self.weight * self.gain).sum(1) * v)[:, None])",
        ),
        (
            "another offset's law",
            "observed_activation(self.phi, inside, self.noise, total)",
            "observed_activation(self.phi, inside, self.noise, 2.0 * total)",
        ),
        ("the curvature of the reading", "(left, -left * left, rest)", "(left, -left, rest)"),
    ),
    "mfmi/channels/priors.py": (
        ("the slope of the remaining variance", "slope -= share * left * left", "slope -= share * left"),
    ),
    "mfmi/networks/priors.py": (
        ("eigenvalues of another scale", "in values / np.mean(values)", "in values / np.max(values)"),
    ),
    "mfmi/chain/potential.py": (
        ("half of the bracket", "total - 0.5 * (bracket * _units", "total - 0.25 * (bracket * _units"),
        (
            "the output's width is forgotten",
            "total = source(r[:, 0]) + ratio[chain.length] * output",
            "total = source(r[:, 0]) + output",
        ),
        ("informations for errors", "layers = chain.layers.error if", "layers = chain.layers.information if"),
        (
            "rounding is all that can be wrong",
            "np.asarray(error + POTENTIAL_ROUNDING * total",
            "np.asarray(POTENTIAL_ROUNDING * total",
        ),
    ),
    "mfmi/chain/search.py": (
        (
            "the larger of two minima",
            "better = (other.value < one.value)",
            "better = (other.value > one.value)",
        ),
        ("maxima pass for minima", "np.isfinite(found.value) & (found.pivot > 0.0)", "np.isfinite(found.value)"),
        ("a second minimum is forgotten", "distinct | one.coexisting | other.coexisting", "distinct"),
        (
            "beaten by a minimum that is not the smallest",
            "np.where(least.converged, np.maximum(least.value, largest[rows]), largest[rows])",
            "highest[rows]",
        ),
        (
            "a rival without an end is no rival",
            "known = _at_most(found) <= largest",
            "known = _at_most(found) <= np.inf",
        ),
        (
            "the first of the known minima for any",
            "np.flatnonzero(found.known == number)",
            "np.flatnonzero(found.known >= 0)",
        ),
    ),
    "mfmi/chain/newton.py": (
        (
            "a search without an end counts",
            "found.value[~ended], found.error[~ended], found.rest[~ended] = np.nan, np.nan, np.nan",
            "pass",
        ),
        ("any minimum nearby is the known one", "& (there <= rules.onto_known * here)", ""),
    ),
    "mfmi/chain/compiled/_descent.py": (
        ("half of the bracket, compiled", "value -= 0.5 * ratio * bracket", "value -= 0.25 * ratio * bracket"),
        ("the last step is not taken", "work.log_r[matrix] += work.new_r[matrix]\n", "pass\n"),
        ("an output of another width", "        ratio *= alpha\n", ""),
        (
            "errors of hidden layers are forgotten",
            "            error += ratio * layer_error(points.layers, matrix, after)\n",
            "",
        ),
    ),
    "mfmi/chain/compiled/_channel.py": (
        ("gains of another place", "_evaluate_gains(layers, -1 - place", "_evaluate_gains(layers, 0 * place"),
        ("a table without its scale", "found[1] * scale, found[2] / scale", "found[1], found[2] / scale"),
    ),
    "mfmi/bounds/estimators.py": (
        (
            "q for the variance around the offset",
            "    gap = problem.observed(path.offset_gap)\n",
            "    gap = problem.observed(path.q)\n",
        ),
        (
            "hidden noise is no noise",
            "0.5 * problem.rank * total - known",
            "0.5 * problem.rank * total",
        ),
        (
            "the negentropy of the input is forgotten",
            "np.maximum(found.value - negentropy(prior), 0.0)",
            "np.maximum(found.value, 0.0)",
        ),
        (
            "once the negentropy in the entropy power",
            "- 2.0 * negentropy(problem.model.prior)",
            "- negentropy(problem.model.prior)",
        ),
        (
            "a widening layer loses no entropy",
            "np.where(before[problem.depth - 1] > 0, np.nan,",
            "np.where(before[problem.depth - 1] > 99, np.nan,",
        ),
        (
            "nor in the lower bound",
            "found.value[noisy] -= less",
            "found.value[noisy] -= 0.0 * less",
        ),
        (
            "nor in the upper bound",
            "found.value[noisy] - np.where(subtracted, known.value, 0.0)",
            "found.value[noisy]",
        ),
        (
            "a lower bound searches from one side",
            "_lowered(phi_full(problem, *(problem.tabulated(channel) for channel in channels)))",
            "_lowered(phi_full(problem, *(problem.tabulated(channel) for channel in channels), unique=True))",
        ),
        ("bounds by tables as they come", "value=found.value - found.error", "value=found.value"),
    ),
    "mfmi/bounds/propagation.py": (
        (
            "kappa for its square",
            "(np.square(moments.kappa), moments.residual, weight)",
            "(np.abs(moments.kappa), moments.residual, weight)",
        ),
    ),
    "mfmi/bounds/problem.py": (
        (
            "layers that are decoded are not looked at",
            "for layer in range(1, self.deepest):",
            "for layer in range(1, 1):",
        ),
        (
            "a decoder of the activation that sees no noise",
            "noise = signal * self.output_noise[:, None] + moments.residual",
            "noise = moments.residual",
        ),
        (
            "an activation is told by units that are alike",
            "self.beta * self.output.information(",
            "0.5 * self.output.information(",
        ),
        (
            "the error of the noise's share is forgotten",
            "error[noisy] += noise.error",
            "pass",
        ),
        (
            "what is known of the noise is not subtracted",
            "np.maximum(value[noisy] - noise.value, 0.0)",
            "np.maximum(value[noisy], 0.0)",
        ),
        (
            "rates per unit of the first layer",
            "units = float(np.prod(problem.factors.alpha[:gone]))",
            "units = 1.0",
        ),
        (
            "correlated inputs are independent after a rotation",
            " or not problem.model.has_plain_input",
            "",
        ),
        (
            "a wide orthogonal matrix drops out too",
            "not problem.factors.rotates[0] or wide > 1.0",
            "not problem.factors.rotates[0]",
        ),
        (
            "maximum entropy in more directions than there are",
            "self.rank * information_over(per_direction, self.output_noise)",
            "self.beta * information_over(variance, self.output_noise)",
        ),
    ),
    "mfmi/bounds/evaluate.py": (
        ("the worst lower bound", '("mi_lower", LOWER_BOUNDS, np.fmax)', '("mi_lower", LOWER_BOUNDS, np.fmin)'),
        ("a missed minimum counts", "missed.get(name, False)", "False"),
        (
            "noise in the wrong place",
            'np.where(points.noise_at == "every", points.sigma_noise, 0.0)',
            'np.where(points.noise_at == "output", points.sigma_noise, 0.0)',
        ),
        (
            "bits are more than nats by the wrong factor",
            "columns[column.name] /= np.log(2.0)",
            "columns[column.name] *= np.log(2.0)",
        ),
        (
            "deviation for variance of the bias",
            "layered = w * w, b * b",
            "layered = w * w, b",
        ),
    ),
    "mfmi/jacobian/_jacobian.py": (
        ("deviation for variance of the slopes", "second / first**2 - 1.0", "second / first - 1.0"),
        (
            "rotations spread like gaussian matrices",
            "np.where(is_gaussian[:, None], alpha, np.maximum(0.0, alpha - 1.0))",
            "np.where(is_gaussian[:, None], alpha, alpha)",
        ),
        (
            "the observed layer's slope counts",
            "np.concatenate([variance_w[:, :1], variance_w[:, 1:] * first], axis=1)",
            "np.concatenate([variance_w[:, 1:] * first, variance_w[:, :1]], axis=1)",
        ),
    ),
    "mfmi/attainable/_limits.py": (
        ("slopes instead of their squares", "2.0 * (layers - 1.0) * np.where", "(layers - 1.0) * np.where"),
        ("twice the capacity", "float(0.5 * np.logaddexp(0.0, log_snr", "float(np.logaddexp(0.0, log_snr"),
    ),
    "mfmi/datasets/_pairs.py": (
        ("one of two variances", "(mean_i - mean_j) ** 2 + var_i + var_j", "(mean_i - mean_j) ** 2 + var_i"),
        ("sigma_w^2 is forgotten", "v = sigma_w2 * pair_distance(phi", "v = pair_distance(phi"),
    ),
    "mfmi/datasets/_pair_chain.py": (
        (
            "Chernoff's exponent of rotations",
            "n * v / (8.0 * self.noise_variance)",
            "n * v / (4.0 * self.noise_variance)",
        ),
        ("two inputs see two biases", "u, w = u + offset, w + offset", "u, w = u + offset, w"),
        ("the error of an average on the wrong side", "mean * (1.0 + _MARGIN", "mean * (1.0 - _MARGIN"),
    ),
    "mfmi/datasets/_bounds.py": (
        (
            "Chernoff's exponent is twice too large",
            "np.log1p(annealed / (4.0 * noise_variance))",
            "np.log1p(annealed / (2.0 * noise_variance))",
        ),
        ("the pair of an input with itself counts twice", "near, far = np.ones((2,", "near, far = 2.0 * np.ones((2,"),
    ),
    "mfmi/simulate/_network.py": (
        ("the scale of a tall rotation", "scale = sigma_w * np.sqrt(max(1.0, rows / columns))", "scale = sigma_w"),
        ("entries without fan-in", "(sigma_w / np.sqrt(columns))", "(sigma_w / np.sqrt(rows))"),
        ("QR's signs are kept", "    frame = frame * np.sign(np.diagonal(triangle))\n", ""),
        ("networks share their bias", "y = signal @ weight.T + bias", "y = signal @ weight.T"),
    ),
    "mfmi/simulate/_maps.py": (
        ("a pair of the wrong correlation", "np.sqrt(1 - correlation**2) * other", "(1 - correlation) * other"),
        (
            "slopes instead of their squares, measured",
            "np.mean(law.activation.derivative(t) ** 2)",
            "np.mean(law.activation.derivative(t))",
        ),
    ),
    "mfmi/simulate/_decoder.py": (
        (
            "the finite-sample bias stays",
            "rates.append((raw - bias) / (2 * inputs))",
            "rates.append(raw / (2 * inputs))",
        ),
        ("degrees of freedom of the residual", "self.count - 1 - inputs)", "self.count - 1)"),
        ("Bartlett's degrees do not fall", "(degrees - np.arange(size)) / 2", "(degrees - 0 * np.arange(size)) / 2"),
    ),
    "mfmi/simulate/_nested_monte_carlo.py": (
        (
            "the own sample counts in both",
            "below = logsumexp(weights[:, 1:], axis=1)",
            "below = logsumexp(weights, axis=1)",
        ),
        ("the prior is forgotten", "weights = prior + latent.log_likelihood", "weights = latent.log_likelihood"),
        ("upper and lower are swapped", "lower.append(known_below - above)", "lower.append(known_above - below)"),
    ),
    "mfmi/simulate/_trend.py": (
        ("few networks count as many", "stats.t.logsf(abs(ratio), self.degrees)", "stats.norm.logsf(abs(ratio))"),
        (
            "errors add up instead of their squares",
            "parts = (solver[0] * error[kept]) ** 2",
            "parts = np.abs(solver[0]) * error[kept] ** 2",
        ),
    ),
    "mfmi/simulate/_average.py": (
        (
            "the scatter instead of the error of the mean",
            "values.std(axis=0, ddof=1) / np.sqrt(len(values))",
            "values.std(axis=0, ddof=1)",
        ),
        ("the jackknife keeps its bias", "average(count * whole - (count - 1) * left", "average(whole + 0 * left"),
    ),
    "mfmi/verification/_theory.py": (
        ("pairs of one norm", "k = pair_covariance(phi, s_i, s_j, k)", "k = pair_covariance(phi, s_i, s_i, k)"),
    ),
}

MUTANTS = [
    Mutant(f"{name}", file, original, mutated) for file, faults in _FAULTS.items() for name, original, mutated in faults
]
