// The path of the chosen call through the replicas.

// choose chooses a call and shows its path, or clears the choice if given null.
function choose(chosen) {
  stage.chosen = chosen;
  paintSoon();
  showWay();
}

function chooseAttempt(i) {
  const { attempts } = shown().traffic;
  choose({ load: attempts.load[i], call: attempts.call[i] });
}

// inSight returns the calls with attempts that ended in the visible time span, oldest first, with their number of attempts.
function inSight() {
  const { traffic, now } = shown();
  const { attempts } = traffic;
  const [from] = spanOf(now);
  const calls = new Map();
  for (let i = 0; i < attempts.n; i++) {
    if (attempts.outcome[i] === HIDDEN || attempts.end[i] < from) continue;
    const key = attempts.load[i] + ":" + attempts.call[i];
    const call = calls.get(key) ?? { load: attempts.load[i], call: attempts.call[i], attempts: 0, bad: false };
    call.attempts++;
    call.bad ||= attempts.ended[i] !== OUTCOME.ok;
    calls.set(key, call);
  }
  return [...calls.values()];
}

const same = (a, b) => a && b && a.load === b.load && a.call === b.call;

// step chooses the previous or the next call in sight.
function step(by) {
  const calls = inSight();
  if (calls.length === 0) return;
  const from = calls.findIndex((c) => same(c, stage.chosen));
  const to = from < 0 ? calls.length - 1 : Math.min(Math.max(from + by, 0), calls.length - 1);
  choose(calls[to]);
}

// stepToTrouble chooses the latest call in trouble, or the one before the chosen call.
function stepToTrouble() {
  const calls = inSight();
  const chosen = calls.findIndex((c) => same(c, stage.chosen));
  const before = (end) => calls.slice(0, end).findLast((c) => c.attempts > 1 || c.bad);
  const call = (chosen >= 0 && before(chosen)) || before(calls.length);
  if (call) choose(call);
  else at("way").replaceChildren(element("p", "No visible call is in trouble.", "none"));
}

let asked = 0;

// showWay fetches the chosen call and shows its attempts.
async function showWay() {
  const way = at("way");
  const { chosen } = stage;
  const turn = ++asked;
  if (!chosen) {
    way.ariaBusy = "false";
    way.replaceChildren(element("p", "Click an attempt to see the path of its call. With the keyboard, focus the lanes and use the arrow keys.", "none"));
    return;
  }
  way.ariaBusy = "true";
  const id = chosen.load === 1 ? "B" : "A";
  let call;
  try {
    const response = await fetch(`api/calls/${id}/${chosen.call}`, { headers: authorization });
    call = await response.json();
    if (!response.ok) call = { missing: call.error };
  } catch {
    call = { missing: "crashlab live does not answer, so this call cannot be shown." };
  }
  if (turn !== asked) return; // the choice has changed
  way.ariaBusy = "false";
  if (call.missing) {
    way.replaceChildren(element("h4", `Call ${chosen.call} of load ${id}`), element("p", call.missing, "none"));
    return;
  }
  way.replaceChildren(element("h4", describeCall(call)));
  if (call.reason) way.append(element("p", `Why: ${call.reason}${call.error ? ` (${call.error})` : ""}`));
  way.append(call.attempts.length ? wayTable(call.attempts) : element("p", "No attempt was made.", "none"));
}

const moment = (us) => (us * MICRO).toFixed(3) + " s";

function describeCall(call) {
  const late = call.start_us - call.intended_us;
  const after = call.result === "under way" ? "" : ` after ${duration(call.took_us * MICRO)}`;
  return `Call ${call.call}${scene.loads.length > 1 ? " of load " + call.load : ""}: ${call.result}${after}, due at ${moment(call.intended_us)}` +
    (late > 1000 ? `, started ${duration(late * MICRO)} late` : "");
}

function wayTable(attempts) {
  const table = element("table", "");
  const head = table.createTHead().insertRow();
  for (const name of ["attempt", "round", "replica", "start", "duration", "outcome", "sent", "code"]) head.append(element("th", name));
  const body = table.createTBody();
  for (const a of attempts) {
    const row = body.insertRow();
    const cells = [a.attempt + (a.hedge ? " (hedge)" : ""), a.round, a.replica + (a.incarnation ? " #" + a.incarnation : ""), moment(a.start_us),
      duration(a.took_us * MICRO), a.outcome, a.sent ? "sent" : "unsent", a.code ?? "OK"];
    for (const text of cells) row.append(element("td", text, "figure"));
    row.cells[5].prepend(swatch(OUTCOME[a.outcome]));
  }
  const wide = element("div", "", "wide");
  wide.append(table);
  return wide;
}

// listenToLanes makes calls selectable by pointer and keyboard.
function listenToLanes() {
  stage.canvas.addEventListener("click", (e) => {
    const i = attemptAt(e.offsetX, e.offsetY);
    if (i >= 0) chooseAttempt(i);
  });
  stage.canvas.addEventListener("pointermove", (e) => {
    stage.canvas.style.cursor = attemptAt(e.offsetX, e.offsetY) >= 0 ? "pointer" : "default";
  });
  const keys = {
    ArrowLeft: () => step(-1), ArrowRight: () => step(1), ArrowUp: () => stepToTrouble(), Home: () => step(-Infinity),
    End: () => step(Infinity), Escape: () => choose(null), " ": () => freeze(!stage.frozen),
  };
  stage.canvas.addEventListener("keydown", (e) => {
    if (!keys[e.key]) return;
    e.preventDefault();
    keys[e.key]();
  });
  document.querySelector(".picker").addEventListener("click", (e) => {
    const by = e.target.dataset.step;
    if (by === "trouble") stepToTrouble();
    else if (by) step(Number(by));
  });
}

// freeze freezes the picture, or shows the present again.
function freeze(still) {
  stage.frozen = still ? copyScene() : null;
  const button = at("freeze");
  button.setAttribute("aria-pressed", String(still));
  button.textContent = still ? "Go on" : "Freeze";
  if (lost === 0) showConnection();
  refresh(true);
}
