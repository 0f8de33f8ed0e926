// The stage: the lanes of the replicas, the waiting line and the time axis on one canvas.

const FLAGS = 34; // px above the lanes, for the marks of commands
const AXIS = 24; // px below them, for the times
const WAITING = 58; // px for the waiting line
const GUTTER = 196; // px to the left, for the replicas' names and buttons
const HEAD = 38; // px above each lane for the same, on a narrow page

const stage = { canvas: null, loads: 0, width: 0, height: 0, blocks: [], gutter: 0, span: 20, frozen: null, chosen: null, pending: false };

const calm = matchMedia("(prefers-reduced-motion: reduce)");

// shown returns the scene to show: the frozen one or the present one.
const shown = () => stage.frozen ?? scene;

// layOut places the lanes: a block for each replica, and in it a lane for each load.
function layOut() {
  const { canvas } = stage;
  const host = canvas.parentElement;
  stage.width = Math.max(host.clientWidth, 240);
  const wide = stage.width >= 640;
  stage.gutter = wide ? GUTTER : 0;
  const n = shown().replicas.length;
  stage.loads = shown().loads.length;
  const lane = Math.max(wide ? 78 : 56, Math.min(110, 420 / Math.max(n, 1))) * (shown().loads.length > 1 ? 1.3 : 1);
  let y = FLAGS;
  stage.blocks = shown().replicas.map(() => {
    const top = y + (wide ? 0 : HEAD);
    const block = { head: y, top, height: lane };
    y = top + lane + 6;
    return block;
  });
  stage.waiting = { head: y, top: y + (wide ? 0 : 22), height: WAITING };
  y = stage.waiting.top + WAITING;
  stage.axis = y;
  stage.height = y + AXIS;
  canvas.style.height = stage.height + "px";
  [canvas.width, canvas.height] = [Math.round(stage.width * devicePixelRatio), Math.round(stage.height * devicePixelRatio)];
  placeHeads(wide);
}

// spanOf returns the times at the left and right end of the lanes. If the user prefers reduced motion, the picture stands
// still and fills from the left; when it is full, its second half becomes the first.
function spanOf(now) {
  const { span } = stage;
  if (!calm.matches) return [now - span, now];
  const from = Math.max(0, Math.floor(now / (span / 2)) - 1) * (span / 2);
  return [from, from + span];
}

// stageFrame returns the geometry of the canvas, in its pixels.
function stageFrame(now) {
  const r = devicePixelRatio;
  const [min, max] = spanOf(now);
  const left = stage.gutter * r;
  const width = stage.canvas.width - left - 10 * r;
  const perSecond = width / (max - min);
  const top = FLAGS * r;
  const bottom = stage.axis * r;
  return {
    context: stage.canvas.getContext("2d"), r, left, width, right: left + width, top, bottom, height: bottom - top, min, max, now,
    x: (time) => left + (time - min) * perSecond,
  };
}

// blockFrame returns a frame with one lane for each replica; laneFrame returns one with a lane for each load of a replica.
function blockFrame(f) {
  return { ...f, lane: (i) => ({ top: stage.blocks[i].top * f.r, height: stage.blocks[i].height * f.r }) };
}

function laneFrame(f, loads) {
  const gap = 3 * f.r;
  return {
    ...f,
    lane(i) {
      const { top, height } = stage.blocks[Math.floor(i / loads)];
      const part = (height * f.r) / loads;
      return { top: top * f.r + (i % loads) * part + gap, height: part - 2 * gap };
    },
  };
}

// paintSoon paints the stage with the browser's next frame, unless the page is hidden.
function paintSoon() {
  if (stage.pending || document.hidden || !state) return;
  stage.pending = true;
  requestAnimationFrame(() => {
    stage.pending = false;
    paintStage();
  });
}

