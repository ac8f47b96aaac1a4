"""Released models that packages carry, and savers of real libraries: what is known of them must be named."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mfmi
from mfmi.checkpoints import read
from mfmi.errors import OutputError

pytestmark = pytest.mark.slow

Released = Callable[[str, str], list[Path]]


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Released:
    """Install a pinned package, without what it needs, in a folder of its own; return its files of a pattern."""
    folders: dict[str, Path] = {}

    def files(requirement: str, pattern: str) -> list[Path]:
        if requirement not in folders:
            folder = tmp_path_factory.mktemp("package")
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, requirement]
            subprocess.run([str(word) for word in command], check=True, timeout=600)
            folders[requirement] = folder
        found = sorted(folders[requirement].rglob(pattern))
        assert found, f"{requirement} has no {pattern}"
        return found

    return files


def layers(path: Path) -> pd.DataFrame:
    frame = mfmi.audit(path)
    assert (frame.status != "failed").all()
    return frame[frame.kind != "skipped"]


def never_trained(path: Path) -> list[str]:
    return [finding for finding in mfmi.audit(path).attrs["findings"] if "never trained" in finding]


def test_the_recurrences_of_aecmos_are_torchs_untouched_default(released: Released) -> None:
    """Twelve matrices, two directions in each of six tensors."""
    total = 0
    for path in released("speechmos==0.0.1.1", "aecmos_models/*.onnx"):
        state = layers(path).query("kind == 'recurrent_state'")
        assert set(state.init) == {"torch.nn.GRU.state"}
        assert list(state.outliers) == [0, 0]
        assert state.sigma_w.between(0.57, 0.585).all()
        trained = layers(path).query("kind == 'recurrent_input'")
        assert set(trained.law) == {"trained"}
        (finding,) = never_trained(path)
        assert all(name in finding for name in state.name)
        total += sum(int(shape.split("x")[0]) for shape in state["shape"])
    assert total == 12


def test_the_recurrences_of_plcmos_are_trained(released: Released) -> None:
    (path,) = released("speechmos==0.0.1.1", "plcmos_models/*.onnx")
    state = layers(path).query("kind == 'recurrent_state'")
    assert set(state.law) == {"trained"}
    assert state.sigma_w.between(0.77, 0.85).all()
    assert never_trained(path) == []


def test_the_recurrence_of_thai2rom_is_an_untouched_normal_draw(released: Released) -> None:
    (path,) = released("pythainlp==5.4.0", "thai2rom_decoder.onnx")
    state = layers(path).query("kind == 'recurrent_state'")
    assert list(state.law) == ["normal"]
    assert state.sigma_w.item() / 16 == pytest.approx(0.01, rel=0.005)
    assert layers(path).query("kind == 'recurrent_input'").sigma_w.item() == pytest.approx(4.21, abs=0.01)
    (finding,) = never_trained(path)
    assert "normal, std 0.00999" in finding


def test_one_network_in_two_formats(released: Released) -> None:
    """Deepcut's convolutions, saved by Keras 2 and exported to ONNX by another converter."""
    (keras,) = released("deepcut==0.7.0.0", "cnn_without_ne_ab.h5")
    (graph,) = released("pythainlp==5.4.0", "deepcut.onnx")
    sets = [layers(path).query("kind == 'convolution'") for path in (keras, graph)]
    assert [len(found) for found in sets] == [12, 12]
    for column in ("sigma_w", "singular_max", "singular_min"):
        first, second = (np.sort(found[column].to_numpy()) for found in sets)
        np.testing.assert_allclose(first, second, rtol=1e-4)
    assert sorted(sets[0].fan_in) == sorted(sets[1].fan_in)


def test_constants_in_branches(released: Released) -> None:
    (path,) = released("silero-vad==6.2.3", "silero_vad.onnx")
    assert len(layers(path).query("kind == 'recurrent_state'")) == 2
    assert layers(path).sigma_w.max() < 12.0


def test_two_formats_of_silero(released: Released) -> None:
    (path,) = released("silero-vad==6.2.3", "silero_vad_16k.safetensors")
    found = layers(path).set_index("name").sigma_w
    assert found["lstm_cell.weight_ih"] == pytest.approx(3.03, abs=0.01)
    assert "forward_basis" not in " ".join(found.index)


@pytest.mark.parametrize(
    ("requirement", "pattern", "expected"),
    [
        ("g2p-en==2.1.0", "checkpoint20.npz", {"enc_w_ih": 1.08, "enc_w_hh": 1.80, "dec_w_hh": 2.12, "fc_w": 3.82}),
        ("magika==1.0.3", "standard_v3_3/model.onnx", {"jax2tf_get_logits_/Const:0": 2.25}),
        ("swift-f0==0.3.0", "model.onnx", {"v353": 0.353, "v406": 4.32}),
        ("nudenet==3.4.2", "320n.onnx", {"model.0.conv.weight": 22.4}),
        ("spliceai==1.3.1", "spliceai1.h5", {"model_weights/conv1d_37/conv1d_37/kernel:0": 5.86}),
    ],
)
def test_scales_that_are_known(released: Released, requirement: str, pattern: str, expected: dict[str, float]) -> None:
    path = released(requirement, pattern)[0]
    found = layers(path).set_index("name").sigma_w
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=5e-3)
    assert never_trained(path) == []


