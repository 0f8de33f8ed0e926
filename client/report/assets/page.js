// The page: which trial and which call are shown, and in which theme.

let trial = null;
let chosen = -1; // index of the call in trial.calls

const at = (id) => document.getElementById(id);

function showTrial(number) {
  for (const u of charts.filter((u) => u.trial)) removeChart(u);
  trial = readTrial(number);
  chosen = -1;
  const empty = trial.calls.n === 0 || trial.end <= 0;
  at("no-calls").hidden = !empty;
  at("pictures").hidden = empty;
  if (!empty) {
    const current = () => chosen;
    lanesChart(at("lanes"), trial, current, choose);
    latencyChart(at("latency"), trial, current, choose);
    outcomesChart(at("outcomes"), trial);
  }
  at("cut-off-key").hidden = !trial.calls.result.includes(RESULT.interrupted);
  at("paused-key").hidden = !trial.bands.some((band) => band.state === STATE.paused);
  countKey();
  showWay();
  showReplicas();
}

// countKey writes into the key how many attempts of the trial had each outcome.
function countKey() {
  for (const item of at("outcome-key").children) {
    const outcome = OUTCOME[item.dataset.outcome];
    const count = trial.counts[outcome];
    item.querySelector("b").textContent = count;
    item.classList.toggle("absent", count === 0);
  }
}

// choose shows the path of a call through the replicas.
function choose(call) {
  chosen = call;
  const { from, to } = spanOf(call);
  const { min, max } = charts.find((u) => u.trial).scales.x;
  if (from < min || to > max) zoom(from, to, max - min);
  for (const u of charts) u.mark?.();
  showWay();
}

// spanOf returns when a call started and when it and all of its attempts had ended.
function spanOf(call) {
  const from = trial.calls.intended[call];
  const ends = Array.from(attemptsOf(trial, call), (i) => trial.attempts.end[i]);
  return { from, to: Math.max(from + trial.calls.latency[call], ...ends) };
}

// step chooses an earlier or later call.
function step(by) {
  if (trial.calls.n === 0) return;
  const from = chosen < 0 && by < 0 ? 0 : chosen;
  choose(Math.min(Math.max(from + by, 0), trial.calls.n - 1));
}

function stepToTrouble() {
  for (let k = 1; k <= trial.calls.n; k++) {
    const call = (chosen + k) % trial.calls.n;
    if (inTrouble(trial, call)) return choose(call);
  }
}

function zoomToChosen() {
  if (chosen < 0) return;
  const { from, to } = spanOf(chosen);
  zoom(from, to, Math.max(2 * (to - from), 0.01));
}

function describeCall(trial, call) {
  const { calls } = trial;
  const result = ["ok", "failed", "interrupted by the end of the run"][calls.result[call]];
  const late = trial.open && calls.late[call] > 0 ? `, started ${duration(calls.late[call])} late` : "";
  return `Call ${calls.number[call]}: ${result} after ${duration(calls.latency[call])}, due at ` +
    `${moment(calls.intended[call])}${late}${calls.warmup[call] ? ", in the warm-up" : ""}`;
}

function showWay() {
  const way = at("way");
  at("call").value = chosen < 0 ? "" : trial.calls.number[chosen];
  if (chosen < 0) {
    way.replaceChildren(element("p", "No call is chosen.", "none"));
    return;
  }
  const reason = trial.reasons[trial.calls.reason[chosen]];
  way.replaceChildren(element("h4", describeCall(trial, chosen)));
  if (reason) way.append(element("p", "Why: " + reason));
  const attempts = attemptsOf(trial, chosen);
  way.append(attempts.length ? wayTable(attempts) : element("p", "It made no attempt.", "none"));
}

function wayTable(attempts) {
  const table = tableOf(["attempt", "round", "replica", "incarnation", "start", "duration", "outcome", "sent", "code"]);
  for (const i of attempts) {
    const a = (name) => trial.attempts[name][i];
    const row = table.tBodies[0].insertRow();
    const cells = [a("number") + (a("hedge") ? " (hedge)" : ""), a("round"), trial.replicas[a("replica")].name,
      a("incarnation") || "–", moment(a("start")), duration(a("duration")), outcomes[a("outcome")],
      a("sent") ? "sent" : "unsent", trial.codes[a("code")]];
    cells.forEach((text) => row.append(element("td", text, "figure")));
    row.cells[6].prepend(swatch(a("outcome")));
  }
  const wide = element("div", "", "wide");
  wide.append(table);
  return wide;
}

