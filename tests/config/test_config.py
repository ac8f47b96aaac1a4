"""Meaning of a valid config: values, defaults, modes, YAML 1.2, overrides, and equivalent spellings."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mfmi.config.config import Config, LocatedConfigError, load_config, read_config
from mfmi.config.yaml import resolve
from mfmi.errors import ConfigError, OutputError
from mfmi.names import DEFAULT_ESTIMATORS

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


def config(sweep: str, rest: str = "", overrides: tuple[str, ...] = ()) -> Config:
    return load_config(f"version: 1\nsweep: {{{sweep}}}\n{rest}", "some.yaml", overrides)


def values(config: Config, name: str) -> list[object]:
    axis = next(axis for axis in config.axes if axis.name == name)
    found: list[object] = axis.at(np.arange(len(axis))).tolist()
    return found


def test_everything_in_the_contract() -> None:
    found = load_config(
        """version: 1
sweep:
  mode: product                 # product | zip | points
  activation: [tanh, relu]
  sigma_w: {start: 0.5, stop: 3.0, num: 101}
  sigma_b: {start: 1e-3, stop: 1, num: 31, spacing: log}    # the ends are values, both included
  sigma_noise: 0.1
  noise_at: [output, every]
  weights: [gaussian, orthogonal]
  depth: [1, 2, 5, 10, 20]
  exclude: [{activation: relu, noise_at: every}]
