"""The network that the matrices of a file are: mean field, information, freeness, and what real inputs measure."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_files import FloatArray, save

import mfmi
from mfmi.checkpoints._freeness import freeness
from mfmi.errors import OutputError
from mfmi.simulate import decoder_information, orthogonal_matrix


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def matrix(rows: int, columns: int, sigma_w: float, seed: int = 0) -> FloatArray:
    """Independent entries, scaled so that sigma_w is exact."""
    draw = rng(seed).normal(size=(rows, columns))
    draw -= draw.mean()
    return draw * (sigma_w / np.sqrt(columns * np.mean(draw**2)))


def network(path: Path, widths: Sequence[int], sigma_w: float = 1.5, sigma_b: float = 0.1) -> Path:
    tensors: dict[str, FloatArray] = {}
    for layer, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        tensors[f"{layer}.weight"] = matrix(outputs, inputs, sigma_w, layer)
        bias = rng(100 + layer).normal(size=outputs)
        tensors[f"{layer}.bias"] = bias * (sigma_b / np.sqrt(np.mean(bias**2)))
    return save(path / "net.safetensors", tensors)


def audited(path: Path, *arguments: Any, **options: Any) -> Any:
    return mfmi.audit(path, *arguments, **options).set_index("name")


def test_columns_of_a_network_are_null_without_an_activation(tmp_path: Path) -> None:
    rows = audited(network(tmp_path, [40, 40]))
    assert rows[["q", "c", "chi", "mi_linear", "freeness"]].isna().all(axis=None)
    assert rows["phase"].isna().all()


def test_a_random_network_is_that_of_bound(tmp_path: Path) -> None:
    rows = audited(network(tmp_path, [200, 200, 200, 200]), "tanh", estimators=["linear", "layerwise"])
    wanted = mfmi.evaluate("tanh", 1.5, 0.1, layers=3, estimators=["linear", "layerwise"])
    for name in ("q", "c", "chi"):  # the scales are exact, and the mean field needs no more
        np.testing.assert_allclose(rows[name], wanted[name], rtol=1e-6, err_msg=name)
    for name in ("mi_linear", "mi_layerwise", "mi_lower"):
        np.testing.assert_allclose(rows[name], wanted[name], rtol=0.02, err_msg=name)
    assert list(rows["phase"]) == ["chaotic"] * 3
    np.testing.assert_allclose(rows["sigma_w_edge"][1:], 1.5 / np.sqrt(wanted["chi"][:2]), rtol=1e-6)


def test_a_linear_network_is_exact_with_its_own_singular_values(tmp_path: Path) -> None:
    tensors = {
        "0.weight": matrix(120, 120, 1.0) * np.linspace(0.1, 2.0, 120)[:, None],
        "1.weight": matrix(60, 120, 0.7, 1),
    }
    rows = audited(
        save(tmp_path / "a.safetensors", tensors), "linear", estimators=["linear", "replica"], sigma_noise=0.3
    )
    for product, name in ((tensors["0.weight"], "0.weight"), (tensors["1.weight"] @ tensors["0.weight"], "1.weight")):
        exact = 0.5 * np.linalg.slogdet(np.eye(len(product)) + product @ product.T / 0.09)[1] / 120
        assert rows["mi_linear"][name] == pytest.approx(exact, rel=1e-6 if name == "0.weight" else 1e-2)
        assert rows["mi_replica"][name] == pytest.approx(rows["mi_linear"][name], rel=1e-6)


def test_bits_are_nats_over_ln_2(tmp_path: Path) -> None:
    path = network(tmp_path, [40, 40])
    nats, bits = (
        audited(path, "tanh", estimators="linear", unit=unit)["mi_linear"].iloc[0] for unit in ("nats", "bits")
    )
    assert bits == pytest.approx(nats / np.log(2.0), rel=1e-12)


def test_two_matrices_in_a_branch_are_a_block(tmp_path: Path) -> None:
    tensors = {}
    for block in range(3):
        tensors[f"h.{block}.fc.weight"] = matrix(128, 32, 1.2, 2 * block)
        tensors[f"h.{block}.proj.weight"] = matrix(32, 128, 0.8, 2 * block + 1)
    options: Any = {"skip": 1.0, "normalization": "layernorm", "branch_matrices": 2}
    rows = audited(save(tmp_path / "a.safetensors", tensors), "gelu", **options)
    wanted = mfmi.evaluate("gelu", 1.2, sigma_w_out=0.8, sigma_w_in=1.0, hidden_ratio=4.0, depth=[2, 3, 4], **options)
    shown = rows.iloc[1::2]
    for name in ("q", "c", "chi", "mi_linear", "mi_covariance_upper"):
        np.testing.assert_allclose(shown[name], wanted[name], rtol=1e-6, err_msg=name)
    assert rows["q"].iloc[::2].isna().all()
    assert "whose values stand at h.0.proj.weight" in rows["message"].iloc[0]
    assert "not with its own" in rows["message"].iloc[1]
    assert shown["freeness"].between(0.8, 1.2).all()


def test_an_odd_number_of_matrices_begins_with_that_of_the_input(tmp_path: Path) -> None:
    tensors = {
        "0.in.weight": matrix(32, 16, 2.0),
        "1.fc.weight": matrix(64, 32, 1.0, 1),
        "1.proj.weight": matrix(32, 64, 1.0, 2),
    }
    rows = audited(save(tmp_path / "a.safetensors", tensors), "relu", skip=1.0, branch_matrices=2)
    # V(q) = q / 2
    np.testing.assert_allclose(rows["q"], [4.0, np.nan, 4.0 + 4.0 * 0.5], rtol=1e-6)
    assert rows["mi_linear"].isna().all()
    assert "layers of one width" in rows["message"].iloc[0]


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        (
            {"0.weight": (30, 20), "1.weight": (40, 25)},
            "it reads 25 inputs, where 0.weight before it gives 30; name the layers of one network in order",
        ),
        ({"0.weight": (30, 20), "q_proj.weight": (30, 30)}, "a query is no layer of a plain network"),
    ],
)
def test_a_chain_ends_where_nothing_follows(tmp_path: Path, tensors: dict[str, tuple[int, int]], words: str) -> None:
    path = save(tmp_path / "a.safetensors", {name: matrix(*shape, 1.0) for name, shape in tensors.items()})
    frame = mfmi.audit(path, "tanh")
    assert np.isfinite(frame["q"][0])
    assert np.isnan(frame["q"][1])
    assert words in frame["message"][1]
    assert any(words in text for text in frame.attrs["findings"])


def test_a_chain_does_not_go_on_after_what_may_be_a_layer(tmp_path: Path) -> None:
    codes = rng().integers(-100, 100, (20, 20)).astype(np.int8)
    tensors = {"0.weight": matrix(20, 20, 2.0), "1.weight": codes, "2.weight": matrix(20, 20, 1.0, 2)}
    frame = mfmi.audit(save(tmp_path / "a.safetensors", tensors), "linear", estimators="linear").set_index("name")
    assert frame["q"]["0.weight"] == pytest.approx(4.0, rel=1e-6)
    assert np.isnan(frame["q"]["2.weight"])
    assert "1.weight before it is skipped, and may be a layer" in frame["message"]["2.weight"]


def test_norms_of_the_file_that_the_network_lacks_are_a_finding(tmp_path: Path) -> None:
    tensors = {"0.weight": matrix(20, 20, 2.0), "norm.weight": np.ones(20), "2.weight": matrix(20, 20, 1.0, 2)}
    path = save(tmp_path / "a.safetensors", tensors)
    words = "norms, which the network that was evaluated has not"
    assert any(words in text for text in mfmi.audit(path, "linear", estimators="linear").attrs["findings"])
    normed = mfmi.audit(path, "linear", estimators="linear", normalization="layernorm")
    assert not any(words in text for text in normed.attrs["findings"])


def test_layers_may_be_put_in_order(tmp_path: Path) -> None:
    tensors = {"a.weight": matrix(10, 30, 0.5), "b.weight": matrix(30, 20, 2.0)}
    path = save(tmp_path / "a.safetensors", tensors)
    assert np.isnan(mfmi.audit(path, "linear", quick=True, estimators="linear")["q"][1])
    rows = audited(path, "linear", layers=["b.weight", "a.weight"], estimators="linear")
    np.testing.assert_allclose(rows["q"], [4.0, 1.0], rtol=1e-6)


def test_the_shards_of_a_step_are_one_network(tmp_path: Path) -> None:
    whole = {f"{layer}.weight": matrix(20, 20, scale, layer) for layer, scale in enumerate((2.0, 1.0, 0.5))}
    for number, names in ((1, ["0.weight", "1.weight"]), (2, ["2.weight"])):
        save(tmp_path / f"model-{number:05}-of-00002.safetensors", {name: whole[name] for name in names})
    frame = mfmi.audit(tmp_path, "linear", estimators="linear")
    assert list(frame["layer"]) == [1, 2, 3]
    assert frame["file"].str.contains("00002-of").tolist() == [False, False, True]
    np.testing.assert_allclose(frame["q"], [4.0, 4.0, 1.0], rtol=1e-6)
    assert sum("untouched: 3 matrices" in text for text in frame.attrs["findings"]) == 1
    turned = mfmi.audit(tmp_path, "linear", estimators="linear", layers=["2.weight", "0.weight"])
    np.testing.assert_allclose(turned["q"], [0.25, 1.0], rtol=1e-6)


def test_convolutions_have_a_mean_field_and_no_information(tmp_path: Path) -> None:
    kernel = rng().normal(size=(16, 3, 3, 3))
    tensors = {"0.weight": kernel - kernel.mean(), "1.weight": matrix(10, 16 * 4, 1.0)}
    rows = audited(save(tmp_path / "a.safetensors", tensors), "relu")
    assert rows["q"]["0.weight"] == pytest.approx(27 * np.mean(tensors["0.weight"] ** 2), rel=1e-6)
    assert rows["q"]["1.weight"] == pytest.approx(rows["q"]["0.weight"] / 2.0, rel=1e-6)
    assert rows["mi_lower"].isna().all()
    assert "known of dense layers only" in rows["message"]["1.weight"]


def test_a_mean_of_the_entries_is_part_of_the_scale(tmp_path: Path) -> None:
    weight = matrix(30, 20, 1.0) + 0.3
    rows = audited(save(tmp_path / "a.safetensors", {"0.weight": weight}), "tanh")
    assert rows["q"].iloc[0] == pytest.approx(20 * np.mean(weight**2), rel=1e-6)


def test_a_matrix_of_zeros_ends_the_signal(tmp_path: Path) -> None:
    tensors = {"0.weight": matrix(20, 20, 1.0), "1.weight": np.zeros((20, 20)), "2.weight": matrix(20, 20, 1.0, 2)}
    frame = mfmi.audit(save(tmp_path / "a.safetensors", tensors), "tanh")
    np.testing.assert_allclose(frame["q"], [1.0, 0.0, 0.0], rtol=1e-6)
    assert any(text.startswith("bad: 1.weight: the signal ends there") for text in frame.attrs["findings"])
    assert not (frame["mi_upper"][1:] > 0.0).any()


# ---- findings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sigma_w", "level", "words"),
    [(0.5, "bad", "gradients shrink to"), (8.0, "bad", "gradients grow"), (1.0, "", "")],
)
def test_gradients_over_the_depth(tmp_path: Path, sigma_w: float, level: str, words: str) -> None:
    path = network(tmp_path, [16] * 14, sigma_w, 0.0)
    frame = mfmi.audit(path, "tanh", estimators="linear", quick=True)
    found = [text for text in frame.attrs["findings"] if "gradients" in text]
    if not words:
        assert found == []
        return
    assert found[0].startswith(f"{level}: {words}")
    assert list(frame["name"]) == [f"{layer}.weight" for layer in range(13)]
    assert f"{np.prod(frame['chi'][:12]):.2g}" in found[0]


def test_inputs_that_become_alike_are_named(tmp_path: Path) -> None:
    found = mfmi.audit(network(tmp_path, [16] * 9, 0.5, 1.0), "tanh", estimators="linear").attrs["findings"]
    assert any("hardly tell them apart" in text for text in found)


# ---- freeness --------------------------------------------------------------------------------------------------------


def test_independent_rotations_have_the_ratio_and_the_error_of_theory() -> None:
    draw = rng(4)
    first, second = np.diag(np.linspace(0.2, 3.0, 12)) @ draw.normal(size=(12, 30)), draw.normal(size=(20, 12))
    found = []
    for _ in range(400):
        tie = freeness(orthogonal_matrix(12, 12, 1.0, draw) @ first, second, 0.0)
        assert tie is not None
        found.append((tie.ratio, tie.error))
    ratios, errors = np.array(found).T
    assert errors.max() == pytest.approx(errors.min(), rel=1e-9)
    assert ratios.mean() == pytest.approx(1.0, abs=4.0 * errors[0] / 20.0)
    assert ratios.std() == pytest.approx(errors[0], rel=0.12)  # 1 / sqrt(2 * 400) = 3.5 %


def test_aligned_matrices_have_the_ratio_of_their_singular_values() -> None:
    draw = rng(5)
    s, t = np.linspace(0.5, 2.0, 40), np.linspace(1.0, 3.0, 40)
    u, v, w = (orthogonal_matrix(40, 40, 1.0, draw) for _ in range(3))
    tie = freeness((u * s) @ v, (w * t) @ u.T, 0.0)
    assert tie is not None
    assert tie.ratio == pytest.approx(np.mean(s**2 * t**2) / np.mean(s**2) / np.mean(t**2), rel=1e-12)
    assert tie.z > 6.0
    against = freeness((u * s) @ v, (w * t[::-1]) @ u.T, 0.0)
    assert against is not None
    assert against.z < -6.0


def test_rotations_are_always_free() -> None:
    draw = rng(6)
    u = orthogonal_matrix(30, 30, 1.5, draw)
    tie = freeness(u, u.T, 1e-7)
    assert tie is not None
    assert tie.ratio == pytest.approx(1.0, abs=1e-12)
    assert abs(tie.z) < 1.0


def test_tied_layers_are_a_finding(tmp_path: Path) -> None:
    draw = rng(7)
    s = np.geomspace(0.05, 2.0, 60)
    u, v, w = (orthogonal_matrix(60, 60, 1.0, draw) for _ in range(3))
    tied = save(tmp_path / "a.safetensors", {"0.weight": (u * s) @ v, "1.weight": (w * s) @ u.T})
    frame = mfmi.audit(tied, "linear", estimators="linear")
    assert frame["freeness"][1] == pytest.approx(np.mean(s**4) / np.mean(s**2) ** 2, rel=1e-5)
    assert any(text.startswith("odd: 1.weight: tied to the matrix before") for text in frame.attrs["findings"])
    # and the theory misses what the matrices do together
    inputs = draw.normal(size=(4000, 60))
    measured = mfmi.audit(tied, "linear", estimators="linear", inputs=inputs)
    assert measured["freeness_measured"][1] == pytest.approx(frame["freeness"][1], rel=0.05)
    assert measured["q_measured"][1] == pytest.approx(frame["q"][1] * frame["freeness"][1], rel=0.05)
    assert any("trust the measured columns" in text for text in measured.attrs["findings"])


# ---- real inputs -----------------------------------------------------------------------------------------------------


def test_inputs_of_a_linear_network_are_measured_exactly(tmp_path: Path) -> None:
    weight, bias = matrix(30, 20, 1.2), np.full(30, 0.5)
    path = save(tmp_path / "a.safetensors", {"0.weight": weight, "0.bias": bias})
    inputs = rng(8).normal(size=(3000, 20)) * np.linspace(0.1, 2.0, 20) + 0.4
    row = mfmi.audit(path, "linear", inputs=inputs, estimators="linear", sigma_noise=0.5).iloc[0]
    y = inputs @ weight.T + bias
    assert row["q_measured"] == pytest.approx(np.mean(y**2), rel=1e-6)
    pairs = (y.sum(axis=0) @ y.sum(axis=0) - np.sum(y**2)) / (3000 * 2999 * 30)
    assert row["c_measured"] == pytest.approx(pairs / np.mean(y**2), rel=1e-5)
    # theory: the mean of the inputs is a bias, their covariance the input's
    mean = inputs.mean(axis=0)
    q = 1.44 * np.mean(inputs**2) + 0.25
    assert row["q"] == pytest.approx(q, rel=1e-6)
    assert row["c"] == pytest.approx((1.44 * np.mean(mean**2) + 0.25) / q, rel=1e-6)
    covariance = np.cov(inputs.T, bias=True)
    exact = 0.5 * np.linalg.slogdet(np.eye(30) + weight @ covariance @ weight.T / 0.25)[1] / 20
    assert row["mi_linear_measured"] == pytest.approx(exact, rel=0.02)
    assert row["mi_linear"] == pytest.approx(exact, rel=0.02)


def test_noise_in_every_layer_is_measured_too(tmp_path: Path) -> None:
    path = network(tmp_path, [20, 20, 20], 1.0, 0.0)
    inputs = rng(9).normal(size=(6000, 20))
    quiet, noisy = (
        mfmi.audit(path, "linear", inputs=inputs, estimators="linear", sigma_noise=0.5, noise_at=place)
        for place in ("output", "every")
    )
    for frame in (quiet, noisy):
        np.testing.assert_allclose(frame["mi_linear_measured"], frame["mi_linear"], rtol=0.1)
    assert noisy["mi_linear_measured"][1] < 0.97 * quiet["mi_linear_measured"][1]


def test_too_few_inputs_tell_no_information() -> None:
    x = rng().normal(size=(30, 20))
    found = decoder_information(x, [rng(1).normal(size=(30, 9)), rng(1).normal(size=(30, 8))])
    assert np.isnan(found[0])
    assert np.isfinite(found[1])


def test_information_of_independent_noise_is_not_above_0_on_average() -> None:
    draw = rng(2)
    found = [decoder_information(draw.normal(size=(60, 10)), [draw.normal(size=(60, 12))])[0] for _ in range(200)]
    assert abs(np.mean(found)) < 4.0 * np.std(found) / np.sqrt(200)


def test_inputs_that_do_not_fit_are_named(tmp_path: Path) -> None:
    path = network(tmp_path, [20, 20])
    with pytest.raises(OutputError, match=r"inputs: 7 columns, where 0\.weight reads 20 inputs"):
        mfmi.audit(path, "tanh", inputs=np.ones((5, 7)))
    with pytest.raises(OutputError, match="all inputs are the same"):
        mfmi.audit(path, "tanh", inputs=np.ones((5, 20)))


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"inputs": np.ones((3, 20))}, "inputs"),
        ({"skip": 1.0}, "skip"),
        ({"activation": "tanh", "unit": "bytes"}, "unit"),
        ({"activation": "tanh", "estimators": "best"}, "estimators"),
        ({"activation": "tanh", "correlation": 2.0}, "correlation"),
        ({"activation": "tanh", "inputs": np.eye(20), "input_variance": 2.0}, "input_variance"),
        ({"activation": "tanh", "inputs": np.ones(20)}, "inputs"),
        ({"activation": "tanh", "norm_at": "stream", "normalization": "layernorm"}, "norm_at"),
    ],
)
def test_wrong_arguments_of_a_network_are_named(tmp_path: Path, options: dict[str, Any], argument: str) -> None:
    path = network(tmp_path, [20, 20])
    with pytest.raises(ValueError, match=f"^{argument}: "):
        mfmi.audit(path, **options)
