"""Layers of JAX's libraries, saved as msgpack, orbax, safetensors, numpy's archives, and Equinox's own files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from studies.presets.makers.keep import Keeper, Row, version_of

Made = Callable[[Any], tuple[Any, str]]


def flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Return the arrays of a tree of dictionaries by their path."""
    found = {}
    for key, value in tree.items():
        name = f"{prefix}/{key}" if prefix else str(key)
        if hasattr(value, "items"):
            found.update(flat(value, name))
        else:
            found[name] = value
    return found


def linen() -> dict[str, Made]:
    """Return by row: how to draw its variables, and the tensor that the row is about."""
    import jax.numpy as jnp
    from flax import linen as nn

    class Named(nn.Module):
        """A layer under a name of its own, as it stands in a network."""

        layer: Any

        @nn.compact
        def __call__(self, *inputs: Any) -> Any:
            return self.layer()(*inputs)

    def made(layer: Callable[[], Any], tensor: str, *shape: int) -> Made:
        return lambda key: (Named(layer).init(key, jnp.zeros(shape)), f"params/{tensor}")

    def cell(tensor: str) -> Made:
        def build(key: Any) -> tuple[Any, str]:
            layer = nn.RNN(nn.OptimizedLSTMCell(256))
            return layer.init(key, jnp.zeros((1, 3, 512))), f"params/cell/{tensor}"

        return build

    window = (3, 3)
    return {
        "flax.linen.Dense": made(lambda: nn.Dense(256), "Dense_0/kernel", 1, 512),
        "flax.linen.DenseGeneral": made(lambda: nn.DenseGeneral((8, 32)), "DenseGeneral_0/kernel", 1, 512),
        "flax.linen.MultiHeadDotProductAttention": made(
            lambda: nn.MultiHeadDotProductAttention(8, qkv_features=256),
            "MultiHeadDotProductAttention_0/query/kernel",
            1,
            4,
            512,
        ),
        "flax.linen.Conv": made(lambda: nn.Conv(128, window), "Conv_0/kernel", 1, 8, 8, 64),
        "flax.linen.ConvTranspose": made(lambda: nn.ConvTranspose(128, window), "ConvTranspose_0/kernel", 1, 8, 8, 64),
        "flax.linen.ConvLocal": made(lambda: nn.ConvLocal(256, (1, 1)), "ConvLocal_0/kernel", 1, 8, 8, 512),
        "flax.linen.Einsum.inputs_first": made(
            lambda: nn.Einsum((512, 8, 64), "ab,bcd->acd"), "Einsum_0/kernel", 1, 512
        ),
        "flax.linen.Einsum": made(lambda: nn.Einsum((8, 64, 512), "abc,bcd->ad"), "Einsum_0/kernel", 1, 8, 64),
        "flax.linen.OptimizedLSTMCell": cell("ii/kernel"),
        "flax.linen.OptimizedLSTMCell.state": cell("hi/kernel"),
    }


def nnx() -> dict[str, Callable[[Any], tuple[Any, str]]]:
    """Return by row: a layer of nnx, and the tensor of its state that the row is about."""
    from flax import nnx

    class Network(nnx.Module):
        """A layer under a name of its own."""

        def __init__(self, **layers: Any) -> None:
            for name, layer in layers.items():
                setattr(self, name, layer)

    return {
        "flax.nnx.Linear": lambda rngs: (Network(linear=nnx.Linear(512, 256, rngs=rngs)), "linear/kernel"),
        "flax.nnx.Conv": lambda rngs: (Network(conv=nnx.Conv(64, 128, (3, 3), rngs=rngs)), "conv/kernel"),
        "flax.nnx.LinearGeneral": lambda rngs: (
            Network(general=nnx.LinearGeneral(512, (8, 32), rngs=rngs)),
            "general/kernel",
        ),
        "flax.nnx.Einsum": lambda rngs: (
            Network(einsum=nnx.Einsum("ab,bcd->acd", (512, 8, 64), (8, 64), rngs=rngs)),
            "einsum/kernel",
        ),
        "flax.nnx.MultiHeadAttention": lambda rngs: (
            Network(attention=nnx.MultiHeadAttention(8, 512, 256, decode=False, rngs=rngs)),
            "attention/query/kernel",
        ),
        "flax.nnx.LoRA": lambda rngs: (Network(lora=nnx.LoRA(512, 8, 256, rngs=rngs)), "lora/lora_a"),
    }


