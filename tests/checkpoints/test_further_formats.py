"""GGUF files, by the gguf library, msgpack files by Flax (tests/data), and leaves of Equinox as numpy saves them."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_files import FloatArray, normal, uniform

import mfmi
from mfmi.checkpoints import read
from mfmi.checkpoints._files import format_of
from mfmi.errors import OutputError

DATA = Path(__file__).parents[1] / "data"
FLAX = DATA / "flax.msgpack"
# Parametrised over the library: nothing to run without it.
GGUF = pytest.mark.parametrize("here", [name for name in ["gguf"] if importlib.util.find_spec(name)])
MSGPACK = pytest.mark.parametrize("here", [name for name in ["msgpack"] if importlib.util.find_spec(name)])


def rows(path: Path) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in mfmi.audit(path).to_dict("records")}


# ---- GGUF ------------------------------------------------------------------------------------------------------------


def save_gguf(path: Path, tensors: dict[str, tuple[str, FloatArray]]) -> Path:
    import gguf
    import gguf.quants

    writer = gguf.GGUFWriter(path, "llama")
    for name, (kind, values) in tensors.items():
        wanted = gguf.GGMLQuantizationType[kind]
        if kind in ("F32", "F16"):
            writer.add_tensor(name, values)
        else:
            writer.add_tensor(name, gguf.quants.quantize(values, wanted), raw_dtype=wanted)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@GGUF
def test_a_gguf_file_has_its_numbers_back(here: str, tmp_path: Path) -> None:
    values = normal((64, 96), 0.1)
    tensors = {
        "blk.0.attn_q.weight": ("F32", values),
        "blk.0.attn_k.weight": ("F16", values.astype(np.float16)),
        "blk.0.attn_v.weight": ("BF16", values),
    }
    path = save_gguf(tmp_path / "a.gguf", tensors)
    found = {tensor.name: tensor for tensor in read(str(path)).tensors}
    assert [tensor.shape for tensor in found.values()] == [(64, 96)] * 3
    assert [found[name].dtype for name in tensors] == ["float32", "float16", "bfloat16"]
    assert np.array_equal(found["blk.0.attn_q.weight"].load(), values)
    assert np.array_equal(found["blk.0.attn_k.weight"].load(), values.astype(np.float16).astype(np.float32))
    np.testing.assert_allclose(found["blk.0.attn_v.weight"].load(), values, rtol=2.0**-8)
    said = rows(path)
    assert [said[name]["kind"] for name in tensors] == ["query", "key", "value"]
    assert [row["law"] for row in said.values()] == ["normal"] * 3
    assert said["blk.0.attn_q.weight"]["fan_in"] == 96


@GGUF
@pytest.mark.parametrize(("kind", "loss"), [("Q8_0", 0.01), ("Q5_1", 0.05), ("Q4_0", 0.12)])
def test_quantised_blocks_are_dequantised(here: str, tmp_path: Path, kind: str, loss: float) -> None:
    values = uniform((128, 96), 96)
    path = save_gguf(tmp_path / "a.gguf", {"blk.0.ffn_up.weight": (kind, values)})
    (tensor,) = read(str(path)).tensors
    assert (tensor.shape, tensor.dtype) == ((128, 96), kind)
    assert np.linalg.norm(tensor.load() - values) < loss * np.linalg.norm(values)
    row = rows(path)["blk.0.ffn_up.weight"]
    assert row["sigma_w"] == pytest.approx(values.std() * np.sqrt(96), rel=0.02)
    assert (row["kind"], row["status"]) == ("dense", "ok")


def plane(bits: FloatArray, place: int) -> FloatArray:
    return (bits >> place) & 1


def scales_of_six_bits(packed: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Eight scales and eight offsets in twelve bytes: six bits each, the upper two of the later ones apart."""
    low, mid, high = packed[:4], packed[4:8], packed[8:]
    scales = np.concatenate([low & 63, (high & 15) | (low >> 6 << 4)])
    offsets = np.concatenate([mid & 63, (high >> 4) | (mid >> 6 << 4)])
    return scales.astype(float), offsets.astype(float)


