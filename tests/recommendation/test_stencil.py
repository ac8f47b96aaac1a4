"""The stencil that `recommend` climbs with: it ends at maxima, inside, on the borders, and where values end."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from mfmi.recommendation.stencil import Stencil

BOX = ((-1.0, 2.0), (0.0, 1.0))


def climb(f: Callable[[float, float], float], start: Stencil, rounds: int = 40) -> tuple[Stencil, int]:
    """Follow a stencil until it is small; where it ends, and how many rounds it took."""
    for number in range(rounds):
        if start.size < 1e-5:
            return start, number
        w, b = start.places
        assert np.all((w >= math.exp(-1.0) * (1 - 1e-12)) & (w <= math.exp(2.0) * (1 + 1e-12)))
        assert np.all((b >= start.bounds[1][0]) & (b <= start.bounds[1][1]))
        start = start.next(np.array([f(x, y) for x, y in zip(np.log(w), b, strict=True)]))
    raise AssertionError(f"still {start}")


@pytest.mark.parametrize("place", [(0.3, 0.4), (0.3, 0.0), (-1.0, 0.4), (2.0, 1.0), (1.99, 0.01)])
def test_it_finds_a_smooth_maximum_wherever_it_lies(place: tuple[float, float]) -> None:
    def f(x: float, y: float) -> float:
        dx, dy = x - place[0], y - place[1]
        return math.exp(-3.0 * dx * dx - 2.0 * dy * dy - 1.5 * dx * dy) / (1.0 + dx**4)

    found, rounds = climb(f, Stencil((0.5, 0.5), (0.1, 0.1), BOX))
    assert found.middle == pytest.approx(place, abs=2e-4)
    assert rounds < 25


def test_a_single_axis() -> None:
    found, rounds = climb(lambda x, y: 1.0 / (1.0 + (x - 0.7) ** 2), Stencil((0.5, 0.2), (0.1, 0.0), BOX))
    assert found.middle == pytest.approx((0.7, 0.2), abs=1e-4)
    assert rounds < 12


def test_the_border_of_what_has_a_value() -> None:
    # As where variances grow without bound: the largest value lies at the end.
    found, _ = climb(lambda x, y: math.exp(x) if x < 0.6 else -math.inf, Stencil((0.5, 0.2), (0.1, 0.0), BOX))
    assert found.middle[0] == pytest.approx(0.6, abs=1e-4)
    assert found.middle[0] < 0.6


def test_a_ridge_that_bends() -> None:
    # Its quadratics point astray from afar.
    found, _ = climb(
        lambda x, y: 1.0 / (0.01 + 10.0 * (y - 0.3 * x * x) ** 2 + (x - 1.2) ** 2),
        Stencil((-0.5, 0.1), (0.1, 0.1), BOX),
        400,
    )
    assert found.middle == pytest.approx((1.2, 0.432), abs=1e-3)


def test_nothing_has_a_value() -> None:
    start = Stencil((0.5, 0.5), (0.1, 0.1), BOX)
    assert start.next(np.full(9, -np.inf)).size == 0.0
