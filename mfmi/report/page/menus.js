// Menus and sliders with their labels, and what the keys do.

function menuOf(id, label, options, chosen, act) {
  const menu = element("select", { id: `choose-${id}` });
  menu.append(...options.map((text, at) => element("option", { value: at }, text)));
  menu.selectedIndex = chosen;
  menu.addEventListener("change", () => act(menu.selectedIndex));
  return element("div", {}, element("label", { for: menu.id }, label), menu);
}

function sliderOf(axis, place, act) {
  const value = element("output", { for: `choose-${axis.name}` });
  const most = axisLength(axis) - 1;
  const input = element("input", { type: "range", id: `choose-${axis.name}`, min: 0, max: most, step: 1 });
  const show = () => {
    const text = labelAt(axis, Number(input.value));
    value.textContent = text;
    input.setAttribute("aria-valuetext", `${axis.name} ${text}`);
  };
  input.value = place;
  show();
  input.addEventListener("input", () => {
    show();
    act(Number(input.value));
  });
  const label = element("label", { for: input.id }, axis.short);
  return element("div", {}, element("span", {}, label, " ", value), input);
}

// Where each key moves the cursor: far along the lines, or up and down where lines have one place each.
function movesFrom(place, rank, width, height) {
  const tenth = Math.max(1, Math.round((width > 1 ? width : height) / 10));
  const far = width > 1
    ? { Home: [0, rank], End: [width - 1, rank], PageUp: [place + tenth, rank], PageDown: [place - tenth, rank] }
    : { Home: [0, height - 1], End: [0, 0], PageUp: [0, rank + tenth], PageDown: [0, rank - tenth] };
  return {
    ArrowLeft: [place - 1, rank], ArrowRight: [place + 1, rank], ArrowUp: [place, rank + 1], ArrowDown: [place, rank - 1],
    Enter: [place, rank], " ": [place, rank], ...far,
  };
}
