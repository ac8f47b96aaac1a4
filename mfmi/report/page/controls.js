// Menus and sliders, the pointer and the keys: what is chosen, and the picture of it.

const DARK = window.matchMedia("(prefers-color-scheme: dark)");
const PRINT = window.matchMedia("print");

class Explorer {
  constructor(table) {
    this.table = table;
    this.reading = new Reading(table);
    this.stage = document.getElementById("stage");
    this.form = document.getElementById("choices");
    this.chosen = new Map(CONTENT.axes.map((axis) => [axis.name, axis.start]));
    this.picture = 0;
    this.entry = CONTENT.start.entry;
    this.by = CONTENT.start.by;
    this.scale = "auto";
    this.sameColours = false;
    this.cursor = null; // { place, rank } in the picture
    this.views = [];
    this.printing = false;
    this.drawn = 0; // pictures so far
    this.queue = Promise.resolve();
    this.listen();
    this.menus();
    this.redraw();
  }

  get shape() {
    return CONTENT.pictures[this.picture];
  }

  get isHeat() {
    return this.shape.kind === "heat";
  }

  get quantity() {
    return CONTENT.entries[this.entry];
  }

  get other() {
    return this.isHeat ? this.shape.y : this.by;
  }

  get theme() {
    return DARK.matches && !this.printing ? THEMES.dark : THEMES.light;
  }

  get told() {
    return toldOf(this.table, this.quantity, [this.shape.x, this.other]);
  }

  // Axes of which the picture shows one value.
  get held() {
    return CONTENT.axes.filter((axis) => axis.name !== this.shape.x && axis.name !== this.other);
  }

  listen() {
    DARK.addEventListener("change", () => this.wear());
    for (const [event, value] of [["beforeprint", true], ["afterprint", false]]) {
      window.addEventListener(event, () => this.print(value));
    }
    PRINT.addEventListener("change", (event) => this.print(event.matches));
    this.stage.addEventListener("keydown", (event) => this.key(event));
    this.stage.addEventListener("mouseleave", () => this.hover(null));
  }

  wear() {
    if (!this.skin) return;
    this.skin.wear(this.theme);
    this.fill(this.current, this.wanted(this.current));
  }

  // On paper the picture is light, and as it is on the screen, for a browser does not wait until it has another size.
  print(value) {
    if (this.printing === value) return;
    this.printing = value;
    this.wear();
    const images = value ? this.views.map((view) => view.export("png").canvas) : [];
    document.getElementById("paper").replaceChildren(...images);
    document.getElementById("plots").hidden = value;
  }

  menus() {
    this.form.replaceChildren();
    this.select("picture", "picture", CONTENT.pictures.map((one) => one.label), this.picture, (at) => {
      this.followCursor();
      this.picture = at;
      if (this.isHeat && this.quantity.column === null) this.entry = CONTENT.start.column;
      if (this.by === this.shape.x) this.by = null;
      this.anew();
    });
    const entries = CONTENT.entries.map((one, at) => [at, one]).filter(([, one]) => !this.isHeat || one.column !== null);
    const labels = entries.map(([, one]) => one.label);
    this.select("quantity", "quantity", labels, entries.findIndex(([at]) => at === this.entry), (at) => {
      this.entry = entries[at][0];
      this.scale = "auto";
      this.redraw();
    });
    if (!this.isHeat) {
      const names = [null, ...CONTENT.axes.map((axis) => axis.name).filter((name) => name !== this.shape.x)];
      if (names.length > 1) {
        this.select("by", "a curve for each", names.map((name) => name ?? "(one curve)"), names.indexOf(this.by), (at) => {
          this.followCursor();
          this.by = names[at];
          this.anew();
        });
      }
    }
    const scales = ["auto", "linear", "logarithmic"];
    this.select("scale", this.isHeat ? "colours" : "scale", scales, scales.indexOf(this.scale), (at) => {
      this.scale = scales[at];
      this.redraw();
    });
    if (this.isHeat && this.held.length) {
      const box = element("input", { type: "checkbox", id: "same" });
      box.checked = this.sameColours;
      box.addEventListener("change", () => {
        this.sameColours = box.checked;
        this.redraw();
      });
      const label = element("label", { for: "same" }, "same colours for all rows");
      this.form.append(element("div", { class: "check" }, box, label));
    }
    for (const axis of this.held) {
      if (axis.words) this.select(axis.name, axis.short, axis.labels, this.chosen.get(axis.name), (at) => this.choose(axis, at));
      else this.slider(axis);
    }
  }

