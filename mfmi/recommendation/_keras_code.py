"""Code for Keras 3, on any of its backends."""

TEMPLATE = '''import math
import sys

import keras
import numpy as np

SIGMA_W = @SIGMA_W@
SIGMA_B = @SIGMA_B@

layers = keras.layers
CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
NORMS = (
    *(layers.BatchNormalization, layers.LayerNormalization, layers.GroupNormalization),
    *((layers.RMSNormalization,) if hasattr(layers, "RMSNormalization") else ()),
)


def draw(rng, rows, columns, fan_in):
    """Return a matrix with a row for each unit, which sums fan_in terms."""
@DRAW@


def filled(rng, shape, inputs, fan_in):
    """Return a kernel, a unit of which sums over the axes `inputs`."""
    others = [axis for axis in range(len(shape)) if axis not in inputs]
    extents = [shape[axis] for axis in (*others, *inputs)]
    rows = math.prod(shape[axis] for axis in others)
    values = draw(rng, rows, math.prod(shape) // rows, fan_in).reshape(extents)
    return np.transpose(values, np.argsort((*others, *inputs)))


def kernels(layer):
    """Yield (variable, axes that a unit sums over, terms that it sums)."""
    if isinstance(layer, layers.Dense):
        yield layer.kernel, (0,), layer.kernel.shape[0]
    elif isinstance(layer, layers.EinsumDense):
        operands, output = layer.equation.replace(" ", "").replace("...", "").split("->")
        letters = operands.split(",")[1]
        inputs = tuple(axis for axis, letter in enumerate(letters) if letter not in output)
        yield layer.kernel, inputs, math.prod(layer.kernel.shape[axis] for axis in inputs)
    elif isinstance(layer, TRANSPOSED):  # [window, out, in]: a stride divides what a unit sums
        rank = len(layer.kernel.shape) - 2
        window = (*range(rank), rank + 1)
        yield layer.kernel, window, math.prod(layer.kernel.shape[axis] for axis in window) / math.prod(layer.strides)
    elif isinstance(layer, DEPTHWISE):
        window = tuple(range(len(layer.kernel.shape) - 2))
        yield layer.kernel, window, math.prod(layer.kernel.shape[axis] for axis in window)
    elif isinstance(layer, SEPARABLE):
        window = tuple(range(len(layer.depthwise_kernel.shape) - 2))
        yield layer.depthwise_kernel, window, math.prod(layer.depthwise_kernel.shape[axis] for axis in window)
        yield layer.pointwise_kernel, (*window, len(window)), layer.pointwise_kernel.shape[-2]
    elif isinstance(layer, CONVOLUTIONS):  # [window, in / groups, out]
        inputs = tuple(range(len(layer.kernel.shape) - 1))
        yield layer.kernel, inputs, math.prod(layer.kernel.shape[:-1])


def initialise(model, seed=0):
    """Initialise a built model in place, say what is left as it was, and return the model."""
    if not model.built:
        raise ValueError("the model has no sizes yet: build it, or call it once, before")
    rng = np.random.default_rng(seed)
    done, norms = set(), 0
    for layer in model._flatten_layers():
        found = list(kernels(layer))
        for variable, inputs, fan_in in found:
            variable.assign(filled(rng, tuple(variable.shape), inputs, fan_in))
            done.add(id(variable))
        bias = getattr(layer, "bias", None)
        if found and bias is not None:
            bias.assign(rng.normal(0.0, SIGMA_B, tuple(bias.shape)))
            done.add(id(bias))
        if isinstance(layer, NORMS):
            norms += 1
            for name, value in (("gamma", 1.0), ("scale", 1.0), ("beta", 0.0)):
                variable = getattr(layer, name, None)
                if hasattr(variable, "assign"):
                    variable.assign(np.full(tuple(variable.shape), value))
                    done.add(id(variable))
    for variable in model.trainable_weights:
        if id(variable) not in done:
            print(f"left as it was: {variable.path} {tuple(variable.shape)}", file=sys.stderr)
    if norms:
        print(f"{norms} norms: these numbers are for networks without", file=sys.stderr)
    skips = sum(isinstance(layer, (layers.Add, layers.Average)) for layer in model._flatten_layers())
    if skips:
        print(f"{skips} skips: these numbers are for networks without", file=sys.stderr)
    return model
'''

DRAW = {
    "gaussian": "    return rng.normal(0.0, SIGMA_W / math.sqrt(fan_in), (rows, columns))",
    "orthogonal": """    q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diag(r))  # uniform over all orthogonal matrices
    return (q if rows >= columns else q.T) * SIGMA_W * math.sqrt(max(rows, columns) / fan_in)""",
}
