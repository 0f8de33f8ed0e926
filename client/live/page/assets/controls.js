// The controls: faults, the cluster, the loads with their policies, scenarios and recordings.

let faulty = ""; // the replica whose faults are shown; empty for all

// takeAbout makes the controls for the fields that the server lists.
function takeAbout(next) {
  const before = JSON.stringify(about);
  about = next;
  at("record").hidden = !about.recordings;
  if (JSON.stringify(next) === before) return;
  makeFaults();
  makeCluster();
  makeLoads();
  makeScenarios();
}

function makeFaults() {
  const label = element("label", "", "field");
  label.append(element("span", "replica", "name"));
  const select = document.createElement("select");
  select.id = "faulty";
  select.autocomplete = "off";
  select.addEventListener("change", () => {
    faulty = select.value;
    showFaults();
  });
  label.append(select);
  const set = (name, value) => ask({ do: "faults", ...(faulty ? { replicas: [faulty] } : {}), set: { [name]: value } });
  const reset = newButton("Reset at next launch", "", () => ask({ do: "faults", ...(faulty ? { replicas: [faulty] } : {}) }));
  reset.dataset.tip = "From its next launch on, a replica again has only the faults of its command line.";
  at("fault-fields").replaceChildren(label, fieldsIn(about.faults, set), reset);
}

function showFaults() {
  const select = at("faulty");
  const replicas = state.replicas.map((r) => r.name);
  if ([...select.options].map((o) => o.value).join() !== ["", ...replicas].join()) {
    select.replaceChildren(new Option("all", ""), ...replicas.map((name) => new Option(name, name)));
    if (!replicas.includes(faulty)) faulty = "";
    select.value = faulty;
  }
  const known = state.replicas.filter((r) => r.faults && (!faulty || r.name === faulty));
  for (const label of labelsIn(at("fault-fields"))) {
    const values = new Set(known.map((r) => r.kept?.[label.dataset.field] ?? r.faults[label.dataset.field] ?? ""));
    if (values.size > 0) showField(label, values.size === 1 ? [...values][0] : null);
  }
}

function makeCluster() {
  at("cluster-fields").replaceChildren();
  at("cluster-fields").dataset.groups = "";
}

// showCluster shows each group with its number of replicas and its restart policy.
function showCluster() {
  const host = at("cluster-fields");
  const key = state.groups.map((g) => g.name).join("/") + "!";
  if (host.dataset.groups !== key) {
    host.dataset.groups = key;
    host.replaceChildren(...state.groups.map(groupFields));
  }
  state.groups.forEach((group, i) => {
    for (const label of labelsIn(host.children[i])) {
      const name = label.dataset.field;
      showField(label, name === "replicas" ? String(group.count) : group.relaunch[name] ?? "");
    }
  });
}

function groupFields(group) {
  const box = element("div", "");
  if (state.groups.length > 1) box.append(element("h3", group.name));
  const named = group.name ? { group: group.name } : {};
  const count = { name: "replicas", kind: "whole", doc: TERMS.scale[1] };
  const scale = async (name, value) => {
    const problem = await ask({ do: "scale", ...named, count: Number(value) });
    return problem && { ...problem, field: "replicas" };
  };
  box.append(fieldsIn([count], scale), fieldsIn(about.relaunch, (name, value) => ask({ do: "relaunch", ...named, set: { [name]: value } })));
  return box;
}

function makeLoads() {
  const [first, second] = about.presets.map((p) => p.name);
  const compare = newButton(`Compare ${first} with ${second}`, "compare", async () => {
    await ask({ do: "load", load: "A", on: true, preset: first });
    await ask({ do: "load", load: "B", on: true, preset: second });
  });
  at("load-fields").replaceChildren(compare, ...["A", "B"].map(loadFields));
}

function loadFields(id) {
  const box = element("div", "", "load");
  box.dataset.load = id;
  const head = element("p", "", "load-head");
  const swap = newButton("", "load", () => {
    ask({ do: "load", load: id, on: !planOf(id).on });
  });
  swap.classList.add("switch");
  head.append(element("b", "Load " + id, "load-name"), swap);
  const set = (name, value) => ask({ do: "load", load: id, set: { [name]: value } });
  const presets = element("div", "", "presets");
  presets.setAttribute("role", "group");
  presets.setAttribute("aria-label", "Policy of load " + id);
  presets.append(element("span", "policy", "name"), ...about.presets.map((p) => {
    const button = newButton(p.name, "", () => ask({ do: "load", load: id, preset: p.name }));
    button.dataset.tip = p.doc;
    button.dataset.preset = p.name;
    return button;
  }));
  const groups = Map.groupBy(about.settings, (f) => f.group);
  const details = element("details", "");
  details.append(element("summary", "Every field of the policy"));
  for (const [group, fields] of groups) {
    if (group !== "load") details.append(element("h3", group), fieldsIn(fields, set));
  }
  box.append(head, fieldsIn(groups.get("load") ?? [], set), presets, details);
  return box;
}

