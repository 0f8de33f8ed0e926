// The store: the state that the server sends, with its long lists as columns of bounded length. Times are in seconds since
// the session began.

const outcomes = ["ok", "refused", "lost", "failed", "timeout", "rejected", "canceled"];
const OUTCOME = Object.fromEntries(outcomes.map((name, i) => [name, i]));
const STATE = { down: 0, starting: 1, up: 2, paused: 3 };
const STATE_OF = { down: STATE.down, starting: STATE.starting, ready: STATE.up, unready: STATE.starting, hung: STATE.paused };
const MICRO = 1e-6;
const KEPT = 60; // s of the waiting line

let about = null; // what does not change: fields, presets, scenarios
let state = null; // without attempts, bands and crashes, which are below

const MOST = 8192; // attempts that the server keeps
const CAPACITY = MOST + 4096; // attempts kept here: those and a difference
const HIDDEN = -1; // instead of an outcome: the attempt is not drawn, because its replica or load is gone

// newColumns returns columns of attempts. Each replica has a lane for each load; replica is the lane of an attempt and row
// its row there.
function newColumns() {
  const of = (Kind) => new Kind(CAPACITY);
  return {
    n: 0, call: of(Float64Array), start: of(Float64Array), end: of(Float64Array), number: of(Uint16Array),
    outcome: of(Int8Array), ended: of(Int8Array), load: of(Int8Array), at: of(Int16Array), replica: of(Int16Array), row: of(Int16Array),
  };
}

const scene = {
  now: 0, replicas: [], loads: [], bands: [], current: [], crashes: [], marks: [],
  traffic: { replicas: [], attempts: newColumns(), counts: new Array(outcomes.length).fill(0) },
  queue: { times: new Float64Array(KEPT * 12), lengths: [new Uint16Array(KEPT * 12), new Uint16Array(KEPT * 12)], next: 0 },
};

const names = new Map(); // the number in attempts.at of every replica of this session, by name
const busy = new Map(); // until when each row of a lane is occupied, by load and replica

const planOf = (id) => state.plans.find((p) => p.id === id);

const loadNumber = (id) => (id === "B" ? 1 : 0);

function numberOf(name) {
  if (!names.has(name)) names.set(name, names.size);
  return names.get(name);
}

// takeState replaces everything with a new state.
function takeState(next) {
  if (state?.session !== next.session) forget();
  state = next;
  const { attempts, bands, crashes } = next;
  scene.traffic.attempts.n = 0;
  scene.bands.length = scene.crashes.length = 0;
  busy.clear();
  scene.now = next.now_us * MICRO;
  place();
  append(attempts.items ?? []);
  addBands(bands.items ?? []);
  addCrashes(crashes.items ?? []);
  for (const list of [attempts, bands, crashes]) list.items = null; // the columns have them
  next.marks.items ??= [];
  next.points.items ??= [];
  refillQueue();
  settle();
}

// forget drops what belongs to the previous session.
function forget() {
  names.clear();
  choose(null);
}

// takeDiff applies a difference.
function takeDiff(diff) {
  for (const [key, value] of Object.entries(diff)) {
    if (key === "loads") {
      for (const load of value) state.loads[state.loads.findIndex((l) => l.id === load.id)] = load;
    } else if (key === "attempts") {
      dropAttempts(value.first - state.attempts.first);
      append(value.items ?? []);
      state.attempts.first = value.first;
    } else if (key === "bands" || key === "crashes") {
      scene[key].splice(0, value.first - state[key].first);
      (key === "bands" ? addBands : addCrashes)(value.items ?? []);
      state[key].first = value.first;
    } else if (key === "marks" || key === "points") {
      state[key].items.splice(0, value.first - state[key].first);
      state[key].items.push(...(value.items ?? []));
      state[key].first = value.first;
    } else {
      state[key] = value;
    }
  }
  scene.now = state.now_us * MICRO;
  pushQueue(scene.now, state.loads.map((l) => l.waiting));
  if (diff.replicas || diff.plans || diff.loads) place();
  settle();
}

// settle updates the marks and the present states of the replicas.
function settle() {
  scene.marks = state.marks.items;
  scene.current = state.replicas.map((r, i) => ({ replica: i, state: STATE_OF[r.state], from: r.since_us * MICRO, to: Infinity }));
}

// place assigns each attempt to its lane after the replicas or the loads have changed.
function place() {
  const busyLoads = state.loads.filter((l) => planOf(l.id).on || l.recent.attempts > 0);
  const loads = busyLoads.length ? busyLoads : state.loads.slice(0, 1);
  const before = scene.replicas.map((r) => r.name).join() + ":" + scene.loads.map((l) => l.id).join();
  const after = state.replicas.map((r) => r.name).join() + ":" + loads.map((l) => l.id).join();
  if (before === after) return;
  scene.loads = loads.map((l) => ({ id: l.id, number: loadNumber(l.id) }));
  scene.replicas = state.replicas.map((r) => ({ name: r.name, rows: 1 }));
  scene.traffic.replicas = scene.replicas.flatMap((r) => scene.loads.map(() => ({ name: r.name, rows: 4 })));
  const { attempts } = scene.traffic;
  for (let i = 0; i < attempts.n; i++) placeAttempt(attempts, i);
  for (const list of [scene.bands, scene.crashes]) for (const item of list) item.replica = laneOf(item.name);
}

