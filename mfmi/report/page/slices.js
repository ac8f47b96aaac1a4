// The part of the table that a picture shows, and what is marked in it.

// Rows at the chosen places of all axes that the picture does not have. With several rows at one place the last counts.
// `lines` is the number of rows of cells: the values of y, or the curves.
function cellsOf(table, x, other, others, chosen) {
  const width = axisLength(table.axes.get(x));
  const height = other === null ? 1 : axisLength(table.axes.get(other));
  const cells = new Int32Array(width * height).fill(-1);
  const along = table.places(x), across = other === null ? null : table.places(other);
  const fixed = others.map((name) => [table.places(name), chosen.get(name)]);
  for (let row = 0; row < table.rows; row++) {
    let matches = true;
    for (const [places, place] of fixed) {
      if (places[row] !== place) {
        matches = false;
        break;
      }
    }
    if (matches) cells[(across === null ? 0 : across[row]) * width + along[row]] = row;
  }
  return { width, height, cells };
}

// Cells of a picture of points that fill no grid: each has the row whose point is nearest, in shares of the picture.
function rasterOf(table, [x, y], others, chosen) {
  const share = (axis) => {
    const scaled = (value) => (axis.logarithmic ? Math.log(value) : value);
    const low = scaled(axis.values[0]), span = scaled(axis.values[axis.values.length - 1]) - low;
    return (value) => (scaled(value) - low) / span;
  };
  const shares = [share(x), share(y)];
  const width = x.values.length, height = y.values.length;
  const cells = new Int32Array(width * height).fill(-1), distances = new Float64Array(width * height).fill(Infinity);
  const fixed = others.map((name) => [table.places(name), chosen.get(name)]);
  const own = [table.axes.get(x.name), table.axes.get(y.name)];
  const across = x.values.map(shares[0]), up = y.values.map(shares[1]);
  for (let row = 0; row < table.rows; row++) {
    if (fixed.some(([places, place]) => places[row] !== place)) continue;
    const [atX, atY] = own.map((axis, side) => shares[side](axis.values[table.places(axis.name)[row]]));
    for (let j = 0; j < height; j++) {
      const rest = (up[j] - atY) ** 2;
      for (let i = 0; i < width; i++) {
        const distance = rest + (across[i] - atX) ** 2;
        if (distance < distances[j * width + i]) {
          distances[j * width + i] = distance;
          cells[j * width + i] = row;
        }
      }
    }
  }
  return { width, height, cells };
}

function axisLength(axis) {
  return (axis.words ?? axis.values).length;
}

// Number at a place of an axis, by which it is drawn: words stand one apart, from 1.
function position(axis, place) {
  return axis.words ? place + 1 : axis.values[place];
}

function valueAt(axis, place) {
  return (axis.words ?? axis.values)[place];
}

function labelAt(axis, place) {
  return axis.words ? axis.labels[place] : shown(axis.values[place]);
}

function bordersOf(axis) {
  return axis.borders ?? axis.words.map((_, place) => place + 0.5).concat(axis.words.length + 0.5);
}

// Place of the value whose cell holds a number of the axis, -1 beyond the ends.
function placeOf(axis, number) {
  const borders = bordersOf(axis);
  if (!(number >= borders[0] && number <= borders[borders.length - 1])) return -1;
  let low = 0, high = borders.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (borders[middle] <= number) low = middle;
    else high = middle;
  }
  return low;
}

function median(values) {
  const sorted = Float64Array.from(values).sort();
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : 0.5 * (sorted[half - 1] + sorted[half]);
}

// Values at the ends of the colours: from 0 for information, by ratios where most of it is small.
function colourScale(known, isInformation) {
  if (!known.length) return { low: 0, high: 1, logarithmic: false, cut: false };
  let low = Infinity, high = -Infinity, least = Infinity;
  for (const value of known) {
    if (value < low) low = value;
    if (value > high) high = value;
    if (value > 0 && value < least) least = value;
  }
  const skewed = median(known) < high / CONTENT.rules.skew;
  if (!isInformation) return { low, high: high > low ? high : low + 1, logarithmic: low > 0 && skewed, cut: false };
  if (high > 0 && skewed) {
    const floor = Math.max(high * CONTENT.rules.floor, least);
    if (floor < high) return { low: floor, high, logarithmic: true, cut: low < floor };
  }
  return { low: 0, high: high > 0 ? high : 1, logarithmic: false, cut: low < 0 };
}

// The same, or linear or logarithmic if so chosen and possible.
function chosenScale(values, isInformation, choice) {
  const known = Array.from(values).filter(Number.isFinite);
  const scale = colourScale(known, isInformation);
  if (choice === "linear" && scale.logarithmic) {
    const low = isInformation ? 0 : known.reduce((a, b) => Math.min(a, b));
    return { ...scale, logarithmic: false, cut: false, low };
  }
  const positive = known.filter((value) => value > 0);
  if (choice === "logarithmic" && !scale.logarithmic && positive.length) {
    const least = positive.reduce((a, b) => Math.min(a, b));
    if (least < scale.high) return { ...scale, logarithmic: true, low: least, cut: positive.length < known.length };
  }
  return scale;
}

// Number of the cell with the largest value, -1 without any; of equal ones the first.
function largest(values, from = 0, to = values.length) {
  let best = -1;
  for (let i = from; i < to; i++) {
    if (Number.isFinite(values[i]) && (best < 0 || values[i] > values[best])) best = i;
  }
  return best;
}

// The edge of chaos of a picture at the chosen places; none where curves differ in what it depends on.
function edgesAt(picture, by, chosen) {
  const edges = picture.edges;
  if (!edges || (by !== null && edges.by.includes(by))) return [];
  const line = edges.of[edges.by.map((name) => chosen.get(name)).join(",")];
  return line === undefined ? [] : edges.lines[line];
}
