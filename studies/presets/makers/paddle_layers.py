"""Layers of Paddle, saved by safetensors; paddle.save writes pickles, which an audit does not open."""

from __future__ import annotations

from studies.presets.makers.keep import Keeper, version_of


def main(keeper: Keeper) -> None:
    """Draw and save every layer."""
    import paddle
    from paddle import nn
    from safetensors.paddle import save_file

    rows = {
        "paddle.nn.Linear": (lambda: nn.Linear(512, 256), "weight"),
        "paddle.nn.Conv2D": (lambda: nn.Conv2D(64, 128, 3), "weight"),
        "paddle.nn.Conv2D.groups": (lambda: nn.Conv2D(64, 128, 3, groups=4), "weight"),
        "paddle.nn.Conv2D.depthwise": (
            lambda: nn.LayerDict({"depthwise": nn.Conv2D(512, 512, 3, groups=512)}),
            "depthwise.weight",
        ),
        "paddle.nn.Conv2DTranspose": (lambda: nn.Conv2DTranspose(64, 128, 3), "weight"),
        "paddle.nn.MultiHeadAttention": (lambda: nn.MultiHeadAttention(512, 8), "q_proj.weight"),
        "paddle.nn.LSTMCell": (lambda: nn.LayerDict({"lstm": nn.LSTMCell(512, 256)}), "lstm.weight_ih"),
        "paddle.nn.Bilinear": (lambda: nn.Bilinear(64, 64, 256), "weight"),
    }
    paddle.seed(keeper.seed)
    for name, (build, tensor) in rows.items():
        if keeper.wants(name, "paddle"):
            with keeper.row(name, version_of("paddlepaddle")) as row:
                save_file(build().state_dict(), str(row.path(".safetensors")))
                row.saved("safetensors", row.path(".safetensors"), tensor)


if __name__ == "__main__":
    main(Keeper.of_command())
