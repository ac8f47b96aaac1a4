#!/usr/bin/env bash
# flax 0.12.8: WeightNorm forgets the scale that the kernel was drawn with; a He initialisation starts as sigma_w = 1.
#
# Expected: a layer wrapped in WeightNorm starts with the weights it was initialised with (g = the norm of v), as in
#   torch's weight_norm and in equinox: the network before and after wrapping is the same.
# Behaviour: g starts at 1, so every unit's weights have norm 1. sigma_w^2 = 1 whatever kernel_init says: he_normal (2),
#   lecun_normal (1) and normal(0.02) on 512 inputs (0.2) give one and the same output variance, in flax.linen and nnx.
# Why it matters: a relu network initialised at its critical point starts in the ordered phase: each layer halves the
#   second moment, 20 layers leave 1e-6 of it. What to do: WeightNorm(scale_init=constant(sqrt(2))).
# Output seen:
#   he_normal     output/input variance: alone 2.000, WeightNorm 0.999
#   lecun_normal  output/input variance: alone 1.000, WeightNorm 0.999
#   normal(0.02)  output/input variance: alone 0.205, WeightNorm 0.999
#   nnx he_normal output/input variance: alone 1.998, WeightNorm 0.998
#   second moment after 20 relu layers: alone 9.3e-01, WeightNorm 8.7e-07
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile --disable-pip-version-check \
  jax==0.10.2 jaxlib==0.10.2 flax==0.12.8 numpy==2.4.6
JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'PYTHON'
import flax.linen as nn
import jax
import numpy as np
from flax import nnx

x = jax.random.normal(jax.random.key(1), (1024, 512))
he, lecun, small = nn.initializers.he_normal(), nn.initializers.lecun_normal(), nn.initializers.normal(0.02)


class Net(nn.Module):
    start: object
    wrapped: bool
    depth: int

    @nn.compact
    def __call__(self, x):
        for _ in range(self.depth):
            dense = nn.Dense(512, kernel_init=self.start, use_bias=False)
            x = nn.WeightNorm(dense)(x) if self.wrapped else dense(x)
            if self.depth > 1:
                x = nn.relu(x)
        return x


def ratio(y):
    return float((np.asarray(y) ** 2).mean() / (np.asarray(x) ** 2).mean())


def seen(name, alone, wrapped, expected):
    print(f"{name:13s} output/input variance: alone {alone:.3f}, WeightNorm {wrapped:.3f}")
    assert abs(alone / expected - 1) < 0.05 and abs(wrapped - 1) < 0.02


for name, start, expected in (("he_normal", he, 2.0), ("lecun_normal", lecun, 1.0), ("normal(0.02)", small, 0.2048)):
    alone, wrapped = (
        ratio(Net(start, wrap, 1).init_with_output(jax.random.key(0), x)[0]) for wrap in (False, True)
    )
    seen(name, alone, wrapped, expected)
dense = nnx.Linear(512, 512, use_bias=False, kernel_init=he, rngs=nnx.Rngs(0))
alone = ratio(dense(x))
seen("nnx he_normal", alone, ratio(nnx.WeightNorm(dense, rngs=nnx.Rngs(0))(x)), 2.0)

alone, wrapped = (ratio(Net(he, wrap, 20).init_with_output(jax.random.key(0), x)[0]) for wrap in (False, True))
print(f"second moment after 20 relu layers: alone {alone:.1e}, WeightNorm {wrapped:.1e}")
assert 0.3 < alone < 3.0 and wrapped < 3e-6
PYTHON
echo "as described"
