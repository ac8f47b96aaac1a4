"""Arguments that say what norms, skips and noise networks have, as text and numbers: to a structure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.checks import numbers, objects, whole_numbers, words
from mfmi.arguments.ranges import NUMBERS
from mfmi.errors import likeliest, shown
from mfmi.meanfield import NUMBER_FORMATS
from mfmi.names import BY_DEPTH, NOISE_PATHS, NOISE_SCALES, NORM_PLACES, NORMALIZATIONS
from mfmi.networks.points import Points
from mfmi.networks.structure import Structure, check

_WORDS = {
    "normalization": NORMALIZATIONS,
    "norm_at": NORM_PLACES,
    "noise_scale": NOISE_SCALES,
    "noise_in": NOISE_PATHS,
}
_SCALES = ("sigma_w_in", "sigma_b_in", "sigma_w_out", "sigma_b_out")
OF_TWO = ("hidden_ratio", "sigma_w_out", "sigma_b_out")
"""Settings of networks with two matrices in a branch."""


@dataclass(frozen=True)
class Settings:
    """Settings of norms, skips and noise as they were given, each as an array that broadcasts; see `Settings.of`.

    Attributes
    ----------
    arrays : by the name of the argument, those that were given alone; `branch` with NaN for `1/sqrt(depth)`.
    number_format : names of number formats, None where the noise is a number.
    """

    arrays: Mapping[str, NDArray[Any]]
    number_format: NDArray[np.object_]

    @classmethod
    def of(cls, sigma_noise: object, **given: object) -> tuple[Settings, NDArray[np.float64]]:
        """Check the arguments; those that are None were not given.

        Returns
        -------
        settings : the arguments.
        sigma_noise : standard deviations of the noise, those of number formats the relative ones of their rounding.

        Raises
        ------
        ValueError
            One of them is out of range, or no word that is known; it names the argument and the value.
        """
        arrays: dict[str, NDArray[Any]] = {}
        for name, value in given.items():
            if value is None:
                continue
            if name in _WORDS:
                arrays[name] = words(name, value, _WORDS[name])
            elif name == "branch":
                arrays[name] = _branch(value)
            elif name == "branch_matrices":
                found = whole_numbers(name, value, 2)
                arrays[name] = found if objects(value).ndim else found[0]
            else:
                arrays[name] = numbers(name, value, NUMBERS[name])
        formats, noise = noise_of(sigma_noise)
        return cls(arrays, formats), noise

    @classmethod
    def read(cls, sigma_noise: NDArray[Any], given: Mapping[str, NDArray[Any]]) -> tuple[Settings, NDArray[np.float64]]:
        """As `of`, for arrays of length n that are known to be in range; None in them was not given."""
        arrays = dict(given)
        if "branch" in arrays:
            arrays["branch"] = np.array([np.nan if one == BY_DEPTH else one for one in arrays["branch"]], dtype=object)
        formats, noise = noise_of(sigma_noise)
        return cls(arrays, formats), noise

    @property
    def broadcast(self) -> dict[str, NDArray[Any]]:
        """The arrays that have to meet the other arguments'."""
        return {**self.arrays, "number_format": self.number_format}

    def structure(self, known: Mapping[str, NDArray[Any]]) -> Structure | None:
        """The structure of networks, or None if nothing was said of any.

        Parameters
        ----------
        known : the arrays of `broadcast`, with `sigma_w` and `sigma_b`, all of length n.
        """
        formats = known["number_format"]
        rounds = np.array([one is not None for one in formats], dtype=bool)
        if not (self.arrays or rounds.any()):
            return None
        n = len(formats)

        def given(name: str, otherwise: Any) -> NDArray[Any]:
            others = otherwise if isinstance(otherwise, np.ndarray) else np.full(n, otherwise)
            if name not in known:
                return others
            own = known[name]
            if own.dtype != object:
                return own
            return np.where(np.array([one is None for one in own], dtype=bool), others, own)

        def numbers_of(name: str, otherwise: Any) -> NDArray[np.float64]:
            return given(name, otherwise).astype(np.float64)

        norm = given("normalization", "none").astype(object)
        skip = numbers_of("skip", 0.0)
        branch = numbers_of("branch", 1.0)
        places = given("norm_at", "activation").astype(object)
        places[norm == "none"] = None
        values: tuple[Any, ...] = (
            norm,
            places,
            given("noise_scale", np.where(rounds, "relative", "absolute")).astype(object),
            given("noise_in", np.where(rounds & (skip != 0.0), "stream", "branch")).astype(object),
            skip,
            np.where(np.isnan(branch), 1.0, branch),
            np.isnan(branch),
            given("branch_matrices", 1).astype(np.int32),
            numbers_of("hidden_ratio", 1.0),
            *(numbers_of(name, known[name[: len("sigma_w")]]) for name in _SCALES),
            formats,
        )
        return Structure(*values)

    def check(self, structure: Structure | None) -> None:
        """Refuse settings that belong to others which none of the networks `structure` has.

        Raises
        ------
        ValueError
            It names the first such setting, and what to give besides.
        """
        if structure is None:
            return
        double = structure.branch_matrices == 2
        company = [
            ("norm_at", structure.normalization != "none", "the place of a norm; give normalization"),
            ("noise_in", structure.skip != 0.0, "that of a residual network; give skip"),
            *((name, double, "that of two matrices; give branch_matrices 2") for name in OF_TWO),
        ]
        for name, there, what in company:
            if name in self.arrays and not there.any():
                first = next(one for one in self.arrays[name].ravel().tolist() if one is not None)
                raise ValueError(f"{name}: {shown(first)} is {what}")


