// The table unpacked and the first picture, or why there is none.

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
