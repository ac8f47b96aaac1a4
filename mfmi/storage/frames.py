"""Rows as pandas data frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd


def to_frame(block: Mapping[str, Any]) -> pd.DataFrame:
    """Pandas frame of a block of rows: nulls of float columns as NaN, the contract's integer widths kept."""
    import pandas as pd

    # A column of text without any text would be of another type than the same column of a file.
    text = pd.Series(["text"]).dtype
    return pd.DataFrame({name: _series(np.asarray(values), text) for name, values in block.items()})


def _series(values: NDArray[Any], text: Any) -> Any:
    import pandas as pd

    is_empty = values.dtype == object and values.size > 0 and all(value is None for value in values)
    return pd.Series(values, dtype=text) if is_empty else values
