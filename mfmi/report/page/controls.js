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
    this.best = null; // the same, of the largest value
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

  get isRanking() {
    return this.shape.kind === "ranking";
  }

  get isCurves() {
    return this.shape.kind === "curves";
  }

  get quantity() {
    return CONTENT.entries[this.entry];
  }

  get other() {
    return this.isCurves ? this.by : this.shape.y;
  }

  get theme() {
    return DARK.matches && !this.printing ? THEMES.dark : THEMES.light;
  }

  get told() {
    return toldOf(this.table, this.drawnColumns, this.shownAxes);
  }

  get drawnColumns() {
    return columnsOf(this.isRanking ? [this.quantity.ranking] : this.quantity.panels, this.quantity.column);
  }

  // Those of the picture, and those along which it shows the place of the largest value.
  get shownAxes() {
    return [this.shape.x, this.other, ...(this.shape.over ?? [])].filter((name) => name !== null);
  }

  // Axes of which the picture shows one value.
  get held() {
    return CONTENT.axes.filter((axis) => !this.shownAxes.includes(axis.name));
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
    const select = (...choices) => this.form.append(menuOf(...choices));
    this.form.replaceChildren();
    select("picture", "picture", CONTENT.pictures.map((one) => one.label), this.picture, (at) => {
      this.followCursor();
      this.picture = at;
      if (!this.isCurves && this.quantity.column === null) this.entry = CONTENT.start.column;
      if (this.by === this.shape.x) this.by = null;
      this.anew();
    });
    const entries = CONTENT.entries.map((one, at) => [at, one]).filter(([, one]) => this.isCurves || one.column !== null);
    const labels = entries.map(([, one]) => one.label);
    select("quantity", "quantity", labels, entries.findIndex(([at]) => at === this.entry), (at) => {
      this.entry = entries[at][0];
      this.scale = "auto";
      this.redraw();
    });
    if (this.isCurves) {
      const names = [null, ...CONTENT.axes.map((axis) => axis.name).filter((name) => name !== this.shape.x)];
      if (names.length > 1) {
        select("by", "a curve for each", names.map((name) => name ?? "(one curve)"), names.indexOf(this.by), (at) => {
          this.followCursor();
          this.by = names[at];
          this.anew();
        });
      }
    }
    const scales = ["auto", "linear", "logarithmic"];
    select("scale", this.isHeat ? "colours" : "scale", scales, scales.indexOf(this.scale), (at) => {
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
      if (axis.words) select(axis.name, axis.short, axis.labels, this.chosen.get(axis.name), (at) => this.choose(axis, at));
      else this.form.append(sliderOf(axis, this.chosen.get(axis.name), (at) => this.choose(axis, at)));
    }
  }

  choose(axis, place) {
    this.chosen.set(axis.name, place);
    this.refresh();
  }

  // What the cursor stands on, or else the largest value, stays in view when the picture changes.
  followCursor() {
    const row = this.cursorRow() ?? this.rowAt(this.best);
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
    if (this.isRanking) return ranksOf(this.table, this.shape, held, this.chosen, this.quantity.column);
    if (this.shape.raster) return rasterOf(this.table, this.shape.raster, held, this.chosen);
    return cellsOf(this.table, this.shape.x, this.other, held, this.chosen);
  }

  valuesOf(slice) {
    const column = this.table.numbers(this.quantity.column);
    return Float64Array.from(slice.cells, (row) => (row < 0 ? NaN : column[row]));
  }

  // What of a scale the picture is made for; another needs another picture.
  wanted(slice) {
    if (this.isRanking) {
      const auto = this.scale === "auto" && ranksWantLogarithm(this.table, this.quantity.ranking, slice);
      return { logarithmic: auto || this.scale === "logarithmic" };
    }
    if (this.isCurves) {
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
    this.made = this.emptyPicture(slice, wanted);
    this.made.for = JSON.stringify([wanted.logarithmic, wanted.lines]);
    this.fill(slice, wanted);
    const { figures } = this.made;
    const plots = document.getElementById("plots");
    plots.replaceChildren();
    this.views = await Bokeh.Plotting.show(figures, plots);
    figures.forEach((figure, at) => {
      const { el } = this.views[at];
      figure.on_event("mousemove", (event) => this.hover(this.made.at(at, event.x, event.y), event, el));
      figure.on_event("mouseleave", () => this.hover(null));
      figure.on_event("tap", (event) => this.moveCursor(this.made.at(at, event.x, event.y)));
    });
    this.mark();
    document.getElementById("plots").dataset.drawn = String(++this.drawn);
  }

  emptyPicture(slice, { logarithmic, lines }) {
    const { panels, ranking } = this.quantity;
    if (this.isRanking) return new RankPicture(this.table, this.shape, ranking, slice.height, logarithmic, this.skin);
    if (this.isHeat) return new HeatPicture(this.table, this.shape, logarithmic, this.skin);
    return new CurvePicture(this.table, this.shape, panels, this.other, lines, logarithmic, this.skin);
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
    const before = this.current;
    this.current = slice;
    this.reading.tipAt(null);
    if (this.isRanking) this.fillRanking(slice, before);
    else if (this.isHeat) this.fillHeat(slice, wanted);
    else this.fillCurves(slice, wanted);
  }

  fillRanking(slice, before) {
    this.made.update(slice);
    // The cursor stays with its activation.
    if (this.cursor !== null) this.cursor = { place: 0, rank: slice.order.indexOf(before.order[this.cursor.rank]) };
    const top = slice.height - 1;
    this.best = slice.cells[top] < 0 ? null : { place: 0, rank: top };
    this.legend(rankSigns(this.made, this.theme));
    const over = this.shape.over.join(" and ");
    const more = over ? [`Each activation is at its best ${over} of those on this page`] : [];
    if (this.made.atEnd) more.push("*: at an end of what was swept, so that its maximum may lie beyond");
    if (slice.leftOut) more.push("Networks whose variance grows without bound are not ranked");
    this.caption([this.quantity.column], more);
  }

  fillHeat(slice, { values, scale }) {
    const edges = edgesAt(this.shape, null, this.chosen);
    const phases = Array.from(slice.cells, (row) => (row < 0 || !CONTENT.phase ? null : this.table.cell(CONTENT.phase, row)));
    const { best, ridge } = this.made.update(slice, values, phases, scale, edges);
    this.best = best < 0 ? null : { place: best % slice.width, rank: Math.floor(best / slice.width) };
    const facts = { edges, ridge, best: best >= 0, unbounded: phases.includes("unbounded") };
    this.legend(heatSigns(this.shape, { ...facts, missing: values.some(Number.isNaN) }, this.theme));
    const more = this.shape.raster ? ["Each place has the colour of the nearest point"] : [];
    if (scale.cut) more.push(`Smaller values have the colour of ${shown(scale.low)}`);
    this.caption([this.quantity.column], more);
  }

  fillCurves(slice, { lines }) {
    const edges = edgesAt(this.shape, this.other, this.chosen);
    const trainable = this.trainable(slice);
    const { best } = this.made.update(slice, edges, trainable);
    this.best = this.bestOfCurves(slice, lines);
    this.legend(curveSigns(this.made, edges, trainable, best, this.theme));
    this.caption(this.drawnColumns, []);
  }

  bestOfCurves(slice, lines) {
    const series = this.quantity.panels[0].series[0];
    if (!series.marked || !this.shape.marked) return null;
    const column = this.table.numbers(series.column);
    let best = null, most = -Infinity;
    lines.forEach((line, rank) => {
      for (let place = 0; place < slice.width; place++) {
        const row = slice.cells[line * slice.width + place];
        if (row >= 0 && Number.isFinite(column[row]) && (best === null || column[row] > most)) {
          best = { rank, place };
          most = column[row];
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

  caption(names, more) {
    const words = [this.quantity.label];
    if (this.quantity.unit) words[0] += ` (${this.quantity.unit})`;
    const row = this.rowAt(this.best);
    if (row !== null) words.push(`Largest: ${this.reading.phrases(row, [names[0], ...this.shownAxes]).join(", ")}`);
    else if (!this.isCurves) words.push("No row with these choices has a value");
    document.getElementById("caption").textContent = [...words, ...more].join(". ");
  }

  rowAt(cursor) {
    const row = cursor === null ? -1 : this.made.cell(cursor);
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
    this.made.markCursor(this.cursor);
    this.reading.show(this.cursorRow());
  }

  key(event) {
    const width = this.current.width;
    const height = this.isCurves ? this.made.lines.length : this.current.height;
    const first = { place: (width - 1) >> 1, rank: this.isRanking ? height - 1 : (height - 1) >> 1 };
    const { place, rank } = this.cursor ?? first;
    const moves = movesFrom(place, rank, width, height);
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
    if (this.best !== null) this.moveCursor(this.best);
  }
}
