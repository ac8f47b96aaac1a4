"""Folders of orbax, written with tensorstore as orbax lays them out, and by orbax itself where it is installed."""

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_files import FloatArray, truncated, uniform

import mfmi
from mfmi.checkpoints import read
from mfmi.errors import OutputError

# Parametrised over the library: nothing to run without it.
TENSORSTORE = pytest.mark.parametrize("here", [name for name in ["tensorstore"] if importlib.util.find_spec(name)])
ORBAX = pytest.mark.parametrize("here", [name for name in ["orbax"] if importlib.util.find_spec(name)])

Arrays = dict[tuple[str, ...], FloatArray]
NETWORK: Arrays = {
    ("params", "Dense_0", "bias"): np.zeros(96, np.float32),
    ("params", "Dense_0", "kernel"): truncated((128, 96), np.sqrt(1 / 128) / 0.8796256610342398).astype(np.float32),
    ("params", "Dense_1", "kernel", "value"): uniform((96, 64), 96).astype(np.float32),
}


def save(folder: Path, arrays: Arrays, *, database: bool = True, new: bool = False, whole: bool = True) -> Path:
    """Lay out a folder as orbax 0.12.8 does, or as older ones that leave parts of zeros out."""
    import tensorstore

    folder.mkdir(parents=True)
    listed = {}
    base = {"driver": "file", "path": f"{folder}/"}
    for keys, values in arrays.items():
        name = ".".join(keys)
        under = (
            {"driver": "ocdbt", "base": base, "path": f"{name}/"} if database else {**base, "path": f"{folder}/{name}/"}
        )
        where = {"driver": "zarr3" if new else "zarr", "kvstore": under, "store_data_equal_to_fill_value": whole}
        parts = tensorstore.ChunkLayout(chunk_shape=[50] * values.ndim)
        layout = {"chunk_layout": parts} if database else {}
        made = tensorstore.open(where, create=True, dtype=values.dtype, shape=values.shape, **layout).result()
        made.write(values).result()
        value = {"value_type": "jax.Array", "skip_deserialize": False, "write_shape": list(values.shape)}
        listed[str(keys)] = {"key_metadata": [{"key": key, "key_type": 2} for key in keys], "value_metadata": value}
    listed["('none',)"] = {"key_metadata": [{"key": "none", "key_type": 2}], "value_metadata": {"value_type": "None"}}
    head = {
        "tree_metadata": listed,
        "use_ocdbt": database,
        "use_zarr3": new,
        "store_array_data_equal_to_fill_value": whole,
    }
    (folder / "_METADATA").write_text(json.dumps(head))
    return folder


def rows(*paths: Path) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in mfmi.audit([str(path) for path in paths]).to_dict("records")}


@TENSORSTORE
@pytest.mark.parametrize("kept", [{}, {"new": True}, {"database": False}, {"whole": False}])
def test_a_folder_has_its_numbers_back(here: str, tmp_path: Path, kept: dict[str, bool]) -> None:
    found = {one.name: one for one in read(str(save(tmp_path / "a", NETWORK, **kept))).tensors}
    # a variable of nnx is a node with its value in it
    assert set(found) == {"params/Dense_0/bias", "params/Dense_0/kernel", "params/Dense_1/kernel", "none"}
    for keys, values in NETWORK.items():
        tensor = found["/".join(key for key in keys if key != "value")]
        assert (tensor.shape, tensor.dtype) == (values.shape, "float32")
        assert np.array_equal(tensor.load(), values)
    said = rows(tmp_path / "a")
    assert said["params/Dense_0/kernel"]["init"] == "flax.linen.Dense"
    assert (said["none"]["kind"], said["none"]["message"]) == ("skipped", "no array (None)")


@TENSORSTORE
def test_numbers_of_other_types(here: str, tmp_path: Path) -> None:
    values = uniform((64, 96), 64)
    arrays: Arrays = {("n",): np.array(3), ("kernel",): values.astype("float16"), ("f64",): values.astype("float64")}
    found = {one.name: one for one in read(str(save(tmp_path / "a", arrays))).tensors}
    assert {name: one.dtype for name, one in found.items()} == {
        "n": "int64",
        "kernel": "float16",
        "f64": "float64",
        "none": "None",
    }
    assert float(found["n"].load()) == 3.0
    assert np.array_equal(found["kernel"].load(), values.astype("float16").astype("float32"))


