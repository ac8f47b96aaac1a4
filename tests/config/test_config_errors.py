"""Every class of mistake in a config, each found where it stands, all in one pass."""

import pickle

import pytest

from mfmi.config.config import LocatedConfigError, load_config
from mfmi.errors import ConfigError


def located(marked: str) -> tuple[str, list[tuple[int, int]]]:
    """The text without its marks, and the line and column that follow each mark."""
    places = []
    lines = []
    for number, line in enumerate(marked.split("\n"), 1):
        while "§" in line:
            places.append((number, line.index("§") + 1))
            line = line.replace("§", "", 1)
        lines.append(line)
    return "\n".join(lines), places


def sweep(body: str, after: str = "") -> str:
    """A config whose sweep section is `body`, one key a line."""
    lines = "\n".join(f"  {line}" for line in body.strip("\n").split("\n"))
    return f"version: 1\nsweep:\n{lines}\n{after}"


NETWORK = "activation: tanh\nsigma_w: 1.5\n"

RANGES = "mode: adaptive\nactivation: tanh\nsigma_w: {start: 0.5, stop: 3, num: 5}\n"

# name: text with a mark before each place where an error belongs, and what each error says
CASES: dict[str, tuple[str, list[str]]] = {
    "adaptive without its section": (
        f"version: 1\n§sweep:\n  {RANGES.strip().replace(chr(10), chr(10) + '  ')}\n",
        ["sweep.adaptive: missing: mode adaptive needs to know how many points to spend"],
    ),
    "adaptive in another mode": (
        sweep(NETWORK + "§adaptive: {points: 9}"),
        ["sweep.adaptive: mode product does not read it (did you mean mode: adaptive?)"],
    ),
    "no budget": (sweep(RANGES + "§adaptive: {target: phase}"), ["sweep.adaptive.points: missing: most points"]),
    "a budget below the first grid": (
        sweep(RANGES + "sigma_b: {start: 0, stop: 1, num: 9}\nadaptive: {points: §44}"),
        ["sweep.adaptive.points: 44 is less than the 45 points of the first grid: give more, or coarser ranges"],
    ),
    "nothing to refine": (
        sweep("mode: adaptive\n" + NETWORK + "§adaptive: {points: 100}"),
        ["sweep.adaptive: no axis has a range to refine: {start: ..., stop: ..., num: ...}"],
    ),
    "axes that cannot be refined": (
        sweep(
            RANGES + "sigma_b: [0, 1]\ndepth: [1, 2]\n"
            "adaptive: {points: 99, axes: [§sigma_b, §depth, §sigma_noise, sigma_w, §sigma_w2, §sigma_w]}"
        ),
        [
            "sweep.adaptive.axes[0]: sigma_b on line 6 is no range of numbers: {start: ..., stop: ..., num: ...}",
            "sweep.adaptive.axes[1]: the depth is not refined: every point has all of the depths",
            "sweep.adaptive.axes[2]: the sweep has no axis sigma_noise; the ranges in it are sigma_w",
            "sweep.adaptive.axes[4]: the sweep gives sigma_w, not sigma_w2 (did you mean sigma_w?)",
            "sweep.adaptive.axes[5]: sigma_w is named twice",
        ],
    ),
    "too many refined axes": (
        sweep(
            RANGES + "sigma_b: {start: 0, stop: 1, num: 3}\nsigma_noise: {start: 1, stop: 2, num: 3}\n"
            "skip: {start: 1, stop: 2, num: 3}\n§adaptive: {points: 999}"
        ),
        ["sweep.adaptive.axes: at most 3 axes are refined together, got sigma_w, sigma_b, sigma_noise, skip"],
    ),
    "too few values to refine": (
        sweep(RANGES + "sigma_b: §{start: 0, stop: 1, num: 2}\nadaptive: {points: 99}"),
        ["sweep.sigma_b: a refined axis begins with num 3 at least, got 2"],
    ),
    "a target that is not computed": (
        sweep(RANGES + "adaptive: {points: 99, target: §mi_replica}", "estimators: [linear]"),
        ["sweep.adaptive.target: mi_replica is not computed: add replica to the estimators, which are linear"],
    ),
    "a bound that is not computed": (
        sweep(RANGES + "adaptive: {points: 99, target: §mi_upper}", "estimators: [linear]"),
        ["mi_upper is not computed: add gaussian_upper or covariance_upper to the estimators"],
    ),
    "a tolerance above the first steps": (
        sweep(RANGES + "adaptive: {points: 99, tolerance: §0.25}"),
        ["sweep.adaptive.tolerance: 0.25 is no less than the cells of the first grid, 0.25 of an axis"],
    ),
    "a tolerance without end": (
        sweep(RANGES + "sigma_b: {start: 0, stop: 1, num: 5}\nadaptive: {points: 99, §tolerance: 1e-9}"),
        ["sweep.adaptive.tolerance: makes a lattice of 1.15e+18 places, more than can be numbered"],
    ),
    "excluded values of a refined axis": (
        sweep(RANGES + "exclude: [{§sigma_w: 3}]\nadaptive: {points: 99}"),
        ["sweep.exclude.sigma_w: sigma_w is refined, so that single values of it cannot be left out"],
    ),
    "unknown key": (sweep(NETWORK + "§sigmaw: 1"), ["sweep.sigmaw: unknown key (did you mean sigma_w?)"]),
    "unknown key at the top": (sweep(NETWORK, "§outputs: {}"), ["outputs: unknown key (did you mean output?)"]),
    "unknown key unlike any": (
        sweep(NETWORK, "input: {§zzz: 1}"),
        ["input.zzz: unknown key; the keys here are variance, correlation"],
    ),
    "axis outside the sweep": (
        sweep(NETWORK, "§sigma_b: 1"),
        ["sigma_b: unknown key (did you mean sweep.sigma_b?)"],
    ),
    "stride of a convolution": (
        sweep(NETWORK, "network: {convolution: {positions: 8, §stride: 2, §kernel: 3}}"),
        [
            "network.convolution.stride: unknown key: of convolutions that are circular, of stride 1 and without",
            "network.convolution.kernel: unknown key: the size of the kernel changes nothing",
        ],
    ),
    "tied weights": (
        sweep(NETWORK, "network: {§tied_weights: 1}"),
        ["network.tied_weights: unknown key: the theory needs weights that are independent from layer to layer"],
    ),
    "positions without a convolution": (
        sweep(NETWORK, "network: {§positions: 8}"),
        ["network.positions: unknown key (did you mean network.convolution.positions?)"],
    ),
    "convolution without positions": (
        sweep(NETWORK, "network: {§convolution: {input_correlation: 0.5}}"),
        ["network.convolution.positions: missing: positions on a ring"],
    ),
    "too many positions": (
        sweep(NETWORK, "network: {convolution: {positions: §[100, 100]}}"),
        ["network.convolution.positions: 10000 of them are more than 4096"],
    ),
    "impossible correlations": (
        sweep(NETWORK, "network: {convolution: {positions: 8, input_correlation: §[0.9, 0]}}"),
        ["network.convolution.input_correlation: inputs cannot be correlated like this"],
    ),
    "convolution of a correlated input of another law": (
        sweep(
            NETWORK,
            "input: {prior: rademacher}\nnetwork: {convolution: {positions: 8, input_correlation: §0.5}}",
        ),
        ["network.convolution.input_correlation: correlated inputs are gaussian, and the prior is rademacher"],
    ),
    "observed activation of a convolution": (
        sweep(NETWORK, "observe: §activation\nnetwork: {convolution: {positions: 8, input_correlation: 0.5}}"),
        ["observe: 'activation' is not known of convolutions of correlated inputs"],
    ),
    "option's name for a key": (sweep(NETWORK + "§sb: 1"), ["sweep.sb: unknown key (did you mean sigma_b?)"]),
    "estimators inside the sweep": (sweep(NETWORK + "§unit: bits"), ["unknown key (did you mean output.unit?)"]),
    "misspelt required key": (sweep("activation: tanh\n§sigma_ww: 1"), ["unknown key (did you mean sigma_w"]),
    "squared noise": (sweep(NETWORK + "§sigma_noise2: 1"), ["unknown key (did you mean sigma_noise?)"]),
    "duplicate key": (sweep(NETWORK + "§sigma_w: 2"), ["sweep.sigma_w: duplicate key, first given on line 4"]),
    "duplicate section": (sweep(NETWORK, "§version: 1"), ["version: duplicate key, first given on line 1"]),
    "text for a number": (
        sweep("activation: tanh\nsigma_w: §one"),
        ["sweep.sigma_w: expected a number, got the text 'one'"],
    ),
    "boolean for a number": (sweep("activation: tanh\nsigma_w: §true"), ["expected a number, got true"]),
    "nothing for a number": (sweep(NETWORK + "sigma_b:§"), ["sweep.sigma_b: expected a number, got nothing"]),
    "list in a list": (
        sweep("activation: tanh\nsigma_w: [1, §[2]]"),
        ["sweep.sigma_w[1]: expected a number, got a list"],
    ),
    "number for a name": (sweep("activation: §3\nsigma_w: 1"), ["expected the name of an activation, got 3"]),
    "list for a section": (
        sweep(NETWORK, "input: §[1, 2]"),
        ["input: expected a mapping with the keys variance, correlation, prior, sparsity, spectrum, "],
    ),
    "number for a path": (sweep(NETWORK, "output: {path: §2024}"), ["output.path: expected a text, got 2024"]),
    "empty list": (sweep("activation: tanh\nsigma_w: §[]"), ["sweep.sigma_w: the list is empty"]),
    "empty values": (sweep("activation: tanh\nsigma_w: {values: §[]}"), ["sweep.sigma_w.values: the list is empty"]),
    "empty range": (
        sweep("activation: tanh\nsigma_w: §{start: 3, stop: 0.5, num: 4}"),
        ["sweep.sigma_w: the range is empty: start 3 is above stop 0.5"],
    ),
    "range of no values": (
        sweep("activation: tanh\nsigma_w: {start: 1, stop: 2, num: §0}"),
        ["sweep.sigma_w.num: must be at least 1, got 0"],
    ),
    "range of half a value": (
        sweep("activation: tanh\nsigma_w: {start: 1, stop: 2, num: §2.5}"),
        ["sweep.sigma_w.num: expected a whole number, got 2.5"],
    ),
    "range of one value with two ends": (
        sweep("activation: tanh\nsigma_w: §{start: 1, stop: 2, num: 1}"),
        ["num must be at least 2: both ends are values of the range"],
    ),
    "range of one value many times": (
        sweep("activation: tanh\nsigma_w: §{start: 1, stop: 1, num: 9}"),
        ["start and stop are both 1, so num must be 1"],
    ),
    "range beyond all bounds": (
        sweep("activation: tanh\nsigma_w: {start: 1, stop: 2, num: §1e13}"),
        ["sweep.sigma_w.num: must be at most 1,000,000,000,000, got 1e13"],
    ),
    "range without a key": (
        sweep("activation: tanh\nsigma_w: §{start: 1, num: 9}"),
        ["sweep.sigma_w.stop: missing: the last value"],
    ),
    "range with a wrong key": (
        sweep("activation: tanh\nsigma_w: {start: 1, §stopp: 2, num: 9}"),
        ["sweep.sigma_w.stopp: unknown key (did you mean stop?)"],
    ),
    "values and a range": (
        sweep("activation: tanh\nsigma_w: {values: [1], §num: 9}"),
        ["sweep.sigma_w.num: unknown key; the keys here are values"],
    ),
    "unknown spacing": (
        sweep("activation: tanh\nsigma_w: {start: 1, stop: 2, num: 9, spacing: §logg}"),
        ["sweep.sigma_w.spacing: expected linear or log, got the text 'logg' (did you mean log?)"],
    ),
    "log from zero": (
        sweep(NETWORK + "sigma_b: {start: §0, stop: 2, num: 9, spacing: log}"),
        ["sweep.sigma_b.start: log spacing needs both ends above 0, got 0"],
    ),
    "infinite end": (
        sweep("activation: tanh\nsigma_w: {start: 1, stop: §.inf, num: 9}"),
        ["sweep.sigma_w.stop: must be finite, got .inf"],
    ),
    "overflowing number": (sweep("activation: tanh\nsigma_w: §1e999"), ["sweep.sigma_w: must be finite, got 1e999"]),
    "not a number": (sweep("activation: tanh\nsigma_w: [1, §.nan]"), ["sweep.sigma_w[1]: must be finite, got .nan"]),
    "number whose square overflows": (sweep("activation: tanh\nsigma_w: §1e200"), ["must be at most 1e+100"]),
    "huge integer": (sweep("activation: tanh\nsigma_w: §" + "9" * 5000), ["must be finite, got 9999"]),
    "negative deviation": (
        sweep("activation: tanh\nsigma_w: §-1\nsigma_b: §-0.5"),
        ["sweep.sigma_w: a standard deviation cannot be negative, got -1", "sweep.sigma_b: a standard deviation"],
    ),
    "negative variance": (sweep(NETWORK + "sigma_b2: §-1"), ["sweep.sigma_b2: a variance cannot be negative, got -1"]),
    "negative start": (
        sweep("activation: tanh\nsigma_w: {start: §-1, stop: 1, num: 3}"),
        ["sweep.sigma_w.start: a standard deviation cannot be negative"],
    ),
    "no noise": (sweep(NETWORK + "sigma_noise: §0"), ["sweep.sigma_noise: must be greater than 0"]),
    "negative noise": (sweep(NETWORK + "sigma_noise: [0.1, §-0.1]"), ["sweep.sigma_noise[1]: must be greater than 0"]),
    "noise whose square vanishes": (sweep(NETWORK + "sigma_noise: §1e-200"), ["must be at least 1e-100, got 1e-200"]),
    "both forms of the weights": (
        sweep(NETWORK + "§sigma_w2: 2"),
        ["sweep.sigma_w2: the same axis as sigma_w on line 4; give one of the two forms"],
    ),
    "both forms of the biases": (
        sweep(NETWORK + "sigma_b2: [1, 2]\n§sigma_b: 1"),
        ["sweep.sigma_b: the same axis as sigma_b2 on line 5; give one of the two forms"],
    ),
    "bad depths": (
        sweep(NETWORK + "depth: [1, §0, §2.5, §-1, §10001, §ten]"),
        [
            "sweep.depth[1]: must be at least 1, got 0",
            "sweep.depth[2]: expected a whole number, got 2.5",
            "sweep.depth[3]: must be at least 1, got -1",
            "sweep.depth[4]: must be at most 10,000, got 10001",
            "sweep.depth[5]: expected a whole number, got the text 'ten'",
        ],
    ),
    "range of broken depths": (
        sweep(NETWORK + "depth: §{start: 1, stop: 4, num: 3}"),
        ["sweep.depth: the range holds 2.5, which is not a whole number"],
    ),
    "more depths than whole numbers": (
        sweep(NETWORK + "depth: §{start: 1, stop: 4, num: 1e12}"),
        ["1,000,000,000,000 values from 1 to 4 are not whole numbers"],
    ),
    "depth twice": (sweep(NETWORK + "depth: [1, 2, §1]"), ["sweep.depth[2]: 1 stands at [0] already"]),
    "value twice": (
        sweep("activation: tanh\nsigma_w: [1, §1.0]"),
        ["sweep.sigma_w[1]: 1.0 stands at [0] already"],
    ),
    "unknown activation": (
        sweep("activation: [tanh, §rellu]\nsigma_w: 1"),
        ["sweep.activation[1]: unknown activation rellu (did you mean relu?)"],
    ),
    "unknown activation unlike any": (
        sweep("activation: §zzzzzz\nsigma_w: 1"),
        ["sweep.activation: unknown activation zzzzzz; known are "],
    ),
    "activation with a wrong parameter": (sweep("activation: §leaky_relu(1, 2)\nsigma_w: 1"), ["leaky_relu takes"]),
    "activation that is an expression": (
        sweep("activation: §leaky_relu(1)+f(2)\nsigma_w: 1"),
        ["expected a name such as tanh or leaky_relu(0.1), got the text"],
    ),
    "activation that is code": (
        sweep("activation: §os:getcwd\nsigma_w: 1"),
        ["sweep.activation: a config runs no code of its own"],
    ),
    "unknown weights": (
        sweep(NETWORK + "weights: §orthogonol"),
        ["sweep.weights: expected gaussian or orthogonal, got the text 'orthogonol' (did you mean orthogonal?)"],
    ),
    "unknown noise placement": (
        sweep(NETWORK + "noise_at: [output, §evry]"),
        ["sweep.noise_at[1]: expected output or every, got the text 'evry' (did you mean every?)"],
    ),
    "unknown mode": (
        sweep("mode: §products\n" + NETWORK),
        ["sweep.mode: expected one of product, zip, points, adaptive, got the text 'products' (did you mean product?)"],
    ),
    "unknown estimator": (
        sweep(NETWORK, "estimators: [linear, §entropy-power]"),
        ["estimators[1]: expected one of mean_field, linear, ", "did you mean entropy_power?"][:1],
    ),
    "estimator twice": (
        sweep(NETWORK, "estimators: [linear, replica, §linear]"),
        ["estimators: linear is named twice"],
    ),
    "unknown column": (sweep(NETWORK, "columns: [§mse]"), ["(did you mean mmse?)"]),
    "column twice": (sweep(NETWORK, "columns: [mmse, §mmse]"), ["columns: mmse is named twice"]),
    "columns inside the sweep": (sweep(NETWORK + "§columns: mmse"), ["unknown key (did you mean columns?)"]),
    "widths in two forms": (
        sweep(NETWORK, "network:\n  widths: [4, 2]\n  §alpha: [0.5]"),
        ["network.alpha: the widths on line 6 give the ratios already"],
    ),
    "width of nothing": (
        sweep(NETWORK, "network: {widths: [4, §0]}"),
        ["network.widths[1]: must be at least 1, got 0"],
    ),
    "one width": (sweep(NETWORK, "network: {widths: §[4]}"), ["network.widths: needs two numbers at least"]),
    "widths that are none": (sweep(NETWORK, "network: {widths: §4}"), ["network.widths: expected a list, got 4"]),
    "ratio of nothing": (sweep(NETWORK, "network: {alpha: [1, §0]}"), ["network.alpha[1]: must be at least 1e-09"]),
    "widths at the top": (sweep(NETWORK, "§widths: [4, 2]"), ["unknown key (did you mean network.widths?)"]),
    "depths beyond the layers": (
        sweep(NETWORK + "depth: [1, §3]", "network: {widths: [4, 2, 2]}"),
        ["sweep.depth[1]: the network has 2 layers, got 3"],
    ),
    "depth of a range beyond the layers": (
        sweep(NETWORK + "depth: §{start: 1, stop: 3, num: 3}", "network: {alpha: [2, 2]}"),
        ["sweep.depth: the network has 2 layers, got 3"],
    ),
    "depth of a point beyond the layers": (
        sweep(
            "mode: points\nactivation: tanh\npoints: [{sigma_w: 1}, {sigma_w: 1, depth: §2}]", "network: {alpha: [2]}"
        ),
        ["sweep.points[1].depth: the network has 1 layers, got 2"],
    ),
    "unknown prior": (
        sweep(NETWORK, "input: {prior: §radamacher}"),
        ["input.prior: expected one of gaussian, rademacher, spike_slab, got the text 'radamacher' (did you mean"],
    ),
    "prior without its sparsity": (sweep(NETWORK, "input: {§prior: spike_slab}"), ["input.prior: sparsity is missing"]),
    "sparsity of no prior": (
        sweep(NETWORK, "input: {§sparsity: 0.1}"),
        ["input.sparsity: sparsity is that of spike_slab"],
    ),
    "sparsity of nothing": (
        sweep(NETWORK, "input: {prior: rademacher, sparsity: §0}"),
        ["input.sparsity: must be at least 1e-09, got 0"],
    ),
    "two laws of the input": (
        sweep(NETWORK, "input:\n  prior: rademacher\n  §spectrum: no.npy"),
        ["input.spectrum: does not go with the prior on line 6"],
    ),
    "spectrum of the input from nowhere": (
        sweep(NETWORK, "input: {spectrum: §no.npy}"),
        ["input.spectrum: cannot read"],
    ),
    "prior at the top": (sweep(NETWORK, "§prior: rademacher"), ["unknown key (did you mean input.prior?)"]),
    "unknown observable": (
        sweep(NETWORK, "observe: §preactivation"),
        ["observe: expected pre-activation or activation, got the text 'preactivation' (did you mean pre-activation?)"],
    ),
    "observe in the sweep": (sweep(NETWORK + "§observe: activation"), ["unknown key"]),
    "no estimators": (sweep(NETWORK, "estimators: §[]"), ["estimators: the list is empty"]),
    "unknown unit": (
        sweep(NETWORK, "output: {unit: §bit}"),
        ["output.unit: expected nats or bits, got the text 'bit' (did you mean bits?)"],
    ),
    "input out of range": (
        sweep(NETWORK, "input: {variance: §0, correlation: §1.5}"),
        ["input.variance: must be at least 1e-100, got 0", "input.correlation: must be at most 1, got 1.5"],
    ),
    "bad seed": (sweep(NETWORK, "seed: §-1"), ["seed: must be at least 0, got -1"]),
    "other version": ("version: §2\nsweep: {activation: tanh, sigma_w: 1}", ["version: must be 1, got 2"]),
    "no version": ("§sweep: {activation: tanh, sigma_w: 1}", ["version: missing: version: 1"]),
    "no sweep": ("§version: 1", ["sweep: missing: the grid of networks"]),
    "no activation": ("version: 1\n§sweep: {sigma_w: 1}", ["sweep.activation: missing: give activation"]),
    "no weights' deviation": (
        "version: 1\n§sweep: {activation: tanh}",
        ["sweep.sigma_w: missing: give sigma_w or sigma_w2"],
    ),
    "zip of different lengths": (
        sweep("mode: zip\nactivation: tanh\nsigma_w: [1, 2, 3]\nsigma_b: §[1, 2]\ndepth: §{start: 1, stop: 4, num: 4}"),
        [
            "sweep.sigma_b: 2 values, but sigma_w on line 5 has 3",
            "sweep.depth: 4 values, but sigma_w on line 5 has 3",
        ],
    ),
    "zip of a list of one": (
        sweep("mode: zip\nactivation: tanh\nsigma_w: [1, 2]\nsigma_b: §[1]"),
        ["sweep.sigma_b: 1 values, but sigma_w on line 5 has 2"],
    ),
    "points without points": ("version: 1\n§sweep: {mode: points, activation: tanh}", ["sweep.points: missing"]),
    "points without the mode": (
        sweep(NETWORK + "§points: [{sigma_b: 1}]"),
        ["sweep.points: mode product does not read it (did you mean mode: points?)"],
    ),
    "points that lack something": (
        sweep("mode: points\nactivation: tanh\npoints:\n- {sigma_w: 1}\n- §{sigma_b: 1}"),
        ["sweep.points[1].sigma_w: missing: give sigma_w or sigma_w2"],
    ),
    "points beside an axis": (
        sweep("mode: points\nactivation: §[tanh, relu]\npoints: [{sigma_w: 1}]"),
        ["sweep.activation: beside the points stand constants only, got a list"],
    ),
    "points of two minds about depth": (
        sweep("mode: points\nactivation: tanh\ndepth: §[1, 2]\npoints: [{sigma_w: 1, depth: 3}]"),
        ["sweep.depth: a list for all points, but some point has a depth of its own"],
    ),
    "points in two forms": (
        sweep("mode: points\nactivation: tanh\npoints: [{sigma_w: 1}, {§sigma_w2: 1}]"),
        ["sweep.points[1].sigma_w2: the same axis as sigma_w on line 5"],
    ),
    "point with a list": (
        sweep("mode: points\nactivation: tanh\npoints: [{sigma_w: §[1, 2]}]"),
        ["sweep.points[0].sigma_w: expected a number, got a list"],
    ),
    "point that is none": (
        sweep("mode: points\nactivation: tanh\npoints: [{sigma_w: 1}, §7]"),
        ["sweep.points[1]: expected a mapping with the keys activation, "],
    ),
    "exclude naming no axis": (
        sweep(NETWORK + "exclude: [{§weights: gaussian}]"),
        ["sweep.exclude[0].weights: the sweep has no axis weights; it has activation, sigma_w"],
    ),
    "exclude naming the other form": (
        sweep(NETWORK + "exclude: [{§sigma_w2: 1}]"),
        ["sweep.exclude[0].sigma_w2: the sweep gives sigma_w, not sigma_w2 (did you mean sigma_w?)"],
    ),
    "exclude naming an unknown key": (
        sweep(NETWORK + "exclude: [{§sigmw: 1}]"),
        ["sweep.exclude[0].sigmw: unknown key (did you mean sigma_w?)"],
    ),
    "exclude naming the depth of all points": (
        sweep(NETWORK + "depth: [1, 2]\nexclude: [{§depth: 1}]"),
        ["sweep.exclude[0].depth: not an axis here: every point has all of the depths"],
    ),
    "exclude missing by rounding": (
        sweep("activation: tanh\nsigma_w: {start: 0, stop: 1, num: 11}\nexclude: [{sigma_w: §0.3}]"),
        ["no point has sigma_w 0.3 (did you mean 0.30000000000000004?)"],
    ),
    "exclude missing by a slip": (
        sweep("activation: [relu, tanh]\nsigma_w: 1\nexclude: [{activation: [tanh, §erf]}]"),
        ["sweep.exclude[0].activation: no point has activation the text 'erf'"],
    ),
    "exclude of nothing": (
        sweep(NETWORK + "exclude: [§{}]"),
        ["sweep.exclude[0]: names no axis, so it would leave out every point"],
    ),
    "exclude of everything": (
        sweep("activation: [relu, tanh]\nsigma_w: 1\n§exclude: [{activation: relu}, {activation: tanh}]"),
        ["sweep.exclude: leaves no point"],
    ),
    "grid beyond counting": (
        "version: 1\n§sweep:\n  activation: tanh\n  sigma_w: {start: 0, stop: 1, num: 1e12}\n"
        "  sigma_b: {start: 0, stop: 1, num: 1e12}",
        ["sweep: the grid has 1e+24 points, more than can be numbered"],
    ),
    "key that is no word": (sweep(NETWORK, "§[a]: 1"), ["a key must be a word, got a list"]),
    "number for a key": (sweep(NETWORK, "§3: 1"), ["3: unknown key; the keys here are version, "]),
    "list for a config": ("§[1, 2]", ["expected a mapping with the keys version, sweep, estimators, "]),
    "nothing for a config": ("§# only a comment\n", ["the config is empty"]),
}


