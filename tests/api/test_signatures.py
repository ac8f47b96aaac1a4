"""The functions take what the commands take, by the names and with the defaults of the options."""

import inspect
from importlib import import_module

import click
import numpy as np
import pandas as pd
import pytest

import mfmi

# Of a command line alone: where the result goes, what a person sees, and short forms.
OF_COMMANDS = {"output_format", "output", "force", "explain", "help", "quiet", "verbose", "color", "strict", "residual"}
OF_FUNCTIONS = {"progress"}
RENAMED = {"ensembles": "weights", "checkpoints": "checkpoint"}
# What a checkpoint says itself, which the command refuses with a reason.
OF_FILES = {"audit": {"hidden_ratio", "sigma_w_in", "sigma_b_in", "sigma_w_out", "sigma_b_out"}}


def options(name: str) -> dict[str, click.Parameter]:
    command = import_module(f"mfmi.cli.{name}").command
    found = {RENAMED.get(one.name, one.name): one for one in command.params}
    left_out = OF_COMMANDS | OF_FILES.get(name, set())
    return {argument: one for argument, one in found.items() if argument not in left_out}


@pytest.mark.parametrize("name", ["audit", "capacity", "isometry", "recommend", "verify"])
def test_a_function_takes_what_its_command_takes(name: str) -> None:
    parameters = inspect.signature(getattr(mfmi, name)).parameters
    known = options(name)
    assert set(parameters) - OF_FUNCTIONS == set(known)
    context = click.Context(import_module(f"mfmi.cli.{name}").command)
    for argument, parameter in parameters.items():
        # None and () stand for what is not given, of which the docstring says what holds then.
        if argument in known and parameter.default not in (parameter.empty, None, ()):
            assert known[argument].get_default(context) == parameter.default, argument


@pytest.mark.parametrize("name", ["audit", "capacity", "evaluate", "isometry", "recommend", "verify", "fixed_point"])
def test_every_argument_is_documented(name: str) -> None:
    function = getattr(mfmi, name)
    text = inspect.getdoc(function) or ""
    section = text.partition("Parameters\n")[2].partition("Returns\n")[0]
    missing = [one for one in inspect.signature(function).parameters if one not in section]
    assert not missing


def scalars(given: object) -> list[object]:
    """A scalar as Python's own, as numpy's, and as an array of shape ()."""
    return [given, np.array(given)[()], np.array(given)]


@pytest.mark.thorough
@pytest.mark.parametrize("kind", range(3))
def test_numpy_scalars_are_as_good_as_pythons(kind: int) -> None:
    def one(given: object) -> object:
        return scalars(given)[kind]

    isometry = mfmi.isometry(
        one("relu"), one(1.4), one(0.1), one(0.2), one(2), weights=one("orthogonal"), noise_at=one("every"),
        input_variance=one(2.0), every_layer=one(True), skip=one(0.0),
    )  # fmt: skip
    plain = mfmi.isometry(
        "relu", 1.4, 0.1, 0.2, 2, weights="orthogonal", noise_at="every", input_variance=2.0, every_layer=True, skip=0
    )
    pd.testing.assert_frame_equal(isometry, plain)
    capacity = mfmi.capacity(one("tanh"), init=one("he"), widths=[one(4), one(3)], unit=one("bits"))
    pd.testing.assert_frame_equal(capacity, mfmi.capacity("tanh", init="he", widths=[4, 3], unit="bits"))
    ranked = mfmi.recommend(one("linear"), depth=one(2), sigma_b=one(0.0), by=one("linear"), init=one("lecun"))
    pd.testing.assert_frame_equal(
        pd.DataFrame(ranked), pd.DataFrame(mfmi.recommend("linear", depth=2, sigma_b=0.0, init="lecun"))
    )
    verified = mfmi.verify(
        one("linear"), one(1.0), depth=one(1), width=one(8), seeds=one(2), jobs=one(1), estimators=one("mean_field")
    )
    assert verified.attrs["mfmi"]["network"]["sigma_w"] == 1.0
    assert mfmi.fixed_point(one("tanh"), sigma_w=one(1.5)).phase == "chaotic"
    assert mfmi.edge_of_chaos(one("tanh"), sigma_b=one(0.0)).sigma_w == pytest.approx(1.0)
    assert mfmi.activation(one("tanh")).name == "tanh"
