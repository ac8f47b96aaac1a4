"""The law of a matrix's entries, by its moments, its edge and the distance of distribution functions."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize, special

from mfmi.arguments.arrays import FloatArray
from mfmi.checkpoints._tensor import SUBNORMAL, Tensor

CHUNK = 1 << 15
SAMPLE = 100_000
FEWEST = 64
# Hundreds of tensors are tested in one file, so a single test refuses a true law once in a thousand files of a hundred.
ALPHA = 1e-5
_RANGE = 1e-7  # of the probability of a largest entry
# Fourth moment over the square of the second.
_KURTOSIS = {"normal": 3.0, "uniform": 1.8}
# Standard errors of a variance over rows that chance does not reach, of some hundred in a file.
_UNEVEN = 7.0
# A normal that is cut farther out is not told from a whole one by some thousands of entries.
_FARTHEST = 3.0
# Where libraries cut, in standard deviations of the parent.
CUT = 2.0
# Keras on torch takes the first of four normal draws within the cut, and the first of all where none is.
_LEAK = math.erfc(CUT / math.sqrt(2.0)) ** 4


# Larger entries have fourth powers that overflow, and are no weights.
_MOST = 1e70


@dataclass(frozen=True)
class Entries:
    """Moments of the entries of a matrix.

    Attributes
    ----------
    count : number of entries.
    mean, std : their mean and standard deviation, of the population (divided by the count).
    largest : largest distance from 0.
    kurtosis : fourth central moment over the square of the variance; NaN for a constant.
    finite : whether none is infinite, NaN, or so large that its fourth power overflows.
    """

    count: int
    mean: float
    std: float
    largest: float
    kurtosis: float
    finite: bool

    @classmethod
    def of(cls, values: FloatArray) -> Entries:
        """Compute them in float64 in one pass, a part at a time that fits the processor's cache."""
        flat = values.ravel(order="K")  # a view of whatever axes were exchanged
        shift = float(flat[:CHUNK].mean(dtype=np.float64))
        sums = np.zeros(4)
        low, high = math.inf, -math.inf
        for start in range(0, flat.size, CHUNK):
            part = flat[start : start + CHUNK]
            least, most = float(part.min()), float(part.max())
            # Asked of the part itself: of a NaN and a number, `min` and `max` take the first.
            if not (least >= -_MOST and most <= _MOST):
                return cls(flat.size, math.nan, math.nan, math.nan, math.nan, False)
            low, high = min(low, least), max(high, most)
            first = part.astype(np.float64)
            first -= shift
            second = first * first
            sums += first.sum(), second.sum(), first @ second, second @ second
        # Central moments from those about a number close to the mean.
        by, two, three, four = (sums / flat.size).tolist()
        variance = max(two - by * by, 0.0)
        fourth = four - 4.0 * by * three + 6.0 * by * by * two - 3.0 * by**4
        kurtosis = fourth / variance**2 if variance**2 > 0.0 else math.nan
        return cls(flat.size, shift + by, math.sqrt(variance), max(high, -low), kurtosis, True)

    @property
    def relative_error(self) -> float:
        """Standard error of `std`, relative to it."""
        return math.sqrt(max(self.kurtosis - 1.0, 0.0) / (4.0 * self.count)) if self.count else math.inf


@dataclass(frozen=True)
class Law:
    """The law of the entries, and how sure it is.

    Attributes
    ----------
    name : normal, uniform, truncated_normal, orthogonal, trained or other.
    p : probability of a distance as large under that law; 1 where no distance was tested, NaN where none fits.
    cut : bound of a truncated normal in standard deviations of its parent, else NaN.
    note : what the decision rests on.
    rivals : other laws that these entries do not exclude.
    unevenness : how much more the lengths and means of rows and columns vary than those of independent entries, the
        largest in standard errors; NaN where it was not looked at.
    """

    name: str
    p: float = math.nan
    cut: float = math.nan
    note: str = ""
    rivals: tuple[str, ...] = ()
    unevenness: float = math.nan

    @property
    def is_draw(self) -> bool:
        """Whether it is a law that libraries draw from."""
        return self.name in ("normal", "uniform", "truncated_normal", "orthogonal")

    def is_usual_cut(self, count: int) -> bool:
        """Whether a truncated normal is cut where libraries cut, as far as so many entries tell."""
        return abs(self.cut / CUT - 1.0) < max(0.05, 20.0 / math.sqrt(count))


