"""The Python face: arguments checked, a data frame out."""

from mfmi.api._audit import audit
from mfmi.api._evaluate import evaluate

__all__ = ["audit", "evaluate"]