def nibbles(packed: FloatArray) -> FloatArray:
    """Of each 32 bytes the lower halves, then the upper ones."""
    return np.concatenate([half for part in packed.reshape(-1, 32) for half in (part & 15, part >> 4)]).astype(float)


def by_the_description(kind: str, block: FloatArray) -> FloatArray:
    """The 256 numbers of a block as the description of the format has them, part by part."""
    halves = lambda at: float(block[at : at + 2].view("<f2")[0])  # noqa: E731
    if kind == "Q2_K":
        scales, packed = block[:16], block[16:80]
        level = np.concatenate([part >> 2 * j & 3 for part in packed.reshape(2, 32) for j in range(4)])
        found = np.repeat((scales & 15) * halves(80), 16) * level - np.repeat((scales >> 4) * halves(82), 16)
    elif kind == "Q3_K":
        mask, packed, s = block[:32], block[32:96], block[96:108]
        level = np.concatenate([part >> 2 * j & 3 for part in packed.reshape(2, 32) for j in range(4)]).astype(float)
        level -= 4.0 * (1 - np.concatenate([plane(mask, j) for j in range(8)]))
        low = np.concatenate([s[:8] & 15, s[:8] >> 4])
        scales = (low | np.concatenate([(s[8:] >> 2 * j & 3) << 4 for j in range(4)])).astype(float) - 32.0
        found = np.repeat(scales * halves(108), 16) * level
    elif kind in ("Q4_K", "Q5_K"):
        scales, offsets = scales_of_six_bits(block[4:16])
        level = nibbles(block[-128:])
        if kind == "Q5_K":
            level += 16.0 * np.concatenate([plane(block[16:48], j) for j in range(8)])
        found = np.repeat(scales * halves(0), 32) * level - np.repeat(offsets * halves(2), 32)
    else:
        parts = []
        for low, high in zip(block[:128].reshape(2, 2, 32), block[128:192].reshape(2, 32), strict=True):
            fours = (low[0] & 15, low[1] & 15, low[0] >> 4, low[1] >> 4)
            parts += [four | (high >> 2 * j & 3) << 4 for j, four in enumerate(fours)]
        scales = block[192:208].view(np.int8).astype(float)
        found = np.repeat(scales * halves(208), 16) * (np.concatenate(parts).astype(float) - 32.0)
    return np.asarray(found, dtype=np.float64)


@GGUF
@pytest.mark.parametrize("kind", ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"])
def test_blocks_of_256_are_what_their_description_says(here: str, tmp_path: Path, kind: str) -> None:
    import gguf

    wanted = gguf.GGMLQuantizationType[kind]
    _, size = gguf.GGML_QUANT_SIZES[wanted]
    blocks = np.random.default_rng(0).integers(0, 256, (24, 2, size), dtype=np.uint8)
    for at in {"Q2_K": (80, 82), "Q3_K": (108,), "Q6_K": (208,)}.get(kind, (0, 2)):  # the scales of a block
        blocks[..., at : at + 2] = np.full((24, 2, 1), 2.0**-7, "<f2").view(np.uint8)
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "llama")
    writer.add_tensor("blk.0.ffn_up.weight", blocks.reshape(24, -1), raw_dtype=wanted)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (tensor,) = read(str(tmp_path / "a.gguf")).tensors
    expected = np.array([[by_the_description(kind, block) for block in row] for row in blocks]).reshape(24, 512)
    assert (tensor.shape, tensor.dtype) == ((24, 512), kind)
    np.testing.assert_allclose(tensor.load(), expected, rtol=1e-6, atol=1e-6)
    row = rows(tmp_path / "a.gguf")["blk.0.ffn_up.weight"]
    assert row["sigma_w"] == pytest.approx(expected.std() * np.sqrt(512), rel=1e-6)