function paintStage() {
  const scene = shown();
  if (stage.blocks.length !== scene.replicas.length || stage.loads !== scene.loads.length) layOut();
  const f = stageFrame(scene.now);
  const { context } = f;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, stage.canvas.width, stage.canvas.height);
  paintGrounds(f, scene);
  paintForgotten(f, scene.traffic.attempts);
  context.save();
  context.beginPath();
  context.rect(f.left, 0, f.width, f.bottom);
  context.clip();
  const lanes = laneFrame(f, scene.loads.length);
  fitRows(scene.traffic);
  paintStates(blockFrame(f), scene);
  paintAttempts(lanes, scene.traffic);
  paintCrashes(blockFrame(f), scene);
  paintEjections(lanes, scene);
  paintQueue(f, scene);
  if (stage.chosen) paintWay(lanes, scene.traffic, attemptsOf(scene.traffic, stage.chosen));
  paintMarks(f, scene);
  context.restore();
  paintTimes(f);
}

// paintGrounds draws the backgrounds of the lanes, with the letters of the loads if there are several.
function paintGrounds(f, scene) {
  const { context, r } = f;
  context.fillStyle = colors.page;
  for (const { top, height } of [...stage.blocks, stage.waiting]) context.fillRect(f.left, top * r, f.width, height * r);
  if (scene.loads.length < 2) return;
  const lanes = laneFrame(f, scene.loads.length);
  stage.blocks.forEach((_, i) => scene.loads.forEach(({ id, number }, k) => {
    const { top, height } = lanes.lane(i * scene.loads.length + k);
    if (k > 0) paintLine({ context, r: r * 0.5 }, f.left, top - 3 * r, f.right, top - 3 * r, colors.grid);
    paintText(f, id, f.left - 5 * r, top + height / 2 + 4 * r, loadColor(number), "right");
  }));
}

// paintForgotten marks the time before which attempts are missing, because too many followed to keep them.
function paintForgotten(f, attempts) {
  if (attempts.n < MOST || attempts.end[0] <= f.min) return;
  const x = f.x(attempts.end[0]);
  for (const { top, height } of stage.blocks) {
    paintLine({ ...f, r: f.r * 0.7 }, x, top * f.r, x, (top + height) * f.r, colors.muted, [2, 4]);
    paintText(f, "earlier attempts are not kept", x - 6 * f.r, (top + 16) * f.r, colors.muted, "right");
  }
}

const loadColor = (number) => colors[number === 0 ? "c1" : "c2"];

// paintStates draws the bands of the replicas' states, including the present ones.
function paintStates(f, scene) {
  const shown = (band) => band.replica >= 0;
  const lasting = scene.current.map((band) => ({ ...band, to: f.now }));
  paintBands(f, { bands: [...scene.bands.filter(shown), ...lasting] });
}

// paintQueue draws the number of waiting calls, with a step for each frame.
function paintQueue(f, scene) {
  const { context, r } = f;
  const { top, height } = stage.waiting;
  const most = 1.1 * mostWaiting(scene, f.min);
  const y = (n) => (top + height - (n / most) * height) * r;
  scene.loads.forEach(({ number }, k) => {
    context.beginPath();
    let last = y(0);
    eachInQueue(scene.queue, f.min, (time, i) => {
      const x = Math.max(f.x(time), f.left - 4 * r);
      context.lineTo(x, last);
      last = y(scene.queue.lengths[number][i]);
      context.lineTo(x, last);
    });
    context.lineTo(f.x(f.now), last);
    context.strokeStyle = loadColor(number);
    context.lineWidth = 1.5 * r;
    context.setLineDash(number === 0 ? [] : [5 * r, 3 * r]);
    context.stroke();
    context.setLineDash([]);
    context.lineTo(f.x(f.now), y(0));
    context.lineTo(f.left, y(0));
    context.globalAlpha = 0.2;
    context.fillStyle = loadColor(number);
    context.fill();
    context.globalAlpha = 1;
  });
}

function mostWaiting({ queue }, since) {
  let most = 4;
  eachInQueue(queue, since, (_, i) => { most = Math.max(most, queue.lengths[0][i], queue.lengths[1][i]); });
  return most;
}