def with_settings(points: Points, sigma_noise: object, given: Mapping[str, object]) -> Points:
    """Points with the norms, skips and noise that arguments say.

    Parameters
    ----------
    points : one point.
    sigma_noise : standard deviation of the noise, or the name of a number format.
    given : the other arguments by name, None where not given.

    Raises
    ------
    ValueError
        One of them is out of range, or they contradict each other; it names the argument.
    """
    settings, noise = Settings.of(sigma_noise, **given)
    known = {name: np.atleast_1d(array) for name, array in settings.broadcast.items()}
    structure = settings.structure(known | {"sigma_w": points.sigma_w, "sigma_b": points.sigma_b})
    settings.check(structure)
    found = replace(points, sigma_noise=np.atleast_1d(noise), structure=structure)
    check(found)
    return found


def _branch(value: object) -> NDArray[np.float64]:
    """Factors of the branch, NaN for the word that divides by the root of the depth."""
    array = objects(value)
    if not any(isinstance(one, str) for one in array.flat):
        return numbers("branch", value, NUMBERS["branch"])
    for one in array.flat:
        if isinstance(one, str) and one != BY_DEPTH:
            raise ValueError(f"branch: {shown(one)} is neither a number nor {BY_DEPTH}")
    found = [np.nan if isinstance(one, str) else float(numbers("branch", one, NUMBERS["branch"])) for one in array.flat]
    return np.array(found).reshape(array.shape)


def noise_of(value: object) -> tuple[NDArray[np.object_], NDArray[np.float64]]:
    """Names of number formats, None for numbers; standard deviations."""
    array = objects(value)
    if not any(isinstance(one, str) for one in array.flat):
        deviation = numbers("sigma_noise", value, NUMBERS["sigma_noise"])
        return np.full(deviation.shape, None, dtype=object), deviation
    for one in array.flat:
        if isinstance(one, str) and one not in NUMBER_FORMATS:
            known, near = ", ".join(NUMBER_FORMATS), likeliest(one, NUMBER_FORMATS)
            hint = f" (did you mean {near}?)" if near else ""
            raise ValueError(f"sigma_noise: {shown(one)} is neither a number nor one of {known}{hint}")
    names = [one if isinstance(one, str) else None for one in array.flat]
    deviations = [
        float(np.sqrt(NUMBER_FORMATS[one].share))
        if isinstance(one, str)
        else float(numbers("sigma_noise", one, NUMBERS["sigma_noise"]))
        for one in array.flat
    ]
    found = np.empty(array.shape, dtype=object)
    found[...] = np.array(names, dtype=object).reshape(array.shape)
    return found, np.array(deviations).reshape(array.shape)