def law_of(matrices: FloatArray, entries: Entries, tensor: Tensor) -> Law:
    """Decide which law the entries follow.

    Parameters
    ----------
    matrices
        Shape (groups, outputs, fan-in).
    entries
        Their moments.
    tensor
        Where they come from: the precision of its numbers decides what can be told.

    Returns
    -------
    Law
        "trained" where no law of a library fits, "other" for constants, two values, and too few entries to tell.
    """
    if not entries.finite:
        return Law("other", note=f"entries that are not finite, or beyond {_MOST:g}")
    if entries.largest == 0.0:
        return Law("other", note="all entries are 0")
    if entries.std <= 1e-6 * entries.largest:
        return Law("other", note="all entries are the same")
    if is_orthogonal(matrices, tensor.significant):
        return Law("orthogonal", 1.0)
    if entries.count < FEWEST:
        return Law("other", note=f"{entries.count} entries are too few to tell a law")
    sample = _sample(matrices, tensor)
    if np.unique(sample[:1000]).size < min(sample.size, 1000) // 20:
        return Law("other", note="only a few different values")
        # An edge or a step of the distribution function is moved by up to half the distance of neighbouring numbers.
    blur = 2.0 ** -(tensor.significant + 1) if tensor.significant < 24 else 0.0
    found = _drawn(np.sort(sample), entries, blur)
    if not found.is_draw:
        return found
    uneven, what = _unevenness(matrices, entries, found)
    if uneven > _UNEVEN:
        return Law("trained", note=f"its entries look {found.name}, but {what}")
    return replace(found, unevenness=uneven)


def _unevenness(matrices: FloatArray, entries: Entries, law: Law) -> tuple[float, str]:
    """Return how far the rows or columns of a matrix are from those of independent entries, and by what.

    Training changes some units and some inputs more than others, long before the law of all entries shows it.
    """
    kurtosis = _KURTOSIS.get(law.name, entries.kurtosis)
    exact = not 1e-15 < entries.largest < 1e15  # the squares would leave the range of float32
    scaled = [matrix.astype(np.float64) / entries.largest if exact else matrix for matrix in matrices]
    unit = entries.std / entries.largest if exact else entries.std
    parts = [_marginals(matrix) for matrix in scaled]
    worst = -math.inf, ""
    for side, (axis, name) in enumerate(((1, "rows"), (0, "columns"))):
        length, count = matrices.shape[axis + 1], matrices.shape[0] * matrices.shape[2 - axis]
        if count < 8 or length < 4:
            continue
        means, squares = np.concatenate([part[side] for part in parts], axis=1) / length
        expected = unit**4 * (kurtosis - 1.0) / length
        # The mean square of few entries is skewed, which widens the law of its variance.
        for values, variance, spread in (
            (squares, expected, 2.0 + 12.0 / length),
            (means, unit**2 / length, 2.0),
        ):
            ratio = float(np.var(values)) / variance
            what = "lengths" if values is squares else "means"
            text = f"the {what} of its {name} vary {math.sqrt(ratio):.3g} times as much as chance has it"
            worst = max(worst, ((ratio - 1.0) / math.sqrt(spread / count), text))
    return worst


def _drawn(ordered: FloatArray, entries: Entries, blur: float) -> Law:
    edge, std, count = entries.largest, entries.std, entries.count
    found: list[Law] = []
    # The standard deviation follows from a uniform law's edge to a relative error of about 0.45 / sqrt(count).
    if abs(std * math.sqrt(3.0) / edge - 1.0) < 6.0 * 0.45 / math.sqrt(count) + 1.0 / count + 5e-3 + 2.0 * blur:
        p = _distance(ordered, np.clip(0.5 + 0.5 * ordered / edge, 0.0, 1.0), blur)
        found.append(Law("uniform", p, note=_words(p)))
    # log of the probability that no entry of a normal law is larger; expected number of those that are
    tail = float(special.erfc(edge / std / math.sqrt(2.0)))
    below = count * math.log1p(-tail) if tail < 1.0 else -math.inf
    if below > math.log(_RANGE) and count * tail > _RANGE:
        p = _distance(ordered, special.ndtr(ordered / std), blur)
        found.append(Law("normal", p, note=_words(p)))
    cut = truncation(edge / std)
    if cut < _FARTHEST:
        p = _truncated(ordered, cut / edge, cut, blur)
        note = f"cut at {cut:.3g} standard deviations of its parent, {_words(p)}"
        found.append(Law("truncated_normal", p, cut, note))
    found = [law for law in found if law.p > ALPHA] or _leaking(ordered, entries, blur)
    if not found:
        return Law("trained", note="no law of a library fits its entries")
    # A truncated normal has a parameter more, so it is named where neither simple law will do.
    simple = [law for law in found if law.name != "truncated_normal"]
    best = max(simple or found, key=lambda law: law.p)
    if best.name == "uniform" and len(simple) == 1 and len(found) > 1 and best.p < 1e-2 * found[-1].p:
        best = found[-1]
    rivals = tuple(law.name for law in found if law.name != best.name)
    if rivals:
        best = replace(best, rivals=rivals, note=f"{best.note}; {' and '.join(rivals)} not excluded")
    return best


def _truncated(ordered: FloatArray, scale: float, cut: float, blur: float) -> float:
    """Return the probability of a distance as large from a normal of deviation 1 / scale that is cut at `cut` of it."""
    lower = float(special.ndtr(-cut))
    distribution = (special.ndtr(ordered * scale) - lower) / (1.0 - 2.0 * lower)
    return _distance(ordered, np.clip(distribution, 0.0, 1.0), blur)


