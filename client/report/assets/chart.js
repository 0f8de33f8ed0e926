// What the charts share: axes, zoom, and drawing in canvas pixels.

const charts = []; // those on the page

const [RIGHT, RIGHT_SIZE] = [1, 24];

const timeAxis = () => axis({ size: 30, values: (u, splits) => splits.map((s) => +s.toFixed(6) + " s") });

// addChart replaces the content of host by a chart, and keeps the chart as wide as host.
function addChart(host, options, data) {
  host.replaceChildren();
  const u = new uPlot({ width: widthIn(host), ...options }, data, host);
  charts.push(u);
  const size = new ResizeObserver(() => fit(u));
  size.observe(host);
  u.hooks.destroy = [() => size.disconnect()];
  return u;
}

const widthIn = (host) => Math.max(host.clientWidth, 200);

function widen(u, width) {
  if (width !== u.width) u.setSize({ width, height: u.height });
}

const PAPER = 700; // px; paper would cut off anything wider
let onPaper = false;

function fit(u) {
  const width = widthIn(u.root.parentElement);
  widen(u, onPaper ? Math.min(width, PAPER) : width);
}

// fitTo fits all charts to paper, or to the screen again. Observers may still report an earlier
// change of the screen, so fit looks at onPaper, too.
function fitTo(paper) {
  onPaper = paper;
  charts.forEach(fit);
}

function removeChart(u) {
  charts.splice(charts.indexOf(u), 1);
  u.destroy();
}

// timeChart creates a chart of a trial over time, whose content is drawn by callbacks: under before
// the grid, over after it, and mark, which highlights the chosen call, on a canvas of its own, so
// that the rest need not be redrawn. The charts of a trial zoom together.
function timeChart(host, trial, { height, y, axes, scales = {}, under, over, chosen, mark, pointed, picked }) {
  const u = addChart(host, {
    // Some charts have an axis at the right. All have the same width inside, so that a time is at
    // the same place in each.
    height, padding: [10, axes.some((a) => a.side === RIGHT) ? 12 : 12 + RIGHT_SIZE, 0, 0], legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { x: true, y: false, dist: 5 }, sync: { key: "time" } },
    scales: { x: { time: false }, y, ...scales },
    axes: [timeAxis(), ...axes],
    series: [{}, { scale: "y" }, ...Object.keys(scales).map((scale) => ({ scale }))],
    hooks: {
      drawClear: [(u) => clipped(u, under)],
      draw: [(u) => clipped(u, over), (u) => u.mark?.()],
    },
  }, [[0, trial.end], [null, null], ...Object.keys(scales).map(() => [null, null])]);
  u.trial = trial;
  if (mark) addSheet(u, chosen, mark);
  u.over.addEventListener("mousemove", (e) => pointed(u, e.offsetX, e.offsetY));
  u.over.addEventListener("mouseleave", () => pointed(u, -1, -1));
  if (picked) u.over.addEventListener("click", (e) => picked(u, e.offsetX, e.offsetY));
  return u;
}

// addSheet lays a canvas over the inside of the chart, and adds u.mark, which draws on it.
function addSheet(u, chosen, mark) {
  const canvas = element("canvas", "", "sheet");
  u.over.append(canvas);
  u.mark = () => {
    canvas.hidden = chosen() < 0;
    if (canvas.hidden) return;
    const f = { ...frameOf(u), context: canvas.getContext("2d") };
    [canvas.width, canvas.height] = [f.width, f.height];
    f.context.translate(-f.left, -f.top);
    mark(f, chosen());
  };
}

// clipped calls draw with the frame of the chart, clipped to its inside.
function clipped(u, draw) {
  const context = u.ctx;
  context.save();
  context.beginPath();
  context.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
  context.clip();
  draw(frameOf(u));
  context.restore();
}

// frameOf returns the geometry of the chart's inside, in canvas pixels; r is the size of a CSS
// pixel.
function frameOf(u) {
  const { left, top, width, height } = u.bbox;
  const { min, max } = u.scales.x;
  const perSecond = width / (max - min);
  return {
    u, context: u.ctx, r: devicePixelRatio, left, top, width, height, right: left + width, bottom: top + height, min, max,
    x: (time) => left + (time - min) * perSecond,
    y: (value, scale = "y") => u.valToPos(value, scale, true),
  };
}

// paintWarmup marks the end of the warm-up, in which calls do not count.
function paintWarmup(f, trial) {
  if (trial.warmup <= f.min || trial.warmup >= f.max) return;
  paintLine(f, f.x(trial.warmup), f.top, f.x(trial.warmup), f.bottom, colors.ink, [2, 3]);
}

// zoom shows a time span in the middle of the charts of a trial, which show at least width seconds.
function zoom(from, to, width) {
  width = Math.max(width, (to - from) * 1.2);
  const start = Math.max(0, (from + to - width) / 2);
  for (const u of charts) {
    if (u.trial) u.setScale("x", { min: start, max: start + width });
  }
}