@GGUF
def test_tables_norms_and_outputs_are_told_apart(here: str, tmp_path: Path) -> None:
    square = normal((64, 64), 0.1)
    names = ("token_embd.weight", "blk.0.attn_output.weight", "blk.0.attn_norm.weight", "output.weight")
    tensors = {name: ("F32", square[0] if "norm" in name else square) for name in names}
    said = rows(save_gguf(tmp_path / "a.gguf", tensors))
    assert [said[name]["kind"] for name in names] == ["embedding", "attention_output", "skipped", "dense"]


@GGUF
def test_blocks_without_arithmetic_are_skipped_with_the_reason(here: str, tmp_path: Path) -> None:
    import gguf

    kind = gguf.GGMLQuantizationType.Q8_K
    block, size = gguf.GGML_QUANT_SIZES[kind]
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "llama")
    writer.add_tensor("blk.0.ffn_up.weight", np.zeros((4, size), np.uint8), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    row = rows(tmp_path / "a.gguf")["blk.0.ffn_up.weight"]
    assert (row["kind"], row["shape"]) == ("skipped", f"4x{block}")
    assert row["message"] == "Q8_K blocks, which the gguf library cannot dequantise"


@GGUF
@pytest.mark.parametrize("kept", [8, 40, 300])
def test_a_cut_gguf_file_is_one_line(here: str, tmp_path: Path, kept: int) -> None:
    path = save_gguf(tmp_path / "a.gguf", {"blk.0.ffn_up.weight": ("F32", normal((64, 64), 0.1))})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(OutputError, match="not a whole GGUF file") as error:
        read(str(path))
    assert "\n" not in str(error.value)


# ---- Flax ------------------------------------------------------------------------------------------------------------


@MSGPACK
def test_a_file_of_flax_has_its_numbers_back(here: str) -> None:
    from data.make_flax_msgpack import arrays  # type: ignore[import-not-found]

    found = {tensor.name: tensor for tensor in read(str(FLAX)).tensors}
    wanted = arrays()
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        assert found[name].shape == value.shape
        assert found[name].dtype == value.dtype.name
        assert np.array_equal(found[name].load(), value.astype(np.float32)), name


@MSGPACK
def test_the_layers_of_flax_are_told(here: str) -> None:
    said = rows(FLAX)
    kinds = {name: row["kind"] for name, row in said.items()}
    assert kinds["params/Dense_0/kernel"] == kinds["params/Dense_1/kernel"] == "dense"
    assert kinds["params/Conv_0/kernel"] == "convolution"
    assert kinds["params/Embed_0/embedding"] == "embedding"
    assert said["params/Dense_0/kernel"]["fan_in"] == 24
    assert said["params/Conv_0/kernel"]["fan_in"] == 36
    assert said["opt_state/0/mu/Dense_0/kernel"]["message"] == "state of an optimiser"
    assert kinds["step"] == "skipped"


@MSGPACK
@pytest.mark.parametrize("kept", [3, 100, 3000])
def test_a_cut_file_of_flax_is_one_line(here: str, tmp_path: Path, kept: int) -> None:
    path = tmp_path / "a.msgpack"
    path.write_bytes(FLAX.read_bytes()[:kept])
    with pytest.raises(OutputError, match="not a whole msgpack file of Flax") as error:
        read(str(path))
    assert "\n" not in str(error.value)


@MSGPACK
def test_msgpack_without_arrays_says_so(here: str, tmp_path: Path) -> None:
    import msgpack

    path = tmp_path / "a.msgpack"
    path.write_bytes(msgpack.packb({"a": {"b": 1}}))
    with pytest.raises(OutputError, match="msgpack without arrays of Flax"):
        read(str(path))


@MSGPACK
def test_an_array_shorter_than_its_shape_is_a_failed_row(here: str, tmp_path: Path) -> None:
    import msgpack

    inner = msgpack.packb(((40, 30), "float32", np.zeros(1000, np.float32).tobytes()))
    path = tmp_path / "a.msgpack"
    path.write_bytes(msgpack.packb({"Dense_0": {"kernel": msgpack.ExtType(1, inner)}}))
    row = mfmi.audit(path).iloc[0]
    assert row.status == "failed"
    assert "1000 entries, where its shape (40, 30) says otherwise" in row.message


# ---- both ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("library", "name", "content"), [
    ("gguf", "a.gguf", b"GGUF" + bytes(60)), ("msgpack", "a.msgpack", b"\x81\xa1a\x01"),
])  # fmt: skip
def test_a_missing_library_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(OutputError, match=rf"needs {library}, .*pip install 'mfmi\[checkpoints\]'"):
        read(str(tmp_path / name))


