"""Laws, spectra and initialisers recognised, and planted faults found and named."""

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from checkpoint_files import FloatArray, narrow, normal, rng, save, trained, truncated, uniform
from scipy import integrate

import mfmi
from mfmi.checkpoints._laws import Entries, _marginals, law_of, truncated_std, truncation
from mfmi.checkpoints._spectrum import beyond, bulk_median, spectrum_of
from mfmi.checkpoints._tensor import Tensor, nothing


def law(values: FloatArray, dtype: str = "float32") -> str:
    matrices = values.reshape(1, *values.shape[-2:]).astype(np.float32)
    return law_of(matrices, Entries.of(matrices), Tensor("w", values.shape, dtype, nothing)).name


# ---- laws -----------------------------------------------------------------------------------------------------------


DRAWS = {
    "normal": lambda shape, seed: normal(shape, 0.02, seed),
    "uniform": lambda shape, seed: uniform(shape, shape[1], seed=seed),
    "truncated_normal": lambda shape, seed: truncated(shape, 0.05, seed=seed),
}


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"])
@pytest.mark.parametrize("shape", [(64, 64), (300, 200)])
def test_draws_are_named(name: str, dtype: str, shape: tuple[int, int]) -> None:
    found = []
    for seed in range(10):
        values = DRAWS[name](shape, seed)
        if dtype == "float16":
            values = values.astype(np.float16)
        elif dtype != "float32":
            values = narrow(values, dtype)
        found.append(law(values.astype(np.float32), dtype))
    assert found == [name] * 10


def test_an_orthogonal_matrix_is_named_and_a_wide_one_too() -> None:
    square, _ = np.linalg.qr(rng().normal(size=(64, 64)))
    assert law(square) == "orthogonal"
    assert law(square[:, :40]) == "orthogonal"
    assert law(1.4 * square[:40]) == "orthogonal"
    assert law(narrow(square, "bfloat16").astype(np.float32), "bfloat16") == "orthogonal"


def test_a_draw_in_few_bits_is_not_orthogonal() -> None:
    for seed in range(5):
        assert law(narrow(normal((300, 64), 0.3, seed), "float8_e5m2").astype(np.float32), "float8_e5m2") == "normal"


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (np.zeros((64, 64)), "other"),
        (np.full((64, 64), 0.1), "other"),
        (np.sign(normal((64, 64), 1.0)), "other"),
        (np.full((64, 64), np.nan), "other"),
        (normal((4, 4), 1.0), "other"),
        (rng().laplace(size=(64, 64)), "trained"),
        (normal((64, 64), 1.0) + 0.5, "trained"),
        (normal((64, 64), 1.0) * np.exp(normal((64, 1), 0.5, 1)), "trained"),
    ],
)
def test_what_is_no_draw(values: FloatArray, name: str) -> None:
    assert law(values) == name


def test_true_draws_are_hardly_ever_refused() -> None:
    """Hundreds of tensors are tested in a file: one in a thousand may not be refused."""
    for seed in range(400):
        assert law(uniform((32, 32), 32, seed=seed)) == "uniform"


def test_scale_does_not_matter() -> None:
    for scale in (1e-30, 1e-3, 1e12):
        assert law(uniform((64, 64), 64) * np.float32(scale)) == "uniform"


def test_moments_are_those_of_numpy() -> None:
    values = normal((1500, 1000), 0.3) + np.float32(2.0)
    found = Entries.of(values)
    exact = values.astype(np.float64)
    assert (found.mean, found.std) == (pytest.approx(exact.mean(), rel=1e-12), pytest.approx(exact.std(), rel=1e-12))
    assert found.largest == np.abs(values).max()
    assert found.kurtosis == pytest.approx(3.0, abs=0.05)


@pytest.mark.parametrize("shape", [(300, 700), (3, 50_000), (1000, 2)])
def test_sums_over_rows_and_columns_are_those_of_numpy(shape: tuple[int, int]) -> None:
    values = normal(shape, 0.3) + np.float32(1.0)
    for matrix in (values, np.asfortranarray(values), values[::2]):
        exact = matrix.astype(np.float64)
        for found, axis in zip(_marginals(matrix), (1, 0), strict=True):
            np.testing.assert_allclose(found[0], exact.sum(axis=axis), rtol=1e-5)
            np.testing.assert_allclose(found[1], np.square(exact).sum(axis=axis), rtol=1e-5)