@pytest.mark.parametrize("name", CASES)
def test_mistake_is_found_where_it_stands(name: str) -> None:
    text, places = located(CASES[name][0])
    with pytest.raises(LocatedConfigError) as caught:
        load_config(text, "some.yaml")
    errors = caught.value.errors
    assert [(error.line, error.column) for error in errors] == places
    for error, wanted in zip(errors, CASES[name][1], strict=True):
        headline, _, rest = str(error).partition("\n")
        assert headline.startswith(f"some.yaml:{error.line}:{error.column}: error: ")
        assert wanted in headline
        assert rest.count("\n") == bool(error.source_line)


def test_caret_stands_below_the_mistake() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("version: 1\nsweep:\n  activation: rellu\n  sigma_w: 1\n", "some.yaml")
    assert str(caught.value).splitlines() == [
        "some.yaml:3:15: error: sweep.activation: unknown activation rellu (did you mean relu?)",
        "  activation: rellu",
        "              ^",
    ]


@pytest.mark.parametrize("before", ["漢字", "e\u0301e\u0301", "\U0001f600"])
def test_caret_allows_for_the_width_of_characters(before: str) -> None:
    from rich.cells import cell_len

    line = f"version: [{before}, 2"
    with pytest.raises(LocatedConfigError) as caught:
        load_config(f"{line}\n", "some.yaml")
    (error,) = caught.value.errors
    _, shown, caret = str(error).splitlines()
    assert shown == line
    assert len(caret) - 1 == cell_len(line[: error.column - 1])


