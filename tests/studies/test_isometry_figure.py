"""The figure of information against isometry: what it draws and from which numbers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mfmi
from mfmi.config.config import read_config
from mfmi.jacobian import isometry_ceiling
from studies.isometry_figure import along_edge, draw_isometry, main

ROOT = Path(__file__).parents[2]
COLUMNS = ["jacobian_mean", "jacobian_variance"]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """A small sweep like that of configs/isometry.yaml."""
    parts = [
        mfmi.evaluate(
            "erf",
            np.linspace(0.7, 1.9, 13),
            sigma_b,
            0.1,
            depth=3,
            weights=weights,
            estimators=["linear", "layerwise"],
            columns=COLUMNS,
        )
        for sigma_b in (0.1, 0.3)
        for weights in ("gaussian", "orthogonal")
    ]
    found = pd.concat(parts, ignore_index=True)
    return found.assign(mi_replica=found.mi_lower)


def test_the_numbers_along_the_edge_are_those_of_the_edge(frame: pd.DataFrame) -> None:
    edge = along_edge(frame[frame.weights == "gaussian"])
    exact = mfmi.edge_of_chaos("erf", sigma_b=[0.1, 0.3])
    assert edge.sigma_w.to_numpy() == pytest.approx(np.asarray(exact.sigma_w), rel=1e-9)
    for row in edge.itertuples():
        here = mfmi.evaluate(
            "erf", row.sigma_w, row.sigma_b, 0.1, depth=3, estimators=["linear", "layerwise"], columns=COLUMNS
        )
        assert row.mi_linear == pytest.approx(here.mi_linear[0], rel=1e-3)
        assert row.jacobian_mean == pytest.approx(here.jacobian_mean[0], rel=1e-3)


def test_orthogonal_weights_carry_more_and_an_isometry_most(frame: pd.DataFrame) -> None:
    """The two parts of the claim that hold everywhere."""
    gaussian, orthogonal = (frame[frame.weights == w] for w in ("gaussian", "orthogonal"))
    for name in ("mi_linear", "mi_lower"):
        assert (orthogonal[name].to_numpy() > gaussian[name].to_numpy()).all()
    assert (frame.mi_lower <= isometry_ceiling(frame.jacobian_mean, 1.0, 0.01)).all()
    assert (orthogonal.jacobian_variance.to_numpy() < gaussian.jacobian_variance.to_numpy()).all()


def test_it_is_drawn_twice_the_same(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.to_parquet(tmp_path / "sweep.parquet")
    assert main([str(tmp_path / "sweep.parquet"), str(tmp_path / "figure.png")]) == 0
    data = (tmp_path / "figure.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert data == draw_isometry(frame, 0.3)
    assert data != draw_isometry(frame, 0.1)
    with pytest.raises(SystemExit):
        main([str(tmp_path / "sweep.parquet"), str(tmp_path / "none.png"), "--sigma-b", "7"])


def test_the_config_has_what_the_figure_draws() -> None:
    config = read_config(ROOT / "configs" / "isometry.yaml")
    assert {"linear", "replica"} <= set(config.estimators)
    assert "jacobian_mean" in config.columns
    axes = {axis.name: axis for axis in config.axes}
    assert len(axes["weights"]) == 2
    assert 0.3 in axes["sigma_b"].at(np.arange(len(axes["sigma_b"])))
