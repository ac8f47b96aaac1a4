"""Mutual information of random neural networks at initialisation.

Everything public is here and loads on first use, so that ``import mfmi`` costs nothing.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from mfmi.names import __version__

if TYPE_CHECKING:
    from mfmi import initialisers
    from mfmi.activations import get as activation
    from mfmi.activations import names as activation_names
    from mfmi.api.audit import audit
    from mfmi.api.capacity import capacity
    from mfmi.api.evaluate import evaluate
    from mfmi.api.isometry import isometry
    from mfmi.api.recommend import recommend
    from mfmi.api.verify import verify
    from mfmi.errors import ConfigError, MfmiError, NumericsError, OutputError, ResumeError
    from mfmi.meanfield import edge_of_chaos, fixed_points
    from mfmi.networks.ends import fixed_point
    from mfmi.networks.weights import Weights
    from mfmi.processes.progress import Progress

__all__ = [
    "ConfigError",
    "MfmiError",
    "NumericsError",
    "OutputError",
    "Progress",
    "ResumeError",
    "Weights",
    "__version__",
    "activation",
    "activation_names",
    "audit",
    "capacity",
    "edge_of_chaos",
    "evaluate",
    "fixed_point",
    "fixed_points",
    "initialisers",
    "isometry",
    "recommend",
    "verify",
]

_HOMES = {
    "ConfigError": ("mfmi.errors", "ConfigError"),
    "MfmiError": ("mfmi.errors", "MfmiError"),
    "NumericsError": ("mfmi.errors", "NumericsError"),
    "OutputError": ("mfmi.errors", "OutputError"),
    "Progress": ("mfmi.processes.progress", "Progress"),
    "ResumeError": ("mfmi.errors", "ResumeError"),
    "Weights": ("mfmi.networks.weights", "Weights"),
    "activation": ("mfmi.activations", "get"),
    "activation_names": ("mfmi.activations", "names"),
    "audit": ("mfmi.api.audit", "audit"),
    "capacity": ("mfmi.api.capacity", "capacity"),
    "edge_of_chaos": ("mfmi.meanfield", "edge_of_chaos"),
    "evaluate": ("mfmi.api.evaluate", "evaluate"),
    "fixed_point": ("mfmi.networks.ends", "fixed_point"),
    "fixed_points": ("mfmi.meanfield", "fixed_points"),
    "initialisers": ("mfmi.initialisers", ""),
    "isometry": ("mfmi.api.isometry", "isometry"),
    "recommend": ("mfmi.api.recommend", "recommend"),
    "verify": ("mfmi.api.verify", "verify"),
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'mfmi' has no attribute {name!r}", name=name, obj=sys.modules[__name__])
    module, attribute = _HOMES[name]
    home = import_module(module)
    value = getattr(home, attribute) if attribute else home
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
