"""Every row of the table of initialisers that can be drawn here: saved by its library, named by an audit."""

import importlib.util
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_files import save, uniform

from mfmi.initialisers import table
from studies.presets.rounds import MAKERS, judged, requirements, rounds, summary

# What a file does not tell, and why.
UNKNOWN = {
    "flax.nnx.LoRA": "half of an update of a weight, which multiplies no signal by itself",
    "stable_baselines3.value_net": "one row, which has no angles to others",
    "torchvision.models.EfficientNet.depthwise": "a channel each, or the one of the input: no name tells",
}
MODULES = {"flax.linen": "flax", "flax.nnx": "flax"}
HERE = [library for library in MAKERS if importlib.util.find_spec(MODULES.get(library, library))]


@pytest.mark.slow
@pytest.mark.parametrize("library", HERE)
def test_an_audit_names_what_made_the_file(library: str, tmp_path: Path) -> None:
    found = rounds(library, sys.executable, tmp_path)
    assert found
    unnamed = {one.name for one in found if not one.named}
    assert unnamed == UNKNOWN.keys() & {one.name for one in found}, summary(found)
    measured = [one.ratio for one in found if not math.isnan(one.ratio)]
    # a few ten thousand entries have their variance to one or two percent
    assert all(abs(ratio - 1.0) < 0.05 for ratio in measured), summary(found)
    assert {one.name for one in found} == {row.name for row in table() if row.library == library}


def entry(folder: Path, values: Any, name: str = "torch.nn.Linear", **more: Any) -> dict[str, Any]:
    path = save(folder / "a.safetensors", {"weight": values})
    return {"name": name, "version": "2.13.0", "saver": "x", "file": str(path), "tensors": ["weight"], **more}


def test_a_row_is_named_or_not(tmp_path: Path) -> None:
    (own,) = judged(entry(tmp_path, uniform((256, 512), 512)))
    assert (own.named, own.said) == ("init", "")
    assert own.ratio == pytest.approx(1.0, abs=0.02)
    (other,) = judged(entry(tmp_path, uniform((256, 512), 512), "mlx.nn.Linear"))
    assert other.named == "alike"
    (wrong,) = judged(entry(tmp_path, uniform((256, 512), 512, 1.0)))
    assert wrong.named == ""
    assert wrong.ratio == pytest.approx(3.0, abs=0.05)
    assert "lecun_uniform" in wrong.said
    (lost,) = judged(entry(tmp_path, uniform((256, 512), 512), tensors=["bias"]))
    assert "no tensor is named 'bias'" in lost.said
    (failed,) = judged({"name": "he", "version": "1", "error": "ValueError: no"})
    assert (failed.named, failed.said) == ("", "ValueError: no")
    assert summary([own, failed]).endswith("1 of 2 rows named")


def test_every_library_has_its_release_and_its_rows() -> None:
    known = {row.library for row in table()}
    assert set(MAKERS) <= known
    assert requirements("flax.nnx")[0] == "flax==0.12.8"
    assert requirements("torch")[0] == "torch==2.13.0"
    assert requirements("keras")[0] == "keras==3.15.1"


def test_a_list_of_what_was_saved_is_json(tmp_path: Path) -> None:
    from studies.presets.makers.keep import MANIFEST, Keeper

    keeper = Keeper(tmp_path, 0, ["numpy"])
    assert keeper.wants("numpy.rng", "numpy")
    assert not keeper.wants("torch.nn.Linear", "torch")
    with keeper.row("numpy.rng", "1.0") as row:
        np.savez(row.path(".npz"), w=np.zeros((2, 2)))
        row.saved("numpy.savez", row.path(".npz"), "w")
    with keeper.row("numpy.none", "1.0"):
        raise ValueError("two\nlines")
    lines = [json.loads(line) for line in (tmp_path / MANIFEST).read_text().splitlines()]
    assert [line.get("error") for line in lines] == [None, "ValueError: two lines"]
    assert Path(lines[0]["file"]).exists()
