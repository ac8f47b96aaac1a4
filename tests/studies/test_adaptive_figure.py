"""The study of adaptive sweeps: its measure of an edge, its configs, and its figure."""

import numpy as np
import pandas as pd
import pytest

from mfmi.config.config import load_config
from mfmi.sweep.adaptive import AdaptivePlan
from mfmi.sweep.plan import Plan
from studies.adaptive import ACTIVATIONS, SIGMA_W, computed, config_text, draw, edge_error


def test_the_error_is_the_length_on_which_the_phase_is_wrong() -> None:
    sigma_w, sigma_b = (mesh.ravel() for mesh in np.meshgrid(np.linspace(*SIGMA_W, 11), np.linspace(0.0, 1.0, 11)))
    phase = np.where(sigma_w > 1.6, "chaotic", "ordered")
    frame = pd.DataFrame({"sigma_w": sigma_w, "sigma_b": sigma_b, "phase": phase})
    # The nearest points turn half way between 1.5 and 1.75.
    assert edge_error(frame, lambda at: np.full_like(at, 1.625)) == pytest.approx(0.0, abs=2e-3)
    assert edge_error(frame, lambda at: np.full_like(at, 1.725)) == pytest.approx(0.1, abs=2e-3)
    assert edge_error(frame, lambda at: 1.625 + 0.2 * at) == pytest.approx(0.1, abs=2e-3)


def test_an_adaptive_sweep_is_nearer_to_the_edge_than_the_grid_that_it_begins_with() -> None:
    texts = [config_text("linear", 5, "edge", budget) for budget in (None, 80)]
    assert isinstance(Plan.from_config(load_config(texts[1], "x")), AdaptivePlan)
    # The edge of chaos of linear networks is sigma_w 1, for every sigma_b.
    grid, adaptive = (edge_error(computed(text), np.ones_like) for text in texts)
    assert adaptive < 0.25 * grid


def test_figure_is_drawn() -> None:
    pairs = {"grid": [(81, 0.1), (289, 0.05)], "adaptive": [(100, 0.05), (200, 0.01)]}
    results = {(what, name): pairs for what, names in ACTIVATIONS.items() for name in names}
    assert draw(results).startswith(b"\x89PNG")