  select(id, label, options, chosen, act) {
    const menu = element("select", { id: `choose-${id}` });
    menu.append(...options.map((text, at) => element("option", { value: at }, text)));
    menu.selectedIndex = chosen;
    menu.addEventListener("change", () => act(menu.selectedIndex));
    this.form.append(element("div", {}, element("label", { for: menu.id }, label), menu));
  }

  slider(axis) {
    const value = element("output", { for: `choose-${axis.name}` });
    const most = axisLength(axis) - 1;
    const input = element("input", { type: "range", id: `choose-${axis.name}`, min: 0, max: most, step: 1 });
    const show = () => {
      const text = labelAt(axis, Number(input.value));
      value.textContent = text;
      input.setAttribute("aria-valuetext", `${axis.name} ${text}`);
    };
    input.value = this.chosen.get(axis.name);
    show();
    input.addEventListener("input", () => {
      show();
      this.choose(axis, Number(input.value));
    });
    const label = element("label", { for: input.id }, axis.short);
    this.form.append(element("div", {}, element("span", {}, label, " ", value), input));
  }

  choose(axis, place) {
    this.chosen.set(axis.name, place);
    this.refresh();
  }

  // What the cursor stands on, or else the largest value, stays in view when the picture changes.
  followCursor() {
    const best = this.isHeat ? this.current.cells[this.best] : this.best?.row;
    const row = this.cursorRow() ?? best ?? null;
    if (row !== null) for (const axis of CONTENT.axes) this.chosen.set(axis.name, this.table.places(axis.name)[row]);
  }

  anew() {
    this.cursor = null;
    this.scale = "auto";
    const focused = document.activeElement?.id;
    this.menus();
    if (focused) document.getElementById(focused)?.focus();
    this.redraw();
  }

  redraw() {
    this.queue = this.queue.then(() => this.build()).catch(fail);
  }

  // A slider may move faster than pictures are made.
  refresh() {
    if (this.waiting) return;
    this.waiting = true;
    this.queue = this.queue.then(() => {
      this.waiting = false;
      return this.update();
    }).catch(fail);
  }

  slice() {
    const held = this.held.map((axis) => axis.name);
    if (this.shape.raster) return rasterOf(this.table, this.shape.raster, held, this.chosen);
    return cellsOf(this.table, this.shape.x, this.other, held, this.chosen);
  }

  valuesOf(slice) {
    const column = this.table.numbers(this.quantity.column);
    return Float64Array.from(slice.cells, (row) => (row < 0 ? NaN : column[row]));
  }

  // What of a scale the picture is made for; another needs another picture.
  wanted(slice) {
    if (!this.isHeat) {
      const lines = this.linesOf(slice);
      const rows = lines.flatMap((one) => Array.from(slice.cells.subarray(one * slice.width, (one + 1) * slice.width)));
      const auto = (panel) => wantsLogarithm(this.table, panel, this.shape.x, rows);
      const logarithmic = this.quantity.panels.map((one) => (this.scale === "auto" ? auto(one) : this.scale !== "linear"));
      return { lines, logarithmic };
    }
    const own = this.valuesOf(slice);
    const all = this.sameColours ? this.table.numbers(this.quantity.column) : own;
    const scale = chosenScale(all, this.quantity.information, this.scale);
    return { scale, logarithmic: scale.logarithmic, values: own };
  }

