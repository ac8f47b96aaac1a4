"""Recommended branch scales drawn for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mfmi.cli.numbers import number
from mfmi.cli.recommend_view import remarks_of, say, title_of
from mfmi.names import STATUS
from mfmi.recommendation.branches import WITHIN

if TYPE_CHECKING:
    from rich.console import Console

    from mfmi.recommendation.branches import StreamRecommendation


def draw_stream(found: StreamRecommendation, console: Console) -> None:
    """Draw the branch scale of a residual network, and what others leave."""
    network, best = found.network, found.best
    say(console, title_of(network))
    say(console, "")
    if "keep" in found.limits:
        share = f"{100.0 * (found.keep or 0.0):.4g} %"
        say(console, f"No branch scale from {WITHIN[0]:g} to {WITHIN[1]:g} keeps {share} of the first layer's:", "bold")
        say(console, f"  the most is {100.0 * best.kept:.3g} %, at branch {best.scale:.4g}")
    elif found.keep is None:
        say(console, f"Branch scale {best.scale:.4g}, as given:", "bold")
    else:
        say(console, f"Largest branch scale that keeps {100.0 * found.keep:.4g} % of the first layer's:", "bold")
        say(console, f"  branch {best.scale:.4f}, which is {best.scale * network.depth**0.5:.3g} / sqrt(depth)")
    if network.structure.get("branch_matrices") == 2:
        weights = f"sigma_w {found.sigma_w:.4f}, sigma_w_out {found.sigma_w_out:.4f}"
    else:
        weights = f"sigma_w {found.sigma_w:.4f}"
    say(console, f"  {weights}, sigma_b {found.sigma_b:.4f}: a branch leaves variance 1 as it is")
    say(console, f"  the weights that end a branch, times its scale: {found.sigma_w_out * best.scale:.4f}")
    share = f"{100.0 * best.kept:.1f} % of what the first one tells"
    say(console, f"  {number(best.value)} {network.unit} linearly readable at layer {network.depth}, {share}")
    say(console, f"  what this rests on: {STATUS['linear']}", "dim")
    if "branch" in found.limits:
        say(console, "  branch is at the end of the search: even so large it keeps as much", "yellow")
    say(console, "")
    width = max(len(one.name) for one in (best, *found.others))
    say(
        console,
        f"{'':<{width}}{'branch':>9}{'linear':>9}{'kept':>9}{'at least':>10}{'at most':>9}{'variance':>10}",
        "bold",
    )
    for one in (best, *found.others):
        cells = f"{one.scale:>9.4g}{number(one.value):>9}{f'{100.0 * one.kept:.1f} %':>9}"
        cells += f"{number(one.lower):>10}{number(one.upper):>9}{number(one.growth):>10}"
        say(console, f"{one.name:<{width}}{cells}")
    say(console, f"in {network.unit} per input dimension; variance: of the last layer over the first's", "dim")
    for text in remarks_of(network, found.sigma_w, found.sigma_b):
        say(console, text, "dim")
    say(console, "code for it: add --emit torch, jax, linen, nnx, equinox, keras or numpy", "dim")
