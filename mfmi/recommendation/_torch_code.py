"""Code for PyTorch."""

TEMPLATE = '''import math
import operator
import sys

import torch
import torch.fx
from torch import nn

SIGMA_W = @SIGMA_W@
SIGMA_B = @SIGMA_B@

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.modules.batchnorm._NormBase)


def draw(weight, fan_in):
    """Fill a weight with a row for each unit, which sums fan_in terms."""
@DRAW@


def blocks(layer):
    """Yield (parameter, view of it with a row for each unit, terms that a unit sums)."""
    own = layer._parameters  # what a parametrisation makes of others is not among them
    weight = own.get("weight")
    if isinstance(weight, nn.parameter.UninitializedParameter):
        raise ValueError("a lazy layer has no sizes yet: call the model once before")
    if isinstance(layer, nn.MultiheadAttention):
        if own["in_proj_weight"] is not None:
            for block in own["in_proj_weight"].chunk(3):
                yield own["in_proj_weight"], block, block.shape[1]
        else:
            for name in ("q_proj_weight", "k_proj_weight", "v_proj_weight"):
                yield own[name], own[name], own[name].shape[1]
    elif weight is None:
        return
    elif isinstance(layer, nn.Linear):
        yield weight, weight, weight.shape[1]
    elif isinstance(layer, CONVOLUTIONS):
        for block in weight.chunk(layer.groups):
            yield weight, block, block[0].numel()
    elif isinstance(layer, TRANSPOSED):  # [in, out / groups, window]: a stride divides what a unit sums
        for block in weight.chunk(layer.groups):
            yield weight, block.transpose(0, 1), block[:, 0].numel() / math.prod(layer.stride)


def sums(model):
    """Return how many sums of two streams the model has, as far as it can be traced."""
    blocks = (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
    known = 2 * sum(isinstance(layer, blocks) for layer in model.modules())
    try:
        nodes = torch.fx.symbolic_trace(model).graph.nodes
    except Exception:
        return known
    adds = (operator.add, operator.iadd, torch.add, "add", "add_")
    return known + sum(node.target in adds and len(node.all_input_nodes) == 2 for node in nodes)


@torch.no_grad()
def initialise(model):
    """Initialise a model in place, say what is left as it was, and return the model."""
    tables = {id(p) for m in model.modules() if isinstance(m, (nn.Embedding, nn.EmbeddingBag)) for p in m.parameters()}
    done, norms = set(), 0
    for layer in model.modules():
        touched = False
        for parameter, block, fan_in in blocks(layer):
            if id(parameter) not in tables:  # one that is tied to an embedding keeps the embedding's scale
                draw(block, fan_in)
                done.add(id(parameter))
                touched = True
        for name in ("bias", "in_proj_bias"):
            bias = layer._parameters.get(name)
            if touched and bias is not None:
                nn.init.normal_(bias, std=SIGMA_B)
                done.add(id(bias))
        if isinstance(layer, NORMS):
            norms += 1
            for name, value in (("weight", 1.0), ("bias", 0.0)):
                if layer._parameters.get(name) is not None:
                    nn.init.constant_(layer._parameters[name], value)
                    done.add(id(layer._parameters[name]))
    for name, parameter in model.named_parameters():
        if id(parameter) not in done:
            print(f"left as it was: {name} {tuple(parameter.shape)}", file=sys.stderr)
    if norms:
        print(f"{norms} norms: these numbers are for networks without", file=sys.stderr)
    skips = sums(model)
    if skips:
        print(f"{skips} skips: these numbers are for networks without", file=sys.stderr)
    return model
'''

DRAW = {
    "gaussian": "    nn.init.normal_(weight, std=SIGMA_W / math.sqrt(fan_in))",
    "orthogonal": """    matrix = nn.init.orthogonal_(torch.empty(weight.shape[0], weight[0].numel()))
    weight.copy_(matrix.reshape(weight.shape) * SIGMA_W * math.sqrt(max(matrix.shape) / fan_in))""",
}
