"""Traps of real checkpoints, each as a small file, and files that are no checkpoints."""

import json
import math
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from checkpoint_files import (
    FloatArray,
    constant,
    narrow,
    normal,
    raw_safetensors,
    save,
    save_h5,
    save_onnx,
    trained,
    truncated,
    uniform,
)
from onnx import TensorProto, helper

import mfmi
from mfmi.checkpoints import read, steps
from mfmi.errors import OutputError

THIRD = 1 / math.sqrt(3)


def rows(path: Path, **options: Any) -> Mapping[str, Mapping[str, Any]]:
    frame = mfmi.audit(path, **options)
    return {row["name"]: row for row in frame.to_dict("records")}


def skipped(path: Path, name: str, **options: Any) -> str:
    row = rows(path, **options)[name]
    assert (row["kind"], row["status"]) == ("skipped", "skipped")
    assert math.isnan(row["sigma_w"])
    return str(row["message"])


def sigma(path: Path, name: str, **options: Any) -> float:
    row = rows(path, **options)[name]
    assert row["status"] == "ok", row["message"]
    return float(row["sigma_w"])


# ---- 1: quantised numbers ------------------------------------------------------------------------------------------


def quantised(values: FloatArray, rows_apart: bool) -> tuple[FloatArray, FloatArray]:
    largest = np.abs(values).max(axis=1, keepdims=True) if rows_apart else np.abs(values).max()
    return np.round(values / largest * 127).astype(np.int8), np.asarray(largest / 127, dtype=np.float32)


def test_integers_without_a_scale_are_refused(tmp_path: Path) -> None:
    codes, _ = quantised(uniform((128, 64), 64), False)
    assert "without a scale" in skipped(save(tmp_path / "a.safetensors", {"fc.weight": codes}), "fc.weight")


@pytest.mark.parametrize("name", ["weight_scale", "SCB"])
def test_integers_with_their_scale_are_dequantised(tmp_path: Path, name: str) -> None:
    weight = uniform((128, 64), 64)
    codes, scale = quantised(weight, True)
    beside = scale.ravel() * (127 if name == "SCB" else 1)
    row = rows(save(tmp_path / "a.safetensors", {"fc.weight": codes, f"fc.{name}": beside}))["fc.weight"]
    assert row["sigma_w"] == pytest.approx(weight.std() * 8, rel=2e-3)
    assert row["law"] == "uniform"


def test_keras_divides_by_its_scale(tmp_path: Path) -> None:
    weight = uniform((64, 128), 64)
    scale = 127 / np.abs(weight).max(axis=0)
    codes = np.round(weight * scale).astype(np.int8)
    arrays = {"layers/dense/kernel": codes, "layers/dense/kernel_scale": scale.astype(np.float32)}
    assert sigma(save_h5(tmp_path / "a.h5", arrays), "layers/dense/kernel") == pytest.approx(weight.std() * 8, rel=2e-3)


def test_a_graph_says_how_it_dequantises(tmp_path: Path) -> None:
    weight = uniform((32, 16, 3, 3), 144)
    scale = float(np.abs(weight).max() / 100)
    codes = (np.round(weight / scale) + 128).astype(np.uint8)
    weights = {"w": codes, "s": np.float32(scale), "z": np.uint8(128)}
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["d"]),
        helper.make_node("Conv", ["x", "d"], ["y"]),
    ]
    path = save_onnx(tmp_path / "a.onnx", nodes, weights)
    assert sigma(path, "w") == pytest.approx(weight.std() * 12, rel=2e-3)
    assert abs(rows(path)["w"]["mean"]) < 0.01 * weight.std()


def test_a_scale_that_is_elsewhere_in_the_graph_is_refused(tmp_path: Path) -> None:
    codes = np.full((32, 16, 3, 3), 130, dtype=np.uint8)
    nodes = [helper.make_node("ConvInteger", ["x", "w", "", "z"], ["y"])]
    path = save_onnx(tmp_path / "a.onnx", nodes, {"w": codes, "z": np.uint8(128)})
    assert "scale is applied elsewhere" in skipped(path, "w")


# ---- 2: graphs without an initialiser ------------------------------------------------------------------------------


def test_constants_in_branches_are_weights(tmp_path: Path) -> None:
    weight = uniform((64, 32), 64)

    def branch(name: str) -> Any:
        nodes = [constant(f"w_{name}", weight), helper.make_node("MatMul", ["x", f"w_{name}"], [f"y_{name}"])]
        return helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(f"y_{name}", TensorProto.FLOAT, None)])

    nodes = [
        constant("condition", np.array(True)),
        helper.make_node("If", ["condition"], ["y"], then_branch=branch("a"), else_branch=branch("b")),
    ]
    found = rows(save_onnx(tmp_path / "a.onnx", nodes, {}))
    for name in ("w_a", "w_b"):
        assert (found[name]["fan_in"], found[name]["fan_out"]) == (64, 32)
        assert found[name]["sigma_w"] == pytest.approx(THIRD, rel=0.02)


def test_function_bodies_are_read(tmp_path: Path) -> None:
    weight = uniform((64, 32), 64)
    body = helper.make_function(
        "own", "f", ["a", "b"], ["c"], [helper.make_node("MatMul", ["a", "b"], ["c"])], [helper.make_opsetid("", 17)]
    )
    nodes = [helper.make_node("f", ["x", "w"], ["y"], domain="own")]
    path = save_onnx(tmp_path / "a.onnx", nodes, {"w": weight}, functions=[body])
    assert sigma(path, "w") == pytest.approx(THIRD, rel=0.02)


def test_external_data_is_read(tmp_path: Path) -> None:
    nodes = [helper.make_node("Gemm", ["x", "fc.weight", "fc.bias"], ["y"], transB=1)]
    weights = {"fc.weight": uniform((32, 64), 64), "fc.bias": uniform((32,), 64)}
    path = save_onnx(tmp_path / "a.onnx", nodes, weights, external=True)
    row = rows(path)["fc.weight"]
    assert (row["init"], row["fan_in"]) == ("torch.nn.Linear", 64)
    assert row["sigma_b"] == pytest.approx(weights["fc.bias"].std(), rel=0.2)
    (tmp_path / "a.onnx.data").unlink()
    assert rows(path)["fc.weight"]["status"] == "failed"


# ---- 3: a folded normalisation --------------------------------------------------------------------------------------


def test_a_folded_scale_is_not_attributed(tmp_path: Path) -> None:
    gains = np.exp(normal((64, 1, 1, 1), 0.3, 5))
    weight = 17 * gains * uniform((64, 16, 3, 3), 144)
    nodes = [helper.make_node("Conv", ["x", "conv.weight", "conv.bias"], ["y"])]
    weights = {"conv.weight": weight.astype(np.float32), "conv.bias": normal((64,), 0.1)}
    path = save_onnx(tmp_path / "a.onnx", nodes, weights)
    row = rows(path)["conv.weight"]
    assert row["sigma_w"] > 10
    assert pd.isna(row["init"])
    assert "scale not attributable" in row["message"]
    assert not any("times that of" in finding for finding in mfmi.audit(path).attrs["findings"])


