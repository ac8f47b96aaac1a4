"""The JSON Schema for editors says what the program says: whatever a config may hold, and nothing that it may not."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_config_errors import CASES, located

from mfmi.config.config import json_schema

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
STARTER = Path(__file__).parents[2] / "mfmi" / "cli" / "starter.yaml"
SCHEMA = json_schema()

_TYPES = {"object": dict, "array": list, "string": str, "number": (int, float), "integer": (int, float)}


def accepts(schema: Any, value: Any) -> bool:
    """Judge a value by the part of JSON Schema that is in use; an unknown word in a schema is an error."""
    if isinstance(schema, bool):
        return schema
    return all(_WORDS[word](schema[word], value, schema) for word in schema)


def _of_type(name: str, value: Any, _: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, _TYPES[name]):
        return False
    return name != "integer" or float(value).is_integer()


def _conditional(condition: Any, value: Any, schema: Any) -> bool:
    return accepts(schema.get("then" if accepts(condition, value) else "else", True), value)


_WORDS: dict[str, Any] = {
    "$schema": lambda *_: True,
    "title": lambda *_: True,
    "description": lambda *_: True,
    "default": lambda default, _, schema: "default" not in schema or default is not None,
    "examples": lambda *_: True,
    "then": lambda *_: True,
    "else": lambda *_: True,
    "type": _of_type,
    "enum": lambda options, value, _: value in options,
    "const": lambda wanted, value, _: value == wanted and not isinstance(value, bool),
    "minimum": lambda bound, value, _: not isinstance(value, int | float) or value >= bound,
    "maximum": lambda bound, value, _: not isinstance(value, int | float) or value <= bound,
    "minLength": lambda least, value, _: not isinstance(value, str) or len(value) >= least,
    "minItems": lambda least, value, _: not isinstance(value, list) or len(value) >= least,
    "items": lambda inner, value, _: not isinstance(value, list) or all(accepts(inner, item) for item in value),
    "required": lambda names, value, _: not isinstance(value, dict) or set(names) <= set(value),
    "properties": lambda inner, value, _: (
        not isinstance(value, dict) or all(accepts(inner[name], value[name]) for name in value if name in inner)
    ),
    "additionalProperties": lambda allowed, value, schema: (
        allowed or not isinstance(value, dict) or set(value) <= set(schema["properties"])
    ),
    "anyOf": lambda options, value, _: any(accepts(option, value) for option in options),
    "allOf": lambda options, value, _: all(accepts(option, value) for option in options),
    "not": lambda inner, value, _: not accepts(inner, value),
    "if": _conditional,
}


def parsed(text: str) -> Any:
    """The value of a text in which numbers are written as YAML 1.1 has them too."""
    return yaml.safe_load(text.replace("1e13", "1.0e+13").replace("1e12", "1.0e+12").replace("1e-3", "1.0e-3"))


@pytest.mark.parametrize("path", [*CONFIGS, STARTER], ids=lambda path: path.name)
def test_valid_configs_are_accepted(path: Path) -> None:
    assert accepts(SCHEMA, parsed(path.read_text()))


@pytest.mark.parametrize(
    "sweep",
    [
        "{activation: tanh, sigma_w2: {values: [1]}, depth: {start: 1, stop: 3, num: 3}}",
        "{mode: zip, activation: [tanh], sigma_w: [1], exclude: [{sigma_w: [1]}, {activation: tanh}]}",
        "{mode: points, activation: tanh, points: [{sigma_w: 1, depth: 3}, {sigma_w: 2}]}",
        "{mode: adaptive, activation: tanh, sigma_w: {start: 1, stop: 2, num: 5}, adaptive: {points: 9}}",
        "{mode: points, depth: [1, 2], points: [{sigma_w: 1, activation: relu}]}",
    ],
)
def test_every_mode_is_accepted(sweep: str) -> None:
    assert accepts(SCHEMA, parsed(f"version: 1\nsweep: {sweep}"))


# Mistakes that lie between values, or in what a word means; only the program finds those.
BEYOND = (
    "too many positions",
    "impossible correlations",
    "convolution of a correlated input",
    "activation of a convolution",
    "norms of a convolution",
    "prior without",
    "sparsity of no prior",
    "spectrum of the input",
    "one width",
    "beyond the layers",
    "duplicate",
    "twice",
    "empty range",
    "range of one value",
    "log from zero",
    "broken depths",
    "more depths",
    "unknown activation",
    "activation with",
    "activation that",
    "zip of",
    "a budget below",
    "to refine",
    "cannot be refined",
    "too many refined",
    "not computed",
    "a tolerance",
    "points that lack",
    "points beside",
    "points of two minds",
    "points in two forms",
    "exclude",
    "grid beyond",
    "infinite end",
    "overflowing",
    "huge integer",
    "not a number",
    "number whose square",
    "key that is no word",
    "number for a key",
)


@pytest.mark.parametrize("name", [name for name in CASES if not any(part in name for part in BEYOND)])
def test_mistakes_are_refused(name: str) -> None:
    assert not accepts(SCHEMA, parsed(located(CASES[name][0])[0]))


def test_schema_is_json() -> None:
    assert json.loads(json.dumps(SCHEMA, allow_nan=False)) == SCHEMA
