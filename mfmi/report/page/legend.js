// The signs of a picture, below it.

function svg(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function sign(text, ...parts) {
  const box = svg("svg", { width: 30, height: 14, viewBox: "0 0 30 14", "aria-hidden": "true" });
  box.append(...parts.map(([name, attributes]) => svg(name, attributes)));
  const item = element("li");
  item.append(box, text);
  return item;
}

const ACROSS = "M1 7H29";
const STAR = "M15 1l1.8 4.2 4.6.4-3.5 3 1.1 4.4-4-2.4-4 2.4 1.1-4.4-3.5-3 4.6-.4z";

function line(colour, width, dash = []) {
  return ["path", { d: ACROSS, stroke: colour, "stroke-width": width, "stroke-dasharray": dash.join(" "), fill: "none" }];
}

function box(fill, more = {}) {
  return ["rect", { x: 5, y: 1, width: 20, height: 12, fill, ...more }];
}

function heatSigns(picture, { edges, ridge, best, unbounded, missing }, theme) {
  const signs = [];
  if (edges.some((one) => one.stable)) signs.push(sign("edge of chaos", line("black", 5), line("white", 2.5)));
  if (edges.some((one) => !one.stable)) {
    signs.push(sign("edge, repelling", line("black", 5, [3, 3]), line("white", 2.5, [3, 3])));
  }
  if (best) signs.push(sign("largest", ["path", { d: STAR, fill: BEST, stroke: "black" }]));
  if (ridge) signs.push(sign(`largest at each ${picture.y}`, ["circle", { cx: 15, cy: 7, r: 2.5, fill: RIDGE }]));
  if (unbounded) {
    const hatch = { d: "M7 13L19 1M13 13L25 1M7 7L13 1", stroke: theme.ink, "stroke-width": 1 };
    signs.push(sign("unbounded", box("none", { stroke: theme.ink }), ["path", hatch]));
  }
  if (missing) signs.push(sign("no value", box(theme.missing, { stroke: theme.ink, "stroke-width": 0.5 })));
  return signs;
}

function curveSigns(made, edges, trainable, best, theme) {
  const signs = [];
  const several = made.lines.length > 1;
  const seen = new Set();
  const atLast = several ? `, ${made.by} ${labelAt(made.table.axes.get(made.by), made.lines[made.lines.length - 1])}` : "";
  for (const { spec } of made.panels) {
    for (const [number, series] of spec.series.entries()) {
      if ((several && series.single) || seen.has(series.label)) continue;
      seen.add(series.label);
      const colour = several && !series.last ? theme.ink : own(series.colour, theme);
      const mark = { cx: 15, cy: 7, r: 3.5, fill: colour };
      const drawn = series.dash ? [line(colour, series.width, dashOf(series, number, several))] : [];
      if (series.marker === "dash") drawn.push(line(colour, 2));
      else if (series.marker === "triangle") drawn.push(["path", { d: "M15 2l5 9h-10z", fill: colour }]);
      else if (series.marker === "inverted_triangle") drawn.push(["path", { d: "M15 12l5-9h-10z", fill: colour }]);
      else if (series.marker && !series.dash) drawn.push(["circle", mark]);
      signs.push(sign(series.label + (series.last ? atLast : ""), ...drawn));
      if (series.hollow) signs.push(sign(series.hollow, ["circle", { ...mark, fill: "none", stroke: colour }]));
    }
    for (const area of spec.areas) {
      if (seen.has(area.label)) continue;
      seen.add(area.label);
      signs.push(sign(area.label + (area.last ? atLast : ""), box(several && !area.last ? theme.ink : own(area.colour, theme), { "fill-opacity": 0.3 })));
    }
  }
  if (several) {
    const axis = made.table.axes.get(made.by);
    made.lines.forEach((place, rank) => {
      signs.push(sign(`${axis.name} ${labelAt(axis, place)}`, line(made.colour(rank, theme), 4)));
    });
  }
  if (edges.length) signs.push(sign("edge of chaos", line(theme.edge, 1.5, [6, 4])));
  if (trainable.length) signs.push(sign("trainable depth 6 xi_c", line(theme.edge, 1.5, [2, 3])));
  if (best) signs.push(sign("largest", ["path", { d: STAR, fill: BEST, stroke: "black" }]));
  return signs;
}
