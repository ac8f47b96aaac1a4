"""Base of the results of the mean field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


class PointTable(Mapping[str, Any]):
    """A result whose fields are arrays of one shape: attributes, a mapping, and a data frame on request."""

    def to_frame(self) -> pd.DataFrame:
        """Return the fields as columns, a row per entry in C order; one row of scalars."""
        import pandas as pd

        return pd.DataFrame({name: np.ravel(np.asarray(value)) for name, value in self.items()})

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return (field.name for field in fields(self))  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(fields(self))  # type: ignore[arg-type]

    def __contains__(self, name: object) -> bool:
        return any(name == field for field in self)
