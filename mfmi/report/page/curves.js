// Curves, bands, bars and marks along one axis, in one panel below another.

const DASHES = { solid: [], dashed: [7, 4], dotted: [2, 3], dashdot: [8, 3, 2, 3] };

// Of several curves the colour tells which, and dashes tell the quantities.
function dashOf(series, number, several) {
  return DASHES[several && number > 0 && series.dash === "solid" ? "dashed" : series.dash];
}

function own(colour, theme) {
  return colour === "ink" ? theme.ink : colour;
}

class CurvePicture {
  constructor(table, picture, panels, by, lines, logarithmic, skin) {
    this.table = table;
    this.x = table.axes.get(picture.x);
    this.lines = lines; // places of the axis `by` that have a curve
    this.by = by;
    this.marked = picture.marked; // whether the largest value means anything along this axis
    this.skin = skin;
    this.logarithmic = logarithmic;
    this.xRange = rangeOf(this.x);
    this.panels = panels.map((panel, number) => 
      this.panel(panel, logarithmic[number], number === panels.length - 1, panels.length));
    this.figures = this.panels.map((panel) => panel.figure);
    const last = this.figures[this.figures.length - 1];
    last.below[0].axis_label = this.x.label;
    for (const figure of this.figures) {
      setTicks(figure.below[0], this.x);
      if (figure !== last && this.x.words) figure.below[0].visible = false;
      skin.dress(figure);
    }
  }

  panel(spec, logarithmic, isLast, count) {
    const yRange = new Bokeh.Range1d({ start: 0.1, end: 1 });
    const height = count > 1 ? (isLast && this.x.words ? 340 : 220) : 420;
    const figure = emptyFigure(this.x, logarithmic ? "log" : "linear", yRange, height, this.xRange);
    const made = { spec, figure, yRange, logarithmic, curves: [] };
    made.edges = sourceOf("x");
    made.trainable = sourceOf("x");
    for (const [source, dash] of [[made.edges, [6, 4]], [made.trainable, [2, 3]]]) {
      const vertical = new Bokeh.VSpan({ x: { field: "x" }, line_dash: dash, line_width: 1.5 });
      this.skin.bind(vertical, { line_color: "edge" });
      figure.add_glyph(vertical, source);
    }
    this.lines.forEach((_, rank) => made.curves.push(this.curve(made, rank)));
    made.best = sourceOf("x", "y", "colour");
    const star = { marker: "star", size: 15, fill_color: BEST, line_color: "black" };
    figure.scatter({ x: { field: "x" }, y: { field: "y" }, source: made.best, ...star });
    made.cursor = sourceOf("x", "y");
    const ring = { marker: "circle", size: 13, fill_color: null, line_width: 2 };
    const cursor = figure.scatter({ x: { field: "x" }, y: { field: "y" }, source: made.cursor, ...ring });
    this.skin.bind(cursor.glyph, { line_color: "ink" });
    figure.left[0].axis_label = spec.axis;
    return made;
  }

  curve(made, rank) {
    const { spec, figure } = made;
    const several = this.lines.length > 1;
    // Of several curves each has its own colour, but for what belongs to the last alone.
    const colourOf = ({ colour, last }) => (theme) => (several && !last ? this.colour(rank, theme) : own(colour, theme));
    const few = axisLength(this.x) <= 60;
    const curve = { areas: [], lines: [] };
    const isLast = rank === this.lines.length - 1;
    for (const area of spec.areas) {
      if (area.last && !isLast) continue;
      const source = sourceOf("x", "low", "high");
      const common = { x: { field: "x" }, fill_alpha: several && !area.last ? 0.18 : 0.3, source };
      const drawn = area.bars
        ? figure.vbar({ ...common, top: { field: "high" }, bottom: { field: "low" }, width: 0.8, line_color: null })
        : figure.varea({ ...common, y1: { field: "low" }, y2: { field: "high" } });
      this.skin.bind(drawn.glyph, { fill_color: colourOf(area) });
      curve.areas.push({ area, source });
    }
    spec.series.forEach((series, number) => {
      if ((several && series.single) || (series.last && !isLast)) return;
      const source = sourceOf("x", "y", "filled");
      const colour = colourOf(series);
      const at = { x: { field: "x" }, y: { field: "y" }, source };
      if (series.dash) {
        const path = figure.line({ ...at, line_width: series.width, line_dash: dashOf(series, number, several) });
        this.skin.bind(path.glyph, { line_color: colour });
      }
      if (series.marker && (few || !series.dash)) {
        const size = series.marker === "dash" ? Math.max(10, Math.min(30, 500 / axisLength(this.x))) : series.size;
        const marks = figure.scatter({ ...at, marker: series.marker, size, fill_alpha: { field: "filled" } });
        this.skin.bind(marks.glyph, { line_color: colour, fill_color: colour });
      }
      curve.lines.push({ series, source });
    });
    return curve;
  }

  colour(rank, theme) {
    const [from, to] = theme.curves;
    const share = from + ((to - from) * rank) / Math.max(this.lines.length - 1, 1);
    const number = Bokeh.Palettes.viridis(256)[Math.round(255 * share)];
    return `#${((number >>> 8) & 0xffffff).toString(16).padStart(6, "0")}`;
  }