def test_an_untouched_draw_has_nothing_folded_in(tmp_path: Path) -> None:
    nodes = [helper.make_node("Conv", ["x", "conv.weight", "conv.bias"], ["y"])]
    weights = {"conv.weight": uniform((64, 16, 3, 3), 144), "conv.bias": uniform((64,), 144)}
    row = rows(save_onnx(tmp_path / "a.onnx", nodes, weights))["conv.weight"]
    assert row["init"] == "torch.nn.Conv2d"
    assert "attributable" not in row["message"]


# ---- 4: orientation -------------------------------------------------------------------------------------------------


def test_conv1d_is_told_by_its_bias_and_its_square_sisters_by_it(tmp_path: Path) -> None:
    tensors = {
        "h.0.attn.c_proj.weight": normal((64, 64), 0.02),
        "h.0.attn.c_proj.bias": np.zeros(64, np.float32),
        "h.0.mlp.c_fc.weight": normal((64, 256), 0.02),
        "h.0.mlp.c_fc.bias": np.zeros(256, np.float32),
        "h.0.mlp.c_proj.weight": normal((256, 64), 0.02),
        "h.0.mlp.c_proj.bias": np.zeros(64, np.float32),
    }
    found = rows(save(tmp_path / "a.safetensors", tensors))
    assert {name: found[name]["fan_in"] for name in found} == {
        "h.0.attn.c_proj.weight": 64,
        "h.0.mlp.c_fc.weight": 64,
        "h.0.mlp.c_proj.weight": 256,
    }
    assert "other c_proj layers" in found["h.0.attn.c_proj.weight"]["message"]


@pytest.mark.parametrize(
    ("node", "shape"),
    [
        (helper.make_node("Gemm", ["x", "w"], ["y"], transB=1), (32, 64)),
        (helper.make_node("Gemm", ["x", "w"], ["y"]), (64, 32)),
        (helper.make_node("MatMul", ["x", "w"], ["y"]), (64, 32)),
        (helper.make_node("MatMul", ["w", "x"], ["y"]), (32, 64)),
    ],
)
def test_a_graph_says_its_axes(tmp_path: Path, node: Any, shape: tuple[int, int]) -> None:
    row = rows(save_onnx(tmp_path / "a.onnx", [node], {"w": uniform(shape, 64)}))["w"]
    assert (row["fan_in"], row["fan_out"]) == (64, 32)


def test_a_transposed_weight_is_followed(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Transpose", ["w"], ["t"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "t"], ["y"]),
    ]
    assert rows(save_onnx(tmp_path / "a.onnx", nodes, {"w": uniform((32, 64), 64)}))["w"]["fan_in"] == 64


def test_kernels_and_weights_have_their_conventions(tmp_path: Path) -> None:
    tensors = {"a.weight": uniform((32, 64), 64), "b.kernel": uniform((64, 32), 64), "c.w": uniform((64, 32), 64)}
    found = rows(save(tmp_path / "a.safetensors", tensors))
    assert {row["fan_in"] for row in found.values()} == {64}


def test_experts_under_one_name_are_asked_for(tmp_path: Path) -> None:
    path = save(tmp_path / "a.safetensors", {"experts.down_proj": uniform((4, 64, 32), 64)})
    assert "--axes" in skipped(path, "experts.down_proj")
    assert "--axes" in mfmi.audit(path).attrs["findings"][0]


def test_a_nameless_chain_tells_its_axes(tmp_path: Path) -> None:
    shapes = [(20, 64), (64, 48), (48, 10)]
    np.savez(tmp_path / "a.npz", *(uniform(shape, shape[0]) for shape in shapes))
    np.savez(tmp_path / "b.npz", *(uniform(shape[::-1], shape[0]) for shape in shapes))
    for name in ("a.npz", "b.npz"):
        assert [row["fan_in"] for row in rows(tmp_path / name).values()] == [20, 64, 48]


def test_what_cannot_be_told_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, uniform((64, 32), 64))
    assert "--axes" in skipped(path, "arr_0")
    assert rows(path, axes="io")["arr_0"]["fan_in"] == 64
    assert rows(path, axes="oi")["arr_0"]["fan_in"] == 32


def test_a_transposed_kernel_is_found(tmp_path: Path) -> None:
    tensors: dict[str, FloatArray] = {}
    for place, (inputs, outputs) in enumerate([(20, 64), (64, 48), (48, 30)]):
        tensors[f"{place}.weight"] = uniform((outputs, inputs), inputs, seed=place)
        tensors[f"{place}.bias"] = uniform((outputs,), inputs, seed=9 + place)
    tensors["1.weight"] = np.ascontiguousarray(tensors["1.weight"].T)
    path = save(tmp_path / "a.safetensors", tensors)
    assert rows(path)["1.weight"]["fan_in"] == 64
    assert "saved transposed" in mfmi.audit(path).attrs["findings"][0]


# ---- 5: moments, averages, counters ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("optimizer_state.state.140178894882496.exp_avg", "optimiser"),
        ("optimizer.state.0.exp_avg_sq", "optimiser"),
        ("opt_state.0.mu.dense.kernel", "optimiser"),
        ("ema.fc.weight", "averaged copy"),
        ("embeddings.position_ids", "indices"),
    ],
)
def test_what_is_no_weight(tmp_path: Path, name: str, words: str) -> None:
    tensors = {"fc.weight": uniform((32, 64), 64), name: 1e-4 * uniform((32, 64), 64)}
    assert words in skipped(save(tmp_path / "a.safetensors", tensors), name)


def test_a_file_of_averages_alone_is_read(tmp_path: Path) -> None:
    assert sigma(save(tmp_path / "a.safetensors", {"ema.fc.weight": uniform((32, 64), 64)}), "ema.fc.weight") > 0.5


@pytest.mark.parametrize("name", ["optimizer/vars/2", "optimizer_weights/adam/dense_kernel_velocity"])
def test_moments_of_keras(tmp_path: Path, name: str) -> None:
    arrays = {"layers/dense/vars/0": uniform((64, 32), 64), name: uniform((64, 32), 64)}
    path = save_h5(tmp_path / "a.h5", arrays)
    found = rows(path)
    assert [row["kind"] for row in found.values()].count("skipped") == 1
    assert found["layers/dense/kernel"]["fan_in"] == 64


# ---- 6: depthwise and grouped kernels -------------------------------------------------------------------------------


