// The replicas' lanes: what state each was in, and the attempts that it had.

const LANE_GAP = 0.06; // of a lane, above and below

function laneHeight(trial) {
  const rows = Math.max(1, ...trial.replicas.map((r) => r.rows));
  return Math.min(150, Math.max(40, rows * 9));
}

// lanesChart makes the chart. chosen() is the call whose way is shown, -1 for none; pick is told of another.
function lanesChart(host, trial, chosen, pick) {
  const n = trial.replicas.length;
  const readout = document.getElementById("lanes-readout");
  return timeChart(host, trial, {
    height: n * laneHeight(trial) + 50,
    y: { range: [0, n], dir: -1 },
    axes: [yAxis({
      grid: { show: false }, ticks: { show: false }, splits: () => trial.replicas.map((_, i) => i + 0.5),
      values: () => trial.replicas.map((r) => r.name),
    })],
    under: (f) => paintBands(f, trial),
    over(f) {
      paintAttempts(f, trial);
      paintCrashes(f, trial);
      paintWarmup(f, trial);
      if (trial.warmup > f.min && trial.warmup < f.max) {
        paintText(f, "warm-up ends", f.x(trial.warmup) + 4 * f.r, f.bottom - 3 * f.r, colours.ink);
      }
    },
    chosen,
    mark: (f, call) => paintWay(f, trial, call),
    pointed(u, x, y) {
      const at = attemptAt(u, trial, x, y);
      readout.textContent = at < 0 ? "\u00a0" : describeAttempt(trial, at);
    },
    picked(u, x, y) {
      const at = attemptAt(u, trial, x, y);
      if (at >= 0) pick(trial.attempts.call[at]);
    },
  });
}

// laneOf returns the top and the height of a replica's lane, in canvas pixels.
function laneOf(f, trial, replica) {
  const whole = f.height / trial.replicas.length;
  return { top: f.top + (replica + LANE_GAP) * whole, height: (1 - 2 * LANE_GAP) * whole };
}

// barOf returns where an attempt's bar is, in canvas pixels.
function barOf(f, trial, attempt) {
  const { attempts } = trial;
  const lane = laneOf(f, trial, attempts.replica[attempt]);
  const row = lane.height / trial.replicas[attempts.replica[attempt]].rows;
  const x = f.x(attempts.start[attempt]);
  const gap = row > 4 * f.r ? f.r : 0;
  return {
    x, w: Math.max(f.x(attempts.end[attempt]) - x, 2 * f.r),
    y: lane.top + attempts.row[attempt] * row, h: Math.min(row - gap, 14 * f.r),
  };
}

function paintBands(f, trial) {
  const styles = bandStyles(f.context, f.r);
  for (const band of trial.bands) {
    if (band.state === STATE.up || band.to < f.min || band.from > f.max) continue;
    const lane = laneOf(f, trial, band.replica);
    f.context.fillStyle = styles[band.state];
    f.context.fillRect(f.x(band.from), lane.top, Math.max(f.x(band.to) - f.x(band.from), f.r), lane.height);
  }
}

// paintAttempts draws the bars: one outcome after the other, so that those that are OK, the first, hide no other.
function paintAttempts(f, trial) {
  run.outcomes.forEach((_, outcome) => {
    if (trial.counts[outcome] > 0) paintOutcome(f, trial, outcome);
  });
}

// paintOutcome draws the bars of one outcome. Small ones without a gap between them it draws as one.
function paintOutcome(f, trial, outcome) {
  const { attempts } = trial;
  const pending = trial.rows.map((rows) => new Array(rows.length).fill(null));
  const flush = (bar) => paintBar(f.context, outcome, bar.x, bar.y, bar.w, bar.h, bar.small ? Infinity : f.r);
  for (let i = 0; i < attempts.n && attempts.start[i] <= f.max; i++) {
    if (attempts.outcome[i] !== outcome || attempts.end[i] < f.min) continue;
    const bar = barOf(f, trial, i);
    const rows = pending[attempts.replica[i]];
    const before = rows[attempts.row[i]];
    bar.small = isSmall(bar.w, bar.h, f.r);
    if (before?.small && bar.small && bar.x <= before.x + before.w + 1) {
      before.w = Math.max(before.w, bar.x + bar.w - before.x);
      continue;
    }
    if (before) flush(before);
    rows[attempts.row[i]] = bar;
  }
  for (const bar of pending.flat()) if (bar) flush(bar);
}

