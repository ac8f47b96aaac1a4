"""Layers of tf_keras, saved as .keras, .weights.h5, and .h5."""

from __future__ import annotations

import os

from studies.presets.makers.keep import Keeper, version_of


def main(keeper: Keeper) -> None:
    """Draw and save every layer."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tf_keras as keras

    keras.utils.set_random_seed(keeper.seed)
    attention = ((4, 512), lambda: keras.layers.MultiHeadAttention(8, 64))
    local = ((10, 10, 64), lambda: keras.layers.LocallyConnected2D(32, 3))
    rows = {
        "tf_keras.layers.MultiHeadAttention": (*attention, "*query*/kernel*"),
        "tf_keras.layers.MultiHeadAttention.output": (*attention, "*output*/kernel*"),
        "tf_keras.layers.LocallyConnected2D": (*local, "*locally_connected2d*/kernel*"),
    }
    for name, (shape, build, tensor) in rows.items():
        if keeper.wants(name, "tf_keras"):
            with keeper.row(name, version_of("tf_keras")) as row:
                inputs = keras.Input(shape)
                model = keras.Model(inputs, build()(*[inputs] * (1 + (len(shape) == 2))))
                for suffix in (".keras", ".weights.h5", ".h5"):
                    (model.save_weights if suffix != ".keras" else model.save)(row.path(suffix))
                    row.saved(suffix, row.path(suffix), tensor)


if __name__ == "__main__":
    main(Keeper.of_command())