def test_depthwise_kernels_sum_over_their_window(tmp_path: Path) -> None:
    path = save_h5(tmp_path / "a.h5", {"layers/depthwise_conv2d/vars/0": uniform((5, 5, 64, 2), 25, 2 / 65)})
    row = rows(path)["layers/depthwise_conv2d/depthwise_kernel"]
    assert (row["kind"], row["fan_in"]) == ("depthwise", 25)
    assert row["sigma_w"] == pytest.approx(math.sqrt(2 / 65), rel=0.02)
    assert row["init"] == "keras.layers.DepthwiseConv2D"


def test_depthwise_convolutions_of_a_graph(tmp_path: Path) -> None:
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], group=64)]
    row = rows(save_onnx(tmp_path / "a.onnx", nodes, {"w": uniform((64, 1, 3, 3), 9)}))["w"]
    assert (row["kind"], row["fan_in"], row["fan_out"]) == ("depthwise", 9, 9)


def test_grouped_convolutions(tmp_path: Path) -> None:
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], group=4)]
    row = rows(save_onnx(tmp_path / "a.onnx", nodes, {"w": uniform((128, 16, 3, 3), 144)}))["w"]
    assert (row["fan_in"], row["fan_out"]) == (144, 288)
    assert row["sigma_w"] == pytest.approx(THIRD, rel=0.01)
    assert row["singular_max"] < THIRD * (1 + math.sqrt(32 / 144)) * 1.05


# ---- 7: weights in parts --------------------------------------------------------------------------------------------


def test_weight_norm_is_put_together(tmp_path: Path) -> None:
    weight = uniform((64, 32), 32)
    gain = np.linalg.norm(weight, axis=1, keepdims=True)
    for gains, directions in (
        ("parametrizations.weight.original0", "parametrizations.weight.original1"),
        ("weight_g", "weight_v"),
    ):
        path = save(tmp_path / "a.safetensors", {f"fc.{gains}": gain, f"fc.{directions}": 7 * weight})
        row = rows(path)["fc.weight"]
        assert row["sigma_w"] == pytest.approx(weight.std() * math.sqrt(32), rel=1e-5)
        assert row["init"] == "torch.nn.Linear"
        assert "part of" in skipped(path, f"fc.{gains}")


def test_weight_norm_of_a_transposed_convolution_has_a_gain_per_input(tmp_path: Path) -> None:
    weight = uniform((16, 32, 5), 80)
    gain = np.linalg.norm(weight, axis=(1, 2), keepdims=True)
    tensors = {"up.weight_g": gain, "up.weight_v": 3 * weight, "up.bias": np.zeros(32, np.float32)}
    row = rows(save(tmp_path / "a.safetensors", tensors))["up.weight"]
    assert (row["kind"], row["fan_in"]) == ("transposed_convolution", 80)
    assert row["sigma_w"] == pytest.approx(weight.std() * math.sqrt(80), rel=1e-5)


@pytest.mark.parametrize("separator", [".", "/"])
def test_norms_of_flax_are_put_together(tmp_path: Path, separator: str) -> None:
    kernel, scale = normal((64, 96), 7.0), np.linspace(0.5, 2.0, 96).astype(np.float32)
    conv, u = normal((3, 32, 48), 0.3, seed=1), normal((1, 48), 1.0, seed=2)
    names = {
        "params.Dense_0.kernel": kernel,
        "params.WeightNorm_0.Dense_0/kernel/scale": scale,
        "params.block.Conv_0.kernel": conv,
        "batch_stats.block.SpectralNorm_0.Conv_0/kernel/u": u,
        "batch_stats.block.SpectralNorm_0.Conv_0/kernel/sigma": np.ones((), np.float32),
    }
    path = save(tmp_path / "a.safetensors", {name.replace(".", separator): value for name, value in names.items()})
    used = kernel / np.linalg.norm(kernel, axis=0) * scale
    assert sigma(path, f"params{separator}Dense_0{separator}kernel") == pytest.approx(8.0 * used.std(), rel=1e-5)
    matrix = conv.reshape(96, 48)
    left = matrix @ u.ravel()
    largest = np.linalg.norm(left / np.linalg.norm(left) @ matrix)
    row = rows(path)[separator.join(["params", "block", "Conv_0", "kernel"])]
    assert row["sigma_w"] == pytest.approx(math.sqrt(96) * conv.std() / largest, rel=1e-5)
    assert [row["message"] for row in rows(path).values() if row["kind"] == "skipped"] == [
        *[f"part of {separator.join(['params', 'block', 'Conv_0', 'kernel'])}"] * 2,
        f"part of params{separator}Dense_0{separator}kernel",
    ]


def test_a_norm_of_flax_along_other_axes_is_not_guessed(tmp_path: Path) -> None:
    tensors = {"Dense_0.kernel": normal((64, 96), 1.0), "WeightNorm_0.Dense_0.kernel.scale": np.ones(64, np.float32)}
    assert "axes that the file does not tell" in skipped(save(tmp_path / "a.safetensors", tensors), "Dense_0.kernel")


def test_the_wrapper_of_nnx_holds_its_layer(tmp_path: Path) -> None:
    kernel, scale = normal((64, 96), 7.0), np.linspace(0.5, 2.0, 96).astype(np.float32)
    tensors = {"a.layer_instance.kernel": kernel, "a.scales.('kernel',)": scale}
    used = kernel / np.linalg.norm(kernel, axis=0) * scale
    path = save(tmp_path / "a.safetensors", tensors)
    assert sigma(path, "a.layer_instance.kernel") == pytest.approx(8.0 * used.std(), rel=1e-5)


@pytest.mark.parametrize("new", [True, False])
def test_spectral_norm_divides(tmp_path: Path, new: bool) -> None:
    weight = normal((64, 32), 0.3)
    left, values, right = np.linalg.svd(weight)
    names = ("parametrizations.weight.original", "parametrizations.weight.0._u", "parametrizations.weight.0._v")
    parts = names if new else ("weight_orig", "weight_u", "weight_v")
    tensors = dict(zip((f"fc.{part}" for part in parts), (weight, left[:, 0], right[0]), strict=True))
    row = rows(save(tmp_path / "a.safetensors", tensors))["fc.weight"]
    assert row["sigma_w"] == pytest.approx(weight.std() * math.sqrt(32) / values[0], rel=1e-4)
    assert row["singular_max"] == pytest.approx(1.0, rel=1e-4)


def test_pruned_weights_are_masked(tmp_path: Path) -> None:
    weight, mask = uniform((64, 32), 32), (np.arange(2048).reshape(64, 32) % 4 > 0).astype(np.float32)
    path = save(tmp_path / "a.safetensors", {"fc.weight_orig": weight, "fc.weight_mask": mask})
    assert sigma(path, "fc.weight") == pytest.approx((weight * mask).std() * math.sqrt(32), rel=1e-5)


