"""Meaning of names in PyTorch, JAX and Keras: their values on a grid, of data/make_library_activations.py."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from mfmi import activations

ROOT = Path(__file__).parents[2]
TABLE = json.loads((ROOT / "tests" / "data" / "library_activations.json").read_text())
GRID = np.array(TABLE["grid"])


@pytest.mark.parametrize("row", TABLE["rows"], ids=lambda row: f"{row['library']}-{row['call']}")
def test_values_are_those_of_the_library(row):
    values = np.array(row["values"])
    # PyTorch's softplus is u itself from beta u = 20 on, and Keras's tanh is computed in single precision.
    slack = {"nn.Softplus()": 3e-9, "nn.Softplus(beta=2.0)": 3e-9, "activations.tanh": 3e-7}.get(row["call"], 0.0)
    np.testing.assert_allclose(activations.get(row["here"])(GRID), values, rtol=1e-12 + slack, atol=1e-15)


def test_the_same_word_means_another_function_elsewhere():
    """The differences that the table in docs/activations.md is there for."""
    named = {(row["library"], row["call"]): row["here"] for row in TABLE["rows"]}
    assert activations.get(named["jax", "nn.gelu"]) != activations.get(named["torch", "nn.GELU()"])
    slopes = {
        named["torch", "nn.LeakyReLU()"],
        named["keras", "activations.leaky_relu"],
        named["keras", "layers.LeakyReLU()"],
    }
    assert len({activations.get(name) for name in slopes}) == 3


def test_the_documentation_has_every_call_and_version():
    text = (ROOT / "docs" / "activations.md").read_text()
    for library, version in TABLE["versions"].items():
        assert f"{library} {version}" in text.lower()
    names = set(re.findall(r"^\| `([^`]+)`", text, re.MULTILINE))
    assert set(activations.names()) <= {name.partition("(")[0] for name in names}
    for row in TABLE["rows"]:
        call = row["call"].partition(" with ")[0].partition("(")[0]
        assert call in text, row
