// Pictures drawn with Bokeh. Its texts are those of the program, never those of the file, for Bokeh would set formulas.

const THEMES = {
  light: { ink: "#1b1b1b", paper: "#ffffff", grid: "#dddddd", missing: "#d9d9d9", curves: [0, 0.88], edge: "#595959" },
  dark: { ink: "#ececec", paper: "#16181c", grid: "#3a3d42", missing: "#4a4d52", curves: [0.25, 1], edge: "#b0b0b0" },
};
const BEST = CONTENT.rules.best_colour, RIDGE = CONTENT.rules.ridge_colour;

function sourceOf(...names) {
  return new Bokeh.ColumnDataSource({ data: Object.fromEntries(names.map((name) => [name, []])) });
}

function rangeOf(axis) {
  const borders = bordersOf(axis);
  return new Bokeh.Range1d({ start: borders[0], end: borders[borders.length - 1] });
}

function emptyFigure(x, yType, yRange, height, xRange) {
  const figure = Bokeh.Plotting.figure({
    x_axis_type: x.logarithmic ? "log" : "linear",
    y_axis_type: yType,
    x_range: xRange ?? rangeOf(x),
    y_range: yRange,
    height,
    sizing_mode: "stretch_width",
    tools: "pan,box_zoom,wheel_zoom,reset,save",
    toolbar_location: "right",
  });
  figure.toolbar.logo = null;
  figure.toolbar.active_drag = null;
  figure.toolbar.active_scroll = null;
  return figure;
}

function setTicks(guide, axis) {
  if (axis.words) {
    const few = axis.words.length <= CONTENT.rules.named_ticks;
    guide.ticker = new Bokeh.FixedTicker({ ticks: axis.words.map((_, place) => place + 1) });
    if (few) {
      const names = axis.labels.map((text, place) => [place + 1, new Bokeh.PlainText({ text: shortened(text, 28) })]);
      guide.major_label_overrides = new Map(names);
      if (axis.words.length > 1) guide.major_label_orientation = 1.1;
    } else guide.ticker = new Bokeh.BasicTicker();
  } else if (axis.ticks) {
    guide.ticker = new Bokeh.FixedTicker({ ticks: axis.ticks });
    guide.major_label_overrides = new Map(axis.ticks.map((tick) => [tick, shown(tick)]));
  }
}

function shortened(text, most) {
  return text.length <= most ? text : `${text.slice(0, most / 2)}...${text.slice(3 - most / 2)}`;
}

function gridsOf(figure) {
  return figure.center.filter((part) => part instanceof Bokeh.Grid);
}

// Colours that depend on the theme, of all models of a picture: another theme needs no other picture.
class Skin {
  constructor(theme) {
    this.theme = theme;
    this.bound = [];
  }

  // Properties of a model, each with the colour it has in a theme: the name of one, or a function.
  bind(model, colours) {
    for (const [property, pick] of Object.entries(colours)) {
      const one = [model, property, typeof pick === "function" ? pick : (theme) => theme[pick]];
      this.bound.push(one);
      model[property] = one[2](this.theme);
    }
  }

  wear(theme) {
    this.theme = theme;
    for (const [model, property, pick] of this.bound) model[property] = pick(theme);
  }

  dress(figure) {
    this.bind(figure, { background_fill_color: "paper", border_fill_color: "paper", outline_line_color: "grid" });
    for (const guide of [...figure.below, ...figure.left]) {
      guide.axis_label_text_font_style = "normal";
      guide.axis_label_text_font_size = "13px";
      guide.major_label_text_font_size = "12px";
      const parts = ["axis_label_text", "major_label_text", "axis_line", "major_tick_line", "minor_tick_line"];
      this.bind(guide, Object.fromEntries(parts.map((part) => [`${part}_color`, "ink"])));
    }
    for (const grid of gridsOf(figure)) this.bind(grid, { grid_line_color: "grid" });
  }
}

