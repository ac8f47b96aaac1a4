// Activations one below another, each at the standard deviations where a quantity is largest, the best at the top.

// Rows of the picture from the bottom up, `rows.length` of them; last, that is at the bottom, activations without a value.
// Networks whose variance grows without bound are left out, unless there are no others.
function ranksOf(table, picture, others, chosen, column) {
  const axis = table.axes.get(picture.x);
  const values = table.numbers(column), places = table.places(picture.x);
  const fixed = others.map((name) => [table.places(name), chosen.get(name)]);
  const inside = [];
  for (let row = 0; row < table.rows; row++) {
    if (fixed.every(([at, place]) => at[row] === place)) inside.push(row);
  }
  const bounded = inside.filter((row) => table.cell(CONTENT.phase, row) !== "unbounded");
  const best = new Int32Array(axisLength(axis)).fill(-1);
  for (const row of bounded.length ? bounded : inside) {
    const held = best[places[row]];
    if (Number.isFinite(values[row]) && (held < 0 || values[row] > values[held])) best[places[row]] = row;
  }
  const worth = (place) => (best[place] < 0 ? -Infinity : values[best[place]]);
  const order = Array.from(best.keys()).reverse().sort((a, b) => worth(a) - worth(b) || 0);
  const leftOut = bounded.length > 0 && bounded.length < inside.length;
  return { width: 1, height: order.length, cells: Int32Array.from(order, (place) => best[place]), order, leftOut };
}

// Axes of which a row has the first or the last value that was swept, in words; biases of 0 are no end.
function endsOf(table, picture, row) {
  return picture.over.filter((name) => {
    const { values } = table.axes.get(name);
    const place = table.places(name)[row];
    return values.length > 1 && (place === values.length - 1 || (place === 0 && values[0] > 0));
  });
}

class RankPicture {
  constructor(table, picture, spec, height, logarithmic, skin) {
    this.table = table;
    this.picture = picture;
    this.axis = table.axes.get(picture.x);
    this.spec = spec;
    this.logarithmic = logarithmic;
    this.range = new Bokeh.Range1d({ start: 0.1, end: 1 });
    const up = new Bokeh.Range1d({ start: 0.5, end: height + 0.5 });
    const ends = { name: "value", logarithmic, borders: [0, 1] };
    const figure = emptyFigure(ends, "linear", up, Math.min(110 + 22 * height, 8000), this.range);
    this.figures = [figure];
    figure.below[0].axis_label = spec.axis;
    this.best = new Bokeh.LinearAxis({ axis_line_color: null, major_tick_line_color: null });
    figure.add_layout(this.best, "right");
    this.guides = [figure.left[0], this.best];
    for (const guide of this.guides) guide.ticker = new Bokeh.FixedTicker({ ticks: Array.from(Array(height), (_, i) => i + 1) });
    const y = { field: "y" };
    this.stems = sourceOf("y", "left", "right");
    const stem = figure.hbar({ y, left: { field: "left" }, right: { field: "right" }, height: 0.04, source: this.stems });
    skin.bind(stem.glyph, { fill_color: "grid", line_color: "grid" });
    this.areas = spec.areas.map((area) => {
      const source = sourceOf("y", "left", "right");
      const ends = { left: { field: "left" }, right: { field: "right" } };
      const bar = figure.hbar({ y, ...ends, height: 0.5, source, fill_alpha: 0.3 });
      skin.bind(bar.glyph, { fill_color: (theme) => own(area.colour, theme), line_color: (theme) => own(area.colour, theme) });
      return { area, source };
    });
    this.signs = spec.series.map((series, number) => {
      const source = sourceOf("x", "y");
      const size = number === 0 ? 10 : 7;
      const marks = figure.scatter({ x: { field: "x" }, y, source, marker: series.marker, size });
      skin.bind(marks.glyph, { fill_color: (theme) => own(series.colour, theme), line_color: "paper" });
      return { series, source };
    });
    this.cursor = sourceOf("x", "y");
    const ring = { marker: "circle", size: 17, fill_color: null, line_width: 2 };
    skin.bind(figure.scatter({ x: { field: "x" }, y, source: this.cursor, ...ring }).glyph, { line_color: "ink" });
    skin.dress(figure);
    skin.bind(this.best, { major_label_text_color: "ink" });
    this.best.major_label_text_font_size = "12px";
  }

  value(name, row) {
    return row < 0 ? NaN : this.table.numbers(name)[row];
  }