def test_reflections_and_low_ranks_are_no_weights(tmp_path: Path) -> None:
    tensors = {
        "a.parametrizations.weight.original": normal((32, 32), 0.1),
        "a.parametrizations.weight.0.base": np.eye(32, dtype=np.float32),
        "b.lora_A.weight": normal((8, 32), 0.1),
        "c.lora_a": normal((32, 8), 0.1),
        "b.lora_B.weight": np.zeros((32, 8), np.float32),
    }
    path = save(tmp_path / "a.safetensors", tensors)
    assert "Householder" in skipped(path, "a.parametrizations.weight.original")
    assert "low-rank" in skipped(path, "b.lora_A.weight")
    assert "low-rank" in skipped(path, "c.lora_a")
    assert {row["kind"] for row in rows(path).values()} == {"skipped"}


def test_the_data_of_an_undescribed_parametrisation_are_no_weights(tmp_path: Path) -> None:
    """In torch, orthogonal(use_trivialization=False) leaves "original" alone: its sigma_w is 0.58, that in use 1."""
    path = save(tmp_path / "a.safetensors", {"a.parametrizations.weight.original": uniform((64, 64), 64)})
    assert "does not describe" in skipped(path, "a.parametrizations.weight.original")
    assert {row["kind"] for row in rows(path).values()} == {"skipped"}


# ---- 8: transposed convolutions -------------------------------------------------------------------------------------


def test_transposed_convolutions_in_every_order(tmp_path: Path) -> None:
    bias = uniform((64,), 64 * 16, seed=1)
    torch_like = save(tmp_path / "a.safetensors", {"3.weight": uniform((128, 64, 4, 4), 2048, 2 / 3), "3.bias": bias})
    keras = save_h5(tmp_path / "a.h5", {"layers/conv2d_transpose/vars/0": uniform((4, 4, 64, 128), 2048)})
    flax = save(tmp_path / "b.safetensors", {"ConvTranspose_0.kernel": uniform((4, 4, 128, 64), 2048)})
    graph = save_onnx(
        tmp_path / "a.onnx",
        [helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2])],
        {"w": uniform((128, 64, 4, 4), 512)},
    )
    for path, name, fan in (
        (torch_like, "3.weight", 2048),
        (keras, "layers/conv2d_transpose/kernel", 2048),
        (flax, "ConvTranspose_0.kernel", 2048),
        (graph, "w", 512),
    ):
        row = rows(path)[name]
        assert (row["kind"], row["fan_in"]) == ("transposed_convolution", fan)
    assert rows(torch_like)["3.weight"]["init"] == "torch.nn.ConvTranspose2d"


# ---- 9 and 10: layouts and narrow numbers ---------------------------------------------------------------------------


def test_every_entry_has_its_place(tmp_path: Path) -> None:
    weight = np.arange(12, dtype=np.float32).reshape(3, 4)
    checkpoint = read(str(save(tmp_path / "a.safetensors", {"b": weight.T, "a": weight[:, 1:3]})))
    found = {tensor.name: tensor.load() for tensor in checkpoint.tensors}
    np.testing.assert_array_equal(found["b"], weight.T)
    np.testing.assert_array_equal(found["a"], weight[:, 1:3])


@pytest.mark.parametrize(("dtype", "error"), [("bfloat16", 2e-3), ("float8_e4m3fn", 0.02), ("float8_e5m2", 0.03)])
def test_narrow_numbers_are_read(tmp_path: Path, dtype: str, error: float) -> None:
    weight = uniform((64, 256), 256, 12.0)
    row = rows(save(tmp_path / "a.safetensors", {"fc.weight": narrow(weight, dtype)}))["fc.weight"]
    assert row["sigma_w"] == pytest.approx(math.sqrt(12), rel=error + 0.01)
    assert row["law"] == "uniform"


@pytest.mark.thorough
def test_narrow_numbers_are_read_in_a_fresh_process(tmp_path: Path) -> None:
    """The library itself knows bfloat16 only once somebody has imported ml_dtypes."""
    path = save(tmp_path / "a.safetensors", {"fc.weight": narrow(uniform((64, 32), 32), "bfloat16")})
    code = f"import mfmi; print(mfmi.audit({str(path)!r}).status[0])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "ok\n"


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn"])
def test_narrow_numbers_of_keras_are_read(tmp_path: Path, dtype: str) -> None:
    weight = narrow(uniform((64, 128), 64, 2.0), dtype)
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        file["layers/dense/vars/0"] = weight.view(f"V{weight.itemsize}")
        file["layers/dense/vars/0"].attrs["dtype"] = dtype
        file["layers/dense/vars/1"] = np.zeros(128, np.float32)
    row = rows(tmp_path / "a.weights.h5")["layers/dense/kernel"]
    assert row["sigma_w"] == pytest.approx(8.0 * weight.astype(np.float64).std(), rel=1e-6)
    assert row["law"] == "uniform"


def test_four_bit_numbers_are_refused(tmp_path: Path) -> None:
    path = raw_safetensors(tmp_path / "a.safetensors", {"fc.weight": ("U8", np.zeros((4, 16), np.uint8))})
    assert "without a scale" in skipped(path, "fc.weight")
    text = path.read_bytes().replace(b'"U8"', b'"F4"').replace(b"[4, 16]", b"[4, 32]")
    path.write_bytes(text)
    assert "F4 entries" in skipped(path, "fc.weight")


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3"])
def test_narrow_numbers_in_numpy_files_are_refused(tmp_path: Path, dtype: str) -> None:
    np.savez(tmp_path / "a.npz", gain=narrow(np.linspace(0.5, 1.0, 16).reshape(4, 4), dtype), w=uniform((64, 32), 64))
    found = rows(tmp_path / "a.npz")
    assert "do not name" in found["gain"]["message"]
    assert found["w"]["status"] == "ok"


def test_pickled_objects_are_never_read(tmp_path: Path) -> None:
    target = tmp_path / "ran"

    class Payload:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return (os.mkdir, (str(target),))

    np.savez(tmp_path / "a.npz", a=np.array([Payload()], dtype=object))
    assert "could run code" in skipped(tmp_path / "a.npz", "a")
    assert not target.exists()


# ---- 11: recurrent layers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cell", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_torch_draws_recurrent_layers_by_their_state(tmp_path: Path, cell: str, gates: int) -> None:
    tensors = {
        "weight_ih_l0": uniform((gates * 256, 64), 256),
        "weight_hh_l0": uniform((gates * 256, 256), 256, seed=1),
        "bias_ih_l0": uniform((gates * 256,), 256, seed=2),
        "bias_hh_l0": uniform((gates * 256,), 256, seed=3),
    }
    found = rows(save(tmp_path / "a.safetensors", tensors))
    assert found["weight_ih_l0"]["sigma_w"] == pytest.approx(math.sqrt(64 / 768), rel=0.02)
    assert found["weight_ih_l0"]["init"] == f"torch.nn.{cell}"
    assert found["weight_hh_l0"]["init"] == f"torch.nn.{cell}.state"
    assert found["weight_hh_l0"]["sigma_b"] == pytest.approx(math.sqrt(2 / 768), rel=0.1)


