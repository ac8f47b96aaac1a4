#!/usr/bin/env bash
# torch 2.13.0: uniform draws of complex weights have twice the variance, so Linear starts at sigma_w^2 = 2/3, not 1/3.
#
# Expected: the variance of a complex weight, E |w|^2, is the one of a real weight: 1 / (3 fan_in) for Linear and
#   Conv2d, 2 / fan_in for kaiming_uniform_, as kaiming_normal_, xavier_normal_ and torch.randn have it with complex
#   numbers.
# Behaviour: uniform_ gives the real and the imaginary part the whole bound each. Linear, Conv2d, kaiming_uniform_ and
#   xavier_uniform_ in complex64 and complex128 have twice the variance; the normal ones halve it between the parts.
# Why it matters: a rule stands for two points of the phase diagram. kaiming_uniform_ starts a network where the second
#   moment doubles in each layer, 1e6 in 20, while kaiming_normal_ keeps it. What to do: draw with the normal rule, or
#   divide a uniform draw by sqrt(2).
# Output seen:
#   Linear: fan_in E|w|^2 real 0.334, complex 0.666
#   Conv2d: fan_in E|w|^2 real 0.333, complex 0.669
#   kaiming_uniform_: fan_in E|w|^2 real 2.005, complex 3.987
#   kaiming_normal_: fan_in E|w|^2 real 2.000, complex 1.996
#   xavier_uniform_: fan_in E|w|^2 real 0.999, complex 2.000
#   xavier_normal_: fan_in E|w|^2 real 1.002, complex 1.003
#   second moment after 20 layers of a split relu: kaiming_normal_ 0.9, kaiming_uniform_ 7.8e+05
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import torch

torch.manual_seed(0)
n = 512
rules = {
    "Linear": lambda kind: torch.nn.Linear(n, n, dtype=kind).weight.detach(),
    "Conv2d": lambda kind: torch.nn.Conv2d(64, 128, 3, dtype=kind).weight.detach(),
}
for name in ("kaiming_uniform_", "kaiming_normal_", "xavier_uniform_", "xavier_normal_"):
    options = {"nonlinearity": "relu"} if name.startswith("kaiming") else {}
    rules[name] = lambda kind, name=name, options=options: getattr(torch.nn.init, name)(
        torch.empty(n, n, dtype=kind), **options
    )
for name, draw in rules.items():
    real, single, double = (
        float(weights[0].numel() * weights.abs().double().square().mean())
        for weights in (draw(torch.float32), draw(torch.complex64), draw(torch.complex128))
    )
    print(f"{name}: fan_in E|w|^2 real {real:.3f}, complex {single:.3f}")
    expected = 1 if "normal" in name else 2
    assert abs(single / real / expected - 1) < 0.03 and abs(double / real / expected - 1) < 0.03

left = {}
for name in ("kaiming_normal_", "kaiming_uniform_"):
    x = torch.randn(64, n, dtype=torch.complex64)
    start = x.abs().square().mean()
    for _ in range(20):
        x = x @ rules[name](torch.complex64).T
        x = torch.complex(x.real.relu(), x.imag.relu())
    left[name] = float(x.abs().square().mean() / start)
seen = " ".join(f"{name} {value:.2g}," for name, value in left.items()).rstrip(",")
print(f"second moment after 20 layers of a split relu: {seen}")
assert 0.3 < left["kaiming_normal_"] < 3 and 3e5 < left["kaiming_uniform_"] < 3e6
PYTHON
echo "as described"
