"""The channel of a stream with one matrix per branch: `J_site` of theory (36) and its derivatives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.channels.stream.site_code import SiteCode
from mfmi.channels.stream.sites import Sites

RowNumbers = NDArray[np.intp]

# Elements of a work array.
_BLOCK = 1 << 16
# Sites that suffice to estimate what a cut series changes.
_FEW = 8


class StreamMessages(NamedTuple):
    """Derivatives of a stream's information.

    Attributes
    ----------
    e, rest_r : `E_l = 2 dJ/dr_l` and `1 - r_l E_l` of layers 1 to L - 1, shape (n, L - 1).
    a, rest_v : `A_l = 2 dJ/dV_l` and `1 - A_l V_l` of layers 1 to L, shape (n, L).
    information : `J` of every site in nats, shape (n, S).
    """

    e: FloatArray
    rest_r: FloatArray
    a: FloatArray
    rest_v: FloatArray
    information: FloatArray


@dataclass(frozen=True)
class OneMatrix:
    """Sites of n streams after which the last layer is observed.

    Attributes
    ----------
    sites : the sites.
    noise : `sigma_o^2`, shape (n,).
    code : the sums over sites as machine code; without it numpy does them.
    """

    sites: Sites
    noise: FloatArray
    code: SiteCode | None

    def messages(self, r: FloatArray, v: FloatArray, rows: RowNumbers) -> StreamMessages:
        """Derivatives at precisions `r_1..r_{L-1}` and variances `V_1..V_L` of the points `rows`."""
        root = np.sqrt(np.concatenate((r, 1.0 / self.noise[rows, None]), axis=1))
        count, depth = self.sites.gain.shape[1:]
        out, information = np.zeros((len(rows), 3, depth)), np.empty((len(rows), count))
        if self.code is None:
            self._sum(root, v, rows, out, information)
        else:
            power, work = v * self.sites.branch2[rows], np.zeros((2, depth, depth))
            gain, residual = self.sites.gain, self.sites.residual
            self.code.messages(self.sites.skip[rows], power, root, gain, residual, rows, work, out, information)
        out /= count
        a = self.sites.branch2[rows] * out[:, 2]
        # What is known from nowhere rounds to either side of 0.
        e = np.maximum(out[:, 0, :-1], 0.0) / r
        return StreamMessages(e, out[:, 1, :-1], a, 1.0 - a * v, information)

    def _sum(self, root: FloatArray, v: FloatArray, rows: RowNumbers, out: FloatArray, information: FloatArray) -> None:
        """Do what `site_code.site_messages` does, for all sites at once."""
        for part in self._blocks(len(rows)):
            spread, scaled = self._covariance(root[part], v[part], rows[part])
            inverse = np.linalg.inv(scaled)
            # 1 - [M^-1]_ll, without that difference.
            out[part, 0] = np.einsum("nslk,nslk,nl->nl", spread, inverse, root[part])
            out[part, 1] = np.einsum("nskk->nk", inverse)
            weighted = self.sites.gain[rows[part]] * root[part][:, None]
            curvature = np.einsum("nskl,nsk,nsl->nkl", inverse, weighted, weighted)
            carried = self.sites.carried[rows[part]]
            out[part, 2] = np.einsum("nkl,nkl->nl", carried, curvature @ carried)
            information[part] = 0.5 * np.linalg.slogdet(scaled)[1]

    def tail_slope(self, r: FloatArray, v: FloatArray) -> FloatArray:
        """Change of `J_site` if what is left of the Hermite series died out over the layers, shape (n,)."""
        some = OneMatrix(self.sites.take(slice(None), _FEW), self.noise, self.code)
        root = np.sqrt(np.concatenate((r, 1.0 / self.noise[:, None]), axis=1))
        rows, found = np.arange(len(r)), np.empty(len(r))
        missed = self.sites.decay - self.sites.limit
        for part in some._blocks(len(r)):
            _, scaled = some._covariance(root[part], v[part], rows[part])
            inverse = np.linalg.inv(scaled)[..., :-1, :-1]
            size = np.sqrt(some.sites.tail[part]) * root[part][:, None, :-1]
            found[part] = 0.5 * np.einsum("nskl,nsk,nsl,nkl->n", inverse, size, size, missed[part]) / size.shape[1]
        return found

    def _covariance(self, root: FloatArray, v: FloatArray, rows: RowNumbers) -> tuple[FloatArray, FloatArray]:
        """`C D^{1/2}` and `I + D^{1/2} C D^{1/2}`, shape (b, S, L, L)."""
        carried, gain = self.sites.carried[rows], self.sites.gain[rows]
        passed = (carried * (self.sites.branch2[rows] * v)[:, None, :]) @ np.swapaxes(carried, 1, 2)
        spread = gain[..., :, None] * gain[..., None, :]
        spread *= passed[:, None]
        spread += self.sites.residual[rows]
        spread *= root[:, None, None, :]
        scaled = spread * root[:, None, :, None]
        index = np.arange(root.shape[1])
        scaled[..., index, index] += 1.0
        return spread, scaled

    def _blocks(self, n: int) -> Iterator[slice]:
        _, count, depth = self.sites.gain.shape
        step = max(1, _BLOCK // (count * depth * depth))
        return (slice(start, start + step) for start in range(0, n, step))