def haiku() -> dict[str, Made]:
    """Return by row: how to draw its parameters, and the tensor that the row is about."""
    import haiku as hk
    import jax.numpy as jnp

    def made(call: Callable[[], Any], tensor: str) -> Made:
        return lambda key: (hk.transform(call).init(key), tensor)

    x, image = jnp.zeros((1, 512)), jnp.zeros((1, 8, 8, 64))

    def attention() -> Any:
        layer = hk.MultiHeadAttention(8, 32, w_init_scale=1.0)
        words = jnp.zeros((1, 4, 512))
        return layer(words, words, words)

    def recurrent(kind: Any) -> Callable[[], Any]:
        return lambda: hk.dynamic_unroll(kind(256), jnp.zeros((3, 1, 512)), kind(256).initial_state(1))

    return {
        "haiku.Linear": made(lambda: hk.Linear(256)(x), "linear/w"),
        "haiku.Conv2D": made(lambda: hk.Conv2D(128, 3)(image), "conv2_d/w"),
        "haiku.Conv2D.groups": made(lambda: hk.Conv2D(128, 3, feature_group_count=4)(image), "conv2_d/w"),
        "haiku.Conv2DTranspose": made(lambda: hk.Conv2DTranspose(128, 3)(image), "conv2_d_transpose/w"),
        "haiku.DepthwiseConv2D": made(
            lambda: hk.DepthwiseConv2D(1, 3)(jnp.zeros((1, 8, 8, 512))), "depthwise_conv2_d/w"
        ),
        "haiku.MultiHeadAttention": made(attention, "multi_head_attention/query/w"),
        "haiku.MultiHeadAttention.output": made(attention, "multi_head_attention/linear/w"),
        "haiku.LSTM": made(recurrent(hk.LSTM), "lstm/linear/w"),
        "haiku.GRU": made(recurrent(hk.GRU), "gru/w_i"),
        "haiku.GRU.state": made(recurrent(hk.GRU), "gru/w_h"),
        "haiku.Embed": made(lambda: hk.Embed(1000, 256)(jnp.zeros((1,), int)), "embed/embeddings"),
    }


def equinox() -> dict[str, Made]:
    """Return by row: a module, and the number of the leaf that the row is about."""
    import equinox as eqx

    return {
        "equinox.nn.Linear": lambda key: (eqx.nn.Linear(512, 256, key=key), "0"),
        "equinox.nn.Conv2d": lambda key: (eqx.nn.Conv2d(64, 128, 3, key=key), "0"),
        "equinox.nn.Conv2d.groups": lambda key: (eqx.nn.Conv2d(64, 128, 3, groups=4, key=key), "0"),
        "equinox.nn.ConvTranspose2d": lambda key: (eqx.nn.ConvTranspose2d(64, 128, 3, key=key), "0"),
        "equinox.nn.MultiheadAttention": lambda key: (eqx.nn.MultiheadAttention(8, 512, qk_size=32, key=key), "0"),
        "equinox.nn.LSTMCell": lambda key: (eqx.nn.LSTMCell(512, 256, key=key), "0"),
        "equinox.nn.LSTMCell.state": lambda key: (eqx.nn.LSTMCell(512, 256, key=key), "1"),
    }


def save_orbax(row: Row, tree: Any, tensor: str) -> None:
    """Save a tree as the folder of a checkpoint."""
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(row.path(".orbax").absolute(), tree)
    row.saved("orbax", row.path(".orbax"), tensor)


def main(keeper: Keeper) -> None:
    """Draw and save every layer of the libraries that are there."""
    import jax
    import numpy as np

    key = jax.random.key(keeper.seed)
    if keeper.wants("", "flax.linen"):
        from flax import serialization

        for name, made in linen().items():
            with keeper.row(name, version_of("flax")) as row:
                tree, tensor = made(key)
                row.path(".msgpack").write_bytes(serialization.to_bytes(tree))
                row.saved("flax.serialization", row.path(".msgpack"), tensor)
                save_orbax(row, tree, tensor)
    if keeper.wants("", "flax.nnx"):
        from flax import nnx as library

        for name, build in nnx().items():
            with keeper.row(name, version_of("flax")) as row:
                module, tensor = build(library.Rngs(keeper.seed))
                state = library.to_pure_dict(library.state(module, library.Param))
                save_orbax(row, state, tensor)
    if keeper.wants("", "haiku"):
        for name, made in haiku().items():
            with keeper.row(name, version_of("dm-haiku")) as row:
                tree, tensor = made(key)
                arrays = flat(tree)
                np.savez(row.path(".npz"), **{path: np.asarray(value) for path, value in arrays.items()})
                path = next(path for path in arrays if path.endswith(tensor))
                row.saved("numpy.savez", row.path(".npz"), path)
                save_orbax(row, tree, path)
    if keeper.wants("", "equinox"):
        import equinox as library

        for name, made in equinox().items():
            with keeper.row(name, version_of("equinox")) as row:
                module, tensor = made(key)
                library.tree_serialise_leaves(row.path(".eqx"), module)
                row.saved("equinox", row.path(".eqx"), tensor)
    if keeper.wants("", "jax"):
        with keeper.row("jax.example_libraries.stax.Dense", version_of("jax")) as row:
            from jax.example_libraries import stax

            weight, bias = stax.Dense(256)[0](key, (1, 512))[1]
            np.savez(row.path(".npz"), w=weight, b=bias)
            row.saved("numpy.savez", row.path(".npz"), "w")


if __name__ == "__main__":
    main(Keeper.of_command())
