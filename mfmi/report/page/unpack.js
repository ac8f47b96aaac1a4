// The columns of the table: whole numbers from the compressed text, decimal numbers and words from those.

const LEAST_EXPONENT = CONTENT.codes.least_exponent;
const KNOWN = 0, NULL = 1, INFINITE = 2;

async function inflated(text) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Whole numbers of one array: four planes of bytes of unsigned differences.
function wholeNumbers(bytes, offset, count, order) {
  const values = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const at = offset + i;
    const code = bytes[at] | (bytes[at + count] << 8) | (bytes[at + 2 * count] << 16) | (bytes[at + 3 * count] << 24);
    values[i] = (code >>> 1) ^ -(code & 1);
  }
  for (let pass = 0; pass < order; pass++) {
    for (let i = 1; i < count; i++) values[i] = (values[i] + values[i - 1]) | 0;
  }
  return values;
}

function decimal(code, digits) {
  if (code === 0) return 0;
  const least = 10 ** (digits - 1), step = 9 * least;
  const place = Math.abs(code) - 1;
  const mantissa = (place % step) + least;
  const power = Math.floor(place / step) + LEAST_EXPONENT - (digits - 1);
  // Powers of ten up to 22 are exact, so that the quotient is the nearest number to the decimal.
  const size = -22 <= power && power <= 22
    ? (power < 0 ? mantissa / 10 ** -power : mantissa * 10 ** power)
    : Number(`${mantissa}e${power}`);
  return code < 0 ? -size : size;
}

class Table {
  constructor(content, bytes) {
    this.rows = content.rows;
    this.columns = new Map(content.columns.map((column) => [column.name, column]));
    this.axes = new Map(content.axes.map((axis) => [axis.name, axis]));
    this.digits = content.codes.digits;
    this.arrays = content.arrays;
    this.bytes = bytes;
    this.offsets = [];
    let offset = 0;
    for (const one of this.arrays) {
      this.offsets.push(offset);
      offset += 4 * one.count;
    }
    this.known = new Map();
  }

  whole(number) {
    const key = `array ${number}`;
    if (!this.known.has(key)) {
      const { count, order } = this.arrays[number];
      this.known.set(key, wholeNumbers(this.bytes, this.offsets[number], count, order));
    }
    return this.known.get(key);
  }

  // Place of every row on an axis.
  places(name) {
    return this.whole(this.axes.get(name).places);
  }

  state(column, row) {
    return column.states === undefined ? KNOWN : this.whole(column.states)[row];
  }

  // Value of one cell: a number, a text, or null.
  cell(name, row) {
    const column = this.columns.get(name);
    if (column.kind === "constant") return column.value;
    if (column.kind === "axis") {
      const axis = this.axes.get(column.axis);
      return (axis.words ?? axis.values)[this.places(axis.name)[row]];
    }
    if (column.kind === "text") return column.words[this.whole(column.codes)[row]];
    const state = this.state(column, row);
    if (state === NULL) return null;
    if (column.kind === "whole") {
      return (column.high === undefined ? 0 : this.whole(column.high)[row] * 2 ** 30) + this.whole(column.low)[row];
    }
    if (state !== KNOWN) return state === INFINITE ? Infinity : -Infinity;
    return decimal(this.whole(column.codes)[row], this.digits);
  }

  // All values of a column of numbers; NaN where there is none.
  numbers(name) {
    const key = `numbers ${name}`;
    if (!this.known.has(key)) {
      const values = new Float64Array(this.rows);
      for (let row = 0; row < this.rows; row++) {
        const value = this.cell(name, row);
        values[row] = typeof value === "number" ? value : NaN;
      }
      this.known.set(key, values);
    }
    return this.known.get(key);
  }
}

// A number as the page writes it.
function shown(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "null";
  if (typeof value !== "number") return String(value);
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return String(value);
  const text = Math.abs(value) < 1e-4 ? value.toExponential(CONTENT.codes.digits - 1) : value.toPrecision(CONTENT.codes.digits);
  return Math.abs(value) < 1e-4 ? text.replace(/\.?0*e/, "e") : String(Number(text));
}