@TENSORSTORE
def test_the_steps_of_a_manager_are_in_order(here: str, tmp_path: Path) -> None:
    for step in (100, 20):
        save(tmp_path / "run" / str(step) / "default", NETWORK)
        (tmp_path / "run" / str(step) / "_CHECKPOINT_METADATA").write_text("{}")
    frame = mfmi.audit(tmp_path / "run")
    assert list(dict.fromkeys(frame.step)) == [20, 100]
    assert "params/Dense_0/kernel" in set(frame.name)
    save(tmp_path / "run" / "100" / "opt", {("mu",): np.zeros((8, 8), np.float32)})
    assert "default/params/Dense_0/kernel" in set(mfmi.audit(tmp_path / "run" / "100").name)


def cut(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:60])


def changed(old: str, new: str, name: str = "_METADATA") -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text((folder / name).read_text().replace(old, new))


@TENSORSTORE
@pytest.mark.parametrize(("database", "damage", "words"), [
    (True, cut("_METADATA"), "not a whole checkpoint of orbax"),
    (True, cut("manifest.ocdbt"), "not a whole checkpoint of orbax: DATA_LOSS"),
    (True, lambda folder: shutil.rmtree(folder / "d"), "not a whole checkpoint of orbax"),
    (True, changed("Dense_0", "Dense_9"), "not a whole checkpoint of orbax: NOT_FOUND"),
    (True, lambda folder: (folder / "_METADATA").write_text("[]"), "not a whole checkpoint of orbax"),
    (True, lambda folder: (folder / "_METADATA").unlink(), "without a list of its arrays"),
    (False, lambda folder: next(folder.glob("*kernel/0.0")).unlink(), "has 0 of 1 parts"),
    (False, changed('"params"', '"../params"'), "leads out of the folder"),
    (False, changed("128,96", "12800000,960000", "params.Dense_0.kernel/.zarray"), "bytes of memory, more than"),
])  # fmt: skip
def test_a_damaged_or_hostile_folder_is_one_line(
    here: str, tmp_path: Path, database: bool, damage: Callable[[Path], None], words: str
) -> None:
    folder = save(tmp_path / "a", NETWORK, database=database)
    damage(folder)
    with pytest.raises(OutputError, match=words) as error:
        mfmi.audit(folder)
    assert "\n" not in str(error.value)


def test_a_missing_library_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "_METADATA").write_text("{}")
    monkeypatch.setitem(sys.modules, "tensorstore", None)
    with pytest.raises(OutputError, match=r"needs tensorstore, .*pip install 'mfmi\[checkpoints\]'") as error:
        mfmi.audit(tmp_path)
    assert "\n" not in str(error.value)


def test_a_folder_of_nothing_known_says_so(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    with pytest.raises(OutputError, match=r"no file in it ends with one of .*, and no folder is of orbax"):
        mfmi.audit(tmp_path)


@pytest.mark.slow
@ORBAX
def test_what_orbax_saves_is_read(here: str, tmp_path: Path) -> None:
    import jax
    import orbax.checkpoint as ocp

    tree = {"a/b": {"w": jax.random.normal(jax.random.key(0), (96, 64)) / 96**0.5}, "n": 3, "empty": {}, "none": None}
    tree["narrow"] = {"kernel": tree["a/b"]["w"].astype("bfloat16"), "eight": tree["a/b"]["w"].astype("float8_e4m3fn")}
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "a", tree)
    with ocp.CheckpointManager(tmp_path / "run") as manager:
        for step in (0, 100):
            manager.save(step, args=ocp.args.StandardSave(tree))
    for folder in (tmp_path / "a", tmp_path / "run" / "100"):
        found = {one.name: one for one in read(str(folder)).tensors}
        assert np.array_equal(found["a/b/w"].load(), np.asarray(tree["a/b"]["w"]))
        assert np.array_equal(found["narrow/kernel"].load(), np.asarray(tree["narrow"]["kernel"], np.float32))
        assert np.array_equal(found["narrow/eight"].load(), np.asarray(tree["narrow"]["eight"], np.float32))
    assert list(dict.fromkeys(mfmi.audit(tmp_path / "run").step)) == [0, 100]
