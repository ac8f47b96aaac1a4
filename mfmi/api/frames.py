"""Data frames that a notebook shows as more than a table."""

from __future__ import annotations

from typing import Any, ClassVar

import pandas as pd

from mfmi.report.notebook import audit_html, recommendation_html


class _ShownFrame(pd.DataFrame):
    """A data frame; what is made of it is a plain one."""

    _html: ClassVar[staticmethod[[pd.DataFrame], str]]

    @property
    def _constructor(self) -> Any:
        return pd.DataFrame

    def _repr_html_(self) -> str | None:
        return type(self)._html(self) if pd.get_option("display.notebook_repr_html") else None


class RecommendationFrame(_ShownFrame):
    """Result of `mfmi.recommend`: a `pandas.DataFrame` that a notebook shows with the best initialisation on top."""

    _html = staticmethod(recommendation_html)


class AuditFrame(_ShownFrame):
    """Result of `mfmi.audit`: a `pandas.DataFrame` that a notebook shows below its findings."""

    _html = staticmethod(audit_html)
