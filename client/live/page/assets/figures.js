// The figures of each load, the replicas' names and buttons beside the lanes, and the text for screen readers.

const percent = (share) => (share === 1 || share === 0 ? 100 * share + "%" : (100 * share).toFixed(share > 0.999 ? 2 : 1) + "%");
const ratio = (a, b, spell) => (b > 0 ? spell(a / b) : "–");
const latency = (us) => (us > 0 ? duration(us * MICRO) : "–");
const short = (x) => (x >= 100 ? String(Math.round(x)) : String(Number(x.toPrecision(3))));

const ended = (numbers) => numbers.ok + numbers.failed;
const successOf = (numbers) => ratio(numbers.ok, ended(numbers), percent);
const attemptsPerCall = (numbers) => ratio(numbers.attempts, ended(numbers), (x) => x.toFixed(2));
const ejectedBy = (load) => load.links.filter((l) => l.ejected).map((l) => l.replica);

// Each figure: its term, its name, its value in the last 10 s, and the text below, mostly its value since the start.
const FIGURES = [
  ["success", "success", (l) => successOf(l.recent), (l) => successOf(l.total)],
  ["p50", "p50", (l) => latency(l.recent.p50_us), (l) => latency(l.total.p50_us)],
  ["p99", "p99", (l) => latency(l.recent.p99_us), (l) => latency(l.total.p99_us)],
  ["attempts", "attempts/call", (l) => attemptsPerCall(l.recent), (l) => attemptsPerCall(l.total)],
  ["rate", "calls/s", (l) => short(l.recent.ended_a_second), (l) => `${ended(l.total)} calls`],
  ["waiting", "waiting", (l) => String(l.waiting), (l) => `of ${l.under_way} calls`],
  ["limit", "limit", (l) => (l.limit ? String(l.limit) : "none"), (l) => (l.crash_rate ? `${percent(l.crash_rate)} crash` : "per replica")],
  ["budget", "budget", (l) => (l.budget === undefined ? "none" : short(l.budget)), (l) => `${l.denied} denied`],
  ["ejected", "ejected", (l) => ejectedBy(l).join(", ") || "none", (l) => `${l.ejections} so far`],
];