  update(slice, edges, trainable) {
    this.slice = slice;
    const rows = this.lines.map((line) => slice.cells.subarray(line * slice.width, (line + 1) * slice.width));
    this.curveRows = rows;
    const marked = this.panels.map((panel) => this.updatePanel(panel, rows, edges, trainable));
    return { best: marked.some((one) => one) };
  }

  updatePanel(panel, rows, edges, trainable) {
    let low = Infinity, high = -Infinity, least = Infinity;
    const see = (value) => {
      if (!Number.isFinite(value)) return;
      low = Math.min(low, value);
      high = Math.max(high, value);
      if (value > 0) least = Math.min(least, value);
    };
    const column = (name, row) => (row < 0 ? NaN : this.table.numbers(name)[row]);
    const best = { x: [], y: [] };
    panel.curves.forEach((curve, rank) => {
      const own = rows[rank];
      const places = Array.from(own.keys()).filter((place) => own[place] >= 0);
      const x = places.map((place) => position(this.x, place));
      for (const { series, source } of curve.lines) {
        const y = places.map((place) => column(series.column, own[place]));
        y.forEach(see);
        const hollow = (place) => series.filled && column(series.filled, own[place]) === 0;
        const drawn = panel.logarithmic ? y.map((value) => (value > 0 ? value : NaN)) : y;
        source.data = { x, y: drawn, filled: places.map((place) => (hollow(place) ? 0 : 1)) };
        const top = largest(y);
        if (this.marked && series.marked && top >= 0) {
          best.x.push(x[top]);
          best.y.push(y[top]);
        }
      }
      for (const { area, source } of curve.areas) {
        const bounds = places.map((place) => [column(area.low, own[place]), column(area.high, own[place])]);
        const both = bounds.map(([a, b]) => Number.isFinite(a) && Number.isFinite(b));
        bounds.forEach(([a, b], i) => both[i] && (see(b), area.bars || see(a)));
        const parts = (which) => bounds.map((pair, i) => (both[i] ? pair[which] : NaN));
        source.data = { x, low: parts(0), high: parts(1) };
      }
    });
    this.setRange(panel, low, high, least);
    const bottom = panel.yRange.start;
    if (panel.logarithmic) {
      for (const curve of panel.curves) {
        for (const { source } of curve.areas) {
          source.data = { ...source.data, low: source.data.low.map((value) => (value < bottom ? bottom : value)) };
        }
      }
    }
    panel.best.data = best;
    panel.edges.data = { x: edges.map((one) => one.x[0]) };
    panel.trainable.data = { x: trainable };
    return best.x.length > 0;
  }

  setRange(panel, low, high, least) {
    const { spec, yRange } = panel;
    if (!Number.isFinite(high)) [low, high, least] = [0, 1, 1];
    if (panel.logarithmic) {
      const bottom = spec.information ? Math.max(least, high * CONTENT.rules.curve_floor) : least;
      yRange.start = Number.isFinite(bottom) ? bottom / 1.3 : 0.1;
      yRange.end = Math.max(high, yRange.start * 2) * 1.5;
    } else {
      const room = 0.06 * (high - Math.min(low, 0) || 1);
      yRange.start = low < 0 ? low - room : spec.information || low < 0.5 * high ? 0 : low - room;
      yRange.end = high + room;
    }
  }

  // Rank of the curve nearest to a height, among those with a row at a place.
  nearest(number, place, y) {
    const panel = this.panels[number];
    const scaled = (value) => (panel.logarithmic ? Math.log(Math.max(value, 1e-300)) : value);
    let best = -1, least = Infinity;
    panel.curves.forEach((curve, rank) => {
      const row = this.curveRows[rank][place];
      if (row < 0) return;
      const heights = curve.lines.map(({ series }) => this.table.numbers(series.column)[row]).filter(Number.isFinite);
      const away = Math.min(1e300, ...heights.map((value) => Math.abs(scaled(value) - scaled(y))));
      if (away < least) [best, least] = [rank, away];
    });
    return best;
  }

  at(number, x, y) {
    const place = placeOf(this.x, x);
    const rank = place < 0 ? -1 : this.nearest(number, place, y);
    return rank < 0 ? null : { place, rank };
  }

  cell({ place, rank }) {
    return this.curveRows[rank][place];
  }

  markCursor(cursor) {
    const { rank, place } = cursor ?? {};
    for (const panel of this.panels) {
      const row = cursor === null ? -1 : this.cell(cursor);
      const found = { x: [], y: [] };
      for (const { series } of row < 0 ? [] : panel.curves[rank].lines) {
        const value = this.table.numbers(series.column)[row];
        if (!Number.isFinite(value) || (panel.logarithmic && value <= 0)) continue;
        found.x.push(position(this.x, place));
        found.y.push(value);
      }
      panel.cursor.data = found;
    }
  }
}

// Whether a panel of curves wants a logarithmic axis: information lost over decades of depth, or values that span much.
function wantsLogarithm(table, spec, x, rows) {
  const values = [];
  for (const { column } of spec.series) for (const row of rows) if (row >= 0) values.push(table.numbers(column)[row]);
  const known = values.filter(Number.isFinite);
  const positive = known.filter((value) => value > 0);
  if (!positive.length) return false;
  const low = positive.reduce((a, b) => Math.min(a, b)), high = positive.reduce((a, b) => Math.max(a, b));
  if (spec.information) return x === "depth" && high > CONTENT.rules.decay * low;
  return known.every((value) => value >= 0) && high > CONTENT.rules.wide * low;
}