// paintEjections marks where a load's client ejected a replica or used it again. It skips marks that would overlap.
function paintEjections(f, scene) {
  const right = new Map();
  for (const mark of scene.marks) {
    const at = mark.at_us * MICRO;
    const load = scene.loads.findIndex((l) => l.id === mark.load);
    if (mark.kind !== "ejection" || load < 0 || at < f.min || at > f.max) continue;
    for (const name of mark.replicas ?? []) {
      const replica = scene.replicas.findIndex((r) => r.name === name);
      if (replica < 0) continue;
      const i = replica * scene.loads.length + load;
      const x = f.x(at);
      if (x < (right.get(i) ?? -Infinity)) continue;
      const lane = f.lane(i);
      paintText(f, mark.text.endsWith("ejected") ? "⏏" : "↺", x, lane.top + lane.height, colors.accent, "center");
      right.set(i, x + 16 * f.r);
    }
  }
}

// paintMarks draws a line for each command, with its text in the first row above the lanes that has room.
function paintMarks(f, scene) {
  const right = [-Infinity, -Infinity];
  for (const mark of scene.marks) {
    const at = mark.at_us * MICRO;
    if (at < f.min || at > f.max || mark.kind === "ejection") continue;
    const x = f.x(at);
    for (const { top, height } of [...stage.blocks, stage.waiting]) {
      paintLine({ ...f, r: f.r * 0.7 }, x, (top - 3) * f.r, x, (top + height + 3) * f.r, colors.accent, [4, 4]);
    }
    if (mark.kind === "scenario") continue; // its text is above the lanes
    const sign = mark.error ? "✕" : "⚑";
    f.context.font = `${12 * f.r}px system-ui, sans-serif`;
    const width = f.context.measureText(`${sign} ${mark.text}`).width;
    const before = x + width > f.right; // no room to the right of the line
    const start = before ? x - width + 4 * f.r : x - 4 * f.r;
    const text = before ? `${mark.text} ${sign}` : `${sign} ${mark.text}`;
    const row = right.findIndex((end) => start > end);
    if (row < 0) continue;
    paintText(f, text, start, (14 + 14 * row) * f.r, colors.accent);
    right[row] = start + width + 8 * f.r;
  }
}

// paintTimes writes the times below the lanes.
function paintTimes(f) {
  const { context, r } = f;
  const steps = [1, 2, 5, 10, 15, 30];
  const step = steps.find((s) => (f.width / (f.max - f.min)) * s > 64 * r) ?? 60;
  context.font = `${12 * r}px system-ui, sans-serif`;
  context.fillStyle = colors.muted;
  context.textBaseline = "alphabetic";
  for (let time = Math.ceil(Math.max(f.min, 0) / step) * step; time <= f.max; time += step) {
    const x = Math.round(f.x(time));
    context.fillRect(x, f.bottom, r, 4 * r);
    context.textAlign = x > f.right - 30 * r ? "right" : x < f.left + 16 * r ? "left" : "center";
    context.fillText(clock(time), x, f.bottom + 17 * r);
  }
  if (!calm.matches) return;
  paintLine(f, f.x(f.now), f.top, f.x(f.now), f.bottom, colors.accent);
}

// clock formats a time since the start as minutes and seconds.
function clock(s) {
  const whole = Math.max(0, Math.floor(s));
  return Math.floor(whole / 60) + ":" + String(whole % 60).padStart(2, "0");
}

// attemptAt returns the attempt nearest to a point of the canvas, in CSS pixels, or -1 if none is near.
function attemptAt(x, y) {
  const scene = shown();
  const f = laneFrame(stageFrame(scene.now), scene.loads.length);
  const { attempts } = scene.traffic;
  let [best, nearest] = [-1, NEAR * f.r];
  for (let i = 0; i < attempts.n; i++) {
    if (attempts.outcome[i] === HIDDEN || attempts.end[i] < f.min) continue;
    const distance = distanceTo(f, scene.traffic, i, x * f.r, y * f.r);
    if (distance < nearest) [best, nearest] = [i, distance];
  }
  return best;
}

// attemptsOf returns the attempts of a call in order of their numbers.
function attemptsOf({ attempts }, { load, call }) {
  const found = [];
  for (let i = 0; i < attempts.n; i++) {
    if (attempts.call[i] === call && attempts.load[i] === load && attempts.outcome[i] !== HIDDEN) found.push(i);
  }
  return found.sort((a, b) => attempts.number[a] - attempts.number[b]);
}