@pytest.mark.parametrize("cut", [0.5, 1.0, 1.645, 2.0, 3.0, 5.0])
def test_truncated_normals(cut: float) -> None:
    def density(x: float) -> float:
        return math.exp(-x * x / 2.0)

    second = integrate.quad(lambda x: x * x * density(x), 0, cut)[0] / integrate.quad(density, 0, cut)[0]
    assert truncated_std(cut) == pytest.approx(math.sqrt(second), rel=1e-12)
    assert truncation(cut / truncated_std(cut)) == pytest.approx(cut, rel=1e-9)


def leaking(size: int, seed: int) -> FloatArray:
    """Draw as keras does on torch: the first of four normal numbers that lies within the cut, else the first."""
    tries = rng(seed).standard_normal((4, size, size))
    return np.take_along_axis(tries, np.argmax(np.abs(tries) < 2.0, axis=0)[None], axis=0)[0]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_truncated_normal_that_leaks_is_named(dtype: str) -> None:
    for seed in range(5):
        values = leaking(1024, seed) * 0.05
        assert dtype != "float32" or np.abs(values).max() > 0.1
        values = values if dtype == "float32" else narrow(values, dtype)
        assert law(values.astype(np.float32), dtype) == "truncated_normal"


def test_a_wider_tail_than_four_tries_leave_is_no_draw() -> None:
    values = leaking(512, 0)
    values.ravel()[:: values.size // 100] = 3.0
    assert law(values) == "trained"
    far = leaking(512, 1)
    far[5, 7] = 8.0
    assert law(far) == "trained"


def test_no_truncation_is_flatter_than_a_uniform_law() -> None:
    assert math.isnan(truncation(1.7))


# ---- spectra --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [0.01, 0.2, 0.5, 0.9, 1.0])
def test_the_median_of_the_bulk(ratio: float) -> None:
    low, high = (1 - math.sqrt(ratio)) ** 2, (1 + math.sqrt(ratio)) ** 2

    def density(x: float) -> float:
        return math.sqrt(max((high - x) * (x - low), 0.0)) / (2 * math.pi * ratio * x)

    assert integrate.quad(density, low, bulk_median(ratio), limit=200)[0] == pytest.approx(0.5, abs=2e-3)


def test_random_matrices_have_no_outliers() -> None:
    for seed in range(100):
        shape = [(20, 20), (64, 64), (200, 30), (30, 200)][seed % 4]
        found = spectrum_of(normal((1, *shape), 1.0, seed))
        assert found is not None
        assert found.outliers == 0


@pytest.mark.parametrize("count", [1, 3, 6])
def test_planted_directions_are_counted(count: int) -> None:
    left = np.linalg.qr(normal((200, count), 1.0, 1))[0]
    right = np.linalg.qr(normal((100, count), 1.0, 2))[0]
    values = normal((1, 200, 100), 1.0) + 60.0 * left @ right.T
    found = spectrum_of(values)
    assert found is not None
    assert found.outliers == count
    assert found.stable_rank == pytest.approx(np.square(values).sum() / found.largest**2)


def test_a_matrix_of_low_rank_is_no_bulk() -> None:
    values = np.array([3.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    assert beyond(values, 8, 20) == (2, math.inf, math.inf)


def test_rows_of_draws_have_as_much_in_common_as_chance_has_it() -> None:
    shapes = [(64, 64), (16, 300), (200, 96)]
    for draw in (normal, lambda shape, scale, seed: uniform(shape, 3, seed=seed)):
        spectra = [spectrum_of(draw((2, *shapes[seed % 3]), 1.0, seed)) for seed in range(120)]
        found = np.array([one.tangle for one in spectra if one is not None])
        assert abs(found.mean()) < 0.35
        assert found.std() == pytest.approx(1.0, abs=0.25)
        assert np.abs(found).max() < 4.5


def test_what_rows_have_in_common_is_counted_as_it_is() -> None:
    values = normal((1, 40, 90), 1.0) * np.exp(normal((40, 1), 1.0, 1))
    lengths = np.linalg.norm(values[0], axis=1)
    cosines = (values[0] @ values[0].T) / np.outer(lengths, lengths)
    weight = np.outer(lengths, lengths) ** 2
    np.fill_diagonal(weight, 0.0)
    excess = np.sum(weight * (cosines**2 - 1 / 90))
    variance = 2 * np.sum(weight**2) * 2 * 89 / (90**2 * 92)
    found = spectrum_of(values)
    assert found is not None
    assert found.tangle == pytest.approx(excess / math.sqrt(variance), rel=1e-3)


def test_a_trained_orthogonal_matrix_is_no_draw(tmp_path: Path) -> None:
    start = np.linalg.qr(rng().normal(size=(128, 128)))[0]
    moved = start + normal((128, 128), 0.3 / math.sqrt(128), 1)
    row = mfmi.audit(save(tmp_path / "a.safetensors", {"fc.weight": moved.astype(np.float32)})).iloc[0]
    assert row.law == "trained"
    assert re.search(r"its rows are more nearly orthogonal than chance has it, by \d+\.\d standard dev", row.message)


def test_a_uniform_draw_whose_edge_was_blurred_is_not_called_untouched(tmp_path: Path) -> None:
    values = uniform((256, 64), 64)
    for name, moved in (("as_drawn", values), ("blurred", values + normal((256, 64), 0.01, 1))):
        tensors = {"0.weight": moved, "1.weight": trained(100, 256, 5)}
        found = "".join(findings(save(tmp_path / f"{name}.safetensors", tensors)))
        assert ("never trained" in found) is (name == "as_drawn")
        assert "would not show" not in found


def test_groups_are_matrices_of_their_own() -> None:
    found = spectrum_of(np.stack([np.eye(16), 3 * np.eye(16)]))
    assert found is not None
    assert (found.smallest, found.largest) == (1.0, 3.0)


def test_a_single_row_has_no_spectrum() -> None:
    assert spectrum_of(normal((5, 1, 20), 1.0)) is None


# ---- initialisers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "values", "bias", "init"),
    [
        ("fc.weight", uniform((256, 64), 64), uniform((256,), 64, seed=1), "torch.nn.Linear"),
        ("fc.weight", uniform((256, 64), 64, 2 * 64 / 320), None, "glorot"),
        ("fc.weight", normal((256, 64), math.sqrt(2 / 64)), None, "he"),
        ("fc.weight", normal((256, 64), math.sqrt(1 / 64)), None, "lecun"),
        ("fc.weight", uniform((256, 64), 64, 2.0), None, "he_uniform"),
        ("fc.kernel", truncated((64, 256), math.sqrt(1 / 64) / truncated_std(2.0)), None, "flax.linen.Dense"),
        ("fc.w", truncated((64, 256), math.sqrt(1 / 64)), None, "haiku.Linear"),
        ("coefs_0", uniform((64, 256), 64, 2 * 64 / 320), None, "sklearn.neural_network.MLPClassifier"),
        ("c.weight", uniform((64, 16, 3, 3), 144), uniform((64,), 144, seed=1), "torch.nn.Conv2d"),
        ("encoder.layer.0.output.dense.weight", normal((256, 64), 0.02), None, "transformers.BertModel"),
        ("fc.weight", normal((256, 64), 0.0421), None, None),
        ("fc.weight", trained(256, 64), None, None),
    ],
)
def test_the_initialiser(
    tmp_path: Path, name: str, values: FloatArray, bias: FloatArray | None, init: str | None
) -> None:
    tensors = {name: values} | ({name.replace("weight", "bias"): bias} if bias is not None else {})
    found = mfmi.audit(save(tmp_path / "a.safetensors", tensors)).init[0]
    assert found == init or (pd.isna(found) and init is None)


def findings(path: Path) -> list[str]:
    found = mfmi.audit(path).attrs["findings"]
    assert all("\n" not in finding for finding in found)
    return list(found)


def network(**changes: FloatArray) -> dict[str, FloatArray]:
    """Three linear layers of torch, with `changes`, in which _ stands for a dot."""
    tensors: dict[str, FloatArray] = {}
    for place, (inputs, outputs) in enumerate([(64, 256), (256, 256), (256, 100)]):
        tensors[f"{place}.weight"] = uniform((outputs, inputs), inputs, seed=place)
        tensors[f"{place}.bias"] = uniform((outputs,), inputs, seed=9 + place)
    return tensors | {name[1:].replace("_", "."): value for name, value in changes.items()}


def test_a_network_of_torch_has_nothing_off(tmp_path: Path) -> None:
    path = save(tmp_path / "a.safetensors", network())
    assert findings(path) == ["note: untouched: 3 matrices are as drawn, and none has been trained"]


def test_a_wrong_fan_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "a.safetensors", network(_0_weight=uniform((256, 64), 256)))
    worst = findings(path)[0]
    assert worst.startswith("bad: 0.weight: ")
    assert float(re.findall(r" is ([\d.]+) times that of torch.nn.Linear", worst)[0]) == pytest.approx(0.5, rel=0.01)
    assert "the fan counted is the output's instead of the input's" in worst


def test_a_missing_window_is_named(tmp_path: Path) -> None:
    tensors = {"c.weight": uniform((64, 32, 3, 3), 32), "c.bias": uniform((64,), 288)}
    assert "window of the kernel is not counted" in findings(save(tmp_path / "a.safetensors", tensors))[0]


def test_a_wrong_packed_projection_is_named(tmp_path: Path) -> None:
    """The default of torch.nn.MultiheadAttention counts the three outputs as one: 0.707 for the 1 of Glorot."""
    tensors = {"a.in_proj_weight": uniform((192, 64), 64, 0.5)}
    frame = mfmi.audit(save(tmp_path / "a.safetensors", tensors))
    assert set(frame.init) == {"torch.nn.MultiheadAttention"}


def test_a_doubled_bias_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "a.safetensors", network(_1_bias=2 * uniform((256,), 256, seed=7)))
    worst = findings(path)[0]
    assert worst.startswith("bad: 1.weight: its biases are ")
    assert float(worst.split("its biases are ")[1].split(" ")[0]) == pytest.approx(2.0, rel=0.1)


