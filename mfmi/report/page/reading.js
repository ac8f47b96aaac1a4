// What is said about one row: all its columns beside the picture, the most important under the pointer and aloud.

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// Columns that panels draw, a chosen one first.
function columnsOf(panels, chosen) {
  const names = panels.flatMap(({ series, areas }) => [
    ...series.map((one) => one.column), ...areas.flatMap((one) => [one.low, one.high])]);
  return [...new Set(chosen === null ? names : [chosen, ...names])];
}

// Columns that are named with a row: those of the axes and of the quantity, and the phase.
function toldOf(table, drawn, axes) {
  const names = [...axes, ...drawn, CONTENT.phase];
  return [...new Set(names)].filter((name) => table.columns.has(name));
}

class Reading {
  constructor(table) {
    this.table = table;
    this.panel = document.getElementById("row");
    this.tip = document.getElementById("tip");
    this.aloud = document.getElementById("aloud");
    this.values = new Map();
    const body = element("tbody");
    for (const column of CONTENT.columns) {
      if (column.hidden) continue;
      const unit = column.unit && column.unit !== "1" ? ` (${column.unit})` : "";
      const head = element("th", { scope: "row" }, column.name);
      if (column.description) head.title = `${column.description}${unit}${column.basis ? `; ${column.basis}` : ""}`;
      const value = element("td");
      this.values.set(column.name, value);
      body.append(element("tr", { "data-column": column.name }, head, value));
    }
    this.panel.replaceChildren(body);
  }

  // All columns of a row; none for null.
  show(row) {
    this.panel.dataset.row = row === null ? "" : String(row);
    for (const [name, cell] of this.values) cell.textContent = row === null ? "" : shown(this.table.cell(name, row));
  }

  // The columns in question, each with its value, as short texts.
  phrases(row, names) {
    return names.map((name) => `${name} ${shown(this.table.cell(name, row))}`);
  }

  tipAt(row, names, x, y) {
    if (row === null) {
      this.tip.hidden = true;
      return;
    }
    this.tip.replaceChildren(...this.phrases(row, names).map((text) => element("div", {}, text)));
    this.tip.hidden = false;
    const right = x + 18 + this.tip.offsetWidth < this.tip.parentElement.clientWidth;
    this.tip.style.left = `${Math.max(0, right ? x + 18 : x - 14 - this.tip.offsetWidth)}px`;
    this.tip.style.top = `${Math.max(0, y + 14)}px`;
  }

  say(row, names) {
    this.aloud.textContent = row === null ? "no row here" : this.phrases(row, names).join(", ");
  }
}