// write sets the text of an element only if it differs, since each change costs the browser work.
function write(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

// showFigures writes the figures of the loads that are shown.
function showFigures() {
  const loads = state.loads.filter((l) => scene.loads.some((s) => s.id === l.id));
  const host = at("figures");
  const key = loads.map((l) => l.id).join();
  if (host.dataset.loads !== key) {
    host.dataset.loads = key;
    host.replaceChildren(...loads.map((l) => figuresOf(l, loads.length > 1)));
  }
  loads.forEach((load, k) => {
    const row = host.children[k];
    write(row.querySelector(".load-name"), `${load.id} · ${planOf(load.id).preset ?? "own policy"}${planOf(load.id).on ? "" : " · off"}`);
    write(row.querySelector(".late"), troubleOf(load));
    FIGURES.forEach(([, , now, below], i) => {
      const tile = row.querySelectorAll(".tile")[i];
      write(tile.querySelector("dd"), now(load));
      write(tile.querySelector("dd + dd"), below(load));
    });
  });
}

// troubleOf returns a warning about the load or its picture.
function troubleOf(load) {
  if (load.late) return "This machine is too busy to keep the rate.";
  return load.skipped > 0 ? `${load.skipped} attempts came too fast to be drawn; the figures include them.` : "";
}

function figuresOf(load) {
  const row = element("div", "", "figures-of");
  row.dataset.load = load.id;
  const head = element("p", "", "load-head");
  head.append(element("b", "", "load-name"), element("span", "last 10 s; below: since the start", "small span"), element("span", "", "late"));
  const list = element("dl", "", "tiles");
  for (const [term, name] of FIGURES) {
    const tile = element("div", "", "tile");
    tile.dataset.term = term;
    tile.tabIndex = 0;
    tile.append(element("dt", name), element("dd", ""), element("dd", "", "small"));
    list.append(tile);
  }
  row.append(head, list);
  return row;
}

const running = () => state.loads.filter((l) => planOf(l.id).on);

const SIGNS = { ready: "●", starting: "◔", down: "○", hung: "‖", unready: "◍" };

// placeHeads places the replicas' names and buttons beside the lanes, or above them on a narrow page.
function placeHeads(wide) {
  const heads = at("heads");
  const list = shown().replicas;
  for (const head of [...heads.children]) if (!list.some((r) => r.name === head.dataset.replica)) head.remove();
  list.forEach((r, i) => {
    const head = headOf(r.name);
    head.style.top = (wide ? stage.blocks[i].top : stage.blocks[i].head) + "px";
    head.style.width = wide ? GUTTER - 14 + "px" : "100%";
    head.classList.toggle("above", !wide);
    if (heads.children[i] !== head) heads.insertBefore(head, heads.children[i] ?? null); // a needless move would lose the focus
  });
  const queue = at("queue-head");
  queue.style.top = (wide ? stage.waiting.top : stage.waiting.head) + "px";
}

function headOf(name) {
  const old = at("heads").querySelector(`[data-replica="${CSS.escape(name)}"]`);
  if (old) return old;
  const head = element("div", "", "head");
  head.dataset.replica = name;
  const title = element("p", "", "title");
  title.append(element("b", name), element("span", "", "state"), element("span", "", "more"), element("span", "", "problem"));
  const buttons = element("div", "", "buttons");
  buttons.setAttribute("role", "group");
  buttons.setAttribute("aria-label", "Replica " + name);
  for (const [action, text] of [["kill", "Kill"], ["stop", "Hang"], ["restart", "Restart"]]) {
    const button = element("button", text);
    button.type = "button";
    button.dataset.do = action;
    button.dataset.term = action === "stop" ? "hang" : action;
    buttons.append(button);
  }
  head.append(title, buttons);
  return head;
}

// countdown returns the time until a replica that is down is launched, if it is more than a second.
function countdown(replica) {
  const left = (replica.next_us ?? 0) * MICRO - scene.now;
  return replica.state === "down" && left > 1 ? `, ${Math.ceil(left)} s` : "";
}

// ejection returns which loads' clients have ejected a replica.
function ejection(replica) {
  const loads = state.loads.filter((l) => ejectedBy(l).includes(replica.name)).map((l) => l.id);
  if (loads.length === 0) return "";
  return scene.loads.length > 1 ? ", ejected by " + loads.join(" and ") : ", ejected";
}

// showHeads shows the states of the replicas. For a stopped replica, the button Hang becomes Continue.
function showHeads() {
  for (const replica of state.replicas) {
    const head = at("heads").querySelector(`[data-replica="${CSS.escape(replica.name)}"]`);
    if (!head) continue;
    const inFlight = state.loads.flatMap((l) => l.links).reduce((sum, k) => sum + (k.replica === replica.name ? k.in_flight : 0), 0);
    const label = head.querySelector(".state");
    label.dataset.term = replica.state;
    label.tabIndex = 0;
    write(label, `${SIGNS[replica.state] ?? ""} ${replica.state}${countdown(replica)}${ejection(replica)}`);
    write(head.querySelector(".more"), `#${replica.incarnation} · ${inFlight} in flight · ${replica.crashes} ✖`);
    const hang = head.querySelector("[data-do=stop], [data-do=continue]");
    const hung = replica.state === "hung" && replica.faults?.hang !== "true"; // no signal ends the fault
    hang.dataset.do = hung ? "continue" : "stop";
    hang.dataset.term = hung ? "continue" : "hang";
    write(hang, hung ? "Continue" : "Hang");
    write(head.querySelector(".problem"), replica.note ?? "");
  }
  write(at("queue-length"), running().map((l) => l.waiting).join(" / ") || "0");
}

function showKey() {
  const { counts } = shown().traffic;
  for (const item of at("outcome-key").children) {
    const count = counts[OUTCOME[item.dataset.outcome]];
    write(item.querySelector("b"), String(count));
    item.classList.toggle("absent", count === 0);
  }
}

function makeKey() {
  at("outcome-key").replaceChildren(...outcomes.map((name) => {
    const item = element("li", "");
    item.dataset.outcome = name;
    item.dataset.tip = OUTCOME_TERMS[name];
    item.tabIndex = 0;
    const canvas = swatch(OUTCOME[name]);
    item.append(canvas, document.createTextNode(name + " "), element("b", "0"));
    return item;
  }));
}

const SPOKEN_EVERY = 20; // s
let spokenAt = -Infinity;

// speak updates the text for screen readers, less often than the figures change.
function speak() {
  if (scene.now - spokenAt < SPOKEN_EVERY || stage.frozen) return;
  spokenAt = scene.now;
  const replicas = state.replicas.map((r) => `${r.name} ${r.state}`).join(", ");
  const loads = running().map((l) =>
    `Load ${l.id}: success ${successOf(l.recent)}, p50 ${latency(l.recent.p50_us)}, p99 ${latency(l.recent.p99_us)}, ` +
    `${attemptsPerCall(l.recent)} attempts per call, ${l.waiting} waiting.`);
  write(at("spoken"), `${loads.join(" ")} Replicas: ${replicas}.`);
}
