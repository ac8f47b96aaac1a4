"""Layers of another scale than the rest, by their place: those that end a branch, and those that read the input."""

# Of libraries whose models have layers with names: after the function that draws all weights, `draw_all`.
_HEAD = '''
@CONSTANTS@


def is_named(name, names, found):
    """Return whether a layer of that name is among names; found collects those that are there."""
    hits = [one for one in names if f".{name}".endswith(f".{one}")]
    found.update(hits)
    return bool(hits)


def say_names(names, found, missing):
    """Say which names are those of no layer, and what that leaves undone."""
    for name in names:
        if name not in found:
            print(f"no layer is named {name}", file=sys.stderr)
    if not found.intersection(names):
        print(missing, file=sys.stderr)

'''
_ABOUT = '''    """@ABOUT@

    @NAMES@ in full or by the end of their names.
    """
'''

TORCH = (
    _HEAD
    + """
@torch.no_grad()
def initialise(model, @PARAMETERS@):
"""
    + _ABOUT.replace("@ABOUT@", "Initialise a model in place, say what is left as it was, and return the model.")
    + """    draw_all(model)
    found = set()
    for name, layer in model.named_modules():
        for names, factor, deviation in @GROUPS@:
            if is_named(name, names, found):
                if getattr(layer, "weight", None) is not None:
                    layer.weight.mul_(factor)
                if getattr(layer, "bias", None) is not None:
                    nn.init.normal_(layer.bias, std=deviation)
@SAY@
    return model
"""
)

KERAS = (
    _HEAD
    + """
def initialise(model, @PARAMETERS@, seed=0):
"""
    + _ABOUT.replace("@ABOUT@", "Initialise a built model in place, say what is left as it was, and return the model.")
    + """    draw_all(model, seed)
    found, rng = set(), np.random.default_rng([seed, 1])
    for layer in model._flatten_layers():
        for names, factor, deviation in @GROUPS@:
            if is_named(layer.name, names, found):
                for variable in ("kernel", "pointwise_kernel"):
                    if getattr(layer, variable, None) is not None:
                        getattr(layer, variable).assign(getattr(layer, variable) * factor)
                if getattr(layer, "bias", None) is not None:
                    layer.bias.assign(rng.normal(0.0, deviation, tuple(layer.bias.shape)))
@SAY@
    return model
"""
)

LINEN = (
    _HEAD
    + """
def initialise(params, key, @PARAMETERS@, strides=None):
"""
    + _ABOUT.replace("@ABOUT@", "Return new parameters of a model, and say what is left as it was.")
    + """    found, count = set(), itertools.count()

    def scaled(path, leaf):
        *layer, kind = (str(getattr(step, "key", step)) for step in path)
        for names, factor, deviation in @GROUPS@:
            if kind in ("kernel", "bias") and is_named(".".join(layer), names, found):
                if kind == "kernel":
                    return leaf * factor
                return deviation * jax.random.normal(jax.random.fold_in(key, next(count)), leaf.shape, leaf.dtype)
        return leaf

    scaled_params = jax.tree_util.tree_map_with_path(scaled, draw_all(params, key, strides))
@SAY@
    return scaled_params
"""
)

NNX = (
    _HEAD
    + """
def initialise(model, key, @PARAMETERS@):
"""
    + _ABOUT.replace("@ABOUT@", "Initialise a model in place, say what is left as it was, and return the model.")
    + """    draw_all(model, key)
    found, count = set(), itertools.count()
    for path, layer in nnx.iter_modules(model):
        for names, factor, deviation in @GROUPS@:
            if is_named(".".join(map(str, path)), names, found):
                kernel, bias = getattr(layer, "kernel", None), getattr(layer, "bias", None)
                if isinstance(kernel, nnx.Param):
                    kernel[...] = kernel[...] * factor
                if isinstance(bias, nnx.Param):
                    own = jax.random.fold_in(key, next(count))
                    bias[...] = deviation * jax.random.normal(own, bias.shape, bias.dtype)
@SAY@
    return model
"""
)