function tableOf(heads) {
  const table = element("table", "");
  const row = table.createTHead().insertRow();
  for (const head of heads) row.append(element("th", head));
  table.createTBody();
  return table;
}

const SUMS = [
  ["served", "Served", "ok"], ["lost", "Lost", "lost"], ["refused", "Refused", "refused"],
  ["timed out", "Timeout", "timeout"], ["other", "Other", "canceled"],
  ["launches", "Launches", "muted"], ["crashes", "Crashes", "ink"],
];

function showReplicas() {
  if (!trial.counted || trial.replicas.length === 0) {
    at("replicas").replaceChildren(element("p", "The totals of this trial are unknown.", "none"));
    return;
  }
  const table = tableOf(["replica", ...SUMS.map(([head]) => head)]);
  table.className = "bars";
  const most = Math.max(1, ...trial.replicas.flatMap((r) => SUMS.slice(0, 5).map(([, sum]) => r.sums[sum])));
  const mostLaunches = Math.max(1, ...trial.replicas.map((r) => r.sums.Launches));
  for (const replica of trial.replicas) {
    const row = table.tBodies[0].insertRow();
    row.append(element("td", replica.name));
    SUMS.forEach(([, sum, color], i) => {
      const cell = element("td", replica.sums[sum], "figure");
      const bar = element("span", "", "bar");
      bar.style.width = (68 * replica.sums[sum]) / (i < 5 ? most : mostLaunches) + "px";
      bar.style.background = `var(--${color})`;
      cell.append(bar);
      row.append(cell);
    });
  }
  at("replicas").replaceChildren(table);
}

// setTheme shows the page in the light or the dark theme.
function setTheme(theme) {
  applyTheme(theme);
  for (const u of charts) u.redraw(false, true);
}

function listen() {
  const theme = () => document.documentElement.dataset.theme ?? "light";
  let screenTheme = theme();
  at("theme").addEventListener("click", () => setTheme(theme() === "dark" ? "light" : "dark"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (e) => setTheme(e.matches ? "dark" : "light"));
  addEventListener("beforeprint", () => {
    screenTheme = theme();
    setTheme("light");
    fitTo(true);
  });
  addEventListener("afterprint", () => {
    setTheme(screenTheme);
    fitTo(false);
  });
}

// offerTrials offers the trials of the chosen cell. The page itself has those of all cells, in
// groups.
function offerTrials() {
  const trials = Array.from(at("choose").children, (group) => [...group.children]);
  const offer = () => at("choose").replaceChildren(...trials[at("cell").selectedIndex]);
  offer();
  at("cell").addEventListener("change", () => {
    offer();
    showTrial(at("choose").value);
  });
  at("choose").addEventListener("change", () => showTrial(at("choose").value));
}

function listenToTrial() {
  at("lanes").addEventListener("keydown", (e) => {
    const by = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1, Home: -Infinity, End: Infinity }[e.key];
    if (by === undefined) return;
    e.preventDefault();
    step(by);
  });
  document.querySelector(".picker").addEventListener("click", (e) => {
    const by = e.target.dataset.step;
    if (by === "trouble") stepToTrouble();
    else if (by === "zoom") zoomToChosen();
    else if (by) step(Number(by));
  });
  at("call").addEventListener("change", (e) => {
    const call = trial.calls.number.indexOf(Number(e.target.value));
    if (call >= 0) choose(call);
    else showWay();
  });
}

// Everything is drawn before the page's load event, so that it can be printed and photographed
// then: uPlot draws in microtasks, and so before the one below.
listen();
setTheme(document.documentElement.dataset.theme ?? "light");
if (at("choose")) {
  offerTrials();
  listenToTrial();
  showTrial(at("choose").value);
}
if (run.curve) curveChart(at("curve-plot"), run.curve);
queueMicrotask(() => { document.documentElement.dataset.ready = ""; });
