#!/usr/bin/env bash
# torch 2.13.0: parametrizations.orthogonal with use_trivialization=False starts near the identity.
#
# Expected: the orthogonal weight in use at initialisation is spread over all rotations (Haar: the trace has mean 0 and
#   standard deviation 1), as torch.nn.init.orthogonal_ and the parametrisation's own default draw it.
# Behaviour: with the maps matrix_exp and cayley the weight is the map of the layer's default draw, whose skew part is
#   small. Its trace is 0.84 to 0.86 of n at every n, so W x is nearly x: correlation 0.84 to 0.86. A layer of 256 to 64
#   units starts near the selection of its first 64 inputs. The householder map has no such bias.
# Why it matters: mean-field theory of an orthogonal network supposes Haar matrices. All singular values are 1 here too,
#   so neither a spectrum nor sigma_w shows the difference; after 5 layers without an activation the output still has a
#   correlation of 0.45 with the input. What to do: leave use_trivialization on. "original" in a checkpoint of
#   such a layer is the default draw (sigma_w 0.58), not the matrix in use.
# Output seen:
#   trace / n at n = 64: default +0.03, matrix_exp +0.85, cayley +0.86, householder -0.01
#   trace / n at n = 256: default -0.00, matrix_exp +0.84, cayley +0.86, householder -0.00
#   256 to 64 units, matrix_exp: mean of the diagonal 0.84, sigma_w 1.00
#   correlation of input and output after 5 linear layers of cayley: 0.45
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import torch
from torch.nn.utils.parametrizations import orthogonal

torch.manual_seed(0)


def used(rows, columns, how=None):
    options = {"orthogonal_map": how, "use_trivialization": False} if how else {}
    weights = orthogonal(torch.nn.Linear(columns, rows, bias=False), **options).weight.detach().double()
    assert (torch.linalg.svdvals(weights) - 1).abs().max() < 1e-4
    return weights


for size in (64, 256):
    maps = (None, "matrix_exp", "cayley", "householder")
    traces = {how or "default": float(used(size, size, how).trace()) / size for how in maps}
    print(f"trace / n at n = {size}:", ", ".join(f"{how} {trace:+.2f}" for how, trace in traces.items()))
    assert abs(traces["default"]) < 0.07 and abs(traces["householder"]) < 0.07
    assert 0.8 < traces["matrix_exp"] < 0.9 and 0.8 < traces["cayley"] < 0.9
wide = used(64, 256, "matrix_exp")
diagonal, sigma_w = float(wide.diagonal().mean()), float(wide.std()) * 16
print(f"256 to 64 units, matrix_exp: mean of the diagonal {diagonal:.2f}, sigma_w {sigma_w:.2f}")
assert 0.8 < diagonal < 0.9
inputs = torch.randn(64, 256, dtype=torch.double)
outputs = inputs
for _ in range(5):
    outputs = outputs @ used(256, 256, "cayley").T
correlation = float((inputs * outputs).sum() / inputs.norm() / outputs.norm())
print(f"correlation of input and output after 5 linear layers of cayley: {correlation:.2f}")
assert 0.35 < correlation < 0.55
PYTHON
echo "as described"