def test_a_truncation_of_ten_percent_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "a.safetensors", network(_1_weight=truncated((256, 256), 0.05, 1.6449)))
    worst = findings(path)[0]
    assert worst.startswith("bad: 1.weight: a normal cut at 1.6")
    assert "which takes 10 %" in worst


def gpt(scale: float) -> dict[str, FloatArray]:
    tensors = {}
    for block in range(4):
        for place, (name, shape) in enumerate({"c_attn": (64, 192), "c_fc": (64, 256), "c_proj": (256, 64)}.items()):
            std = 0.02 * (scale if name == "c_proj" else 1.0)
            tensors[f"h.{block}.mlp.{name}.weight"] = normal(shape, std, 7 * block + place)
            tensors[f"h.{block}.mlp.{name}.bias"] = np.zeros(shape[1], np.float32)
    return tensors


def test_a_missing_residual_scale_is_named(tmp_path: Path) -> None:
    worst = findings(save(tmp_path / "a.safetensors", gpt(1.0)))[0]
    assert worst.startswith("bad: h.0.mlp.c_proj.weight, h.1.mlp.c_proj.weight")
    assert "the residual scale 1/sqrt(2 layers) = 0.354 is missing" in worst


def test_a_residual_scale_is_known(tmp_path: Path) -> None:
    path = save(tmp_path / "a.safetensors", gpt(1 / math.sqrt(8)))
    assert not any("residual scale" in finding for finding in findings(path))
    frame = mfmi.audit(path)
    assert frame.init[frame.name == "h.0.mlp.c_proj.weight"].item() == "transformers.GPT2Model.c_proj"


