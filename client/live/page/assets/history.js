// The charts of the last minutes, with a point each second for each load.

const MINUTES = 5;
const POINTS = MINUTES * 60 + 1;

const plots = []; // the charts, each with the values that it shows of a point

// Each chart: its element, its range and axis, and its lines for a load: a name, a dash and the value of a point.
const CHARTS = [
  { host: "success-plot", range: [0, 100], axis: () => yAxis({ values: (u, splits) => splits.map((s) => s + "%") }),
    lines: [["success", [], (p) => (p.ok + p.failed ? (100 * p.ok) / (p.ok + p.failed) : null)]], spell: (y) => percent(y / 100) },
  { host: "latency-plot", log: true, axis: () => latencyAxis(30), lines: [["p50", [], (p) => p.p50_us * MICRO || null], ["p99", [5, 4], (p) => p.p99_us * MICRO || null]], spell: duration },
  { host: "waiting-plot", range: (u, min, max) => [0, Math.max(5, max * 1.1)], axis: () => yAxis({}), lines: [["waiting", [], (p) => p.waiting]], spell: String },
];

// makePlots makes the charts for the loads that are shown.
function makePlots() {
  for (const { u, size } of plots.splice(0)) {
    size.disconnect();
    u.destroy();
  }
  for (const chart of CHARTS) plots.push(makePlot(chart));
}

function makePlot(chart) {
  const host = at(chart.host);
  const lines = scene.loads.flatMap(({ id, number }) => chart.lines.map(([name, dash]) => ({
    label: (scene.loads.length > 1 ? id + " " : "") + name, width: number === 0 ? 2 : 1.6, dash: dash.length ? dash : undefined,
    stroke: () => loadColor(number), points: { show: false }, value: (u, y) => (y == null ? "" : chart.spell(y)),
  })));
  const values = scene.loads.flatMap(({ number }) => chart.lines.map(([, dash, value]) => ({ number, value, style: dash.length ? "dashed" : "solid" })));
  const scale = chart.log ? { distr: 3, range: (u, min, max) => logRange([min ?? 0.001, max ?? 1]) } : { range: chart.range };
  const u = new uPlot({
    width: Math.max(host.clientWidth, 200), height: narrow() ? 120 : 140, padding: [8, 18, 0, 0],
    legend: { markers: { width: 3, stroke: (u, i) => (i ? loadColor(values[i - 1].number) : "transparent"), dash: (u, i) => (i ? values[i - 1].style : "none") } },
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false }, sync: { key: "history" } },
    scales: { x: { time: false, range: () => [Math.max(0, scene.now - MINUTES * 60), Math.max(scene.now, 60)] }, y: scale },
    axes: [axis({ size: 26, values: (u, splits) => splits.map(clock) }), chart.axis()],
    series: [{ label: " ", value: (u, x) => (x == null ? "" : "at " + clock(x)) }, ...lines],
    hooks: { draw: [markHistory] },
  }, [[], ...lines.map(() => [])], host);
  const size = new ResizeObserver(() => u.setSize({ width: Math.max(host.clientWidth, 200), height: u.height }));
  size.observe(host);
  return { u, size, values };
}

// markHistory draws the lines of the commands.
function markHistory(u) {
  const f = { context: u.ctx, r: devicePixelRatio * 0.7 };
  for (const mark of state.marks.items) {
    const time = mark.at_us * MICRO;
    if (mark.kind === "ejection" || time < u.scales.x.min || time > u.scales.x.max) continue;
    const x = u.valToPos(time, "x", true);
    paintLine(f, x, u.bbox.top, x, u.bbox.top + u.bbox.height, colors.accent, [4, 4]);
  }
}

let charted = ""; // which points and loads the charts have

// showHistory updates the charts when there are new points.
function showHistory() {
  const { first, items } = state.points;
  const loads = scene.loads.map((l) => l.id).join();
  const key = `${loads}:${first + items.length}`;
  if (key === charted || stage.frozen || document.hidden) return;
  if (!charted.startsWith(loads + ":")) makePlots();
  charted = key;
  const bySecond = new Map();
  for (const p of items.slice(-2 * POINTS)) {
    const second = Math.round(p.at_us * MICRO);
    if (second < scene.now - MINUTES * 60 - 1) continue;
    if (!bySecond.has(second)) bySecond.set(second, []);
    bySecond.get(second)[loadNumber(p.load)] = p;
  }
  const seconds = [...bySecond.keys()].sort((a, b) => a - b);
  for (const { u, values } of plots) {
    u.setData([seconds, ...values.map(({ number, value }) => seconds.map((s) => {
      const p = bySecond.get(s)[number];
      return p ? value(p) : null;
    }))]);
  }
}
