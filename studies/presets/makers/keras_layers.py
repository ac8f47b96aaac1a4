"""Layers of Keras, saved whole as .keras and as .weights.h5."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from studies.presets.makers.keep import Keeper, version_of

Made = Callable[[Any], tuple[Any, tuple[int, ...], str]]


def layers(keras: Any) -> dict[str, Made]:
    """Return by row: the layer, the shape of its input without the batch, and the end of its variable's name."""
    of = keras.layers

    def made(kind: str, shape: tuple[int, ...], tensor: str, *sizes: Any, **named: Any) -> Made:
        return lambda _: (getattr(of, kind)(*sizes, **named), shape, tensor)

    image = (8, 8, 64)
    words = (4, 512)
    return {
        "keras.layers.Dense": made("Dense", (512,), "kernel", 256),
        "keras.layers.EinsumDense": made(
            "EinsumDense", words, "kernel", "abc,cde->abde", (None, 8, 64), bias_axes="de"
        ),
        "keras.layers.MultiHeadAttention": made("MultiHeadAttention", words, "query_dense/kernel", 8, 64),
        "keras.layers.MultiHeadAttention.output": made("MultiHeadAttention", words, "output_dense/kernel", 8, 64),
        "keras.layers.GroupQueryAttention.key_value": made("GroupQueryAttention", words, "key/kernel", 64, 8, 2),
        "keras.layers.LSTM": made("LSTM", words, "/kernel", 256),
        "keras.layers.LSTM.state": made("LSTM", words, "recurrent_kernel", 256),
        "keras.layers.GRU": made("GRU", words, "/kernel", 256),
        "keras.layers.GRU.state": made("GRU", words, "recurrent_kernel", 256),
        "keras.layers.SimpleRNN": made("SimpleRNN", words, "/kernel", 256),
        "keras.layers.SimpleRNN.state": made("SimpleRNN", words, "recurrent_kernel", 256),
        "keras.layers.Conv2D": made("Conv2D", image, "kernel", 128, 3),
        "keras.layers.Conv2D.groups": made("Conv2D", image, "kernel", 128, 3, groups=4),
        "keras.layers.Conv2DTranspose": made("Conv2DTranspose", image, "kernel", 128, 3),
        "keras.layers.DepthwiseConv2D": made("DepthwiseConv2D", (8, 8, 512), "kernel", 3),
        "keras.layers.DepthwiseConv2D.he_normal": made(
            "DepthwiseConv2D", (8, 8, 512), "kernel", 3, depthwise_initializer="he_normal"
        ),
        "keras.layers.SeparableConv2D.depthwise": made("SeparableConv2D", (8, 8, 512), "depthwise_kernel", 64, 3),
        "keras.layers.Embedding": made("Embedding", (4,), "embeddings", 1000, 256),
    }


def main(keeper: Keeper) -> None:
    """Draw and save every layer."""
    import keras

    keras.utils.set_random_seed(keeper.seed)
    for name, made in layers(keras).items():
        if keeper.wants(name, "keras"):
            with keeper.row(name, version_of("keras")) as row:
                layer, shape, tensor = made(keras)
                inputs = keras.Input(shape)
                many = "Attention" in name
                outputs = (
                    layer(inputs, inputs)
                    if "Group" not in name and many
                    else layer(inputs, inputs)
                    if many
                    else layer(inputs)
                )
                model = keras.Model(inputs, outputs)
                for suffix in (".keras", ".weights.h5"):
                    (model.save_weights if suffix == ".weights.h5" else model.save)(row.path(suffix))
                    row.saved(suffix, row.path(suffix), f"*{tensor}")


if __name__ == "__main__":
    main(Keeper.of_command())