EQUINOX = (
    _HEAD
    + """
def initialise(model, key, @PARAMETERS@):
"""
    + _ABOUT.replace("@ABOUT@", "Return a model with new parameters, and say what is left as it was.")
    + """    found, count = set(), itertools.count()

    def scaled(path, leaf):
        *layer, kind = (str(getattr(step, "name", getattr(step, "idx", getattr(step, "key", step)))) for step in path)
        for names, factor, deviation in @GROUPS@:
            if kind in ("weight", "bias") and is_named(".".join(layer), names, found):
                if kind == "weight":
                    return leaf * factor
                return deviation * jax.random.normal(jax.random.fold_in(key, next(count)), leaf.shape, leaf.dtype)
        return leaf

    scaled_model = jax.tree_util.tree_map_with_path(scaled, draw_all(model, key))
@SAY@
    return scaled_model
"""
)

# Of libraries without layers: the residual network itself, and the plain one.
_USE = '''    """First layer and @COUNT@ blocks of a residual network of @DEPTH@ layers, lists of (weights, biases).

    The first is used as h = x @ weights + biases, a block as

        h = @BLOCK@

    the factor of the branch is on the last weights and biases of a block already.
    """
'''
_LAYERS = (
    '    """Weights and biases of layers, each used as phi(x) @ weights + biases; '
    'widths start with that of the input."""\n'
)


def block_of(norm: str, norm_at: str, matrices: int, skip: str) -> str:
    """The result of a block for the stream h, in the words of the code."""
    seen = f"{norm}(h)" if norm and norm_at == "activation" else "h"
    inner = seen if matrices == 1 else f"{seen} @ weights_1 + biases_1"
    unit = f"{norm}(phi({inner}))" if norm and norm_at == "output" else f"phi({inner})"
    last = "weights + biases" if matrices == 1 else "weights_2 + biases_2"
    kept = "h" if skip == "1" else f"{skip} * h"
    stream = f"{kept} + {unit} @ {last}"
    return f"{norm}({stream})" if norm and norm_at == "stream" else stream


_JAX_HEAD = '''
@CONSTANTS@


def rescaled(key, layer, factor, deviation):
    """Return a layer with its weights times a factor, and new biases."""
    weights, biases = layer
    return weights * factor, deviation * jax.random.normal(key, biases.shape, biases.dtype)


'''
JAX = (
    _JAX_HEAD
    + """def initialise(key, inputs, width):
"""
    + _USE
    + """    key, own, other = jax.random.split(key, 3)
    first, blocks = draw_all(own, [inputs, width]), []
@FIRST@    for _ in range(@COUNT@):
        key, own, other = jax.random.split(key, 3)
        *before, last = draw_all(own, [@WIDTHS@])
        blocks.append([*before, rescaled(other, last, BRANCH * OUT, BRANCH * BIAS_OUT)])
    return first, blocks
"""
)
JAX_LAYERS = (
    _JAX_HEAD
    + """def initialise(key, widths):
"""
    + _LAYERS
    + """    own, other = jax.random.split(key)
    first, *rest = draw_all(own, widths)
    return [rescaled(other, first, IN, BIAS_IN), *rest]
"""
)
_NUMPY_HEAD = '''
@CONSTANTS@


def rescaled(seed, layer, factor, deviation):
    """Return a layer with its weights times a factor, and new biases."""
    weights, biases = layer
    return weights * factor, np.random.default_rng(seed).normal(0.0, deviation, biases.shape)


'''
NUMPY = (
    _NUMPY_HEAD
    + """def initialise(inputs, width, seed=0):
"""
    + _USE
    + """    seeds = [one.spawn(2) for one in np.random.SeedSequence(seed).spawn(@DEPTH@)]
    own, other = seeds[0]
    first, blocks = draw_all([inputs, width], own), []
@FIRST@    for own, other in seeds[1:]:
        *before, last = draw_all([@WIDTHS@], own)
        blocks.append([*before, rescaled(other, last, BRANCH * OUT, BRANCH * BIAS_OUT)])
    return first, blocks
"""
)
NUMPY_LAYERS = (
    _NUMPY_HEAD
    + """def initialise(widths, seed=0):
"""
    + _LAYERS
    + """    own, other = np.random.SeedSequence(seed).spawn(2)
    first, *rest = draw_all(widths, own)
    return [rescaled(other, first, IN, BIAS_IN), *rest]
"""
)
NAMED = {"torch": TORCH, "keras": KERAS, "linen": LINEN, "nnx": NNX, "equinox": EQUINOX}
"""By library, what comes after the code of a plain network, whose `initialise` is called `draw_all`."""
STREAMS = {"jax": JAX, "numpy": NUMPY}
LAYERS = {"jax": JAX_LAYERS, "numpy": NUMPY_LAYERS}
"""The same where there are no layers with names, of a residual network and of a plain one."""
