"""Grid points: one network each, as arrays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from mfmi.arguments.arrays import FloatArray

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mfmi.networks.structure import Structure


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
    structure : norms, skips and the like; None where no point has any.
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
    structure: Structure | None = None

    @property
    def structured(self) -> Structure:
        """`structure`, that of plain networks where there is none."""
        from mfmi.networks.structure import Structure

        return Structure.plain(self) if self.structure is None else self.structure

    @property
    def is_plain(self) -> NDArray[np.bool_]:
        """Whether a point is a stack of layers, without norms, skips or relative noise."""
        import numpy as np

        return np.ones(len(self), dtype=bool) if self.structure is None else self.structure.is_plain(self)

    def settings(self, depths: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The columns that say which networks these are, observed at depths of shape (n, D), each of that shape."""
        import numpy as np

        own = self.structured
        names = ("activation", "weights", "noise_at", "sigma_w", "sigma_b", "sigma_noise", "input_variance")
        values = {name: getattr(self, name) for name in names} | {"init": self.initialisers}
        values |= {name: getattr(own, name) for name in ("normalization", "norm_at", "noise_scale", "skip")}
        values |= {"branch_matrices": own.branch_matrices, "point": self.index}
        found = {name: np.broadcast_to(one[:, None], depths.shape).copy() for name, one in values.items()}
        return found | {"branch": own.branch_at(depths), "depth": depths.astype(np.int32)}

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
        given: list[Any] = list(arrays)
        return replace(cls(np.arange(count, dtype=np.int64), *given), init=names)