const laneOf = (name) => scene.replicas.findIndex((r) => r.name === name);

function placeAttempt(attempts, i) {
  const replica = scene.replicas.findIndex((r) => names.get(r.name) === attempts.at[i]);
  const load = scene.loads.findIndex((l) => l.number === attempts.load[i]);
  const hidden = replica < 0 || load < 0;
  attempts.replica[i] = hidden ? 0 : replica * scene.loads.length + load;
  attempts.outcome[i] = hidden ? HIDDEN : attempts.ended[i];
}

function append(items) {
  const { attempts } = scene.traffic;
  dropAttempts(attempts.n + items.length - CAPACITY);
  for (const a of items.slice(-CAPACITY)) {
    const i = attempts.n++;
    attempts.call[i] = a.call;
    attempts.number[i] = a.attempt;
    attempts.start[i] = a.start_us * MICRO;
    attempts.end[i] = (a.start_us + a.took_us) * MICRO;
    attempts.ended[i] = OUTCOME[a.outcome];
    attempts.load[i] = loadNumber(a.load);
    attempts.at[i] = numberOf(a.replica);
    attempts.row[i] = rowFor(attempts, i);
    placeAttempt(attempts, i);
  }
}

const ROWS = 32; // at most, in a lane

// rowFor returns the first row of the attempt's lane that is free.
function rowFor(attempts, i) {
  const key = attempts.at[i] * 2 + attempts.load[i];
  if (!busy.has(key)) busy.set(key, new Float64Array(ROWS));
  const rows = busy.get(key);
  let row = rows.findIndex((end) => end <= attempts.start[i]);
  if (row < 0) row = ROWS - 1;
  rows[row] = attempts.end[i];
  return row;
}

function dropAttempts(k) {
  const { attempts } = scene.traffic;
  k = Math.min(k, attempts.n);
  if (k <= 0) return;
  for (const column of Object.values(attempts)) if (typeof column === "object") column.copyWithin(0, k, attempts.n);
  attempts.n -= k;
}

function addBands(items) {
  for (const b of items) {
    scene.bands.push({ name: b.replica, replica: laneOf(b.replica), state: STATE_OF[b.state], from: b.from_us * MICRO, to: b.to_us * MICRO });
  }
}

function addCrashes(items) {
  for (const c of items) scene.crashes.push({ name: c.replica, replica: laneOf(c.replica), at: c.at_us * MICRO });
}

// pushQueue records how many calls of each load wait, in place of the oldest record.
function pushQueue(time, waiting) {
  const { queue } = scene;
  const i = queue.next++ % queue.times.length;
  queue.times[i] = time;
  waiting.forEach((n, k) => { queue.lengths[k][i] = n; });
}

// refillQueue restores the history of the waiting line from the points, one for each second.
function refillQueue() {
  scene.queue.next = 0;
  scene.queue.times.fill(-Infinity);
  const last = [0, 0];
  for (const point of state.points.items) {
    if (point.at_us * MICRO < scene.now - KEPT) continue;
    last[loadNumber(point.load)] = point.waiting;
    pushQueue(point.at_us * MICRO, last);
  }
}

// eachInQueue calls todo for the records since a time and the last one before it, oldest first.
function eachInQueue({ times, next }, since, todo) {
  const n = Math.min(next, times.length);
  for (let k = n; k > 0; k--) {
    const i = (next - k) % times.length;
    const after = k > 1 ? times[(next - k + 1) % times.length] : Infinity;
    if (after >= since) todo(times[i], i);
  }
}

// fitRows counts the attempts of the scene by outcome, and gives each lane as many rows as its attempts need.
function fitRows({ replicas, attempts, counts }) {
  counts.fill(0);
  const rows = new Array(replicas.length).fill(4);
  for (let i = 0; i < attempts.n; i++) {
    if (attempts.outcome[i] === HIDDEN) continue;
    counts[attempts.outcome[i]]++;
    const lane = attempts.replica[i];
    if (attempts.row[i] >= rows[lane]) rows[lane] = attempts.row[i] + 1;
  }
  replicas.forEach((r, i) => { r.rows = rows[i]; });
}

// copyScene returns a copy of the scene, for a frozen picture.
function copyScene() {
  const { attempts, replicas, counts } = scene.traffic;
  const columns = Object.fromEntries(Object.entries(attempts).map(([name, c]) => [name, typeof c === "object" ? c.slice() : c]));
  return {
    ...scene, bands: scene.bands.map((b) => ({ ...b })), crashes: scene.crashes.map((c) => ({ ...c })), marks: scene.marks.slice(),
    traffic: { attempts: columns, replicas: replicas.map((r) => ({ ...r })), counts: counts.slice() },
    queue: { ...scene.queue, times: scene.queue.times.slice(), lengths: scene.queue.lengths.map((l) => l.slice()) },
  };
}
