"""Layers of libraries that are on no other: scikit-learn, tinygrad, MLX, Objax."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from studies.presets.makers.keep import Keeper, version_of

Saved = Callable[[Path], None]
Made = Callable[[], tuple[str, str, Saved, str]]


def sklearn() -> dict[str, Made]:
    """Return by row: the saver, the suffix, how to save, and the tensor that the row is about."""
    import numpy as np
    from sklearn.neural_network import MLPClassifier

    def made(activation: str) -> Made:
        def save(path: Path) -> None:
            rng = np.random.default_rng(0)
            # The weights are drawn by fitting, whose one step is too small for a float64.
            network = MLPClassifier((256,), activation=activation, learning_rate_init=1e-300, random_state=0)
            network.partial_fit(rng.standard_normal((20, 512)), rng.integers(0, 2, 20), classes=[0, 1])
            kept = {f"coefs_{place}": value for place, value in enumerate(network.coefs_)}
            kept |= {f"intercepts_{place}": value for place, value in enumerate(network.intercepts_)}
            np.savez(path, **kept)  # type: ignore[arg-type]

        return lambda: ("numpy.savez", ".npz", save, "coefs_0")

    name = "sklearn.neural_network.MLPClassifier"
    return {name: made("relu"), f"{name}.logistic": made("logistic")}


def tinygrad() -> dict[str, Made]:
    """The same, of tinygrad."""
    from tinygrad import Tensor, nn
    from tinygrad.nn.state import get_state_dict, safe_save

    def made(build: Callable[[], Any], tensor: str = "weight") -> Made:
        def save(path: Path) -> None:
            layer = build()
            safe_save({"weight": layer} if isinstance(layer, Tensor) else get_state_dict(layer), str(path))

        return lambda: ("tinygrad.safe_save", ".safetensors", save, tensor)

    class Cell:
        """A cell under a name of its own."""

        def __init__(self) -> None:
            self.lstm = nn.LSTMCell(512, 256)

    return {
        "tinygrad.nn.Linear": made(lambda: nn.Linear(512, 256)),
        "tinygrad.nn.Conv2d": made(lambda: nn.Conv2d(64, 128, 3)),
        "tinygrad.nn.Conv2d.groups": made(lambda: nn.Conv2d(64, 128, 3, groups=4)),
        "tinygrad.nn.ConvTranspose2d": made(lambda: nn.ConvTranspose2d(64, 128, 3)),
        "tinygrad.nn.LSTMCell": made(Cell, "lstm.weight_ih"),
        "tinygrad.Tensor.glorot_uniform": made(lambda: Tensor.glorot_uniform(64, 64, 3, 3)),
    }


def mlx() -> dict[str, Made]:
    """The same, of MLX."""
    import mlx.core as mx
    from mlx import nn

    class Network(nn.Module):
        """A layer under a name of its own."""

        def __init__(self, layer: Any) -> None:
            super().__init__()
            self.layer = layer

    def made(build: Callable[[], Any], tensor: str = "layer.weight") -> Made:
        return lambda: (
            "mlx.save_weights",
            ".safetensors",
            lambda path: Network(build()).save_weights(str(path)),
            tensor,
        )

    def drawn(init: Callable[[], Any]) -> Made:
        def build() -> Any:
            layer = nn.Linear(512, 256)
            layer.weight = init()(mx.zeros((256, 512)))
            return layer

        return made(build)

    return {
        "mlx.nn.Linear": made(lambda: nn.Linear(512, 256)),
        "mlx.nn.Conv2d": made(lambda: nn.Conv2d(64, 128, 3)),
        "mlx.nn.Conv2d.groups": made(lambda: nn.Conv2d(64, 128, 3, groups=4)),
        "mlx.nn.ConvTranspose2d": made(lambda: nn.ConvTranspose2d(64, 128, 3)),
        "mlx.nn.MultiHeadAttention": made(lambda: nn.MultiHeadAttention(512, 8), "layer.query_proj.weight"),
        "mlx.nn.LSTM": made(lambda: nn.LSTM(512, 256), "layer.Wx"),
        "mlx.nn.Bilinear": made(lambda: nn.Bilinear(64, 64, 256)),
        "mlx.nn.init.he_normal": drawn(nn.init.he_normal),
        "mlx.nn.init.he_uniform": drawn(nn.init.he_uniform),
    }


def objax() -> dict[str, Made]:
    """The same, of Objax."""
    import objax as library

    def save(path: Path) -> None:
        library.io.save_var_collection(str(path), library.nn.Linear(512, 256).vars())

    return {"objax.nn.Linear": lambda: ("objax.io", ".npz", save, "(Linear).w")}


def main(keeper: Keeper) -> None:
    """Draw and save every layer of the libraries that are asked for."""
    of = {
        "sklearn": (sklearn, "scikit-learn"),
        "tinygrad": (tinygrad, "tinygrad"),
        "mlx": (mlx, "mlx"),
        "objax": (objax, "objax"),
    }
    for library, (rows, distribution) in of.items():
        if keeper.wants("", library):
            for name, made in rows().items():
                with keeper.row(name, version_of(distribution)) as row:
                    saver, suffix, save, tensor = made()
                    save(row.path(suffix))
                    row.saved(saver, row.path(suffix), tensor)


if __name__ == "__main__":
    main(Keeper.of_command())
