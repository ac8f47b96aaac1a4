"""Layers of PyTorch and of libraries on it, saved as state dicts and as safetensors."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

from studies.presets.makers.keep import Keeper, version_of

Made = Callable[[], tuple[Any, "str | list[str]"]]


def layers() -> dict[str, dict[str, Made]]:
    """Return by library and by row: a module, or a state dict, and the tensors of it that the row is about."""
    from torch import nn

    os.environ.setdefault("DDE_BACKEND", "pytorch")

    def transformer() -> Any:
        return nn.Transformer(512, 8, 1, 1, 2048, batch_first=True)

    torch: dict[str, Made] = {
        "torch.nn.Linear": lambda: (nn.Linear(512, 256), "weight"),
        "torch.nn.Bilinear": lambda: (nn.Bilinear(64, 64, 256), "weight"),
        "torch.nn.Conv2d": lambda: (nn.Conv2d(64, 128, 3, groups=4), "weight"),
        "torch.nn.ConvTranspose2d": lambda: (nn.ConvTranspose2d(64, 128, 3), "weight"),
        "torch.nn.MultiheadAttention": lambda: (nn.MultiheadAttention(512, 8), "in_proj_weight"),
        "torch.nn.MultiheadAttention.output": lambda: (nn.MultiheadAttention(512, 8), "out_proj.weight"),
        "torch.nn.MultiheadAttention.kdim": lambda: (
            nn.MultiheadAttention(512, 8, kdim=256, vdim=256),
            ["k_proj_weight", "v_proj_weight"],
        ),
        "torch.nn.Embedding": lambda: (nn.ModuleDict({"embedding": nn.Embedding(1000, 256)}), "embedding.weight"),
        "torch.nn.TransformerEncoderLayer": lambda: (nn.TransformerEncoderLayer(512, 8, 256), "linear1.weight"),
        "torch.nn.Transformer": lambda: (transformer(), "encoder.layers.0.linear1.weight"),
    }
    for cell in ("LSTM", "GRU", "RNN"):
        torch[f"torch.nn.{cell}"] = lambda cell=cell: (
            nn.ModuleDict({cell: getattr(nn, cell)(512, 256)}),
            f"{cell}.weight_ih_l0",
        )
        torch[f"torch.nn.{cell}.state"] = lambda cell=cell: (
            nn.ModuleDict({cell: getattr(nn, cell)(512, 256)}),
            f"{cell}.weight_hh_l0",
        )
    return {
        "torch": torch,
        "transformers": _transformers(),
        "timm": _timm(),
        "torchvision": _torchvision(),
        **_others(),
    }


def _transformers() -> dict[str, Made]:
    def made(kind: str, sizes: dict[str, Any], tensors: str | list[str]) -> Made:
        def build() -> tuple[Any, str | list[str]]:
            library = importlib.import_module("transformers")
            config = getattr(library, kind.replace("Model", "Config"))(**sizes)
            return getattr(library, kind)(config), tensors

        return build

    words = {"vocab_size": 100}
    gpt = {**words, "n_layer": 12, "n_embd": 256, "n_head": 4, "n_positions": 32}
    usual = {**words, "hidden_size": 512, "num_hidden_layers": 2, "num_attention_heads": 8, "intermediate_size": 256}
    t5 = {**words, "d_model": 512, "d_kv": 64, "num_heads": 4, "d_ff": 256, "num_layers": 2}
    t5_block = "encoder.block.0.layer"
    four = {"num_hidden_layers": 4}
    mamba = {**words, "hidden_size": 512, "num_hidden_layers": 2, "state_size": 16, "time_step_rank": 32}
    return {
        "transformers.GPT2Model": made("GPT2Model", gpt, ["h.0.attn.c_attn.weight", "h.0.mlp.c_fc.weight"]),
        "transformers.GPT2Model.c_proj": made("GPT2Model", gpt, ["h.0.attn.c_proj.weight", "h.0.mlp.c_proj.weight"]),
        "transformers.BertModel": made(
            "BertModel",
            usual,
            ["encoder.layer.0.attention.self.query.weight", "encoder.layer.0.intermediate.dense.weight"],
        ),
        "transformers.LlamaModel": made(
            "LlamaModel", usual, ["layers.0.self_attn.q_proj.weight", "layers.0.mlp.up_proj.weight"]
        ),
        "transformers.T5Model.query": made("T5Model", t5, f"{t5_block}.0.SelfAttention.q.weight"),
        "transformers.T5Model": made(
            "T5Model", t5, [f"{t5_block}.0.SelfAttention.k.weight", f"{t5_block}.1.DenseReluDense.wi.weight"]
        ),
        "transformers.ModernBertModel": made(
            "ModernBertModel",
            {**usual, **four, "pad_token_id": 0},
            ["layers.0.attn.Wqkv.weight", "layers.0.mlp.Wi.weight"],
        ),
        "transformers.ModernBertModel.output": made(
            "ModernBertModel",
            {**usual, **four, "pad_token_id": 0},
            ["layers.0.attn.Wo.weight", "layers.0.mlp.Wo.weight"],
        ),
        "transformers.MambaModel.in_proj": made("MambaModel", mamba, "layers.0.mixer.in_proj.weight"),
        "transformers.MambaModel.x_proj": made("MambaModel", mamba, "layers.0.mixer.x_proj.weight"),
        "transformers.MambaModel.out_proj": made("MambaModel", mamba, "layers.0.mixer.out_proj.weight"),
        "transformers.MambaModel.dt_proj": made("MambaModel", mamba, "layers.0.mixer.dt_proj.weight"),
        "transformers.RwkvModel": made(
            "RwkvModel",
            {"hidden_size": 512, "num_hidden_layers": 2, "attention_hidden_size": 256},
            "blocks.0.attention.key.weight",
        ),
        "transformers.CLIPTextModel": made(
            "CLIPTextModel", {**usual, **four}, "encoder.layers.0.self_attn.q_proj.weight"
        ),
        "transformers.CLIPTextModel.output": made(
            "CLIPTextModel", {**usual, **four}, "encoder.layers.0.self_attn.out_proj.weight"
        ),
        "transformers.CLIPTextModel.fc1": made("CLIPTextModel", {**usual, **four}, "encoder.layers.0.mlp.fc1.weight"),
        "transformers.Wav2Vec2Model.feature_extractor": made(
            "Wav2Vec2Model",
            {"hidden_size": 128, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 128},
            "feature_extractor.conv_layers.1.conv.weight",
        ),
        "transformers.RecurrentGemmaModel.gate": made(
            "RecurrentGemmaModel",
            {
                "hidden_size": 512,
                "num_hidden_layers": 3,
                "num_attention_heads": 4,
                "intermediate_size": 512,
                "lru_width": 512,
            },
            "layers.0.mlp_block.gate_proj.weight",
        ),
    }


def _timm() -> dict[str, Made]:
    def model(name: str, tensors: str | list[str], **sizes: Any) -> Made:
        return lambda: (importlib.import_module("timm").create_model(name, pretrained=False, **sizes), tensors)

    def vit(weight_init: str) -> dict[str, Any]:
        return {"embed_dim": 512, "depth": 2, "num_heads": 8, "num_classes": 10, "weight_init": weight_init}

    return {
        "timm.VisionTransformer": model(
            "vit_tiny_patch16_224", ["blocks.0.attn.proj.weight", "blocks.0.mlp.fc1.weight"], **vit("")
        ),
        "timm.VisionTransformer.qkv_jax": model("vit_tiny_patch16_224", "blocks.0.attn.qkv.weight", **vit("jax")),
        "timm.VisionTransformer.qkv_moco": model("vit_tiny_patch16_224", "blocks.0.attn.qkv.weight", **vit("moco")),
        "timm.ConvNeXt.depthwise": model("convnext_atto", "stages.3.blocks.0.conv_dw.weight", dims=(96, 96, 96, 768)),
        "timm.ResNet": model("resnet18", "layer2.0.conv1.weight"),
        "timm.EfficientNet.classifier": model("efficientnet_b0", "classifier.weight", num_classes=10),
        "timm.EfficientNet.squeeze": model("efficientnet_b0", "blocks.4.1.se.conv_reduce.weight", num_classes=10),
        "timm.EfficientNet.depthwise": model("efficientnet_b0", "blocks.4.1.conv_dw.weight", num_classes=10),
    }


def _torchvision() -> dict[str, Made]:
    def model(name: str, tensor: str) -> Made:
        return lambda: (getattr(importlib.import_module("torchvision.models"), name)(weights=None), tensor)

    def vit() -> tuple[Any, str]:
        kind = importlib.import_module("torchvision.models").VisionTransformer
        return kind(32, 16, 1, 8, 512, 1024), "encoder.layers.encoder_layer_0.mlp.0.weight"

    return {
        "torchvision.models.ResNet": model("resnet18", "layer2.0.conv1.weight"),
        "torchvision.models.EfficientNet.depthwise": model("efficientnet_b0", "features.4.1.block.1.0.weight"),
        "torchvision.models.VisionTransformer.mlp": vit,
        "torchvision.models.MNASNet.classifier": model("mnasnet1_0", "classifier.1.weight"),
    }


def _others() -> dict[str, dict[str, Made]]:
    def made(module: str, kind: str, tensors: str | list[str], *sizes: Any, **named: Any) -> Made:
        return lambda: (getattr(importlib.import_module(module), kind)(*sizes, **named), tensors)

    return {
        "torch_geometric": {
            "torch_geometric.nn.Linear": made("torch_geometric.nn", "Linear", "weight", 512, 256),
            "torch_geometric.nn.Linear.glorot": made(
                "torch_geometric.nn", "Linear", "weight", 512, 256, weight_initializer="glorot"
            ),
            "torch_geometric.nn.GCNConv": made("torch_geometric.nn", "GCNConv", "lin.weight", 512, 256),
        },
        "stable_baselines3": _policies(),
        "torchrl": {
            "torchrl.modules.MLP": made("torchrl.modules", "MLP", "0.weight", 512, 10, num_cells=[256]),
        },
        "siren_pytorch": {
            "siren_pytorch.Siren.first": made("siren_pytorch", "Siren", "weight", 512, 256, w0=30.0, is_first=True),
            "siren_pytorch.Siren": made("siren_pytorch", "Siren", "weight", 256, 256, w0=1.0),
        },
        "x_transformers": {
            "x_transformers.Attention": made(
                "x_transformers.x_transformers", "Attention", "to_q.weight", 512, heads=8, dim_head=32
            ),
            "x_transformers.FeedForward": made(
                "x_transformers.x_transformers", "FeedForward", "ff.0.0.weight", 512, mult=0.5
            ),
        },
        "vit_pytorch": {
            "vit_pytorch.Attention": made("vit_pytorch.vit", "Attention", "to_qkv.weight", 512, heads=8, dim_head=64),
        },
        "mup": {"mup.MuReadout": _readout},
        "unit_scaling": {"unit_scaling.nn.Linear": made("unit_scaling", "Linear", "weight", 512, 256)},
        "torchani": {
            "torchani.AtomicNetwork": made(
                "torchani.nn", "AtomicNetwork", "layers.0.weight", (512, 256, 64), activation="gelu", bias=False
            ),
        },
        "nflows": {
            "nflows.nn.nets.ResidualNet": made(
                "nflows.nn.nets", "ResidualNet", "blocks.0.linear_layers.1.weight", 16, 16, hidden_features=256
            ),
        },
        "pytorch_tabnet": {
            "pytorch_tabnet.gated": _gated,
            "pytorch_tabnet.attention": _attentive,
        },
        "deepxde": {
            "deepxde.nn.FNN.glorot_normal": made(
                "deepxde.nn.pytorch", "FNN", "linears.0.weight", [512, 256, 1], "tanh", "Glorot normal"
            ),
        },
    }


def _policies() -> dict[str, Made]:
    def policy(key: str) -> Made:
        def build() -> tuple[Any, str]:
            import numpy as np
            from gymnasium import spaces
            from stable_baselines3.common.policies import ActorCriticPolicy
            from stable_baselines3.sac.policies import SACPolicy

            box = spaces.Box(-1.0, 1.0, (512,), np.float32), spaces.Box(-1.0, 1.0, (8,), np.float32)
            kind = SACPolicy if key.startswith("actor") else ActorCriticPolicy
            return kind(*box, lambda _: 1e-3, net_arch=[256, 256]), key

        return build

    return {
        "stable_baselines3.mlp_extractor": policy("mlp_extractor.policy_net.0.weight"),
        "stable_baselines3.action_net": policy("action_net.weight"),
        "stable_baselines3.value_net": policy("value_net.weight"),
        "stable_baselines3.SAC.actor": policy("actor.latent_pi.0.weight"),
    }


def _readout() -> tuple[Any, str]:
    import mup
    from torch import nn

    def model(width: int) -> Any:
        return nn.ModuleDict(
            {"body": nn.Linear(16, width), "readout": mup.MuReadout(width, 10, readout_zero_init=False)}
        )

    found = model(512)
    mup.set_base_shapes(found, model(512), delta=model(256))
    return found, "readout.weight"


def _gated() -> tuple[Any, str]:
    from pytorch_tabnet.tab_network import GLU_Layer

    return GLU_Layer(512, 128), "fc.weight"


def _attentive() -> tuple[Any, str]:
    from pytorch_tabnet.tab_network import AttentiveTransformer

    return AttentiveTransformer(8, 512, None), "fc.weight"


def _without_operators() -> Iterator[Any]:
    """Import torchvision; its build for CUDA brings no operators to a CPU, and names of them are asked for."""
    import torch

    for _ in range(9):
        try:
            importlib.import_module("torchvision")
        except ImportError:
            return
        except RuntimeError as error:
            missing = re.search(r"operator torchvision::(\w+) does not exist", str(error))
            if missing is None:
                raise
            for name in [name for name in sys.modules if name.startswith("torchvision")]:
                del sys.modules[name]
            library = torch.library.Library("torchvision", "FRAGMENT")
            library.define(f"{missing[1]}(Tensor boxes, Tensor scores, float threshold) -> Tensor")
            yield library
        else:
            return


def main(keeper: Keeper) -> None:
    """Draw and save every layer of the libraries that are there."""
    import torch
    from safetensors.torch import save_model

    held = list(_without_operators())  # the names go with what defines them
    for library, rows in layers().items():
        for name, made in rows.items():
            if keeper.wants(name, library):
                torch.manual_seed(keeper.seed)
                with keeper.row(name, version_of(library)) as row:
                    module, tensors = made()
                    if hasattr(module, "save_pretrained") and library == "transformers":
                        module.save_pretrained(row.path(""))
                        row.saved("save_pretrained", row.path("") / "model.safetensors", tensors)
                        continue
                    torch.save(module.state_dict(), row.path(".pt"))
                    row.saved("torch.save", row.path(".pt"), tensors)
                    if library == "torch":
                        save_model(module, str(row.path(".safetensors")))
                        row.saved("safetensors", row.path(".safetensors"), tensors)
    del held


if __name__ == "__main__":
    main(Keeper.of_command())
