#!/usr/bin/env bash
# torch 2.13.0: in bfloat16 on the CPU the gradients of LayerNorm and Embedding stop growing after 256 rows.
#
# Expected: a gradient that is a sum over the rows of a batch is that of float32 to 1 %, as it is for Linear, RMSNorm
#   and GroupNorm.
# Behaviour: LayerNorm sums the gradient of its bias over the rows, Embedding and x[index] that of a token's vector over
#   its places, in bfloat16: a sum of ones stays at 256, of N equal rows 256 / N is left, without a warning. In float16
#   it stays at 2048. (Seen on one thread; sums of several threads are added up.)
# Why it matters: 16 sequences of 1024 tokens lose 98 % of the gradient of the mean of a LayerNorm's output, while
#   its neighbours keep theirs: a norm of gradients by layer, the usual look at vanishing gradients, falls at just these
#   layers, the more the larger the batch is. What to do: take gradients in float32, or compare no LayerNorm and
#   no Embedding of a bfloat16 model with theory (chi of `mfmi` is of weight matrices).
# Output seen:
#   gradient of the sum of the outputs over that of float32, by rows
#                          256      1024      4096     16384
#   LayerNorm.bias      1.0000    0.2500    0.0625    0.0156
#   Embedding.weight    1.0000    0.2500    0.0625    0.0156
#   table[index]        1.0000    0.2500    0.0625    0.0156
#   Linear.bias         1.0000    1.0000    1.0000    1.0000
#   GroupNorm.bias      1.0000    1.0000    1.0000    1.0000
#   RMSNorm.weight      1.0010    0.9999    0.9995    1.0004
#   16384 tokens, mean squared error to a target of mean 1: LayerNorm.bias 0.13, Linear.bias 1.00 of float32
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import torch
from torch import nn

torch.set_num_threads(1)
WIDTH = 8


def of_layer(kind, name):
    def gradient(rows, dtype):
        layer = kind().to(dtype)
        layer(torch.randn(rows, WIDTH, generator=torch.Generator().manual_seed(0)).abs().to(dtype)).sum().backward()
        return getattr(layer, name).grad

    return gradient


def of_embedding(rows, dtype):
    layer = nn.Embedding(3, WIDTH).to(dtype)
    layer(torch.zeros(rows, dtype=torch.long)).sum().backward()
    return layer.weight.grad[0]


def of_index(rows, dtype):
    table = torch.zeros(3, WIDTH, dtype=dtype, requires_grad=True)
    table[torch.zeros(rows, dtype=torch.long)].sum().backward()
    return table.grad[0]


def ratio(gradient, rows):
    low, right = (float(gradient(rows, dtype).double().sum()) for dtype in (torch.bfloat16, torch.float32))
    return low / right


stalled = {
    "LayerNorm.bias": of_layer(lambda: nn.LayerNorm(WIDTH), "bias"),
    "Embedding.weight": of_embedding,
    "table[index]": of_index,
}
right = {
    "Linear.bias": of_layer(lambda: nn.Linear(WIDTH, WIDTH), "bias"),
    "GroupNorm.bias": of_layer(lambda: nn.GroupNorm(2, WIDTH), "bias"),
    "RMSNorm.weight": of_layer(lambda: nn.RMSNorm(WIDTH), "weight"),
}
batches = (256, 1024, 4096, 16384)
print("gradient of the sum of the outputs over that of float32, by rows")
print(" " * 16, *(f"{rows:9d}" for rows in batches))
for name, gradient in (stalled | right).items():
    found = [ratio(gradient, rows) for rows in batches]
    print(f"{name:16}", *(f"{value:9.4f}" for value in found))
    for rows, value in zip(batches, found):
        expected = 256 / rows if name in stalled else 1
        assert abs(value / expected - 1) < 0.02, (name, rows, value)


def of_loss(kind):
    """Gradient of a bias over that of float32, for outputs on many tokens that are to be 1 on average."""
    found = []
    for dtype in (torch.bfloat16, torch.float32):
        torch.manual_seed(0)
        layer = kind()
        nn.init.zeros_(layer.bias)
        layer, x = layer.to(dtype), torch.randn(16384, 64)
        target = 1 + torch.randn(16384, 64)
        nn.functional.mse_loss(layer(x.to(dtype)), target.to(dtype)).backward()
        found.append(float(layer.bias.grad.double().sum()))
    return found[0] / found[1]


norm, linear = of_loss(lambda: nn.LayerNorm(64)), of_loss(lambda: nn.Linear(64, 64))
print("16384 tokens, mean squared error to a target of mean 1: ", end="")
print(f"LayerNorm.bias {norm:.2f}, Linear.bias {linear:.2f} of float32")
assert norm < 0.2 and abs(linear - 1) < 0.05
PYTHON
echo "as described"