// paintCrashes marks the crashes, with a cross where there is room beside the one before.
function paintCrashes(f, trial) {
  const right = trial.replicas.map(() => -Infinity);
  for (const crash of trial.crashes) {
    if (crash.at < f.min || crash.at > f.max) continue;
    const lane = laneOf(f, trial, crash.replica);
    const x = f.x(crash.at);
    const room = x > right[crash.replica];
    f.context.globalAlpha = room ? 1 : 0.5;
    paintLine(f, x, lane.top, x, lane.top + lane.height, colours.ink);
    f.context.globalAlpha = 1;
    if (!room) continue;
    paintText(f, "✖", x, lane.top + lane.height - f.r, colours.ink, "center");
    right[crash.replica] = x + 14 * f.r;
  }
}

// paintWay dims all attempts but those of a call, and draws the way from each of them to the next.
function paintWay(f, trial, call) {
  f.context.globalAlpha = 0.6;
  f.context.fillStyle = colours.surface;
  f.context.fillRect(f.left, f.top, f.width, f.height);
  f.context.globalAlpha = 1;
  const way = Array.from(attemptsOf(trial, call), (i) => ({ i, ...barOf(f, trial, i) }));
  way.forEach((bar, k) => {
    if (k === 0) return;
    const from = way[k - 1];
    paintLine(f, from.x + from.w, from.y + from.h / 2, bar.x, bar.y + bar.h / 2, colours.ink, [4, 3]);
  });
  for (const bar of way) {
    paintBar(f.context, trial.attempts.outcome[bar.i], bar.x, bar.y, bar.w, bar.h, f.r);
    f.context.strokeStyle = colours.ink;
    f.context.lineWidth = 1.5 * f.r;
    f.context.strokeRect(bar.x - f.r, bar.y - f.r, bar.w + 2 * f.r, bar.h + 2 * f.r);
  }
  paintNumbers(f, trial, way);
}

// paintNumbers writes the attempts' numbers above them, where there is room beside the one before at the replica.
function paintNumbers(f, trial, way) {
  const right = trial.replicas.map(() => -Infinity);
  for (const bar of way) {
    const x = bar.x + bar.w / 2;
    const replica = trial.attempts.replica[bar.i];
    if (x < right[replica]) continue;
    right[replica] = x + 22 * f.r;
    paintText(f, String(trial.attempts.number[bar.i]), x, Math.max(bar.y - 4 * f.r, f.top + 11 * f.r), colours.ink, "center");
  }
}

const NEAR = 10; // px within which a click hits

// attemptAt returns the attempt nearest to a point of the chart, in CSS pixels; -1 when none is near.
function attemptAt(u, trial, x, y) {
  if (x < 0) return -1;
  const f = frameOf(u);
  const [px, py] = [x * f.r + f.left, y * f.r + f.top];
  const replica = Math.min(Math.floor((y * f.r) / (f.height / trial.replicas.length)), trial.replicas.length - 1);
  let [best, nearest] = [-1, NEAR * f.r];
  for (const row of trial.rows[replica]) {
    for (const i of around(trial, row, u.posToVal(x, "x"))) {
      const bar = barOf(f, trial, i);
      const dx = Math.max(bar.x - px, px - bar.x - bar.w, 0);
      const dy = Math.max(bar.y - py, py - bar.y - bar.h, 0);
      if (dx + dy < nearest) [best, nearest] = [i, dx + dy];
    }
  }
  return best;
}

// around returns the attempts of a row that begin last before and first after a time.
function around(trial, row, time) {
  let [low, high] = [0, row.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (trial.attempts.start[row[middle]] <= time) low = middle + 1;
    else high = middle;
  }
  return row.slice(Math.max(0, low - 1), low + 1);
}

function describeAttempt(trial, i) {
  const { attempts, calls } = trial;
  const replica = trial.replicas[attempts.replica[i]].name;
  const outcome = run.outcomes[attempts.outcome[i]];
  return `call ${calls.number[attempts.call[i]]}, attempt ${attempts.number[i]} at ${replica}: ` +
    `${outcome} after ${duration(attempts.duration[i])}, begun at ${moment(attempts.start[i])}`;
}