def test_an_untouched_matrix_among_trained_ones_is_named(tmp_path: Path) -> None:
    tensors = {
        "gru.weight_ih_l0": trained(768, 64),
        "gru.weight_hh_l0": uniform((768, 256), 256),
        "head.weight": trained(64, 256),
        "odd.weight": normal((64, 256), 0.0123),
    }
    found = findings(save(tmp_path / "a.safetensors", tensors))
    assert found[0].startswith(
        "odd: gru.weight_hh_l0, odd.weight: never trained, by law, edge and spectrum (a change of less than 18 % of a "
        "matrix's norm would not show): "
    )
    assert "torch.nn.GRU.state; normal, std 0.012" in found[0]


def test_the_entries_of_a_trained_matrix_may_look_drawn_but_not_its_spectrum(tmp_path: Path) -> None:
    """A few directions of a large matrix change no entry much: only the singular values tell."""
    draw = normal((400, 300), 0.05)
    left, right = np.sign(normal((400, 1), 1.0, 1)), np.sign(normal((1, 300), 1.0, 2))
    values = draw + 3.5 * left @ right / math.sqrt(400 * 300)
    path = save(tmp_path / "a.safetensors", {"fc.weight": values})
    row = mfmi.audit(path).iloc[0]
    assert (row.law, row.outliers) == ("trained", 1)
    assert "look normal" in row.message
    assert mfmi.audit(path, quick=True).law[0] == "normal"


