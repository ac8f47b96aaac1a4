"""The page of an audit: its layers in order, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mfmi.columns import Column
from mfmi.report.audit_strip import DRAWN
from mfmi.report.axes import FigureAxis
from mfmi.report.figure_choice import LONG
from mfmi.report.page.of_sweep import RULES, basis
from mfmi.report.page.packing import DIGITS, LEAST_EXPONENT, Packer, packed_column
from mfmi.report.page.parts import Page, number_axis, word_axis

if TYPE_CHECKING:
    import pandas as pd

_NAMED = 40
_WEIGHTS, _EDGE, _BULK, _MEASURED = "#0072B2", "#D55E00", "#8c8c8c", "#CC79A7"
_BAND = "#009E73"


def audit_page(
    rows: pd.DataFrame,
    columns: Sequence[Column],
    origin: Mapping[str, Any] | None,
    *,
    title: str,
    summary: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Page:
    """Gather the page of an audit.

    Parameters
    ----------
    rows
        All columns of the rows.
    columns
        What the columns are, in the order of the file.
    origin
        Provenance of the file, with the findings.
    title
        Its name.
    summary, notes
        What else is said above the picture and below it.

    Raises
    ------
    ValueError
        No row is a layer whose weights are known.
    """
    layers = rows[rows["layer"].notna() & rows["sigma_w"].notna()]
    if layers.empty:
        raise ValueError("no row is a layer whose weights are known")
    names = list(dict.fromkeys(layers["name"]))
    steps = np.unique(layers["step"].to_numpy(np.int64))
    number = {name: place for place, name in enumerate(names)}
    layers = layers.assign(_place=layers["name"].map(number)).sort_values(["step", "_place"], kind="stable")
    packer = Packer()
    axes = [
        word_axis("name", "layer", names) | {"labels": names, "places": packer.add(layers["_place"]), "start": 0},
        number_axis(FigureAxis.of("step", steps), "step", "step")
        | {"places": packer.add(np.searchsorted(steps, layers["step"].to_numpy(np.int64))), "start": len(steps) - 1},
    ]
    drawn = layers["law"].isin(DRAWN).to_numpy(float)
    described = [
        *(_described(column, layers, packer) for column in columns),
        {"name": "drawn", "hidden": True, **packed_column(packer, drawn, "int64", DIGITS)},
    ]
    entries = list(_entries(layers, columns))
    content = {
        "rows": len(layers),
        "codes": {"digits": DIGITS, "least_exponent": LEAST_EXPONENT},
        "arrays": packer.arrays,
        "axes": axes,
        "columns": described,
        "pictures": list(_pictures(len(names), len(steps))),
        "entries": entries,
        "phase": None,
        "start": {"entry": 0, "column": 1, "by": "step" if len(steps) > 1 else None},
        "rules": RULES,
    }
    return Page(title, tuple(summary), content, packer.text(), (*notes, *_left_out(rows)), _findings(origin), origin)


def _described(column: Column, layers: pd.DataFrame, packer: Packer) -> dict[str, Any]:
    said = {
        "name": column.name,
        "unit": column.unit,
        "description": column.description,
        "basis": basis(column.name),
    }
    if column.name in ("name", "step"):
        return {**said, "kind": "axis", "axis": column.name}
    return {**said, **packed_column(packer, layers[column.name].to_numpy(), column.dtype, DIGITS)}


def _pictures(layers: int, steps: int) -> Iterator[dict[str, Any]]:
    yield {"kind": "curves", "x": "name", "y": None, "edges": None, "marked": False, "label": "curves along the layers"}
    if layers >= LONG and steps >= LONG:
        yield {
            "kind": "heat",
            "x": "name",
            "y": "step",
            "edges": None,
            "marked": False,
            "label": "heat map of layers and steps",
        }
    if steps > 1:
        yield {
            "kind": "curves",
            "x": "step",
            "y": None,
            "edges": None,
            "marked": False,
            "label": "curves along the steps",
        }


def _entries(layers: pd.DataFrame, columns: Sequence[Column]) -> Iterator[dict[str, Any]]:
    """The panels of the figure of an audit together, then every column of numbers."""
    known = {column.name: column for column in columns if _is_number(column) and layers[column.name].notna().any()}
    panels = [_scales(known), *_spectra(known), *_information(known)]
    yield {"label": "weights, singular values, information", "column": None, "unit": "", "panels": panels}
    for name, column in known.items():
        information = name.startswith("mi_")
        unit = column.unit if column.unit != "1" else ""
        series = _series(name, name, _WEIGHTS, dash="solid")
        panel = {"axis": f"{name} ({unit or 'dimensionless'})", "information": information, "series": [series]}
        shared = {"label": f"{name}: {column.description}", "column": name, "unit": unit, "information": information}
        yield {**shared, "panels": [{**panel, "areas": []}]}


def _is_number(column: Column) -> bool:
    return column.dtype not in ("string", "bool") and column.name not in ("step", "layer")


def _series(column: str, label: str, colour: str, **more: Any) -> dict[str, Any]:
    usual = {"dash": None, "width": 1.8, "marker": "circle", "size": 7, "single": False, "marked": False, "last": False}
    return {"column": column, "label": label, "colour": colour, **usual, **more}


def _scales(known: Mapping[str, Column]) -> dict[str, Any]:
    hollow = {"filled": "drawn", "hollow": "trained, no longer as drawn"}
    series = [_series("sigma_w", "sigma_w", _WEIGHTS, dash="solid", **hollow)]
    if "sigma_w_edge" in known:
        series.append(_series("sigma_w_edge", "edge of chaos", _EDGE, marker="dash", last=True))
    return {"axis": "sigma_w\n(dimensionless)", "information": False, "series": series, "areas": []}


def _spectra(known: Mapping[str, Column]) -> Iterator[dict[str, Any]]:
    if "singular_max" not in known:
        return
    ends = [("singular_max", "largest singular value", "triangle")]
    ends += [("singular_min", "smallest singular value", "inverted_triangle")] if "singular_min" in known else []
    series = [_series(name, label, _WEIGHTS, marker=marker) for name, label, marker in ends]
    bulk = {"low": "bulk_min", "high": "bulk_max", "label": "random bulk", "colour": _BULK, "bars": True, "last": True}
    areas = [bulk] if {"bulk_min", "bulk_max"} <= set(known) else []
    yield {"axis": "singular values\n(dimensionless)", "information": False, "series": series, "areas": areas}


def _information(known: Mapping[str, Column]) -> Iterator[dict[str, Any]]:
    lines = (
        ("mi_linear", "linearly readable", _WEIGHTS, "solid"),
        ("mi_linear_measured", "linearly readable, measured", _MEASURED, "dotted"),
        ("mi_replica", "replica value", "ink", "solid"),
    )
    series = [_series(name, label, colour, dash=dash) for name, label, colour, dash in lines if name in known]
    bounds = {
        "low": "mi_lower",
        "high": "mi_upper",
        "label": "bounds on the total",
        "colour": _BAND,
        "bars": False,
        "last": True,
    }
    areas = [bounds] if {"mi_lower", "mi_upper"} <= set(known) else []
    if series or areas:
        unit = next(column.unit for name, column in known.items() if name.startswith("mi_"))
        yield {"axis": f"information\n({unit})", "information": True, "series": series, "areas": areas}


def _left_out(rows: pd.DataFrame) -> Iterator[str]:
    """Rows that are no layers, by why."""
    others = rows[rows["layer"].isna() | rows["sigma_w"].isna()]
    if others.empty:
        return
    reasons = others["message"].fillna("").replace("", "no reason is given")
    for reason, names in others["name"].fillna("(no name)").groupby(reasons, sort=False):
        several = list(dict.fromkeys(names))
        shown = ", ".join(several[:_NAMED]) + (f" and {len(several) - _NAMED} more" if len(several) > _NAMED else "")
        yield f"Not among the layers: {shown}: {reason}."


def _findings(origin: Mapping[str, Any] | None) -> tuple[str, ...]:
    audit = (origin or {}).get("audit")
    found = audit.get("findings") if isinstance(audit, Mapping) else None
    return tuple(str(one) for one in found) if isinstance(found, list) else ()
