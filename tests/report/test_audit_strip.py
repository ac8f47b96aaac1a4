"""``mfmi plot`` of an audit: the numbers of the strip, the file, and the characters in a terminal."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from checkpoint_files import save, trained
from conftest import Outcome

from mfmi.checkpoints._spectrum import bulk_edges
from mfmi.cli.main import main
from mfmi.report.audit_strip import NUMBERS, draw, strip_of

CommandLine = Callable[..., Outcome]


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two steps of three layers, of which the second step has trained the last."""
    folder = tmp_path_factory.mktemp("audit")
    draws = [np.random.default_rng(layer).normal(size=(40, 40)) * 0.2 for layer in range(3)]
    for step in (5, 10):
        layers = {f"layers.{layer}.weight": draw for layer, draw in enumerate(draws)}
        if step == 10:
            layers["layers.2.weight"] = trained(40, 40)
        save(folder / f"net{step}.safetensors", layers)
    path = folder / "audit.parquet"
    with pytest.raises(SystemExit) as left:
        main(["audit", str(folder), "--act", "linear", "--estimator", "linear", "-o", str(path)])
    assert not left.value.code
    return path


def test_numbers_are_arranged_by_step_and_layer(audit: Path) -> None:
    rows = pd.read_parquet(audit)
    strip = strip_of(rows.reindex(columns=["step", "layer", "name", "law", *NUMBERS]), "nats per input dimension")
    assert strip.steps.tolist() == [5, 10]
    assert strip.names == tuple(f"layers.{layer}.weight" for layer in range(3))
    for name in ("sigma_w", "singular_max", "bulk_max", "mi_linear"):
        np.testing.assert_array_equal(strip.values[name], rows[name].to_numpy().reshape(2, 3), err_msg=name)
    assert np.isnan(strip.values["mi_linear_measured"]).all()
    assert strip.drawn.tolist() == [[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]]
    # 2 sigma_w, but for the fluctuation of a median of 40 values
    np.testing.assert_allclose(strip.values["bulk_max"][0], 2.0 * strip.values["sigma_w"][0], rtol=0.1)
    assert strip.values["singular_max"][1, 2] > 1.3 * strip.values["bulk_max"][1, 2]


def test_the_bulk_is_that_of_marchenko_and_pastur() -> None:
    values = np.linalg.svd(np.random.default_rng(0).normal(size=(300, 900)), compute_uv=False)
    low, high = bulk_edges(values, 300, 900)
    assert low == pytest.approx(np.sqrt(900) - np.sqrt(300), rel=0.02)
    assert high == pytest.approx(np.sqrt(900) + np.sqrt(300), rel=0.02)


def test_rows_without_layers_are_nothing_to_draw() -> None:
    rows = pd.DataFrame({name: [None] for name in ("step", "layer", "name", "law", *NUMBERS)})
    with pytest.raises(ValueError, match="no row is a layer"):
        strip_of(rows, "nats")


@pytest.mark.thorough
def test_a_figure_has_its_layers_and_panels_and_the_same_bytes(audit: Path) -> None:
    strip = strip_of(pd.read_parquet(audit).reindex(columns=["step", "layer", "name", "law", *NUMBERS]), "nats")
    image = draw(strip, "svg")
    assert image == draw(strip, "svg")
    text = image.decode()
    for words in ("layers.2.weight", "edge of chaos", "random bulk", "information", "step"):
        assert f"<!-- {words}" in text
    assert "bounds on the total" not in text


def test_a_strip_is_written_and_its_numbers(command_line: CommandLine, tmp_path: Path, audit: Path) -> None:
    done = command_line("plot", audit, "-o", tmp_path / "a.png", "--data", tmp_path / "a.csv")
    assert (done.code, done.err) == (0, "")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    data = pd.read_csv(tmp_path / "a.csv")
    assert list(data["step"]) == [5] * 3 + [10] * 3
    np.testing.assert_array_equal(data["sigma_w"], pd.read_parquet(audit)["sigma_w"])
    assert command_line("plot", audit, "-o", tmp_path / "a.png").code == 5


def test_a_strip_in_characters(command_line: CommandLine, audit: Path) -> None:
    done = command_line("plot", audit, "--terminal", "--where", "step == 10")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith("sigma_w (o) against the edge of chaos (|)")
    assert all("o" in line and "layers" in line for line in lines[1:4])
    # the trained matrix has the largest scale and stands at the right end, the edge of linear layers left of it
    assert lines[3].index("|") < lines[3].rindex("o")
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("choice", [("--x", "depth"), ("--kind", "heat"), ("--quantity", "q")])
def test_choices_of_axes_are_those_of_sweeps(command_line: CommandLine, audit: Path, choice: tuple[str, str]) -> None:
    done = command_line("plot", audit, "--terminal", *choice)
    assert done.code == 2
    assert "the figure of an audit has its axes" in done.err


def test_a_condition_that_leaves_nothing_is_told(command_line: CommandLine, audit: Path) -> None:
    assert command_line("plot", audit, "--terminal", "--where", "step == 11").code == 2
