#!/usr/bin/env bash
# keras 3.15.1 on torch 2.13.0: BatchNormalization and GroupNormalization give NaN far from zero; on jax they do not.
#
# Expected: float32 data whose mean is 3,000 of their standard deviations are normalised to a standard deviation of 1,
#   as they are with keras on jax 0.10.2 and, on torch too, by LayerNormalization.
# Behaviour: on the torch backend both layers are off by up to a per cent at a mean of 1,000 standard deviations and NaN
#   at 3,000 and 10,000, without a warning; variances of keras.ops.moments are below 0 there.
# Why it matters: NaN at initialisation looks like an exploding signal, where the weights and the inputs are in order.
#   What to do: subtract a mean of the data first, or take LayerNormalization or the jax backend.
# Output seen:
#   jax: mean 0: batch 1.00, group 1.00, layer 1.00; least variance 0.47
#   jax: mean 1000: batch 1.00, group 1.00, layer 1.00; least variance 0.53
#   jax: mean 3000: batch 1.00, group 1.00, layer 1.00; least variance 0.53
#   jax: mean 10000: batch 1.00, group 1.00, layer 1.00; least variance 0.6
#   torch: mean 0: batch 1.00, group 1.00, layer 1.00; least variance 0.47
#   torch: mean 1000: batch 1.00, group 1.00, layer 1.00; least variance 0.44
#   torch: mean 3000: batch nan, group nan, layer 1.00; least variance -2
#   torch: mean 10000: batch nan, group nan, layer 1.00; least variance -32
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile --disable-pip-version-check \
  keras==3.15.1 torch==2.13.0 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
cat > "$folder/normalise.py" <<'PYTHON'
import keras
import numpy as np

name = keras.backend.backend()
rng = np.random.default_rng(0)
layers = {
    "batch": keras.layers.BatchNormalization(),
    "group": keras.layers.GroupNormalization(8),
    "layer": keras.layers.LayerNormalization(),
}


def normalised(kind, x):
    x = x[:, None, :] if kind == "group" else x
    return keras.ops.convert_to_numpy(layers[kind](x, training=True) if kind == "batch" else layers[kind](x))


for mean in (0.0, 1e3, 3e3, 1e4):
    x = (mean + rng.standard_normal((64, 512))).astype(np.float32)
    found = {kind: float(normalised(kind, x).std()) for kind in layers}
    smallest = float(keras.ops.convert_to_numpy(keras.ops.moments(keras.ops.convert_to_tensor(x), axes=0)[1]).min())
    listed = ", ".join(f"{kind} {value:.2f}" for kind, value in found.items())
    print(f"{name}: mean {mean:g}: {listed}; least variance {smallest:.2g}")
    assert abs(found["layer"] - 1) < 0.02
    if name == "torch" and mean > 2e3:
        assert np.isnan(found["batch"]) and np.isnan(found["group"]) and smallest < 0
    else:
        assert abs(found["batch"] - 1) < 0.02 and abs(found["group"] - 1) < 0.02
PYTHON
for backend in jax torch; do
  KERAS_BACKEND=$backend JAX_PLATFORMS=cpu "$folder/venv/bin/python" "$folder/normalise.py"
done
echo "as described"