def test_keras_draws_the_state_orthogonal_in_all_gates_at_once(tmp_path: Path) -> None:
    joint = np.linalg.qr(normal((128, 32), 1.0))[0].T.astype(np.float32)
    bias = np.concatenate([np.zeros(32), np.ones(32), np.zeros(64)]).astype(np.float32)
    arrays = {
        "layers/lstm/cell/vars/0": uniform((64, 128), 64, 2 * 64 / (64 + 128)),
        "layers/lstm/cell/vars/1": joint,
        "layers/lstm/cell/vars/2": bias,
    }
    row = rows(save_h5(tmp_path / "a.h5", arrays))["layers/lstm/cell/recurrent_kernel"]
    assert (row["law"], row["init"]) == ("orthogonal", "keras.layers.LSTM.state")
    assert (row["singular_min"], row["singular_max"]) == (pytest.approx(1, rel=1e-5), pytest.approx(1, rel=1e-5))
    assert row["sigma_b"] == 0.5


def test_a_graph_has_directions(tmp_path: Path) -> None:
    nodes = [helper.make_node("GRU", ["x", "W", "R", "B"], ["", "y"], hidden_size=64, direction="bidirectional")]
    weights = {
        "W": uniform((2, 192, 32), 64),
        "R": uniform((2, 192, 64), 64, seed=1),
        "B": uniform((2, 384), 64, seed=2),
    }
    found = rows(save_onnx(tmp_path / "a.onnx", nodes, weights))
    assert (found["W"]["fan_in"], found["R"]["fan_in"]) == (32, 64)
    assert found["R"]["sigma_w"] == pytest.approx(THIRD, rel=0.02)
    assert found["R"]["init"] == "torch.nn.GRU.state"


# ---- 12: packed projections, heads, stacks, and what only looks like a layer ----------------------------------------


def test_packed_projections_are_three(tmp_path: Path) -> None:
    parts = [uniform((64, 64), 64, variance, seed) for seed, variance in enumerate((0.5, 0.5, 0.125))]
    tensors = {"in_proj_weight": np.concatenate(parts), "in_proj_bias": np.repeat([0, 1, 2], 64).astype(np.float32)}
    found = rows(save(tmp_path / "a.safetensors", tensors))
    for place, kind in enumerate(("query", "key", "value")):
        row = found[f"in_proj_weight[{kind}]"]
        assert (row["kind"], row["shape"]) == (kind, "64x64")
        assert row["sigma_w"] == pytest.approx(8 * parts[place].std(), rel=1e-5)
        assert row["sigma_b"] == place
    assert found["in_proj_weight[query]"]["init"] == "torch.nn.MultiheadAttention"


def test_packed_projections_of_unequal_parts_stay_one(tmp_path: Path) -> None:
    row = rows(save(tmp_path / "a.safetensors", {"attn.qkv_proj.weight": uniform((96, 64), 64)}))[
        "attn.qkv_proj.weight"
    ]
    assert row["kind"] == "qkv"
    assert "does not tell" in row["message"]


def test_projections_packed_by_head_are_split_on_request(tmp_path: Path) -> None:
    scales = {"query": 0.1, "key": 0.2, "value": 0.4}
    blocks = {kind: normal((4, 16, 64), scale, seed) for seed, (kind, scale) in enumerate(scales.items())}
    packed = np.stack(list(blocks.values()), axis=1).reshape(192, 64)  # heads, then query, key, value of each
    bias = np.repeat(np.tile([1.0, 2.0, 3.0], 4), 16).astype(np.float32)
    name = "h.0.attention.query_key_value.weight"
    path = save(tmp_path / "a.safetensors", {name: packed, name.replace("weight", "bias"): bias})
    whole = rows(path)
    assert whole[name]["kind"] == "qkv"
    assert "--heads N splits" in whole[name]["message"]
    found = rows(path, heads=4)
    for place, (kind, block) in enumerate(blocks.items()):
        row = found[f"{name}[{kind}]"]
        assert (row["kind"], row["fan_in"], row["fan_out"]) == (kind, 64, 64)
        assert row["sigma_w"] == pytest.approx(8.0 * block.astype(np.float64).std(), rel=1e-6)
        assert row["sigma_b"] == place + 1.0
    assert "5 heads do not divide 64" in rows(path, heads=5)[name]["message"]
    with pytest.raises(ValueError, match=r"^heads: "):
        rows(path, heads=0)


def test_gated_layers_are_two(tmp_path: Path) -> None:
    tensors = {"mlp.gate_up_proj.weight": np.concatenate([uniform((96, 64), 64), 2 * uniform((96, 64), 64, seed=1)])}
    found = rows(save(tmp_path / "a.safetensors", tensors))
    ratio = found["mlp.gate_up_proj.weight[up]"]["sigma_w"] / found["mlp.gate_up_proj.weight[gate]"]["sigma_w"]
    assert ratio == pytest.approx(2, rel=0.03)


def test_heads_are_axes_of_output_or_input(tmp_path: Path) -> None:
    tensors = {
        "attn.query.kernel": uniform((64, 4, 16), 64, 1.0),
        "attn.query.bias": np.zeros((4, 16), np.float32),
        "attn.out.kernel": uniform((4, 16, 64), 64, 1.0),
        "attn.out.bias": np.zeros(64, np.float32),
    }
    found = rows(save(tmp_path / "a.safetensors", tensors))
    assert {name: row["fan_in"] for name, row in found.items()} == {"attn.query.kernel": 64, "attn.out.kernel": 64}
    assert found["attn.query.kernel"]["sigma_b"] == 0.0


def test_heads_of_keras_up_to_its_release_3_14(tmp_path: Path) -> None:
    arrays = {
        "layers/multi_head_attention/query_dense/vars/0": uniform((512, 8, 64), 512, 1 / 36),
        "layers/multi_head_attention/key_dense/vars/0": uniform((512, 8, 64), 512, 1.0),
    }
    found = rows(save_h5(tmp_path / "a.h5", arrays), quick=True)
    names = {row["kind"]: row["init"] for row in found.values()}
    assert names == {
        "query": "keras.layers.MultiHeadAttention@3.14.0",
        "key": "keras.layers.MultiHeadAttention@3.15.1",
    }


def test_stacks_of_layers_are_no_windows(tmp_path: Path) -> None:
    tensors = {"layers.mlp.kernel": uniform((6, 64, 48), 64), "layers.mlp.bias": np.zeros((6, 48), np.float32)}
    row = rows(save(tmp_path / "a.safetensors", tensors))["layers.mlp.kernel"]
    assert (row["fan_in"], row["message"].split(";")[0]) == (64, "a stack of 6 layers")


