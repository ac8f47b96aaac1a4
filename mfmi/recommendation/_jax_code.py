"""Code for JAX, Flax (linen and nnx) and Equinox."""

_HEAD = '''import math
import sys

import jax
import jax.numpy as jnp
@IMPORTS@
SIGMA_W = @SIGMA_W@
SIGMA_B = @SIGMA_B@


def draw(key, shape, fan_in, dtype=jnp.float32):
    """Return a weight of shape (..., units), a unit of which sums fan_in terms."""
@DRAW@

'''

DRAW = {
    "gaussian": "    return SIGMA_W / math.sqrt(fan_in) * jax.random.normal(key, shape, dtype)",
    "orthogonal": """    columns = math.prod(shape[:-1])
    matrix = jax.nn.initializers.orthogonal()(key, (columns, shape[-1]), dtype).reshape(shape)
    return SIGMA_W * math.sqrt(max(columns, shape[-1]) / fan_in) * matrix""",
}

JAX = (
    _HEAD.replace("import sys\n", "").replace("@IMPORTS@", "")
    + '''
def kernel_init(key, shape, dtype=jnp.float32):
    """Weights of shape (..., fan_in, fan_out); fits the kernel_init of Flax and the w_init of Haiku."""
    return draw(key, shape, math.prod(shape[:-1]), dtype)


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
)

LINEN = (
    _HEAD.replace("@IMPORTS@", "")
    + '''
RECURRENT = {first + second for first in "ih" for second in "ifgorzn"} | {"in", "hn"}


def fan_of(path, shape, strides):
    """Return how many terms a unit of a kernel sums, or None where name and shape do not tell."""
    layer = path[-2] if len(path) > 1 else ""
    window = math.prod(shape[:-1])
    if layer in RECURRENT:
        return None
    if "transpose" in layer.lower():  # a stride divides what a unit sums, and is not among the parameters
        return window / math.prod(strides[layer]) if layer in strides else None
    if len(shape) == 3 and layer in ("query", "key", "value"):
        return shape[0]
    if len(shape) == 2 or "conv" in layer.lower() or (len(shape) == 3 and layer == "out"):
        return window
    return None


def initialise(params, key, strides=None):
    """Return new parameters of a model, model.init(...)["params"], and say what is left as it was.

    `strides` has those of transposed convolutions by name, such as {"ConvTranspose_0": (2, 2)}.
    """
    found, tree = jax.tree_util.tree_flatten_with_path(params)
    paths = [tuple(str(getattr(step, "key", step)) for step in path) for path, _ in found]
    known, norms, leaves = set(paths), 0, []
    told = {}
    for path, (_, leaf) in zip(paths, found):
        if path[-1] == "kernel":
            told[path[:-1]] = fan_of(path, leaf.shape, strides or {})
    for path, (_, leaf) in zip(paths, found):
        key, own = jax.random.split(key)
        layer, fan_in = path[:-1], told.get(path[:-1])
        if path[-1] == "kernel" and fan_in is not None:
            units = leaf.shape[1:] if path[-2] in ("query", "key", "value") and leaf.ndim == 3 else leaf.shape[-1:]
            matrix = draw(own, (math.prod(leaf.shape) // math.prod(units), math.prod(units)), fan_in, leaf.dtype)
            leaves.append(matrix.reshape(leaf.shape))
        elif path[-1] == "bias" and fan_in is not None:
            leaves.append(SIGMA_B * jax.random.normal(own, leaf.shape, leaf.dtype))
        elif path[-1] == "scale" or (path[-1] == "bias" and (*layer, "scale") in known):
            norms += path[-1] == "scale"
            leaves.append(jnp.full_like(leaf, path[-1] == "scale"))
        else:
            print(f"left as it was: {'/'.join(path)} {leaf.shape}", file=sys.stderr)
            leaves.append(leaf)
    if norms:
        print(f"{norms} norms: these numbers are for networks without", file=sys.stderr)
    return jax.tree_util.tree_unflatten(tree, leaves)
'''
)

NNX = (
    _HEAD.replace("@IMPORTS@", "from flax import nnx\n")
    + '''
NORMS = (nnx.LayerNorm, nnx.RMSNorm, nnx.GroupNorm, nnx.BatchNorm)


def matrices(layer, kernel):
    """Return the shapes (fan-in, units) of a kernel's matrix, and the terms that a unit sums; None for other layers."""
    shape = kernel.shape
    if isinstance(layer, (nnx.Linear, nnx.Conv)):
        return (math.prod(shape[:-1]), shape[-1]), math.prod(shape[:-1])
    if isinstance(layer, nnx.LinearGeneral):
        axes = layer.axis if isinstance(layer.axis, (tuple, list)) else (layer.axis,)
        fan_in = math.prod(shape[: len(axes)])
        return (fan_in, math.prod(shape) // fan_in), fan_in
    if isinstance(layer, nnx.ConvTranspose):  # a stride divides what a unit sums
        strides = layer.strides if isinstance(layer.strides, (tuple, list)) else (layer.strides or 1,)
        stride = math.prod(strides) if len(strides) > 1 else strides[0] ** (len(shape) - 2)
        units = shape[-2] if layer.transpose_kernel else shape[-1]
        return (math.prod(shape) // units, units), math.prod(shape) / units / stride
    return None


def initialise(model, key):
    """Initialise a model in place, say what is left as it was, and return the model."""
    done, norms = set(), 0
    for _, layer in nnx.iter_modules(model):
        kernel, bias = getattr(layer, "kernel", None), getattr(layer, "bias", None)
        found = matrices(layer, kernel) if isinstance(kernel, nnx.Param) else None
        if found is not None:
            key, own, other = jax.random.split(key, 3)
            shape, fan_in = found
            matrix = draw(own, shape, fan_in, kernel.dtype)
            if isinstance(layer, nnx.ConvTranspose) and layer.transpose_kernel:
                turned = kernel.shape[:-2] + (kernel.shape[-1], kernel.shape[-2])
                matrix = jnp.swapaxes(matrix.reshape(turned), -1, -2)
            kernel[...] = matrix.reshape(kernel.shape)
            done.add(id(kernel))
            if isinstance(bias, nnx.Param):
                bias[...] = SIGMA_B * jax.random.normal(other, bias.shape, bias.dtype)
                done.add(id(bias))
        elif isinstance(layer, NORMS):
            norms += 1
            for name, value in (("scale", 1.0), ("bias", 0.0)):
                parameter = getattr(layer, name, None)
                if isinstance(parameter, nnx.Param):
                    parameter[...] = jnp.full(parameter.shape, value, parameter.dtype)
                    done.add(id(parameter))
    for path, node in nnx.iter_graph(model):
        if isinstance(node, nnx.Param) and id(node) not in done:
            print(f"left as it was: {'.'.join(map(str, path))} {node.shape}", file=sys.stderr)
    if norms:
        print(f"{norms} norms: these numbers are for networks without", file=sys.stderr)
    return model
'''
)

EQUINOX = (
    _HEAD.replace("@IMPORTS@", "import equinox as eqx\n")
    + '''
NORMS = (eqx.nn.LayerNorm, eqx.nn.RMSNorm, eqx.nn.GroupNorm, eqx.nn.BatchNorm)
WRAPPED = (eqx.nn.WeightNorm, eqx.nn.SpectralNorm)
LAYERS = (eqx.nn.Linear, eqx.nn.Conv, eqx.nn.ConvTranspose)


def weight_of(layer, key):
    """Return a new weight, [out, in / groups, window]."""
    shape, groups = layer.weight.shape, getattr(layer, "groups", 1)
    fan_in = math.prod(shape[1:])
    if isinstance(layer, eqx.nn.ConvTranspose):  # a stride divides what a unit sums
        fan_in /= math.prod(layer.stride)
    blocks = [
        draw(own, (math.prod(shape[1:]), shape[0] // groups), fan_in, layer.weight.dtype).T
        for own in jax.random.split(key, groups)
    ]
    return jnp.concatenate(blocks).reshape(shape)


def initialise(model, key):
    """Return a model with new parameters, and say what is left as it was."""
    found, tree = jax.tree_util.tree_flatten_with_path(
        model, is_leaf=lambda node: isinstance(node, (*LAYERS, *NORMS, *WRAPPED))
    )
    norms, leaves = 0, []
    for path, node in found:
        key, own, other = jax.random.split(key, 3)
        if isinstance(node, LAYERS):
            node = eqx.tree_at(lambda layer: layer.weight, node, weight_of(node, own))
            if node.bias is not None:
                bias = SIGMA_B * jax.random.normal(other, node.bias.shape, node.bias.dtype)
                node = eqx.tree_at(lambda layer: layer.bias, node, bias)
        elif isinstance(node, NORMS):
            norms += 1
            for name, value in (("weight", 1.0), ("bias", 0.0)):
                if getattr(node, name) is not None:
                    constant = jnp.full_like(getattr(node, name), value)
                    node = eqx.tree_at(lambda layer: getattr(layer, name), node, constant)
        else:
            for rest, leaf in jax.tree_util.tree_leaves_with_path(eqx.filter(node, eqx.is_inexact_array)):
                name = jax.tree_util.keystr((*path, *rest))
                print(f"left as it was: {name} {leaf.shape}", file=sys.stderr)
        leaves.append(node)
    if norms:
        print(f"{norms} norms: these numbers are for networks without", file=sys.stderr)
    return jax.tree_util.tree_unflatten(tree, leaves)
'''
)
