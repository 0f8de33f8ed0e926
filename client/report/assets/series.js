// Latency and outcomes of a trial over time, and the percentiles of the cells.

// latencyChart creates the chart with a dot or a cross for each call. Limits that no call came near
// do not stretch its axis.
function latencyChart(host, trial, chosen, pick) {
  const limits = limitsOf(trial);
  const readout = document.getElementById("latency-readout");
  return timeChart(host, trial, {
    height: narrow() ? 240 : 300,
    y: { distr: 3, range: logRange(trial.calls.latency) },
    axes: [latencyAxis()],
    under: (f) => paintDowntime(f, trial),
    over(f) {
      paintCalls(f, trial);
      limits.forEach((limit, i) => paintLimit(f, limit, i));
      paintWarmup(f, trial);
    },
    chosen,
    mark: (f, call) => paintRing(f, trial, call),
    pointed(u, x, y) {
      const call = callAt(u, trial, x, y);
      readout.textContent = call < 0 ? "\u00a0" : describeCall(trial, call);
    },
    picked(u, x, y) {
      const call = callAt(u, trial, x, y);
      if (call >= 0) pick(call);
    },
  });
}

function limitsOf(trial) {
  const limits = [];
  if (trial.deadline) limits.push({ at: trial.deadline, text: `deadline of a call, ${duration(trial.deadline)}` });
  if (trial.timeout) limits.push({ at: trial.timeout, text: `time-out of an attempt, ${duration(trial.timeout)}` });
  return limits;
}

// paintLimit draws the i-th limit as a line or, where it lies outside the chart, names it at the
// edge.
function paintLimit(f, limit, i) {
  const { min, max } = f.u.scales.y;
  const right = f.right - 6 * f.r;
  if (limit.at > max) {
    paintText(f, `↑ ${limit.text}`, right, f.top + (14 + 16 * i) * f.r, colors.ink, "right");
  } else if (limit.at < min) {
    paintText(f, `↓ ${limit.text}`, right, f.bottom - 6 * f.r, colors.ink, "right");
  } else {
    const y = f.y(limit.at);
    paintLine(f, f.left, y, f.right, y, colors.ink, [6, 4]);
    paintText(f, limit.text, right, y - 5 * f.r, colors.ink, "right");
  }
}

// paintDowntime shades the times in which replicas were down, more strongly the more of them were.
function paintDowntime(f, trial) {
  const { context } = f;
  context.fillStyle = colors["band-hatch"];
  context.globalAlpha = 0.5 / Math.max(1, trial.replicas.length);
  for (const band of trial.bands) {
    if (band.state === STATE.up || band.to < f.min || band.from > f.max) continue;
    context.fillRect(f.x(band.from), f.top, f.x(band.to) - f.x(band.from), f.height);
  }
  context.globalAlpha = 1;
}

function pointOf(f, trial, call) {
  const { min, max } = f.u.scales.y;
  const share = Math.log(Math.max(trial.calls.latency[call], LEAST) / min) / Math.log(max / min);
  return [f.x(trial.calls.intended[call]), f.bottom - share * f.height];
}

// paintCalls draws the calls, the failed ones on top. Of calls with the same result and the same
// pixel it draws one.
function paintCalls(f, trial) {
  const { calls } = trial;
  const pixels = pixelsOf(f);
  const size = Math.round((calls.n > 5000 ? 2 : 4) * f.r);
  const half = size >> 1;
  const [reach, thick] = [Math.round((calls.n > 5000 ? 2 : 4) * f.r), Math.round(1.6 * f.r)];
  const order = [RESULT.ok, RESULT.interrupted, RESULT.failed];
  const color = { [RESULT.ok]: rgba(colors.ok), [RESULT.interrupted]: rgba(colors.canceled), [RESULT.failed]: rgba(colors.lost) };
  for (const result of order) {
    for (let c = 0; c < calls.n; c++) {
      if (calls.result[c] !== result || calls.intended[c] < f.min || calls.intended[c] > f.max) continue;
      const [x, y] = pointOf(f, trial, c);
      const left = Math.round(x - f.left);
      const top = Math.round(y - f.top);
      if (pixels.data[top * pixels.width + left] === color[result]) continue;
      if (result === RESULT.ok) setSquare(pixels, left - half, top - half, size, color[result]);
      else setCross(pixels, left, top, reach, thick, color[result]);
    }
  }
  paintPixels(f, pixels);
}