// A heat map. `update` takes the cells and their values; the scale of the colours is as it was when it was made.
class HeatPicture {
  constructor(table, picture, logarithmic, skin) {
    this.table = table;
    [this.x, this.y] = picture.raster ?? [table.axes.get(picture.x), table.axes.get(picture.y)];
    this.isGrid = !picture.raster;
    const figure = emptyFigure(this.x, this.y.logarithmic ? "log" : "linear", rangeOf(this.y), 460);
    this.figures = [figure];
    const Mapper = logarithmic ? Bokeh.LogColorMapper : Bokeh.LinearColorMapper;
    this.mapper = new Mapper({ palette: Bokeh.Palettes.cividis(256), low: 0.1, high: 1 });
    this.cells = sourceOf("left", "right", "bottom", "top", "value");
    this.missing = sourceOf("left", "right", "bottom", "top");
    this.unbounded = sourceOf("left", "right", "bottom", "top");
    const box = { left: { field: "left" }, right: { field: "right" }, bottom: { field: "bottom" }, top: { field: "top" } };
    const missing = figure.quad({ ...box, source: this.missing, line_color: null });
    skin.bind(missing.glyph, { fill_color: "missing" });
    const fill = { field: "value", transform: this.mapper };
    figure.quad({ ...box, source: this.cells, fill_color: fill, line_color: fill, line_width: 0.5 });
    const hatch = { hatch_pattern: "right_diagonal_line", hatch_scale: 8, hatch_alpha: 0.55 };
    const unbounded = figure.quad({ ...box, source: this.unbounded, fill_color: null, line_color: null, ...hatch });
    skin.bind(unbounded.glyph, { hatch_color: "ink" });
    this.edges = new EdgeMarks(figure);
    this.ridge = sourceOf("x", "y");
    figure.scatter({ x: { field: "x" }, y: { field: "y" }, source: this.ridge, size: 4, color: RIDGE });
    this.best = sourceOf("x", "y");
    const star = { marker: "star", size: 17, fill_color: BEST, line_color: "black" };
    figure.scatter({ x: { field: "x" }, y: { field: "y" }, source: this.best, ...star });
    this.cursor = sourceOf("left", "right", "bottom", "top");
    for (const [colour, width] of [["black", 4], ["white", 2]]) {
      figure.quad({ ...box, source: this.cursor, fill_color: null, line_color: colour, line_width: width });
    }
    const bar = new Bokeh.ColorBar({ color_mapper: this.mapper, width: 14, padding: 8 });
    skin.bind(bar, { major_label_text_color: "ink", major_tick_line_color: "ink", background_fill_color: "paper" });
    figure.add_layout(bar, "right");
    figure.below[0].axis_label = this.x.label;
    figure.left[0].axis_label = this.y.label;
    setTicks(figure.below[0], this.x);
    setTicks(figure.left[0], this.y);
    skin.dress(figure);
    for (const grid of gridsOf(figure)) grid.visible = false;
  }

  box(places) {
    const across = bordersOf(this.x), up = bordersOf(this.y), width = axisLength(this.x);
    return {
      left: places.map((i) => across[i % width]),
      right: places.map((i) => across[(i % width) + 1]),
      bottom: places.map((i) => up[Math.floor(i / width)]),
      top: places.map((i) => up[Math.floor(i / width) + 1]),
    };
  }

  update(slice, values, phases, scale, edges) {
    this.slice = slice;
    const places = Array.from(values.keys());
    const known = places.filter((i) => Number.isFinite(values[i]));
    this.mapper.low = scale.low;
    this.mapper.high = scale.high;
    this.cells.data = { ...this.box(known), value: known.map((i) => values[i]) };
    this.missing.data = this.box(places.filter((i) => !Number.isFinite(values[i])));
    this.unbounded.data = this.box(places.filter((i) => phases[i] === "unbounded"));
    this.edges.update(edges);
    const ridge = [];
    for (let line = 0; line < slice.height; line++) {
      const place = largest(values, line * slice.width, (line + 1) * slice.width);
      if (place >= 0) ridge.push(place);
    }
    const shownRidge = this.isGrid && ridge.length > 2 ? ridge : [];
    // Where the row of a cell lies, which in a grid is the middle of the cell.
    const own = (axis, i) => position(this.table.axes.get(axis.name), this.table.places(axis.name)[slice.cells[i]]);
    const at = (list) => ({ x: list.map((i) => own(this.x, i)), y: list.map((i) => own(this.y, i)) });
    this.ridge.data = at(shownRidge);
    const best = largest(values);
    this.best.data = at(best < 0 ? [] : [best]);
    return { best, ridge: shownRidge.length > 0 };
  }

  at(number, x, y) {
    const place = placeOf(this.x, x), rank = placeOf(this.y, y);
    return place < 0 || rank < 0 ? null : { place, rank };
  }

  cell({ place, rank }) {
    return this.slice.cells[rank * this.slice.width + place];
  }

  markCursor(cursor) {
    this.cursor.data = this.box(cursor === null ? [] : [cursor.rank * this.slice.width + cursor.place]);
  }
}

// White lines with a dark seam where the edge attracts, dotted where it repels, rings for single points.
class EdgeMarks {
  constructor(figure) {
    this.attracting = sourceOf("x", "y");
    this.repelling = sourceOf("x", "y");
    this.points = sourceOf("x", "y");
    const at = { xs: { field: "x" }, ys: { field: "y" } };
    figure.multi_line({ ...at, source: this.attracting, line_color: "black", line_width: 4.5 });
    figure.multi_line({ ...at, source: this.attracting, line_color: "white", line_width: 2.2 });
    figure.multi_line({ ...at, source: this.repelling, line_color: "black", line_width: 4, line_dash: "dotted" });
    figure.multi_line({ ...at, source: this.repelling, line_color: "white", line_width: 2, line_dash: "dotted" });
    const ring = { size: 9, fill_color: "white", line_color: "black", line_width: 1.5 };
    figure.scatter({ x: { field: "x" }, y: { field: "y" }, source: this.points, marker: "circle", ...ring });
  }

  update(edges) {
    const lines = (list) => ({ x: list.map((one) => one.x), y: list.map((one) => one.y) });
    this.attracting.data = lines(edges.filter((one) => one.stable && one.x.length > 1));
    this.repelling.data = lines(edges.filter((one) => !one.stable && one.x.length > 1));
    const points = edges.filter((one) => one.x.length === 1);
    this.points.data = { x: points.map((one) => one.x[0]), y: points.map((one) => one.y[0]) };
  }
}
