// The chart of the replicas' lanes.

function laneHeight(trial) {
  const rows = Math.max(1, ...trial.replicas.map((r) => r.rows));
  return Math.min(150, Math.max(40, rows * 9));
}

// lanesChart creates the chart. chosen returns the call whose path is shown, or -1; pick is called
// with another one.
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
    under: (f) => paintBands(evenLanes(f, n), trial),
    over(inside) {
      const f = evenLanes(inside, n);
      paintAttempts(f, trial);
      paintCrashes(f, trial);
      paintWarmup(f, trial);
      if (trial.warmup > f.min && trial.warmup < f.max) {
        paintText(f, "warm-up ends", f.x(trial.warmup) + 4 * f.r, f.bottom - 3 * f.r, colors.ink);
      }
    },
    chosen,
    mark: (f, call) => paintWay(evenLanes(f, n), trial, attemptsOf(trial, call)),
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

// attemptAt returns the attempt nearest to a point of the chart, in CSS pixels, or -1 if none is
// near.
function attemptAt(u, trial, x, y) {
  if (x < 0) return -1;
  const f = evenLanes(frameOf(u), trial.replicas.length);
  const [px, py] = [x * f.r + f.left, y * f.r + f.top];
  const replica = Math.min(Math.floor((y * f.r) / (f.height / trial.replicas.length)), trial.replicas.length - 1);
  let [best, nearest] = [-1, NEAR * f.r];
  for (const row of trial.rows[replica]) {
    for (const i of around(trial, row, u.posToVal(x, "x"))) {
      const distance = distanceTo(f, trial, i, px, py);
      if (distance < nearest) [best, nearest] = [i, distance];
    }
  }
  return best;
}

// around returns the last attempt of a row that starts before a time, and the first that starts
// after it.
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
  const outcome = outcomes[attempts.outcome[i]];
  return `call ${calls.number[attempts.call[i]]}, attempt ${attempts.number[i]} at ${replica}: ` +
    `${outcome} after ${duration(attempts.duration[i])}, started at ${moment(attempts.start[i])}`;
}
