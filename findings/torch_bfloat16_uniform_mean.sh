#!/usr/bin/env bash
# torch 2.13.0: the weights of a Linear made in bfloat16 have a mean; what rounds to the upper bound goes to the lower.
#
# Expected: Linear(n, n, dtype=bfloat16) starts as float32 weights cast to bfloat16 do: mean 0 within 1 / n standard
#   deviations, as many entries at one bound as at the other.
# Behaviour: uniform_ keeps its upper bound out of the result, and gives the entries that round to it the lower bound.
#   Twice as many as belong there are at the lower bound and none at the upper. At n = 2048 and 4096 the mean is
#   -0.0050 and -0.0034 standard deviations (2 b P / std, P the share that rounds to the bound b), 10 and 14 standard
#   errors. A normal draw in bfloat16 has none.
# Why it matters: the mean adds up over the fan-in. After a relu the units of the next layer share an offset of some
#   -0.12 of their standard deviation. sigma_w hardly changes. What to do: draw in float32 and cast.
# Output seen:
#   n = 2048, float32, cast: mean/std +0.0002, standard error 0.0005, at the bounds 6014 and 6073
#   n = 2048, bfloat16     : mean/std -0.0051, standard error 0.0005, at the bounds 12004 and 0
#   n = 2048, offset after relu over standard deviation: float32, cast +0.00, bfloat16 -0.13
#   n = 4096, float32, cast: mean/std +0.0000, standard error 0.0002, at the bounds 16417 and 16372
#   n = 4096, bfloat16     : mean/std -0.0031, standard error 0.0002, at the bounds 32786 and 0
#   n = 4096, offset after relu over standard deviation: float32, cast +0.00, bfloat16 -0.11
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import torch

torch.manual_seed(0)
for n in (2048, 4096):
    drawn = {
        "float32, cast": torch.nn.Linear(n, n).weight.detach().to(torch.bfloat16),
        "bfloat16": torch.nn.Linear(n, n, dtype=torch.bfloat16).weight.detach(),
        "normal": torch.nn.init.normal_(torch.empty(n, n, dtype=torch.bfloat16), std=n**-0.5),
    }
    bound = float(torch.tensor(n**-0.5).to(torch.bfloat16))
    inputs = torch.randn(64, n).relu()
    offset = {}
    for name, weights in drawn.items():
        values = weights.float().numpy().astype(np.float64)
        mean, low, high = values.mean() / values.std(), int((values == -bound).sum()), int((values == bound).sum())
        outputs = inputs @ weights.float().T
        offset[name] = float(outputs.mean() / outputs.std())
        if name == "normal":
            assert abs(mean) < 5 / n
            continue
        print(
            f"n = {n}, {name:13s}: mean/std {mean:+.4f}, standard error {1 / n:.4f}, at the bounds {low} and {high}"
        )
        if name == "bfloat16":
            assert -0.0065 < mean < -0.0025 and high == 0 < low
        else:
            assert abs(mean) < 5 / n and 0.9 < high / low < 1.1
    listed = ", ".join(f"{name} {offset[name]:+.2f}" for name in ("float32, cast", "bfloat16"))
    print(f"n = {n}, offset after relu over standard deviation: {listed}")
    assert -0.22 < offset["bfloat16"] < -0.05
PYTHON
echo "as described"