  update(ranks) {
    this.ranks = ranks;
    const { order, cells } = ranks;
    const y = order.map((_, rank) => rank + 1);
    const names = order.map((place) => shortened(labelAt(this.axis, place), 28));
    this.atEnd = false;
    const where = Array.from(cells, (row) => (row < 0 ? "no value" : this.placeInWords(row)));
    for (const [guide, texts] of [[this.guides[0], names], [this.guides[1], where]]) {
      guide.major_label_overrides = new Map(texts.map((text, rank) => [rank + 1, new Bokeh.PlainText({ text })]));
    }
    const drawn = (name) => Array.from(cells, (row) => {
      const value = this.value(name, row);
      return this.logarithmic && value <= 0 ? NaN : value;
    });
    for (const { series, source } of this.signs) source.data = { x: drawn(series.column), y };
    const all = this.signs.flatMap(({ source }) => source.data.x).filter(Number.isFinite);
    for (const { area } of this.areas) all.push(...[area.low, area.high].flatMap(drawn).filter(Number.isFinite));
    this.setRange(all);
    const first = drawn(this.spec.series[0].column);
    this.stems.data = { y, left: y.map(() => this.range.start), right: first };
    for (const { area, source } of this.areas) {
      source.data = { y, left: drawn(area.low), right: drawn(area.high) };
    }
  }

  placeInWords(row) {
    const ends = endsOf(this.table, this.picture, row);
    if (ends.length) this.atEnd = true;
    return this.picture.over
      .map((name) => `${name} ${Number(this.table.cell(name, row).toPrecision(4))}${ends.includes(name) ? "*" : ""}`)
      .join(", ");
  }

  setRange(all) {
    const low = all.reduce((a, b) => Math.min(a, b), Infinity), high = all.reduce((a, b) => Math.max(a, b), -Infinity);
    if (this.logarithmic) {
      [this.range.start, this.range.end] = Number.isFinite(low) ? [low / 1.4, high * 1.2] : [0.1, 1];
    } else {
      const room = 0.05 * (Math.max(high, 0) - Math.min(low, 0)) || 0.5;
      [this.range.start, this.range.end] = Number.isFinite(low)
        ? [low < 0 ? low - room : 0, Math.max(high, 0) + room] : [0, 1];
    }
  }

  at(number, x, y) {
    const rank = Math.round(y) - 1;
    return rank >= 0 && rank < this.ranks.height ? { rank, place: 0 } : null;
  }

  cell({ rank }) {
    return this.ranks.cells[rank];
  }

  markCursor(cursor) {
    const row = cursor === null ? -1 : this.cell(cursor);
    const value = row < 0 ? NaN : this.value(this.spec.series[0].column, row);
    const seen = Number.isFinite(value) && !(this.logarithmic && value <= 0);
    this.cursor.data = seen ? { x: [value], y: [cursor.rank + 1] } : { x: [], y: [] };
  }
}

// Whether values span so much that ranks want a logarithmic axis.
function ranksWantLogarithm(table, spec, ranks) {
  const rows = Array.from(ranks.cells).filter((row) => row >= 0);
  const columns = [...spec.series.map((one) => one.column), ...spec.areas.flatMap((one) => [one.low, one.high])];
  const known = columns.flatMap((name) => rows.map((row) => table.numbers(name)[row])).filter(Number.isFinite);
  const low = known.reduce((a, b) => Math.min(a, b), Infinity), high = known.reduce((a, b) => Math.max(a, b), -Infinity);
  return low > 0 && high > CONTENT.rules.ranks_wide * low;
}

function rankSigns(made, theme) {
  const signs = made.spec.areas.map((area) => sign(area.label, box(own(area.colour, theme), { "fill-opacity": 0.3, stroke: own(area.colour, theme) })));
  for (const { series } of made.signs) {
    const fill = own(series.colour, theme);
    const shapes = {
      circle: ["circle", { cx: 15, cy: 7, r: 5, fill }],
      square: ["rect", { x: 11, y: 3, width: 8, height: 8, fill }],
      triangle: ["path", { d: "M15 2l5 9h-10z", fill }],
      inverted_triangle: ["path", { d: "M15 12l5-9h-10z", fill }],
      diamond: ["path", { d: "M15 1l5 6-5 6-5-6z", fill }],
    };
    signs.push(sign(series.label, shapes[series.marker]));
  }
  return signs;
}
