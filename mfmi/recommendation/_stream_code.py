"""What the code of a residual network has besides that of a plain one: the layers that end a branch are scaled."""

# Of libraries whose models have layers with names: after the function that draws all weights, `draw_all`.
_HEAD = '''

BRANCH = @BRANCH@  # factor of a branch: it is on the weights and biases of the layer that ends it
OUT = @OUT@  # standard deviation of those weights over that of the others


def ends_branch(name, ends, found):
    """Return whether a layer of that name ends a branch; found collects the names that are there."""
    hits = [end for end in ends if f".{name}".endswith(f".{end}")]
    found.update(hits)
    return bool(hits)


def say_ends(ends, found):
    """Say which branches are not scaled."""
    for end in ends:
        if end not in found:
            print(f"no layer is named {end}", file=sys.stderr)
    if not found:
        print("no branch is scaled: ends names the layers whose output is added to the stream", file=sys.stderr)

'''
_ABOUT = '''    """@ABOUT@

    `ends` names the layers whose output is added to the stream, in full or by the end of their names.
    """
'''

TORCH = (
    _HEAD
    + """
@torch.no_grad()
def initialise(model, ends=()):
"""
    + _ABOUT.replace("@ABOUT@", "Initialise a model in place, say what is left as it was, and return the model.")
    + """    draw_all(model)
    found = set()
    for name, layer in model.named_modules():
        if ends_branch(name, ends, found):
            for parameter, factor in (("weight", BRANCH * OUT), ("bias", BRANCH)):
                if getattr(layer, parameter, None) is not None:
                    getattr(layer, parameter).mul_(factor)
    say_ends(ends, found)
    return model
"""
)

KERAS = (
    _HEAD
    + """
def initialise(model, ends=(), seed=0):
"""
    + _ABOUT.replace("@ABOUT@", "Initialise a built model in place, say what is left as it was, and return the model.")
    + """    draw_all(model, seed)
    found = set()
    for layer in model._flatten_layers():
        if ends_branch(layer.name, ends, found):
            for variable, factor in (("kernel", BRANCH * OUT), ("pointwise_kernel", BRANCH * OUT), ("bias", BRANCH)):
                if getattr(layer, variable, None) is not None:
                    getattr(layer, variable).assign(getattr(layer, variable) * factor)
    say_ends(ends, found)
    return model
"""
)

LINEN = (
    _HEAD
    + """
def initialise(params, key, ends=(), strides=None):
"""
    + _ABOUT.replace("@ABOUT@", "Return new parameters of a model, and say what is left as it was.")
    + """    found = set()

    def scaled(path, leaf):
        *layer, kind = (str(getattr(step, "key", step)) for step in path)
        factor = {"kernel": BRANCH * OUT, "bias": BRANCH}.get(kind)
        return leaf * factor if factor is not None and ends_branch(".".join(layer), ends, found) else leaf

    scaled_params = jax.tree_util.tree_map_with_path(scaled, draw_all(params, key, strides))
    say_ends(ends, found)
    return scaled_params
"""
)

NNX = (
    _HEAD
    + """
def initialise(model, key, ends=()):
"""
    + _ABOUT.replace("@ABOUT@", "Initialise a model in place, say what is left as it was, and return the model.")
    + """    draw_all(model, key)
    found = set()
    for path, layer in nnx.iter_modules(model):
        if ends_branch(".".join(map(str, path)), ends, found):
            for name, factor in (("kernel", BRANCH * OUT), ("bias", BRANCH)):
                if isinstance(getattr(layer, name, None), nnx.Param):
                    getattr(layer, name)[...] = getattr(layer, name)[...] * factor
    say_ends(ends, found)
    return model
"""
)

EQUINOX = (
    _HEAD
    + """
def initialise(model, key, ends=()):
"""
    + _ABOUT.replace("@ABOUT@", "Return a model with new parameters, and say what is left as it was.")
    + """    found = set()

    def scaled(path, leaf):
        *layer, kind = (str(getattr(step, "name", getattr(step, "idx", getattr(step, "key", step)))) for step in path)
        factor = {"weight": BRANCH * OUT, "bias": BRANCH}.get(kind)
        return leaf * factor if factor is not None and ends_branch(".".join(layer), ends, found) else leaf

    scaled_model = jax.tree_util.tree_map_with_path(scaled, draw_all(model, key))
    say_ends(ends, found)
    return scaled_model
"""
)

# Of libraries without layers: the residual network itself.
_USE = '''    """First layer and @COUNT@ blocks of a residual network of @DEPTH@ layers, lists of (weights, biases).

    The first is used as h = x @ weights + biases, a block as

        h = @BLOCK@

    the factor of the branch is on the last weights and biases of a block already.
    """
'''


def block_of(norm: str, norm_at: str, matrices: int, skip: str) -> str:
    """What a block makes of the stream h, in the words of the code."""
    seen = f"{norm}(h)" if norm and norm_at == "activation" else "h"
    inner = seen if matrices == 1 else f"{seen} @ weights_1 + biases_1"
    unit = f"{norm}(phi({inner}))" if norm and norm_at == "output" else f"phi({inner})"
    last = "weights + biases" if matrices == 1 else "weights_2 + biases_2"
    kept = "h" if skip == "1" else f"{skip} * h"
    stream = f"{kept} + {unit} @ {last}"
    return f"{norm}({stream})" if norm and norm_at == "stream" else stream


JAX = (
    """

BRANCH = @BRANCH@
OUT = @OUT@


def initialise(key, inputs, width):
"""
    + _USE
    + """    key, own = jax.random.split(key)
    first, blocks = draw_all(own, [inputs, width]), []
    for _ in range(@COUNT@):
        key, own = jax.random.split(key)
        *before, (weights, biases) = draw_all(own, [@WIDTHS@])
        blocks.append([*before, (weights * (BRANCH * OUT), biases * BRANCH)])
    return first, blocks
"""
)
NUMPY = (
    """

BRANCH = @BRANCH@
OUT = @OUT@


def initialise(inputs, width, seed=0):
"""
    + _USE
    + """    seeds = np.random.SeedSequence(seed).spawn(@DEPTH@)
    first, blocks = draw_all([inputs, width], seeds[0]), []
    for own in seeds[1:]:
        *before, (weights, biases) = draw_all([@WIDTHS@], own)
        blocks.append([*before, (weights * (BRANCH * OUT), biases * BRANCH)])
    return first, blocks
"""
)
AFTER = {"torch": TORCH, "keras": KERAS, "linen": LINEN, "nnx": NNX, "equinox": EQUINOX, "jax": JAX, "numpy": NUMPY}
"""By library, what comes after the code of a plain network, whose `initialise` is called `draw_all`."""