  linesOf(slice) {
    return this.other === null ? [0] : this.table.axes.get(this.other).spread.filter((line) => line < slice.height);
  }

  async build() {
    const slice = this.slice();
    const wanted = this.wanted(slice);
    for (const view of this.views) view.remove();
    Bokeh.documents.splice(0);
    this.skin = new Skin(this.theme);
    const { panels } = this.quantity;
    this.made = this.isHeat
      ? new HeatPicture(this.table, this.shape, wanted.logarithmic, this.skin)
      : new CurvePicture(this.table, this.shape, panels, this.other, wanted.lines, wanted.logarithmic, this.skin);
    this.made.for = JSON.stringify([wanted.logarithmic, wanted.lines]);
    this.fill(slice, wanted);
    const { figures } = this.made;
    const plots = document.getElementById("plots");
    plots.replaceChildren();
    this.views = await Bokeh.Plotting.show(figures, plots);
    figures.forEach((figure, at) => {
      const { el } = this.views[at];
      figure.on_event("mousemove", (event) => this.hover(this.at(at, event.x, event.y), event, el));
      figure.on_event("mouseleave", () => this.hover(null));
      figure.on_event("tap", (event) => this.moveCursor(this.at(at, event.x, event.y)));
    });
    this.mark();
    document.getElementById("plots").dataset.drawn = String(++this.drawn);
  }

  async update() {
    const slice = this.slice();
    const wanted = this.wanted(slice);
    if (this.made.for !== JSON.stringify([wanted.logarithmic, wanted.lines])) return this.build();
    this.fill(slice, wanted);
    this.mark();
    document.getElementById("plots").dataset.drawn = String(++this.drawn);
    return undefined;
  }

  fill(slice, wanted) {
    this.current = slice;
    this.reading.tipAt(null);
    const edges = edgesAt(this.shape, this.isHeat ? null : this.other, this.chosen);
    if (this.isHeat) {
      const phases = Array.from(slice.cells, (row) => (row < 0 || !CONTENT.phase ? null : this.table.cell(CONTENT.phase, row)));
      const { best, ridge } = this.made.update(slice, wanted.values, phases, wanted.scale, edges);
      this.best = best;
      const facts = { edges, ridge, best: best >= 0, unbounded: phases.includes("unbounded") };
      this.legend(heatSigns(this.shape, { ...facts, missing: wanted.values.some(Number.isNaN) }, this.theme));
      this.caption(best < 0 ? null : slice.cells[best], [this.quantity.column], wanted.scale);
    } else {
      const trainable = this.trainable(slice);
      const { best } = this.made.update(slice, edges, trainable);
      this.best = this.bestOfCurves(slice, wanted.lines);
      this.legend(curveSigns(this.made, edges, trainable, best, this.theme));
      this.caption(this.best === null ? null : this.best.row, columnsOf(this.quantity), null);
    }
  }

  bestOfCurves(slice, lines) {
    const series = this.quantity.panels[0].series[0];
    if (!series.marked || !this.shape.marked) return null;
    const column = this.table.numbers(series.column);
    let best = null;
    lines.forEach((line, rank) => {
      for (let place = 0; place < slice.width; place++) {
        const row = slice.cells[line * slice.width + place];
        if (row >= 0 && Number.isFinite(column[row]) && (best === null || column[row] > column[best.row])) {
          best = { row, rank, place };
        }
      }
    });
    return best;
  }

  // The depth to which networks train, of one plain network along the depth.
  trainable(slice) {
    if (this.shape.x !== "depth" || this.other !== null || !this.table.columns.has("xi_c")) return [];
    const row = slice.cells.find((one) => one >= 0);
    if (row === undefined || this.table.cell("plain", row) !== 1) return [];
    const depth = 6 * this.table.cell("xi_c", row);
    const { values } = this.table.axes.get("depth");
    return depth > values[0] && depth < values[values.length - 1] ? [depth] : [];
  }

  legend(signs) {
    document.getElementById("legend").replaceChildren(...signs);
  }

