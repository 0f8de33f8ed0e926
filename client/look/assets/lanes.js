// The content of the replicas' lanes: the states of each replica, and its attempts.
//
// A scene has the replicas, each with the number of rows in which its attempts are stacked, the
// bands of their states, the crashes, the attempts as columns, and the number of attempts by
// outcome.

const LANE_GAP = 0.06; // of a lane, above and below

// evenLanes returns the frame with a function lane, which returns the top and the height of a
// replica's lane in canvas pixels. All lanes are equally high.
function evenLanes(f, n) {
  const whole = f.height / n;
  const lane = (replica) => ({ top: f.top + (replica + LANE_GAP) * whole, height: (1 - 2 * LANE_GAP) * whole });
  return { ...f, lane };
}

// barOf returns the position and the size of an attempt's bar, in canvas pixels.
function barOf(f, scene, attempt) {
  const { attempts } = scene;
  const lane = f.lane(attempts.replica[attempt]);
  const row = lane.height / scene.replicas[attempts.replica[attempt]].rows;
  const x = f.x(attempts.start[attempt]);
  const gap = row > 4 * f.r ? f.r : 0;
  return {
    x, w: Math.max(f.x(attempts.end[attempt]) - x, 2 * f.r),
    y: lane.top + attempts.row[attempt] * row, h: Math.min(row - gap, 14 * f.r),
  };
}

function paintBands(f, scene) {
  const styles = bandStyles(f.context, f.r);
  for (const band of scene.bands) {
    if (band.state === STATE.up || band.to < f.min || band.from > f.max) continue;
    const lane = f.lane(band.replica);
    f.context.fillStyle = styles[band.state];
    f.context.fillRect(f.x(band.from), lane.top, Math.max(f.x(band.to) - f.x(band.from), f.r), lane.height);
  }
}

// paintAttempts draws the bars, one outcome after the other, beginning with OK, so that no success
// hides a failure.
function paintAttempts(f, scene) {
  outcomes.forEach((_, outcome) => {
    if (scene.counts[outcome] > 0) paintOutcome(f, scene, outcome);
  });
}

// paintOutcome draws the bars of one outcome, and small ones without a gap between them as one bar.
function paintOutcome(f, scene, outcome) {
  const { attempts } = scene;
  const pending = scene.replicas.map((r) => new Array(r.rows).fill(null));
  const flush = (bar) => paintBar(f.context, outcome, bar.x, bar.y, bar.w, bar.h, bar.small ? Infinity : f.r);
  for (let i = 0; i < attempts.n && attempts.start[i] <= f.max; i++) {
    if (attempts.outcome[i] !== outcome || attempts.end[i] < f.min) continue;
    const bar = barOf(f, scene, i);
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

// paintCrashes marks the crashes by lines, with a cross where the previous one leaves room.
function paintCrashes(f, scene) {
  const right = scene.replicas.map(() => -Infinity);
  for (const crash of scene.crashes) {
    if (crash.at < f.min || crash.at > f.max) continue;
    const lane = f.lane(crash.replica);
    const x = f.x(crash.at);
    const room = x > right[crash.replica];
    f.context.globalAlpha = room ? 1 : 0.5;
    paintLine(f, x, lane.top, x, lane.top + lane.height, colors.ink);
    f.context.globalAlpha = 1;
    if (!room) continue;
    paintText(f, "✖", x, lane.top + lane.height - f.r, colors.ink, "center");
    right[crash.replica] = x + 14 * f.r;
  }
}

// paintWay dims all attempts except those of a call, and connects these by lines.
function paintWay(f, scene, attempts) {
  f.context.globalAlpha = 0.6;
  f.context.fillStyle = colors.surface;
  f.context.fillRect(f.left, f.top, f.width, f.height);
  f.context.globalAlpha = 1;
  const way = Array.from(attempts, (i) => ({ i, ...barOf(f, scene, i) }));
  way.forEach((bar, k) => {
    if (k === 0) return;
    const from = way[k - 1];
    paintLine(f, from.x + from.w, from.y + from.h / 2, bar.x, bar.y + bar.h / 2, colors.ink, [4, 3]);
  });
  for (const bar of way) {
    paintBar(f.context, scene.attempts.outcome[bar.i], bar.x, bar.y, bar.w, bar.h, f.r);
    f.context.strokeStyle = colors.ink;
    f.context.lineWidth = 1.5 * f.r;
    f.context.strokeRect(bar.x - f.r, bar.y - f.r, bar.w + 2 * f.r, bar.h + 2 * f.r);
  }
  paintNumbers(f, scene, way);
}

// paintNumbers writes the numbers of the attempts above them, where the previous one at the replica
// leaves room.
function paintNumbers(f, scene, way) {
  const right = scene.replicas.map(() => -Infinity);
  for (const bar of way) {
    const x = bar.x + bar.w / 2;
    const replica = scene.attempts.replica[bar.i];
    if (x < right[replica]) continue;
    right[replica] = x + 22 * f.r;
    paintText(f, String(scene.attempts.number[bar.i]), x, Math.max(bar.y - 4 * f.r, f.top + 11 * f.r), colors.ink, "center");
  }
}

const NEAR = 10; // px; how far a click may miss

// distanceTo returns the distance of a point from an attempt's bar, in canvas pixels.
function distanceTo(f, scene, attempt, x, y) {
  const bar = barOf(f, scene, attempt);
  return Math.max(bar.x - x, x - bar.x - bar.w, 0) + Math.max(bar.y - y, y - bar.y - bar.h, 0);
}