@pytest.mark.parametrize("length", [640, 896, 1152, 1408])
def test_a_header_whose_length_begins_as_a_pickle_does(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.safetensors"
    head = b'{"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}'.ljust(length)
    path.write_bytes(length.to_bytes(8, "little") + head + np.arange(4.0, dtype=np.float32).tobytes())
    (tensor,) = read(str(path)).tensors
    assert np.array_equal(tensor.load(), [[0.0, 1.0], [2.0, 3.0]])


@pytest.mark.parametrize(("content", "found"), [
    (b"GGUF\x03\0\0\0", "gguf"), (b"\x82\xa6params\x81", "msgpack"), (b"\xde\x00\x20\xd9\x30", "msgpack"),
])  # fmt: skip
def test_formats_are_known_by_their_first_bytes(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "checkpoint_100"
    path.write_bytes(content + bytes(64))
    assert format_of(str(path)) == found


# ---- Equinox ---------------------------------------------------------------------------------------------------------


def save_leaves(path: Path, leaves: list[FloatArray], line: bytes = b"") -> Path:
    with open(path, "wb") as file:
        file.write(line)
        for leaf in leaves:
            np.save(file, leaf)
    return path


def cell(width: int, inputs: int) -> list[FloatArray]:
    rows = 4 * width
    return [uniform(shape, width, seed=place) for place, shape in enumerate([(rows, inputs), (rows, width), (rows,)])]


@pytest.mark.parametrize("line", [b"", b'{"width": 96}\n'])
def test_the_leaves_of_equinox_are_told_by_their_shapes(tmp_path: Path, line: bytes) -> None:
    kernel, shift = uniform((48, 16, 3, 3), 144), uniform((48, 1, 1), 144, seed=1)
    leaves = [*cell(64, 96), kernel, shift, uniform((32, 96), 96), uniform((32,), 96, seed=2), np.array(7)]
    said = rows(save_leaves(tmp_path / "a.eqx", leaves, line))
    kinds = ["recurrent_input", "recurrent_state", "convolution", "dense", "skipped"]
    assert [row["kind"] for row in said.values()] == kinds
    assert [said[name]["fan_in"] for name in "0135"] == [96, 64, 144, 96]
    wanted = ["LSTMCell", "LSTMCell.state", "Conv2d", "Linear"]
    assert [said[name]["init"] for name in "0135"] == [f"equinox.nn.{name}" for name in wanted]
    assert all(said[name]["sigma_b"] > 0.0 for name in "0135")


@pytest.mark.parametrize(("damage", "words"), [
    (lambda held: held[:-9], "it ends within the leaf at byte"), (lambda held: held + b"more", "not a whole file"),
    (lambda held: b'{"width": 96}\n', "without arrays"), (lambda held: held[:7], "not a whole file"),
])  # fmt: skip
def test_a_damaged_file_of_equinox_is_one_line(tmp_path: Path, damage: Callable[[bytes], bytes], words: str) -> None:
    path = save_leaves(tmp_path / "a.eqx", cell(8, 16))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(OutputError, match=words) as error:
        read(str(path))
    assert "\n" not in str(error.value)


def test_a_pickled_leaf_is_never_read(tmp_path: Path) -> None:
    with open(tmp_path / "a.eqx", "wb") as file:
        np.save(file, np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(OutputError, match="a pickled object, which could run code"):
        read(str(tmp_path / "a.eqx"))


def test_an_array_of_numpy_under_its_own_name_is_no_file_of_equinox(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 3)))
    with pytest.raises(OutputError, match="none of"):
        read(str(tmp_path / "a.npy"))
