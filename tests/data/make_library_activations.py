"""Write library_activations.json: values of the activations of PyTorch, JAX and Keras on a grid, in double precision.

Needs torch, jax and keras (with the JAX backend). Each row names the call of the library and what it is here.

    KERAS_BACKEND=jax python tests/data/make_library_activations.py
"""

import json
import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
import numpy as np
import torch

jax.config.update("jax_enable_x64", True)
keras.config.set_floatx("float64")

GRID = [-40.0, -7.5, -3.0, -2.6, -1.0, -0.5, -0.3, -1e-3, 0.0, 1e-3, 0.2, 0.5, 0.7, 1.0, 2.2, 3.0, 5.5, 6.5, 25.0]

# Library call, name here.
CALLS = {
    "torch": {
        "nn.ReLU()": "relu",
        "nn.LeakyReLU()": "leaky_relu",
        "nn.LeakyReLU(negative_slope=0.2)": "leaky_relu(negative_slope=0.2)",
        "nn.PReLU()": "prelu",
        "nn.ReLU6()": "relu6",
        "nn.ELU()": "elu",
        "nn.ELU(alpha=0.5)": "elu(alpha=0.5)",
        "nn.CELU()": "celu",
        "nn.CELU(alpha=0.5)": "celu(alpha=0.5)",
        "nn.SELU()": "selu",
        "nn.GELU()": "gelu",
        "nn.GELU(approximate='tanh')": "gelu(approximate=tanh)",
        "nn.SiLU()": "silu",
        "nn.Mish()": "mish",
        "nn.Softplus()": "softplus",
        "nn.Softplus(beta=2.0)": "softplus(beta=2)",
        "nn.LogSigmoid()": "logsigmoid",
        "nn.Sigmoid()": "sigmoid",
        "nn.Hardsigmoid()": "hard_sigmoid",
        "nn.Hardswish()": "hard_swish",
        "nn.Hardtanh()": "hardtanh",
        "nn.Tanh()": "tanh",
        "nn.Softsign()": "softsign",
        "nn.Tanhshrink()": "tanhshrink",
        "nn.Softshrink()": "softshrink",
        "nn.Softshrink(lambd=0.3)": "softshrink(lambd=0.3)",
        "nn.Hardshrink()": "hardshrink",
        "nn.Hardshrink(lambd=0.3)": "hardshrink(lambda=0.3)",
    },
    "jax": {
        "nn.relu": "relu",
        "nn.leaky_relu": "leaky_relu",
        "nn.leaky_relu|negative_slope=0.2": "leaky_relu(negative_slope=0.2)",
        "nn.relu6": "relu6",
        "nn.elu": "elu",
        "nn.elu|alpha=0.5": "elu(alpha=0.5)",
        "nn.celu": "celu",
        "nn.celu|alpha=0.5": "celu(alpha=0.5)",
        "nn.selu": "selu",
        "nn.gelu": "gelu(approximate=tanh)",
        "nn.gelu|approximate=False": "gelu(approximate=False)",
        "nn.silu": "silu",
        "nn.swish": "swish",
        "nn.mish": "mish",
        "nn.softplus": "softplus",
        "nn.log_sigmoid": "log_sigmoid",
        "nn.sigmoid": "sigmoid",
        "nn.hard_sigmoid": "hard_sigmoid",
        "nn.hard_silu": "hard_silu",
        "nn.hard_swish": "hard_swish",
        "nn.hard_tanh": "hard_tanh",
        "nn.tanh": "tanh",
        "nn.soft_sign": "soft_sign",
    },
    "keras": {
        "activations.relu": "relu",
        "activations.relu|negative_slope=0.2": "leaky_relu(negative_slope=0.2)",
        "activations.leaky_relu": "leaky_relu(0.2)",
        "layers.LeakyReLU()": "leaky_relu(0.3)",
        "activations.relu6": "relu6",
        "activations.elu": "elu",
        "activations.celu": "celu",
        "activations.celu|alpha=0.5": "celu(alpha=0.5)",
        "activations.selu": "selu",
        "activations.gelu": "gelu",
        "activations.gelu|approximate=True": "gelu(approximate=True)",
        "activations.silu": "silu",
        "activations.mish": "mish",
        "activations.softplus": "softplus",
        "activations.log_sigmoid": "log_sigmoid",
        "activations.sigmoid": "sigmoid",
        "activations.hard_sigmoid": "hard_sigmoid",
        "activations.hard_silu": "hard_silu",
        "activations.hard_tanh": "hard_tanh",
        "activations.tanh": "tanh",
        "activations.softsign": "softsign",
        "activations.tanh_shrink": "tanh_shrink",
        "activations.soft_shrink": "soft_shrink",
        "activations.soft_shrink|threshold=0.3": "soft_shrink(threshold=0.3)",
        "activations.hard_shrink": "hard_shrink",
        "activations.hard_shrink|threshold=0.3": "hard_shrink(threshold=0.3)",
    },
}


def torch_values(call):
    class_name, _, arguments = call.removeprefix("nn.").rstrip(")").partition("(")
    module = getattr(torch.nn, class_name)(**keywords(arguments)).double()
    with torch.no_grad():
        return module(torch.tensor(GRID, dtype=torch.float64)).numpy()


def function_values(root, call):
    path, _, arguments = call.partition("|")
    function = root
    for part in path.removesuffix("()").split("."):
        function = getattr(function, part)
    if path.endswith("()"):
        function = function(dtype="float64")
    return np.asarray(function(jax.numpy.asarray(GRID, dtype="float64"), **keywords(arguments)), dtype=np.float64)


def keywords(text):
    return {key: literal(value) for key, _, value in (pair.partition("=") for pair in text.split(",") if pair)}


def literal(text):
    return {"True": True, "False": False, "'tanh'": "tanh"}[text] if text[0] in "TF'" else float(text)


def rows():
    for library, calls in CALLS.items():
        for call, name in calls.items():
            if library == "torch":
                values = torch_values(call)
            else:
                values = function_values({"jax": jax, "keras": keras}[library], call)
            yield {"library": library, "call": call.replace("|", " with "), "here": name, "values": values.tolist()}


if __name__ == "__main__":
    versions = {"torch": torch.__version__.partition("+")[0], "jax": jax.__version__, "keras": keras.__version__}
    path = Path(__file__).with_name("library_activations.json")
    document = {"versions": versions, "grid": GRID, "rows": list(rows())}
    path.write_text(json.dumps(document, indent=0) + "\n")