  caption(row, names, scale) {
    const words = [this.quantity.label];
    if (this.quantity.unit) words[0] += ` (${this.quantity.unit})`;
    if (row !== null) {
      const axes = [this.shape.x, this.other].filter((name) => name !== null);
      words.push(`Largest: ${this.reading.phrases(row, [names[0], ...axes]).join(", ")}`);
    } else if (this.isHeat) words.push("No row with these choices has a value");
    if (this.shape.raster) words.push("Each place has the colour of the nearest point");
    if (scale?.cut) words.push(`Smaller values have the colour of ${shown(scale.low)}`);
    document.getElementById("caption").textContent = words.join(". ");
  }

  at(number, x, y) {
    const place = placeOf(this.made.x, x);
    if (place < 0) return null;
    const rank = this.isHeat ? placeOf(this.made.y, y) : this.made.nearest(number, place, y);
    return rank < 0 ? null : { rank, place };
  }

  rowAt(cursor) {
    if (cursor === null) return null;
    const line = this.isHeat ? cursor.rank : this.made.lines[cursor.rank];
    const row = this.current.cells[line * this.current.width + cursor.place];
    return row < 0 || row === undefined ? null : row;
  }

  cursorRow() {
    return this.rowAt(this.cursor);
  }

  hover(cursor, event = null, place = null) {
    const row = this.rowAt(cursor);
    if (event !== null) this.reading.tipAt(row, this.told, place.offsetLeft + event.sx, place.offsetTop + event.sy);
    else this.reading.tipAt(null);
    this.reading.show(row ?? this.cursorRow());
  }

  moveCursor(cursor) {
    this.cursor = cursor;
    this.mark();
    this.reading.say(this.cursorRow(), this.told);
  }

  mark() {
    const { cursor } = this;
    if (this.isHeat) this.made.markCursor(cursor === null ? null : cursor.rank * this.current.width + cursor.place);
    else this.made.markCursor(cursor?.rank ?? null, cursor?.place);
    this.reading.show(this.cursorRow());
  }

  key(event) {
    const width = this.current.width;
    const height = this.isHeat ? this.current.height : this.made.lines.length;
    const { place, rank } = this.cursor ?? { place: (width - 1) >> 1, rank: (height - 1) >> 1 };
    const tenth = Math.max(1, Math.round(width / 10));
    const moves = {
      ArrowLeft: [place - 1, rank], ArrowRight: [place + 1, rank], ArrowUp: [place, rank + 1], ArrowDown: [place, rank - 1],
      Home: [0, rank], End: [width - 1, rank], PageUp: [place + tenth, rank], PageDown: [place - tenth, rank],
      Enter: [place, rank], " ": [place, rank],
    };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") this.moveCursor(null);
    else if (event.key === "m" || event.key === "M") this.toBest();
    else if (event.key in moves) {
      const within = (value, most) => Math.min(Math.max(value, 0), most - 1);
      const [to, of] = moves[event.key];
      this.moveCursor(this.cursor === null ? { place, rank } : { place: within(to, width), rank: within(of, height) });
    } else return;
    event.preventDefault();
  }

  toBest() {
    if (!this.isHeat) {
      if (this.best !== null) this.moveCursor({ place: this.best.place, rank: this.best.rank });
      return;
    }
    const { width } = this.current;
    if (this.best >= 0) this.moveCursor({ place: this.best % width, rank: Math.floor(this.best / width) });
  }
}

function fail(error) {
  const place = document.getElementById("trouble");
  place.hidden = false;
  place.textContent = `This page could not be drawn: ${error.message}`;
  console.error(error);
}

async function start() {
  if (typeof DecompressionStream === "undefined") throw new Error("it needs a browser of 2023 or later");
  const bytes = await inflated(document.getElementById("packed").textContent.trim());
  Bokeh.set_log_level("error");
  window.explorer = new Explorer(new Table(CONTENT, bytes));
}

start().catch(fail);
