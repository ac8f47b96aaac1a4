"""The words of the interface, and the version; free of numpy, so that help and completion stay fast."""

__version__ = "0.1.0"

DEFAULT_ESTIMATORS = ("mean_field", "linear", "entropy_power", "layerwise", "gaussian_upper")
ESTIMATORS = (*DEFAULT_ESTIMATORS, "replica", "fisher")

# What the value rests on (theory section 4); the file's metadata and every summary repeat it.
STATUS = {
    "mean_field": "approximation",
    "linear": "theorem given Gaussian equivalence of second moments",
    "entropy_power": "theorem in the mean-field limit",
    "layerwise": "rests on the replica formula",
    "gaussian_upper": "rests on the replica formula",
    "replica": "theorem for two layers with gaussian weights, conjecture beyond",
    "fisher": "rests on the replica formula",
}
LOWER_BOUNDS = ("linear", "entropy_power", "layerwise", "fisher")
UPPER_BOUNDS = ("gaussian_upper",)

DEPTH = 10  # where no depth is given, and no widths

WEIGHTS = ("gaussian", "orthogonal")
PRIORS = ("gaussian", "rademacher", "spike_slab")
NOISE_PLACEMENTS = ("output", "every")
OBSERVABLES = ("pre-activation", "activation")
UNITS = ("nats", "bits")
PHASES = ("ordered", "critical", "chaotic", "unbounded")
STATUSES = ("ok", "unbounded", "unconverged", "failed")