function paintRing(f, trial, call) {
  const [x, y] = pointOf(f, trial, call);
  f.context.strokeStyle = colors.ink;
  f.context.lineWidth = 2 * f.r;
  f.context.beginPath();
  f.context.arc(x, y, 8 * f.r, 0, 2 * Math.PI);
  f.context.stroke();
}

// callAt returns the call whose dot is nearest to a point of the chart, in CSS pixels, or -1 if
// none is near.
function callAt(u, trial, x, y) {
  if (x < 0) return -1;
  const f = frameOf(u);
  let [best, nearest] = [-1, NEAR * f.r];
  for (let c = 0; c < trial.calls.n; c++) {
    const dx = Math.abs(f.x(trial.calls.intended[c]) - f.left - x * f.r);
    if (dx >= nearest) continue;
    const distance = Math.hypot(dx, pointOf(f, trial, c)[1] - f.top - y * f.r);
    if (distance < nearest) [best, nearest] = [c, distance];
  }
  return best;
}

const BUCKET = 0.25; // seconds

// countOutcomes counts the attempts that ended in each bucket, by outcome.
function countOutcomes(trial) {
  const { attempts } = trial;
  const n = Math.max(1, Math.ceil(trial.end / BUCKET));
  const counts = outcomes.map(() => new Int32Array(n));
  for (let i = 0; i < attempts.n; i++) {
    counts[attempts.outcome[i]][Math.min(n - 1, Math.floor(attempts.end[i] / BUCKET))]++;
  }
  return counts;
}

// upSteps returns the number of replicas that are up, from each time at which it changes.
function upSteps(trial) {
  const changes = [];
  for (const band of trial.bands) {
    if (band.state === STATE.up) changes.push([band.from, 1], [band.to, -1]);
  }
  changes.sort((a, b) => a[0] - b[0]);
  const steps = [{ at: 0, up: 0 }];
  for (const [at, change] of changes) {
    const last = steps[steps.length - 1];
    if (at >= trial.end) break; // where the load ends, no replica does
    if (at > last.at) steps.push({ at, up: last.up + change });
    else last.up += change;
  }
  return steps;
}

const upAt = (steps, time) => steps.findLast((s) => s.at <= time)?.up ?? 0;

// outcomesChart creates the chart of the outcomes in each quarter of a second, stacked.
function outcomesChart(host, trial) {
  const counts = countOutcomes(trial);
  const steps = upSteps(trial);
  const n = trial.replicas.length;
  const most = counts[0].reduce((most, _, i) => Math.max(most, counts.reduce((sum, c) => sum + c[i], 0)), 1);
  const readout = document.getElementById("outcomes-readout");
  return timeChart(host, trial, {
    height: narrow() ? 200 : 240,
    y: { range: [0, most * 1.5] }, // with room for the line above the stacks
    scales: { up: { range: [-3 * n, n * 1.15] } },
    axes: [
      yAxis({ incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1e5], filter: (u, splits) => splits.map((s) => (s <= most ? s : null)) }),
      axis({ scale: "up", side: RIGHT, size: RIGHT_SIZE, grid: { show: false }, splits: () => [0, n] }),
    ],
    under() {},
    over(f) {
      paintStacks(f, counts);
      paintSteps(f, steps, trial.end);
      paintWarmup(f, trial);
    },
    pointed(u, x) {
      const bucket = x < 0 ? -1 : Math.floor(u.posToVal(x, "x") / BUCKET);
      readout.textContent = counts[0][bucket] === undefined ? "\u00a0" : describeBucket(bucket, counts, steps, n);
    },
  });
}