def test_uneven_rows_tell_a_trained_matrix_without_its_spectrum(tmp_path: Path) -> None:
    """Units that moved by some percent leave the law of all entries as it was."""
    values = normal((400, 300), 0.05) * np.linspace(0.8, 1.2, 400, dtype=np.float32)[:, None]
    for path in (
        save(tmp_path / "rows.safetensors", {"fc.weight": values}),
        save(tmp_path / "columns.safetensors", {"fc.kernel": values.T, "fc.bias": np.zeros(400, np.float32)}),
    ):
        row = mfmi.audit(path, quick=True).iloc[0]
        assert row.law == "trained"
        assert "the lengths of its rows vary" in row.message


def test_entries_whose_powers_overflow_are_a_failed_row(tmp_path: Path) -> None:
    found = mfmi.audit(
        save(tmp_path / "a.safetensors", {"fc.weight": 1e200 * normal((64, 64), 1.0).astype(np.float64)})
    )
    assert found.status[0] == "failed"
    assert found.message[0].endswith("beyond 1e+70")


@pytest.mark.parametrize("number", [np.inf, np.nan])
def test_zeros_and_infinite_entries_are_named(tmp_path: Path, number: float) -> None:
    broken = uniform((100, 256), 256)
    broken[3, 5] = number
    path = save(tmp_path / "a.safetensors", network(_1_weight=np.zeros((256, 256), np.float32), _2_weight=broken))
    found = findings(path)
    assert found[0].startswith("bad: 2.weight: entries that are not finite")
    assert any(finding.startswith("odd: 1.weight: all entries are 0") for finding in found)
    frame = mfmi.audit(path)
    assert list(frame.status) == ["ok", "ok", "failed"]


@pytest.mark.parametrize("number", [np.inf, np.nan])
def test_a_bias_that_is_no_number_ends_its_network(tmp_path: Path, number: float) -> None:
    """As the forward pass does; the layer before it has its numbers."""
    tensors = {f"{place}.weight": normal((64, 64), 0.125) for place in range(3)}
    tensors["1.bias"] = np.full(64, 0.1, np.float32)
    tensors["1.bias"][5] = number
    frame = mfmi.audit(save(tmp_path / "a.safetensors", tensors), "tanh", estimators="linear")
    assert frame.status[:2].tolist() == ["ok", "failed"]
    assert np.isfinite(frame.mi_linear[0])
    assert frame.mi_linear[1:].isna().all()
    assert "biases that are not finite" in frame.message[1]
    assert findings(tmp_path / "a.safetensors")[0].startswith("bad: 1.weight: biases that are not finite")
