"""A recommended initialisation as code that runs as pasted, for numpy, PyTorch, JAX and Keras."""

from __future__ import annotations

from mfmi.recommend.search import Optimum, Recommendation

LIBRARIES = ("torch", "jax", "keras", "numpy")

_HEADER = '''"""{summary}"""
'''

_NUMPY = '''import numpy as np

SIGMA_W = {sigma_w!r}
SIGMA_B = {sigma_b!r}


def initialise(widths, seed=0):
    """Weights and biases of layers, each used as phi(x) @ weights + biases; widths start with that of the input."""
    rng = np.random.default_rng(seed)
    layers = []
    for fan_in, fan_out in zip(widths[:-1], widths[1:]):
{weights}
        layers.append((weights, rng.normal(0.0, SIGMA_B, fan_out)))
    return layers
'''
_NUMPY_WEIGHTS = {
    "gaussian": "        weights = rng.normal(0.0, SIGMA_W / np.sqrt(fan_in), (fan_in, fan_out))",
    "orthogonal": """        tall = rng.normal(size=(max(fan_in, fan_out), min(fan_in, fan_out)))
        q, r = np.linalg.qr(tall)
        q = q * np.sign(np.diag(r))  # uniform over all orthogonal matrices
        weights = (q if fan_in >= fan_out else q.T) * SIGMA_W * max(1.0, fan_out / fan_in) ** 0.5""",
}

_TORCH = '''import math

import torch
from torch import nn

SIGMA_W = {sigma_w!r}
SIGMA_B = {sigma_b!r}


@torch.no_grad()
def initialise(model):
    """Initialise every linear and convolutional layer of a model in place, and return the model."""
    for layer in model.modules():
        if isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            fan_in = layer.weight[0].numel()
{weights}
            if layer.bias is not None:
                nn.init.normal_(layer.bias, std=SIGMA_B)
    return model
'''
_TORCH_WEIGHTS = {
    "gaussian": "            nn.init.normal_(layer.weight, std=SIGMA_W / math.sqrt(fan_in))",
    "orthogonal": """            fan_out = layer.weight.shape[0]
            nn.init.orthogonal_(layer.weight, gain=SIGMA_W * math.sqrt(max(1.0, fan_out / fan_in)))""",
}

_JAX = '''import jax
import jax.numpy as jnp

SIGMA_W = {sigma_w!r}
SIGMA_B = {sigma_b!r}


def kernel_init(key, shape, dtype=jnp.float32):
    """Weights of shape (..., fan_in, fan_out); fits the kernel_init of Flax and the w_init of Haiku."""
{weights}


def bias_init(key, shape, dtype=jnp.float32):
    """Biases; fits the bias_init of Flax and the b_init of Haiku."""
    return SIGMA_B * jax.random.normal(key, shape, dtype)


def initialise(key, widths):
    """Weights and biases of layers, each used as phi(x) @ weights + biases; widths start with that of the input."""
    layers = []
    for fan_in, fan_out in zip(widths[:-1], widths[1:]):
        key, for_weights, for_biases = jax.random.split(key, 3)
        layers.append((kernel_init(for_weights, (fan_in, fan_out)), bias_init(for_biases, (fan_out,))))
    return layers
'''
_JAX_WEIGHTS = {
    "gaussian": """    fan_in = 1
    for size in shape[:-1]:
        fan_in *= size
    return SIGMA_W / fan_in**0.5 * jax.random.normal(key, shape, dtype)""",
    "orthogonal": """    fan_in = 1
    for size in shape[:-1]:
        fan_in *= size
    gain = SIGMA_W * max(1.0, shape[-1] / fan_in) ** 0.5
    return jax.nn.initializers.orthogonal(gain)(key, shape, dtype)""",
}

_KERAS = '''import keras

SIGMA_W = {sigma_w!r}
SIGMA_B = {sigma_b!r}


{weights}


def initialise(layer_class, units, **options):
    """A layer such as keras.layers.Dense with so many units, initialised; call it anew for every layer."""
    return layer_class(
        units,
        kernel_initializer=Weights(),
        bias_initializer=keras.initializers.RandomNormal(stddev=SIGMA_B),
        **options,
    )
'''
_KERAS_WEIGHTS = {
    "gaussian": '''class Weights(keras.initializers.VarianceScaling):
    """Independent normal weights."""

    def __init__(self, seed=None):
        super().__init__(scale=SIGMA_W**2, mode="fan_in", distribution="untruncated_normal", seed=seed)

    def get_config(self):
        return {"seed": self.seed}''',
    "orthogonal": '''class Weights(keras.initializers.Initializer):
    """Orthogonal weights."""

    def __init__(self, seed=None):
        self.seed = seed
        self.base = keras.initializers.Orthogonal(gain=SIGMA_W, seed=seed)

    def __call__(self, shape, dtype=None):
        fan_in = 1
        for size in shape[:-1]:
            fan_in *= size
        return self.base(shape, dtype=dtype) * max(1.0, shape[-1] / fan_in) ** 0.5

    def get_config(self):
        return {"seed": self.seed}''',
}

_TEMPLATES = {
    "numpy": (_NUMPY, _NUMPY_WEIGHTS),
    "torch": (_TORCH, _TORCH_WEIGHTS),
    "jax": (_JAX, _JAX_WEIGHTS),
    "keras": (_KERAS, _KERAS_WEIGHTS),
}


def code(recommendation: Recommendation, library: str) -> str:
    """Source code of the recommended initialisation.

    Parameters
    ----------
    recommendation
        What to write down.
    library
        Among `LIBRARIES`.

    Returns
    -------
    str
        A module with a function ``initialise``; its first line says what it is for.
    """
    network, best = recommendation.network, recommendation.best
    template, weights = _TEMPLATES[library]
    body = template.format(sigma_w=best.sigma_w, sigma_b=best.sigma_b, weights=weights[network.weights])
    return _HEADER.format(summary=_summary(recommendation, best)) + "\n" + body


def _summary(recommendation: Recommendation, best: Optimum) -> str:
    network = recommendation.network
    where = "in every layer" if network.noise_at == "every" else "at the output"
    what = "linearly readable information" if best.quantity == "linear" else f"information by {best.quantity}"
    return (
        f"Most {what} for {network.activation.name}, {network.depth} layers, {network.weights} weights.\n\n"
        f"{best.value:.4g} {network.unit} per input dimension with noise {network.sigma_noise:g} {where}; "
        f"{best.phase} phase.\n"
    )