def _leaking(ordered: FloatArray, entries: Entries, blur: float) -> list[Law]:
    """Return a normal that is cut but for some entries in a million, if it is one: keras draws it on torch."""
    parent = entries.std / truncated_std(CUT)
    edge = CUT * parent * (1.0 + 5.0 * entries.relative_error + 2.0 * blur)
    outside = int(np.count_nonzero(np.abs(ordered) > edge))
    chance = float(special.pdtrc(outside - 1, _LEAK * ordered.size)) if outside else 1.0
    tail = entries.count * float(special.erfc(entries.largest / parent / math.sqrt(2.0)))
    p = _truncated(ordered, 1.0 / parent, CUT, blur)
    if min(p, chance, tail) <= ALPHA or entries.largest <= edge:
        return []
    note = f"cut at {CUT:g} standard deviations of its parent but for some entries in a million, {_words(p)}"
    return [Law("truncated_normal", p, CUT, note)]


def _marginals(matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return sums and sums of squares of the rows, shape (2, rows), and of the columns.

    In one pass, some rows at a time that fit the processor's cache.
    """
    if matrix.flags.f_contiguous and not matrix.flags.c_contiguous:
        columns, rows = _marginals(matrix.T)
        return rows, columns
    height, width = matrix.shape
    step = max(1, CHUNK // width)
    of_rows, of_columns = np.empty((2, height)), np.zeros((2, width))
    ones = np.ones(max(step, width), dtype=matrix.dtype)
    buffer = np.empty((step, width), dtype=matrix.dtype)
    for start in range(0, height, step):
        part = matrix[start : start + step]
        square = np.multiply(part, part, out=buffer[: len(part)])
        for place, block in enumerate((part, square)):
            of_rows[place, start : start + len(part)] = block @ ones[:width]
            of_columns[place] += ones[: len(part)] @ block
    return of_rows, of_columns


def _words(p: float) -> str:
    return f"Kolmogorov-Smirnov p {p:.2g}"


def truncated_std(cut: float) -> float:
    """Return the standard deviation of a standard normal that is cut at plus and minus `cut`."""
    density = math.exp(-cut * cut / 2.0) / math.sqrt(2.0 * math.pi)
    inside = math.erf(cut / math.sqrt(2.0))
    return math.sqrt(max(1.0 - 2.0 * cut * density / inside, 0.0))


def truncation(ratio: float) -> float:
    """Return where a normal is cut whose largest entry is `ratio` of its standard deviations; NaN if there is none."""
    low, high = 0.3, 8.0
    if not low / truncated_std(low) < ratio < high / truncated_std(high):
        return math.nan
    return float(optimize.brentq(lambda cut: cut / truncated_std(cut) - ratio, low, high))


def is_orthogonal(matrices: FloatArray, significant: int) -> bool:
    """Whether the rows of each matrix, or its columns if these are fewer, are orthogonal and of one length.

    A few of them tell: of independent entries the products would be 1 / sqrt(length) of the squares.
    """
    if min(matrices.shape[1:]) < 4 or max(matrices.shape[1:]) < 8:
        return False
    matrix = matrices[0] if matrices.shape[1] <= matrices.shape[2] else matrices[0].T
    few = matrix[np.linspace(0, len(matrix) - 1, min(len(matrix), 32)).astype(int)].astype(np.float64)
    gram = few @ few.T
    squares = np.diag(gram)
    # Relative rounding of 2^-significant adds up like a random walk; independent entries reach 3 / sqrt(length).
    tolerance = max(6.0 * 2.0**-significant / math.sqrt(few.shape[1]), 1e-5)
    return bool(
        squares.min() > 0.0
        and np.abs(gram - np.diag(squares)).max() < tolerance * squares.max()
        and squares.max() - squares.min() < tolerance * squares.max()
    )


def _sample(matrices: FloatArray, tensor: Tensor) -> FloatArray:
    """Return entries spread over the matrices, with the rounding of narrow formats undone by noise of its width."""
    flat = matrices.ravel(order="K")
    values: FloatArray = flat[:: max(1, flat.size // SAMPLE)].astype(np.float64)
    noise = np.random.default_rng(0).random(values.size) - 0.5
    if tensor.step > 0.0:
        return values + tensor.step * noise
    if tensor.step != tensor.step:  # dequantised with a scale of each row: the smallest distance is unknown
        gaps = np.diff(np.unique(values[:2000]))
        return values + (float(np.median(gaps[gaps > 0.0])) if gaps.size else 0.0) * noise
    if tensor.significant < 24:
        _, exponents = np.frexp(values)
        gaps = np.where(values == 0.0, 0.0, np.ldexp(1.0, exponents - tensor.significant))
        values = values + noise * np.maximum(gaps, SUBNORMAL.get(tensor.dtype, 0.0))
    return values


def _distance(ordered: FloatArray, distribution: FloatArray, blur: float) -> float:
    """Return the Kolmogorov-Smirnov p of a sorted sample; with fitted scales it is too large rather than too small."""
    count = int(ordered.size)
    steps = np.arange(count + 1) / count
    gap = max(float((steps[1:] - distribution).max()), float((distribution - steps[:-1]).max()))
    return float(special.kolmogorov(math.sqrt(count) * max(gap - blur, 0.0)))