def test_caret_of_a_long_line_shows_the_part_around_it() -> None:
    values = ", ".join(["1.5"] * 5000)
    with pytest.raises(LocatedConfigError) as caught:
        load_config(f"version: 1\nsweep: {{mode: zip, activation: tanh, sigma_w: [{values}, wrong, {values}]}}", "f")
    _, shown, caret = str(caught.value).splitlines()
    assert len(shown) < 200
    assert shown[caret.index("^") :].startswith("wrong")


def test_control_characters_do_not_reach_the_terminal() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("version: 1\nsweep: {activation: tanh, sigma_w: 1}\n\x9b31m\x1b[31m: 1", "some.yaml")
    assert "\x1b" not in str(caught.value)
    assert "\x9b" not in str(caught.value)


def test_all_mistakes_come_in_one_pass_sorted_by_line() -> None:
    text, places = located(
        "version: §2\n"
        "seed: §x\n"
        "sweep:\n"
        "  weights: §gausian\n"
        "  sigma_w: {start: 1, stop: §.inf, num: §0}\n"
        "  §sigma_w2: 1\n"
        "  §activatoin: tanh\n"
        "  depth: [1, §1.5]\n"
        "  §weights: orthogonal\n"
        "  exclude: [{§noise_at: every}, {§sigma_noise: 1}]\n"
        "estimators: §liner\n"
        "§unit: bits\n"
    )
    with pytest.raises(LocatedConfigError) as caught:
        load_config(text, "some.yaml")
    assert [(error.line, error.column) for error in caught.value.errors] == places