@pytest.mark.parametrize(
    ("requirement", "pattern"),
    [("rapidocr-onnxruntime==1.4.4", "*.onnx"), ("basic-pitch==0.4.0", "nmp.onnx"), ("nudenet==3.4.2", "320n.onnx")],
)
def test_folded_normalisations_are_not_attributed(released: Released, requirement: str, pattern: str) -> None:
    paths = released(requirement, pattern)
    assert paths
    for path in paths:
        found = layers(path)
        assert len(found) > 5
        assert never_trained(path) == []
        assert not any(finding.startswith("bad") for finding in mfmi.audit(path).attrs["findings"])


# ---- torch ----------------------------------------------------------------------------------------------------------


def test_files_of_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    nn = torch.nn
    torch.manual_seed(0)
    modules = {
        "torch.nn.Linear": nn.Linear(64, 256),
        "torch.nn.Conv2d": nn.Conv2d(64, 128, 3, groups=4),
        "torch.nn.ConvTranspose2d": nn.ConvTranspose2d(128, 64, 4),
        "torch.nn.MultiheadAttention": nn.MultiheadAttention(64, 4),
        "torch.nn.LSTM": nn.LSTM(64, 256),
        "torch.nn.GRU": nn.GRU(64, 256),
        "torch.nn.RNN": nn.RNN(64, 256),
        "torch.nn.Embedding": nn.Embedding(1000, 64),
    }
    for name, module in modules.items():
        for legacy in (False, True):
            path = tmp_path / f"{name}.pt"
            names = {f"emb.{key}" if name.endswith("Embedding") else key: v for key, v in module.state_dict().items()}
            torch.save(names, path, _use_new_zipfile_serialization=not legacy)
            assert layers(path).init.iloc[0] == name


def test_narrow_quantised_and_tied_tensors_of_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    weight = torch.randn(64, 64) / 8
    state = {
        "a.weight": weight.to(torch.bfloat16),
        "b.weight": weight.to(torch.float8_e4m3fn),
        "c.weight": weight.double(),
        "d.weight": weight,
        "e.weight": weight,
    }
    path = tmp_path / "a.pt"
    torch.save(state, path)
    frame = mfmi.audit(path).set_index("name")
    assert frame.sigma_w.dropna().to_numpy() == pytest.approx([float(weight.std()) * 8] * 4, rel=0.01)
    assert "shares the numbers of d.weight" in frame.message["e.weight"]


def test_narrow_tensors_that_torch_does_not_load(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"a.weight": torch.randn(8, 8, requires_grad=True).to(torch.float8_e4m3fn)}, tmp_path / "a.pt")
    with pytest.raises(OutputError, match=r"float8 tensors that require a gradient.*detach\(\)"):
        mfmi.audit(tmp_path / "a.pt")


def test_memory_is_mapped(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "a.pt"
    torch.save({f"{place}.weight": torch.randn(1000, 1000) for place in range(3)}, path)
    assert [tensor.shape for tensor in read(str(path)).tensors] == [(1000, 1000)] * 3


class Payload:
    """Would make a folder if it were unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return (os.mkdir, (str(self.target),))


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_with_code_in_it_is_refused_and_nothing_runs(tmp_path: Path, legacy: bool) -> None:
    torch = pytest.importorskip("torch")
    target = tmp_path / "ran"
    state = {"a.weight": torch.randn(8, 8), "x": Payload(target)}
    torch.save(state, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(OutputError, match="could run code, and is refused"):
        mfmi.audit(tmp_path / "a.pt")
    assert not target.exists()


def test_modules_and_damaged_files_are_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save(torch.nn.Linear(4, 4), tmp_path / "whole.pt")
    with pytest.raises(OutputError, match=r"torch\.nn\.modules\.linear\.Linear, which could run code"):
        mfmi.audit(tmp_path / "whole.pt")
    torch.save({"a.weight": torch.randn(64, 64)}, tmp_path / "a.pt")
    data = (tmp_path / "a.pt").read_bytes()
    for share in (0.1, 0.5, 0.95):
        (tmp_path / "b.pt").write_bytes(data[: int(share * len(data))])
        with pytest.raises(OutputError):
            mfmi.audit(tmp_path / "b.pt")


def test_axes_of_facenet(released: Released) -> None:
    pytest.importorskip("torch")
    (path,) = released("facenet-pytorch==2.6.0", "onet.pt")
    found = layers(path).set_index("name").sigma_w
    expected = {"conv1.weight": 1.054, "conv2.weight": 0.764, "conv3.weight": 0.860, "conv4.weight": 0.597}
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-3)
    assert found["dense5.weight"] == pytest.approx(0.4195, abs=1e-3)


def test_moments_beside_resemblyzer(released: Released) -> None:
    pytest.importorskip("torch")
    (path,) = released("Resemblyzer==0.1.4", "pretrained.pt")
    assert len(layers(path)) == 7
    frame = mfmi.audit(path)
    assert (frame.message == "state of an optimiser").sum() > 20