function showLoads() {
  for (const load of state.plans) {
    const box = at("load-fields").querySelector(`[data-load="${load.id}"]`);
    const swap = box.querySelector(".switch");
    write(swap, load.on ? "Stop" : "Start");
    swap.setAttribute("aria-label", (load.on ? "Stop" : "Start") + " load " + load.id);
    for (const button of box.querySelectorAll("[data-preset]")) {
      button.setAttribute("aria-pressed", String(button.dataset.preset === load.preset));
    }
    for (const label of labelsIn(box)) showField(label, load.settings[label.dataset.field] ?? "");
  }
}

function makeScenarios() {
  at("scenario-list").replaceChildren(...about.scenarios.map((guide) => {
    const details = element("details", "", "guide");
    details.dataset.name = guide.name;
    const steps = element("ol", "");
    for (const s of guide.steps) if (s.say) steps.append(element("li", `${duration(s.at_us * MICRO)}: ${s.say}`));
    const begin = newButton("Begin", "scenario", () => {
      ask({ do: "scenario", scenario: state.scenario.name === guide.name ? "" : guide.name });
    });
    details.append(element("summary", guide.title), element("p", guide.look), steps, begin);
    return details;
  }));
  at("scenarios").hidden = about.scenarios.length === 0;
}

// showScenario shows the progress of the running scenario above the lanes.
function showScenario() {
  const { name, say, done, began_us } = state.scenario;
  const guide = about.scenarios.find((g) => g.name === name);
  const banner = at("scene");
  banner.hidden = !guide;
  for (const details of at("scenario-list").children) {
    const runs = details.dataset.name === name;
    details.classList.toggle("runs", runs);
    write(details.querySelector("button"), runs ? "End" : "Begin");
  }
  if (!guide) return;
  const text = element("div", "");
  text.append(element("b", guide.title), element("p", say || guide.look, "say"), element("p", "Look for: " + guide.look, "hint"),
    element("p", `Step ${done ?? 0} of ${guide.steps.length}, started at ${clock((began_us ?? 0) * MICRO)}`, "small"));
  text.setAttribute("aria-live", "polite");
  banner.replaceChildren(text, newButton("End", "", () => ask({ do: "scenario", scenario: "" })));
}

function showRecording() {
  const { on, dir, error } = state.recording;
  const button = at("record");
  button.setAttribute("aria-pressed", String(on));
  write(button, on ? "Stop recording" : "Record");
  const key = `${on}:${dir}:${error}`;
  if (button.dataset.key === key) return;
  const first = button.dataset.key === undefined;
  button.dataset.key = key;
  if (error) complain("recording", "The recording ended: " + error);
  else if (!on && dir && !first) complain("recording", `The recording is in ${dir}. To see it: crashlab report ${dir}`);
}

let logged = -1;

// showMarks lists the marks, the latest first.
function showMarks() {
  const { first, items } = state.marks;
  if (logged === first + items.length) return;
  logged = first + items.length;
  const latest = items.filter((m) => m.kind !== "ejection").slice(-30).reverse();
  at("marks").replaceChildren(...latest.map((m) => {
    const item = element("li", "");
    item.dataset.kind = m.kind;
    item.append(element("b", clock(m.at_us * MICRO) + " "), document.createTextNode((m.load ? m.load + ": " : "") + m.text));
    if (m.error) item.append(element("span", " ✕ " + m.error, "problem"));
    return item;
  }));
  if (latest.length === 0) at("marks").replaceChildren(element("li", "Nothing yet.", "none"));
}

function listenToControls() {
  at("heads").addEventListener("click", (e) => {
    const action = e.target.dataset.do;
    if (action) ask({ do: action, replicas: [e.target.closest(".head").dataset.replica] });
  });
  at("record").addEventListener("click", () => ask({ do: "record", on: !state.recording.on }));
  at("freeze").addEventListener("click", () => freeze(!stage.frozen));
}