def test_relations_are_checked_beside_other_mistakes() -> None:
    text, places = located(
        "version: §2\n"
        "sweep:\n"
        "  mode: zip\n"
        "  activation: tanh\n"
        "  sigma_w: [1, 2]\n"
        "  sigma_b: §[1, 2, 3]\n"
        "  exclude: [{§noise_at: every}, {sigma_b: §4}]\n"
    )
    with pytest.raises(LocatedConfigError) as caught:
        load_config(text, "some.yaml")
    assert [(error.line, error.column) for error in caught.value.errors] == places


def test_a_flood_of_mistakes_is_cut_short_and_counted() -> None:
    with pytest.raises(LocatedConfigError) as caught:
        load_config("".join(f"key{i}: 1\n" for i in range(30_000)), "some.yaml")
    assert len(caught.value.errors) == 500
    assert caught.value.errors[-1].message.endswith("29502 more errors are not shown")  # version and sweep are missing


def test_errors_travel_between_processes() -> None:
    with pytest.raises(LocatedConfigError) as caught:
        load_config("version: 2\n", "some.yaml")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert copy.errors == caught.value.errors
    assert str(copy) == str(caught.value)


OVERRIDES: dict[str, tuple[str, str]] = {
    "no value": ("sweep.depth", "--set sweep.depth:1:1: error: expected KEY=VALUE"),
    "no key": ("=1", "--set:1:1: error: expected KEY=VALUE"),
    "empty part": ("sweep..depth=1", "error: expected KEY=VALUE"),
    "unknown key": ("sweep.dpth=1", "--set sweep.dpth:1:1: error: sweep.dpth: unknown key (did you mean depth?)"),
    "wrong value": ("sweep.depth=[1, x]", "--set sweep.depth:1:17: error: sweep.depth[1]: expected a whole number"),
    "not YAML": ("sweep.depth=[1", "--set sweep.depth:1:13: error: sweep.depth: not valid YAML"),
    "inside a value": ("sweep.sigma_w.num=1", "error: sweep.sigma_w: holds 1.5, in which no key can be set"),
    "inside a list": ("estimators.9=linear", "error: estimators: a list of 1 values, numbered from 0, has no '9'"),
    "other form": ("sweep.sigma_w2=4", "sweep.sigma_w2: the same axis as sigma_w on line 4"),
    "control character": (
        "sweep.\x1bdepth=1",
        "expected KEY=VALUE such as sweep.depth=[1,2], got 'sweep.\\x1bdepth=1'",
    ),
}


@pytest.mark.parametrize("name", OVERRIDES)
def test_mistake_in_an_override_is_found_in_its_argument(name: str) -> None:
    argument, wanted = OVERRIDES[name]
    with pytest.raises(LocatedConfigError) as caught:
        load_config(sweep(NETWORK, "estimators: [linear]"), "some.yaml", [argument])
    (error,) = caught.value.errors
    assert wanted in str(error)


def test_mistakes_in_overrides_come_after_those_in_the_file() -> None:
    with pytest.raises(LocatedConfigError) as caught:
        load_config(sweep(NETWORK, "seed: x"), "some.yaml", ["sweep.depth=0", "output.unit=bit"])
    assert [error.file for error in caught.value.errors] == ["some.yaml", "--set sweep.depth", "--set output.unit"]


@pytest.mark.parametrize("value", ["0.5:3:101", "1,1.5"])
def test_numbers_as_the_command_line_writes_them_are_met_with_the_forms_of_a_config(value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("version: 1\nsweep: {activation: tanh, sigma_w: 1}", "c.yaml", [f"sweep.sigma_w={value}"])
    assert "a list such as [1, 1.5] or a range such as {start: 0.5, stop: 3, num: 101}" in str(caught.value)