def test_a_kernel_of_three_axes_alone_does_not_tell(tmp_path: Path) -> None:
    assert "do not tell" in skipped(
        save(tmp_path / "a.safetensors", {"m.kernel": uniform((6, 64, 64), 64)}), "m.kernel"
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bilinear.weight", "bilinear"),
        ("stft.forward_basis", "fixed transform"),
        ("relative_attention_bias.weight", "relative positions"),
        ("rotary.inv_freq", "rotary"),
    ],
)
def test_what_only_looks_like_a_layer(tmp_path: Path, name: str, words: str) -> None:
    assert words in skipped(save(tmp_path / "a.safetensors", {name: normal((32, 16, 8), 1.0)}), name)


def test_embeddings_are_told_apart(tmp_path: Path) -> None:
    row = rows(save(tmp_path / "a.safetensors", {"wte.weight": normal((100, 64), 1.0)}))["wte.weight"]
    assert (row["kind"], row["fan_in"]) == ("embedding", 1)
    assert row["sigma_w"] == pytest.approx(1.0, rel=0.05)


def test_a_weight_of_several_nodes_is_reported_once(tmp_path: Path) -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("MatMul", ["a", "w"], ["y"])]
    frame = mfmi.audit(save_onnx(tmp_path / "a.onnx", nodes, {"w": uniform((64, 64), 64)}))
    assert list(frame.name) == ["w"]
    assert "used 2 times" in frame.message[0]


def test_tied_tensors_are_reported_once(tmp_path: Path) -> None:
    path = save(tmp_path / "a.safetensors", {"wte.weight": normal((100, 64), 0.02)}, {"head.weight": "wte.weight"})
    assert "shares the numbers of wte.weight" in skipped(path, "head.weight")


# ---- names, steps ---------------------------------------------------------------------------------------------------


def test_the_name_that_the_user_gave_stands_in_a_keras_file(tmp_path: Path) -> None:
    arrays = {"layers/dense_1/vars/0": uniform((64, 32), 64), "layers/dense_1/vars/1": np.zeros(32, np.float32)}
    path = save_h5(tmp_path / "a.weights.h5", arrays, {"layers/dense_1/vars": "head"})
    assert list(rows(path)) == ["layers/head/kernel"]


def test_steps_are_in_natural_order(tmp_path: Path) -> None:
    for step in (10, 9, 100):
        save(tmp_path / f"step{step}.safetensors", {"fc.weight": step * uniform((32, 64), 64)})
    frame = mfmi.audit(tmp_path)
    assert list(frame.step) == [9, 10, 100]
    assert list(frame.sigma_w / frame.step) == pytest.approx([frame.sigma_w[0] / 9] * 3)


def test_shards_are_one_step(tmp_path: Path) -> None:
    for shard in (1, 2):
        save(tmp_path / f"model-0000{shard}-of-00002.safetensors", {f"{shard}.weight": uniform((32, 64), 64)})
    assert [step for step, _ in steps([str(tmp_path)])] == [0, 0]


def test_layers_are_chosen_by_name(tmp_path: Path) -> None:
    tensors = {f"{place}.fc.weight": uniform((32, 64), 64) for place in range(3)}
    path = save(tmp_path / "a.safetensors", tensors)
    assert list(mfmi.audit(path, layers=["2.fc.weight", "0*"]).name) == ["2.fc.weight", "0.fc.weight"]
    assert list(mfmi.audit(path, layers=["1*fc*", "*.fc.weight"]).name) == [f"{place}.fc.weight" for place in (1, 0, 2)]
    with pytest.raises(OutputError, match=r"no tensor is named '7\.fc\.weight'. Did you mean"):
        mfmi.audit(path, layers=["7.fc.weight"])


