"""The words of the interface, and the version; free of numpy, so that help and completion stay fast."""

__version__ = "0.2.0"

# In the order of their columns.
ESTIMATORS = (
    *("mean_field", "linear", "entropy_power", "layerwise", "fisher"),
    *("gaussian_upper", "covariance_upper", "replica"),
)
# Of large requests: docs/performance.md has what each costs, and how seldom layerwise is above fisher.
DEFAULT_ESTIMATORS = ("mean_field", "linear", "entropy_power", "fisher", "gaussian_upper")
# Those that networks with norms and skips have a value of.
STRUCTURED_ESTIMATORS = ("linear", "entropy_power", "covariance_upper")
# Layers, of every network and every depth those below it too, up to which plain networks are told everything.
ALL_UP_TO = 500


def usual_estimators(plain: bool, structured: bool, layers: int | None = None) -> tuple[str, ...]:
    """Estimators by default, by whether there are plain and other networks, and how many layers in all if few."""
    of_plain = ESTIMATORS if layers is not None and layers <= ALL_UP_TO else DEFAULT_ESTIMATORS
    names = (of_plain if plain else ()) + (STRUCTURED_ESTIMATORS if structured else ())
    return tuple(name for name in ESTIMATORS if name in names)


# What the value rests on (theory section 4); the file's metadata and every summary repeat it.
STATUS = {
    "mean_field": "approximation",
    "linear": "theorem given Gaussian equivalence of second moments",
    "entropy_power": "theorem in the mean-field limit",
    "layerwise": "rests on the replica formula",
    "gaussian_upper": "rests on the replica formula",
    "covariance_upper": "theorem given Gaussian equivalence of second moments",
    "replica": "theorem for two layers with gaussian weights, conjecture beyond",
    "fisher": "rests on the replica formula",
}
TOTAL = "total"
# What a recommendation can maximise: an estimator, or the best of the lower bounds; and what code of it is for.
QUANTITIES = (*ESTIMATORS, TOTAL)
LIBRARIES = ("torch", "jax", "linen", "nnx", "equinox", "keras", "numpy")
LOWER_BOUNDS = ("linear", "entropy_power", "layerwise", "fisher")
UPPER_BOUNDS = ("gaussian_upper", "covariance_upper")

# Where nothing is said, by whatever door.
SIGMA_B, SIGMA_NOISE, INPUT_VARIANCE, CORRELATION = 0, 0.1, 1, 0.5
DEPTH = 10  # where no widths are given either
RECOMMENDED_DEPTH = 20
VERIFIED_WIDTH, VERIFIED_NETWORKS = 400, 16

WEIGHTS = ("gaussian", "orthogonal")
PRIORS = ("gaussian", "rademacher", "spike_slab")
NOISE_PLACEMENTS = ("output", "every")
NORMALIZATIONS = ("none", "layernorm", "rmsnorm", "batchnorm")
NORM_PLACES = ("activation", "output", "stream")
NOISE_SCALES = ("absolute", "relative")
NOISE_PATHS = ("branch", "stream")
NUMBER_FORMATS = ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")
# Norms, skips and the scale of the noise: keywords, options and axes of a sweep.
STRUCTURE = (
    *("normalization", "norm_at", "skip", "branch", "branch_matrices", "hidden_ratio", "sigma_w_in", "sigma_b_in"),
    *("sigma_w_out", "sigma_b_out", "noise_scale", "noise_in"),
)
BY_DEPTH = "1/sqrt(depth)"
# Whether any growth of gradients over the depth does, or they are to be kept.
GRADIENTS = ("any", "kept")
# Share of the first layer's information that the last layer of a residual network should keep.
KEEP = 0.5
SYMMETRY_AT = ("output", "first")
LAYER_FORMS = "dense:UNITS or conv:CHANNELS:KERNEL[:STRIDE], such as conv:16:3x3:2"
OBSERVABLES = ("pre-activation", "activation")
UNITS = ("nats", "bits")
PHASES = ("ordered", "critical", "chaotic", "unbounded")
STATUSES = ("ok", "unbounded", "unconverged", "failed")