estimators: [linear, entropy_power, layerwise, gaussian_upper]
input: {variance: 1.0, correlation: 0.5}
output: {path: eoc.parquet, unit: nats}
seed: 0
""",
        "eoc.yaml",
    )
    assert [axis.name for axis in found.axes] == [
        "activation",
        "sigma_w",
        "sigma_b",
        "sigma_noise",
        "noise_at",
        "weights",
    ]
    assert values(found, "sigma_w") == np.linspace(0.5, 3.0, 101).tolist()
    assert values(found, "sigma_b") == np.geomspace(1e-3, 1, 31).tolist()
    assert found.depths == (1, 2, 5, 10, 20)
    assert found.estimators == ("linear", "entropy_power", "layerwise", "gaussian_upper")
    assert (found.input_variance, found.input_correlation) == (1.0, 0.5)
    assert (found.output_path, found.output_unit, found.seed) == ("eoc.parquet", "nats", 0)


def test_defaults_are_those_of_the_command_line() -> None:
    found = config("activation: tanh, sigma_w: 1.5")
    assert values(found, "sigma_b") == [0.0]
    assert values(found, "sigma_noise") == [0.1]
    assert values(found, "noise_at") == ["output"]
    assert values(found, "weights") == ["gaussian"]
    assert found.mode == "product"
    assert found.depths == (10,)
    assert found.estimators == DEFAULT_ESTIMATORS
    assert (found.input_variance, found.input_correlation) == (1.0, 0.5)
    assert (found.output_path, found.output_unit, found.seed) == (None, "nats", 0)


@pytest.mark.parametrize("form", ["2", "[2]", "{values: [2]}", "{start: 2, stop: 2, num: 1}"])
def test_one_value_in_every_form(form: str) -> None:
    assert values(config(f"activation: tanh, sigma_w: {form}"), "sigma_w") == [2.0]


def test_variances_become_deviations() -> None:
    found = config("activation: tanh, sigma_w2: [2, 4], sigma_b2: {start: 0, stop: 0.25, num: 2}")
    assert values(found, "sigma_w") == [2**0.5, 2.0]
    assert values(found, "sigma_b") == [0.0, 0.5]
    assert [axis.given_as for axis in found.axes[1:3]] == ["sigma_w2", "sigma_b2"]


@pytest.mark.parametrize(
    ("form", "depths"),
    [
        ("7", (7,)),
        ("[3, 1]", (3, 1)),
        ("[1e1, 2.0]", (10, 2)),
        ("{start: 1, stop: 5, num: 5}", (1, 2, 3, 4, 5)),
        ("{start: 1, stop: 10000, num: 5, spacing: log}", (1, 10, 100, 1000, 10000)),
    ],
)
def test_depths(form: str, depths: tuple[int, ...]) -> None:
    found = config(f"activation: tanh, sigma_w: 1, depth: {form}")
    assert found.depths == depths
    assert all(type(depth) is int for depth in found.depths)


def test_estimators_come_in_the_order_of_their_columns() -> None:
    assert config("activation: tanh, sigma_w: 1", "estimators: [replica, linear]").estimators == ("linear", "replica")
    assert config("activation: tanh, sigma_w: 1", "estimators: linear").estimators == ("linear",)


def test_activations_are_known_by_one_name() -> None:
    found = config("activation: [identity, 'leaky_relu( 0.10 )'], sigma_w: 1")
    assert values(found, "activation") == ["linear", "leaky_relu(0.1)"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        (".5", 0.5),
        ("5.", 5.0),
        ("+.5e+1", 5.0),
        ("010", 10),
        ("-0", 0),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b11", "0b11"),
        ("017o", "017o"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("No", "No"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("TRUE", True),
        ("tRUE", "tRUE"),
        ("null", None),
        ("~", None),
        ("", None),
        ("nil", "nil"),
        (".inf", float("inf")),
        ("-.INF", float("-inf")),
        ("inf", "inf"),
        ("nan", "nan"),
        ("2001-01-01", "2001-01-01"),
        ("=", "="),
        ("<<", "<<"),
        (".", "."),
        ("e5", "e5"),
        ("1e", "1e"),
    ],
)
def test_scalars_mean_what_yaml_12_says(text: str, value: object) -> None:
    found = resolve(text)
    assert found == value
    assert type(found) is type(value)


def test_anchors_and_aliases() -> None:
    found = load_config(
        "version: 1\nsweep:\n  activation: tanh\n  sigma_w: &range {start: 1, stop: 2, num: 3}\n  sigma_b: *range\n",
        "some.yaml",
    )
    assert values(found, "sigma_b") == values(found, "sigma_w") == [1.0, 1.5, 2.0]


def test_text_is_kept_with_its_hash() -> None:
    text = "version: 1\r\nsweep: {activation: tanh, sigma_w: 1}  # é"
    found = load_config(text, "some.yaml")
    assert found.text == text
    assert found.sha256 == hashlib.sha256(text.encode()).hexdigest()


def test_overrides_replace_add_and_are_recorded() -> None:
    found = load_config(
        "version: 1\nsweep: {activation: tanh, sigma_w: {start: 1, stop: 2, num: 3}, sigma_b: [0, 1]}",
        "some.yaml",
        [
            "sweep.depth=[1,2]",
            "sweep.sigma_w.num=2",
            "output.unit=bits",
            "sweep.sigma_b.1=0.5",
            "sweep.depth=3\n",
            "seed= 1e1",
        ],
    )
    assert found.depths == (3,)
    assert values(found, "sigma_w") == [1.0, 2.0]
    assert values(found, "sigma_b") == [0.0, 0.5]
    assert (found.output_unit, found.seed) == ("bits", 10)
    assert found.text.splitlines()[2:4] == ["# --set 'sweep.depth=[1,2]'", "# --set sweep.sigma_w.num=2"]
    assert found.sha256 == hashlib.sha256(found.text.encode()).hexdigest()
    again = load_config(found.text, "some.yaml")
    assert again.depths == (10,)  # the record is a comment


def test_an_added_axis_is_the_fastest() -> None:
    found = config("activation: tanh, sigma_w: [1, 2]", overrides=("sweep.sigma_b=[0, 1]",))
    assert [axis.name for axis in found.axes if len(axis) > 1] == ["sigma_w", "sigma_b"]


def test_code_runs_only_when_the_command_line_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil_module.py").write_text(
        "from pathlib import Path\nPath('ran').touch()\n\ndef f(u):\n    return u\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    text = "version: 1\nsweep: {activation: ['evil_module:f'], sigma_w: 1, exclude: [{activation: 'evil_module:f'}]}"
    for again in (text, text.replace("['evil_module:f']", "'evil_module:f'"), text.replace("'evil", "' evil")):
        with pytest.raises(LocatedConfigError, match="a config runs no code of its own"):
            load_config(again, "some.yaml")
    assert not (tmp_path / "ran").exists()


MEANT_ALIKE = [
    "version: 1\nsweep: {activation: tanh, sigma_w: [1, 2], sigma_b: 0.5, depth: 5}",
    "sweep: {sigma_b: 0.5, activation: [tanh], depth: [5.0], sigma_w: {start: 1, stop: 2, num: 2}}\nversion: 1",
    "version: 1\nsweep: {activation: tanh, sigma_w2: {values: [1, 4]}, sigma_b2: 0.25, depth: 5}\nseed: 0",
    "version: 1\nsweep: {mode: product, activation: tanh, sigma_w: [1, 2], sigma_b: 0.5, depth: 5, weights: gaussian,"
    " sigma_noise: 1e-1, noise_at: output, exclude: []}\noutput: {path: a.csv}\ninput: {variance: 1}",
]
MEANT_OTHERWISE = {
    "sweep.sigma_w": "sweep.sigma_w=[1, 3]",
    "sweep.sigma_b": "sweep.sigma_b=0.25",
    "sweep.depth": "sweep.depth=6",
    "sweep.weights": "sweep.weights=orthogonal",
    "sweep.exclude": "sweep.exclude=[{sigma_w: 1}]",
    "sweep.mode": "sweep.mode=zip",
    "input.variance": "input.variance=2",
    "estimators": "estimators=linear",
    "output.unit": "output.unit=bits",
    "seed": "seed=1",
}


def test_same_meaning_same_canonical_form() -> None:
    forms = [load_config(text, "some.yaml").canonical() for text in MEANT_ALIKE]
    assert all(form == forms[0] for form in forms)
    assert json.loads(json.dumps(forms[0])) == forms[0]


@pytest.mark.parametrize("key", MEANT_OTHERWISE)
def test_other_meaning_shows_in_its_key(key: str) -> None:
    one = load_config(MEANT_ALIKE[0], "some.yaml").canonical()
    other = load_config(MEANT_ALIKE[0], "some.yaml", [MEANT_OTHERWISE[key]]).canonical()
    assert key in {name for name in one if one[name] != other[name]}
    assert {name for name in one if one[name] != other[name]} <= {key, "sweep.order"}


def test_order_of_axes_shows_in_the_canonical_form() -> None:
    one = config("activation: tanh, sigma_w: [1, 2], sigma_b: [1, 2]").canonical()
    other = config("activation: tanh, sigma_b: [1, 2], sigma_w: [1, 2]").canonical()
    assert {name for name in one if one[name] != other[name]} == {"sweep.order"}


def test_canonical_form_of_a_huge_range_is_small() -> None:
    form = config("activation: tanh, sigma_w2: {start: 0, stop: 2, num: 1e9}").canonical()
    assert form["sweep.sigma_w"] == {"sigma_w2": [0.0, 2.0, 10**9, "linear"]}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_shipped_configs_are_valid(path: Path) -> None:
    assert read_config(path).text == path.read_text()


def test_reading_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for name in (tmp_path / "missing.yaml", tmp_path, "nul\0name"):
        with pytest.raises(OutputError, match="cannot read"):
            read_config(name)


def test_loading_needs_no_pandas() -> None:
    code = (
        "import sys; from mfmi.config.config import load_config; from mfmi.sweep.plan import Plan;"
        "Plan.from_config(load_config('version: 1\\nsweep: {activation: tanh, sigma_w: 1}', 'f')).points(0, 1);"
        "print([name for name in ('pandas', 'pyarrow', 'click', 'rich', 'matplotlib', 'dask') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_config_errors_are_config_errors() -> None:
    with pytest.raises(ConfigError):
        load_config("", "some.yaml")
