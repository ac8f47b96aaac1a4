"""Grid points: one network each, as arrays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from mfmi.arguments.arrays import FloatArray

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Points:
    """Grid points, one network each, as arrays of length n.

    Attributes
    ----------
    index : number of the point in the whole grid.
    activation : activation specification, such as "tanh" or "leaky_relu(0.1)".
    weights : "gaussian", "orthogonal", or the label of one of the model's ensembles.
    noise_at : "output" or "every".
    sigma_w, sigma_b, sigma_noise : standard deviations of weights, biases and noise.
    input_variance, correlation : variance of an input entry; correlation of the tracked pair of inputs.
    init : name of the library initialiser that sigma_w and sigma_b come from, or None; None for all points together.
    """

    index: NDArray[np.int64]
    activation: NDArray[np.object_]
    weights: NDArray[np.object_]
    noise_at: NDArray[np.object_]
    sigma_w: FloatArray
    sigma_b: FloatArray
    sigma_noise: FloatArray
    input_variance: FloatArray
    correlation: FloatArray
    init: NDArray[np.object_] | None = None

    @property
    def initialisers(self) -> NDArray[np.object_]:
        """The names in `init`, or None for each point."""
        import numpy as np

        return np.full(len(self), None, dtype=object) if self.init is None else self.init

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: slice | NDArray[Any]) -> Points:
        """The points `rows` (a slice, a mask or indices), in that order."""
        given: Iterable[Any] = (getattr(self, field.name) for field in fields(self))
        return Points(*(None if values is None else values[rows] for values in given))  # type: ignore[arg-type]

    @classmethod
    def of(
        cls,
        activation: str | Iterable[str] = "tanh",
        sigma_w: Any = 1.0,
        *,
        sigma_b: Any = 0.0,
        sigma_noise: Any = 0.1,
        weights: str | Iterable[str] = "gaussian",
        noise_at: str | Iterable[str] = "output",
        input_variance: Any = 1.0,
        correlation: Any = 0.5,
        init: str | None = None,
    ) -> Points:
        """Points from scalars and arrays, broadcast against each other to one dimension."""
        import numpy as np

        numbers = [
            np.asarray(a, dtype=np.float64) for a in (sigma_w, sigma_b, sigma_noise, input_variance, correlation)
        ]
        words = [
            np.asarray(a if isinstance(a, str) else list(a), dtype=object) for a in (activation, weights, noise_at)
        ]
        arrays = [np.atleast_1d(a).ravel() for a in np.broadcast_arrays(*words, *numbers)]
        count = len(arrays[0])
        names = None if init is None else np.full(count, init, dtype=object)
        return replace(cls(np.arange(count, dtype=np.int64), *arrays), init=names)
