// Colors and shapes. Each outcome also has a shape of its own, for people who cannot tell the
// colors apart.
//
// The page defines outcomes, the names of the outcomes by number; OUTCOME, their numbers by name;
// STATE, the numbers of a replica's states; and at, which finds an element by its ID.

let colors = {};

// readColors reads the colors of the current theme.
function readColors() {
  const style = getComputedStyle(document.documentElement);
  colors = {};
  const names = ["page", "surface", "ink", "muted", "grid", "accent", "band-down", "band-starting", "band-hatch"];
  for (const name of [...names, ...outcomes, "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8"]) {
    colors[name] = style.getPropertyValue("--" + name).trim();
  }
}

const SMALL = 5; // px; below it a shape cannot be recognized

// How the bar of an attempt is filled, by outcome; r is the size of a CSS pixel.
const shapes = {
  ok: (context, x, y, w, h) => context.fillRect(x, y, w, h),
  refused(context, x, y, w, h, r) { // hollow
    const line = 1.5 * r;
    context.fillRect(x, y, w, line);
    context.fillRect(x, y + h - line, w, line);
    context.fillRect(x, y + line, line, h - 2 * line);
    context.fillRect(x + w - line, y + line, line, h - 2 * line);
  },
  lost(context, x, y, w, h, r) { // broken
    context.fillRect(x, y, w - 4 * r, h);
    context.fillRect(x + w - 2 * r, y, 2 * r, h);
  },
  failed(context, x, y, w, h, r) { // dashes
    const step = Math.max(6 * r, w / 100);
    for (let at = 0; at < w; at += step) context.fillRect(x + at, y, Math.min(step * 0.6, w - at), h);
  },
  timeout(context, x, y, w, h) { // rails
    context.fillRect(x, y, w, h * 0.34);
    context.fillRect(x, y + h * 0.66, w, h * 0.34);
  },
  rejected: (context, x, y, w, h) => context.fillRect(x, y, w, h / 2),
  canceled: (context, x, y, w, h) => context.fillRect(x, y + h * 0.35, w, h * 0.3),
};

const isSmall = (w, h, r) => w < SMALL * r || h < SMALL * r;

// paintBar draws the bar of an attempt, in the shape of its outcome if there is room for it.
function paintBar(context, outcome, x, y, w, h, r) {
  const name = outcomes[outcome];
  context.fillStyle = colors[name];
  if (isSmall(w, h, r)) context.fillRect(x, y, w, h);
  else shapes[name](context, x, y, w, h, r);
}

// paintSwatch draws the shape of an outcome into the canvas of a key.
function paintSwatch(canvas, outcome) {
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  paintBar(context, outcome, 0, 0, canvas.width, canvas.height, 2);
}

function swatch(outcome) {
  const canvas = element("canvas", "");
  [canvas.width, canvas.height] = [44, 24];
  canvas.dataset.outcome = outcomes[outcome];
  paintSwatch(canvas, outcome);
  return canvas;
}

// hatch returns a pattern of lines for bands.
function hatch(context, r, upright) {
  const size = Math.round(6 * r);
  const tile = document.createElement("canvas");
  tile.width = tile.height = size;
  const t = tile.getContext("2d");
  t.fillStyle = colors["band-starting"];
  t.fillRect(0, 0, size, size);
  t.strokeStyle = colors["band-hatch"];
  t.lineWidth = r;
  t.beginPath();
  for (const shift of upright ? [size / 2] : [-size, 0, size]) {
    t.moveTo(shift, size);
    t.lineTo(upright ? shift : shift + size, 0);
  }
  t.stroke();
  return context.createPattern(tile, "repeat");
}

// bandStyles returns the fill of the bands of each state; those of up have none.
function bandStyles(context, r) {
  const styles = [];
  styles[STATE.down] = colors["band-down"];
  styles[STATE.starting] = hatch(context, r, false);
  styles[STATE.paused] = hatch(context, r, true);
  return styles;
}

function element(name, text, className) {
  const e = document.createElement(name);
  e.textContent = text;
  if (className) e.className = className;
  return e;
}

function paintLine(f, x1, y1, x2, y2, color, dashes = []) {
  const { context, r } = f;
  context.strokeStyle = color;
  context.lineWidth = 1.5 * r;
  context.setLineDash(dashes.map((d) => d * r));
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
  context.setLineDash([]);
}

// paintText writes text outlined in the color of the surface, so that it can be read on anything.
function paintText(f, text, x, y, color, align = "left") {
  const { context, r } = f;
  context.font = `${12 * r}px system-ui, sans-serif`;
  context.textAlign = align;
  context.textBaseline = "alphabetic";
  context.lineJoin = "round";
  context.strokeStyle = colors.surface;
  context.lineWidth = 3 * r;
  context.strokeText(text, x, y);
  context.fillStyle = color;
  context.fillText(text, x, y);
}

// applyTheme shows the page in the light or the dark theme, except for its charts and lanes.
function applyTheme(theme) {
  document.documentElement.dataset.theme = theme;
  at("theme").textContent = theme === "dark" ? "light theme" : "dark theme";
  readColors();
  for (const canvas of document.querySelectorAll("canvas[data-outcome], [data-outcome] > canvas")) {
    paintSwatch(canvas, OUTCOME[canvas.dataset.outcome ?? canvas.parentElement.dataset.outcome]);
  }
}