function paintStacks(f, counts) {
  const first = Math.max(0, Math.floor(f.min / BUCKET));
  const last = Math.min(counts[0].length - 1, Math.floor(f.max / BUCKET));
  for (let b = first; b <= last; b++) {
    const [x, end] = [f.x(b * BUCKET), f.x((b + 1) * BUCKET)];
    const gap = end - x > 4 * f.r ? f.r : 0;
    let below = 0;
    counts.forEach((c, outcome) => {
      if (c[b] === 0) return;
      const [top, bottom] = [f.y(below + c[b]), f.y(below)];
      f.context.fillStyle = colors[outcomes[outcome]];
      f.context.fillRect(x, top, end - x - gap, bottom - top);
      below += c[b];
    });
  }
}

function paintSteps(f, steps, end) {
  const { context } = f;
  context.beginPath();
  steps.forEach((s, i) => {
    context.lineTo(f.x(s.at), f.y(s.up, "up"));
    context.lineTo(f.x(steps[i + 1]?.at ?? end), f.y(s.up, "up"));
  });
  context.lineJoin = "round";
  context.strokeStyle = colors.ink;
  context.lineWidth = (steps.length > 200 ? 1 : 2) * f.r;
  context.stroke();
}

function describeBucket(bucket, counts, steps, replicas) {
  const parts = counts.flatMap((c, i) => (c[bucket] ? [`${c[bucket]} ${outcomes[i]}`] : []));
  const up = upAt(steps, (bucket + 0.5) * BUCKET);
  return `${(bucket * BUCKET).toFixed(2)} to ${((bucket + 1) * BUCKET).toFixed(2)} s: ` +
    `${parts.join(", ") || "no attempt ended"}; ${up} of ${replicas} up`;
}

// How lines are dashed if there are more lines than colors: on the canvas, and in CSS.
const DASHES = [{ pattern: [], style: "solid" }, { pattern: [8, 4], style: "dashed" }, { pattern: [2, 3], style: "dotted" }];

// curveChart creates the chart of the latency at each percentile. Its axis gives the highest
// percentiles the most room.
function curveChart(host, curve) {
  const lines = curve.cells.map((cell, i) => ({
    label: cell.title, width: 2, points: { show: false }, value: (u, y) => (y == null ? "" : duration(y)),
    stroke: () => colors["c" + ((i % 8) + 1)], dash: DASHES[Math.floor(i / 8) % 3].pattern,
  }));
  const powers = (u, i, min, max) => [1, 2, 10, 100, 1e3, 1e4, 1e5, 1e6].filter((x) => x <= max * 1.001);
  return addChart(host, {
    height: narrow() ? 260 : 340, padding: [10, 24, 0, 0], cursor: { y: false, drag: { x: true, y: false } },
    legend: { markers: { width: 3, stroke: (u, i) => `var(--c${((i - 1) % 8) + 1})`, dash: (u, i) => DASHES[Math.floor((i - 1) / 8) % 3].style } },
    scales: { x: { time: false, distr: 3, range: (u, min, max) => [min, Math.max(max, 2)] }, y: { distr: 3, range: logRange(...curve.cells.map((cell) => cell.y)) } },
    axes: [
      axis({ size: 36, splits: powers, filter: (u, splits) => splits, values: (u, splits) => splits.map(percentile) }),
      latencyAxis(),
    ],
    series: [{ label: "percentile", value: (u, x) => (x == null ? "point at the lines to read them" : percentile(x)) }, ...lines],
  }, [curve.x, ...curve.cells.map((cell) => cell.y)]);
}

// percentile spells 1/(1-q).
function percentile(x) {
  const digits = Math.max(0, Math.ceil(Math.log10(x) - 2 - 1e-9));
  return x === 1 ? "0%" : (100 * (1 - 1 / x)).toFixed(digits) + "%";
}