@pytest.mark.parametrize(("argument", "value"), [("axes", "xy"), ("layers", "fc")])
def test_wrong_arguments_are_named(tmp_path: Path, argument: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{argument}: '{value}'"):
        mfmi.audit(tmp_path, **{argument: value})


# ---- files that are no checkpoints ----------------------------------------------------------------------------------


def damaged(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / f"a.{kind}"
    if kind == "safetensors":
        return save(path, {"w": uniform((64, 32), 64)})
    if kind == "npz":
        np.savez(path, w=uniform((64, 32), 64))
    elif kind == "h5":
        save_h5(path, {"layers/dense/vars/0": uniform((64, 32), 64)})
    elif kind == "keras":
        save_h5(tmp_path / "w.h5", {"layers/dense/vars/0": uniform((64, 32), 64)})
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(tmp_path / "w.h5", "model.weights.h5")
    else:
        save_onnx(path, [helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": uniform((64, 32), 64)})
    return path


KINDS = ["safetensors", "npz", "h5", "keras", "onnx"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9])
def test_a_part_of_a_file_is_an_error_in_one_line(tmp_path: Path, kind: str, share: float) -> None:
    path = damaged(tmp_path, kind)
    assert (mfmi.audit(path).status == "ok").all()
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(OutputError) as caught:
        mfmi.audit(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", KINDS)
def test_a_file_under_another_name_says_what_it_is(tmp_path: Path, kind: str, other: str) -> None:
    if kind == other:
        return
    path = damaged(tmp_path, kind).rename(tmp_path / f"b.{other}")
    with pytest.raises(OutputError, match=r"its name says; rename it|none of|damaged"):
        mfmi.audit(path)


@pytest.mark.parametrize("content", [b"hello world", b"\x00" * 100, b"version https://git-lfs.github.com/spec/v1\n"])
@pytest.mark.parametrize("suffix", ["safetensors", "npz", "pt", "h5", "keras", "onnx"])
def test_other_files_are_an_error_in_one_line(tmp_path: Path, suffix: str, content: bytes) -> None:
    (tmp_path / f"a.{suffix}").write_bytes(content)
    with pytest.raises(OutputError) as caught:
        mfmi.audit(tmp_path / f"a.{suffix}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("length", [2**40, 2**63 - 1])
def test_a_huge_header_is_refused_unread(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b'{"w": 1}')
    with pytest.raises(OutputError, match=f"a safetensors header of {length} bytes"):
        mfmi.audit(path)


def test_offsets_beyond_the_file_are_refused(tmp_path: Path) -> None:
    path = raw_safetensors(tmp_path / "a.safetensors", {"w": ("F32", uniform((64, 32), 64))})
    path.write_bytes(path.read_bytes().replace(b"[64, 32]", b"[64, 99]"))
    with pytest.raises(OutputError, match="not a whole safetensors file"):
        mfmi.audit(path)


def test_a_hdf5_file_without_its_numbers_fills_no_memory(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("layers/dense/kernel", (1_000_000, 1_000_000), dtype="f4", chunks=(1000, 1000))
    assert "not in the file" in skipped(tmp_path / "a.h5", "layers/dense/kernel")


def test_links_out_of_a_hdf5_file_are_not_followed(tmp_path: Path) -> None:
    import h5py

    save_h5(tmp_path / "secret.h5", {"w": uniform((64, 32), 64)})
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["layers/dense/kernel"] = uniform((64, 32), 64)
        file["other"] = h5py.ExternalLink("secret.h5", "w")
        layout = h5py.VirtualLayout((64, 32), "f4")
        layout[:] = h5py.VirtualSource(tmp_path / "secret.h5", "w", (64, 32))
        file.create_virtual_dataset("layers/virtual/kernel", layout)
    found = rows(tmp_path / "a.h5")
    assert set(found) == {"layers/dense/kernel", "layers/virtual/kernel"}
    assert "in another file" in found["layers/virtual/kernel"]["message"]


def test_external_data_stays_in_its_folder(tmp_path: Path) -> None:
    import onnx

    (tmp_path / "inner").mkdir()
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    path = save_onnx(tmp_path / "inner" / "a.onnx", nodes, {"w": uniform((64, 32), 64)}, external=True)
    model = onnx.load(path, load_external_data=False)
    (tmp_path / "inner" / "a.onnx.data").rename(tmp_path / "outside")
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = "../outside"
    path.write_bytes(model.SerializeToString())
    assert rows(path)["w"]["status"] == "failed"


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_without_torch_says_what_to_install_or_refuses(tmp_path: Path, protocol: int) -> None:
    target = tmp_path / "ran"

    class Payload:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return (os.mkdir, (str(target),))

    path = tmp_path / "a.pt"
    path.write_bytes(pickle.dumps({"w": Payload()}, protocol))
    with pytest.raises(OutputError, match=r"needs torch|could run code|refused|not a whole"):
        mfmi.audit(path)
    assert not target.exists()


@pytest.mark.parametrize(
    ("kind", "library"), [("safetensors", "safetensors"), ("h5", "h5py"), ("keras", "h5py"), ("onnx", "onnx")]
)
def test_a_missing_library_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, library: str
) -> None:
    path = damaged(tmp_path, kind)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(OutputError, match=rf"needs {library}, .*pip install 'mfmi\[checkpoints\]'"):
        mfmi.audit(path)


def test_the_frame_has_the_columns_of_the_contract(tmp_path: Path) -> None:
    frame = mfmi.audit(damaged(tmp_path, "onnx"))
    assert isinstance(frame, pd.DataFrame)
    names = "file step layer name kind shape fan_in fan_out sigma_w sigma_b mean law init"
    names += " singular_min singular_max outliers bulk_min bulk_max q c chi phase sigma_w_edge"
    names += " mi_mean_field mi_linear mi_entropy_power"
    names += " mi_layerwise mi_fisher mi_gaussian_upper mi_covariance_upper mi_replica mi_lower mi_upper"
    assert list(frame) == [*names.split(), "freeness", "freeness_error", "status", "message"]


def test_a_trained_matrix_has_outliers(tmp_path: Path) -> None:
    row = rows(save(tmp_path / "a.safetensors", {"fc.weight": trained(96, 64)}))["fc.weight"]
    assert (row["law"], row["outliers"]) == ("trained", 3)
    assert pd.isna(row["init"])
    assert "stable rank" in row["message"]
    assert json.dumps(row["message"])


def test_names_that_were_sorted_as_text_are_in_the_order_of_the_layers(tmp_path: Path) -> None:
    tensors = {f"layers.{layer}.weight": uniform((12, 12), 12, seed=layer) for layer in range(12)}
    expected = list(tensors)
    assert list(rows(save(tmp_path / "a.safetensors", tensors))) == expected
    half = {name: value.astype(np.float16) if "7" in name else value for name, value in tensors.items()}
    assert list(rows(save(tmp_path / "b.safetensors", half))) == expected
    # a file that does not sort its names has an order of its own
    mixed = {name: tensors[name] for name in (*expected[6:], *expected[:6])}
    np.savez(tmp_path / "c.npz", **mixed)
    assert list(rows(tmp_path / "c.npz")) == list(mixed)
    hdf5 = {f"layers/dense{'_' * (n > 0)}{n or ''}/vars/0": uniform((12, 12), 12) for n in range(12)}
    names = [row.split("/")[1] for row in rows(save_h5(tmp_path / "d.weights.h5", hdf5))]
    assert names == ["dense", *(f"dense_{n}" for n in range(1, 12))]


def test_an_older_keras_file_says_the_order_of_its_layers(tmp_path: Path) -> None:
    arrays = {f"model_weights/{name}/{name}/kernel": uniform((12, 12), 12) for name in ("a", "b", "c")}
    path = save_h5(tmp_path / "a.h5", arrays)
    with h5py.File(path, "a") as file:
        file["model_weights"].attrs["layer_names"] = [b"b", b"c", b"a"]
    assert [name.split("/")[1] for name in rows(path)] == ["b", "c", "a"]


# ---- names of Flax, Haiku and Keras ----------------------------------------------------------------------------------

CUT = 0.8796256610342398  # standard deviation of a normal law that is cut at two
TRANSPOSED = "transposed_convolution"


@pytest.mark.parametrize(("name", "shape", "bias", "kind", "fan_in", "fan_out", "init"), [
    ("params/cell/ii/kernel", (96, 64), None, "recurrent_input", 96, 64, "flax.linen.OptimizedLSTMCell"),
    ("params/OptimizedLSTMCell_0/if/kernel", (96, 64), None, "recurrent_input", 96, 64, "flax.linen.OptimizedLSTMCell"),
    ("params/mlp/io/kernel", (96, 64), None, "dense", 96, 64, "flax.linen.Dense"),
    ("params/Einsum_0/kernel", (8, 16, 96), (96,), "dense", 128, 96, "flax.linen.Dense"),
    ("params/ConvTranspose_0/kernel", (3, 3, 16, 32), (32,), TRANSPOSED, 144, 288, "flax.linen.ConvTranspose"),
    ("params/ConvTranspose_0/kernel", (3, 3, 32, 16), (32,), TRANSPOSED, 144, 288, "flax.linen.ConvTranspose"),
])  # fmt: skip
def test_kernels_of_flax(
    tmp_path: Path, name: str, shape: tuple[int, ...], bias: Any, kind: str, fan_in: int, fan_out: int, init: str
) -> None:
    tensors = {name: truncated(shape, 1 / CUT / math.sqrt(fan_in))}
    if bias is not None:
        tensors[name.replace("kernel", "bias")] = np.zeros(bias, np.float32)
    row = rows(save(tmp_path / "a.safetensors", tensors))[name]
    assert (row["kind"], row["fan_in"], row["fan_out"], row["init"]) == (kind, fan_in, fan_out, init)


def test_a_layer_with_a_matrix_for_each_position_sums_no_positions(tmp_path: Path) -> None:
    """Flax counts the positions into the fan, so that its own draw is too small by the root of their number."""
    values = truncated((4, 4, 72, 32), 1 / CUT / math.sqrt(16 * 72))
    row = rows(save(tmp_path / "a.safetensors", {"params/ConvLocal_0/kernel": values}))["params/ConvLocal_0/kernel"]
    assert (row["kind"], row["fan_in"], row["init"]) == ("convolution", 72, "flax.linen.ConvLocal")
    assert row["sigma_w"] == pytest.approx(1 / 4, rel=0.02)


@pytest.mark.parametrize(("name", "shape", "scale", "kind", "fan_in", "init"), [
    ("conv2_d_transpose/w", (3, 3, 32, 16), CUT, "transposed_convolution", 144, "haiku.Conv2DTranspose"),
    ("net/~/depthwise_conv2_d/w", (3, 3, 1, 512), CUT, "depthwise", 9, "haiku.Conv2D"),
    ("depthwise_conv2d/w", (3, 3, 512, 1), CUT, "depthwise", 9, "haiku.Conv2D"),
    ("multi_head_attention/linear/w", (128, 96), 1.0, "attention_output", 128, "haiku.MultiHeadAttention.output"),
    ("net/linear/w", (128, 96), CUT, "dense", 128, "haiku.Linear"),
])  # fmt: skip
def test_parameters_of_haiku(
    tmp_path: Path, name: str, shape: tuple[int, ...], scale: float, kind: str, fan_in: int, init: str
) -> None:
    values = truncated(shape, scale / CUT / math.sqrt(fan_in))
    row = rows(save(tmp_path / "a.safetensors", {name: values}))[name]
    assert (row["kind"], row["fan_in"], row["init"]) == (kind, fan_in, init)


def test_the_gates_of_flax_are_orthogonal_one_by_one(tmp_path: Path) -> None:
    left, _, right = np.linalg.svd(normal((64, 64), 1.0))
    name = "params/cell/hi/kernel"
    row = rows(save(tmp_path / "a.safetensors", {name: (left @ right).astype(np.float32)}))[name]
    assert (row["kind"], row["init"]) == ("recurrent_state", "flax.linen.OptimizedLSTMCell.state")


def test_all_that_draw_alike_are_named(tmp_path: Path) -> None:
    tensors = {"fc.weight": uniform((256, 128), 128), "fc.bias": uniform((256,), 128, seed=1)}
    row = rows(save(tmp_path / "a.safetensors", tensors))["fc.weight"]
    assert row["init"] == "torch.nn.Linear"
    alike = row["message"].split("the same law and scale: ")[1].split(", ")
    assert {"equinox.nn.Linear", "mlx.nn.Linear", "mindspore.nn.Dense"} <= set(alike)
    assert not {"torch.nn.Linear", "x_transformers.Attention.glorot", "keras.layers.Dense", "he_uniform"} & set(alike)
    tensors["fc.bias"] *= 0  # a layer of these libraries without biases, but for those that start with 0
    assert "equinox.nn.Linear" not in (rows(save(tmp_path / "b.safetensors", tensors))["fc.weight"]["message"])


def test_layers_of_tf_keras(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        for part, shape, bias in (("query", (96, 4, 24), (4, 24)), ("output", (4, 24, 96), (96,))):
            group = file.create_group(f"layers/multi_head_attention/_{part}_dense/vars")
            group["0"], group["1"] = uniform(shape, 96), np.zeros(bias, np.float32)
        group = file.create_group("layers/locally_connected2d/vars")
        group["0"], group["1"] = uniform((4, 4, 72, 32), 72), np.zeros((4, 4, 32), np.float32)
    said = {
        (row["kind"], row["fan_in"]) for row in rows(tmp_path / "a.weights.h5").values() if row["kind"] != "skipped"
    }
    assert said == {("query", 96), ("attention_output", 96), ("convolution", 72)}


def test_the_parts_of_grouped_attention_in_keras(tmp_path: Path) -> None:
    path = tmp_path / "a.weights.h5"
    with h5py.File(path, "w") as file:
        for part, name, shape in (
            ("query", "query", (128, 8, 16)),
            ("key", "key", (128, 2, 16)),
            ("output", "attention_output", (8, 16, 128)),
        ):
            group = file.create_group(f"layers/grouped_query_attention/_{part}_dense/vars")
            group.attrs["name"] = name
            group["0"] = uniform(shape, 128, 1.0)
            group["1"] = np.zeros(shape[1:] if part != "output" else shape[-1:], np.float32)
    said = {name.split("/")[-2]: row["kind"] for name, row in rows(path).items()}
    assert said == {"query": "query", "key": "key", "attention_output": "attention_output"}


def test_heads_follow_from_a_table_of_relative_positions(tmp_path: Path) -> None:
    block = "encoder.block.0.layer.0.SelfAttention"
    tensors = {
        f"{block}.q.weight": normal((128, 256), 1 / math.sqrt(256 * 32)),
        f"{block}.k.weight": normal((128, 256), 1 / 16, seed=1),
        f"{block}.relative_attention_bias.weight": normal((32, 4), 1 / 16, seed=2),
    }
    said = rows(save(tmp_path / "a.safetensors", tensors))
    assert said[f"{block}.q.weight"]["init"] == "transformers.T5Model.query"
    assert said[f"{block}.k.weight"]["init"] == "transformers.T5Model"


def test_recurrent_matrices_of_mlx(tmp_path: Path) -> None:
    tensors = {name: uniform(shape, 64, seed=len(shape)) for name, shape in (("Wx", (256, 96)), ("bias", (256,)))}
    path = save(tmp_path / "a.safetensors", {f"lstm.{name}": values for name, values in tensors.items()})
    row = rows(path)["lstm.Wx"]
    assert (row["kind"], row["fan_in"]) == ("recurrent_input", 96)
    assert "mlx.nn.LSTM" in f"{row['init']} {row['message']}"


@pytest.mark.parametrize(("name", "shape", "scale", "row"), [
    ("weight", (64, 32, 32), 1 / 3 * 32, "torch.nn.Bilinear"),
    ("classifier.weight", (10, 1280), 1280 / 30, "timm.EfficientNet.classifier"),
])  # fmt: skip
def test_rows_that_fit_by_their_sizes(
    tmp_path: Path, name: str, shape: tuple[int, ...], scale: float, row: str
) -> None:
    path = save(tmp_path / "a.safetensors", {name: uniform(shape, math.prod(shape[1:]), scale)})
    found = rows(path)[name]
    assert row in f"{found['init']} {found['message']}"
