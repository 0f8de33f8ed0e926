// Fields that change a value at the server at once and show the present value.

const INPUTS = { number: "number", whole: "number", duration: "text", codes: "text", text: "text" };

// spelled makes a name such as "service_time" readable.
const spelled = (name) => name.replaceAll("_", " ");

// newField makes a field. When the user changes it, set is called with the value and returns a problem or null.
function newField(field, set) {
  const label = element("label", "", "field");
  label.dataset.tip = field.doc;
  label.dataset.field = field.name;
  const input = newInput(field);
  const problem = element("span", "", "problem");
  problem.setAttribute("role", "alert");
  label.append(element("span", spelled(field.name), "name"), input);
  const slider = isShare(field) ? newSlider(input, field) : null;
  if (slider) label.append(slider);
  label.append(problem);
  const send = async () => {
    const value = field.kind === "bool" ? String(input.checked) : input.value.trim();
    label.dataset.asked = value;
    const wrong = await set(field.name, value);
    if (label.dataset.asked !== value) return; // changed again meanwhile
    delete label.dataset.asked;
    problem.textContent = wrong?.field ? wrong.error : "";
    input.setAttribute("aria-invalid", String(Boolean(wrong?.field)));
    if (!wrong) delete label.dataset.typed;
  };
  input.addEventListener("change", send);
  input.addEventListener("input", () => { label.dataset.typed = ""; });
  input.addEventListener("keydown", (e) => {
    if (e.key !== "Escape" || !("typed" in label.dataset)) return;
    delete label.dataset.typed;
    problem.textContent = "";
    input.removeAttribute("aria-invalid");
    showField(label, label.dataset.value, true);
  });
  return label;
}

const isShare = (field) => field.kind === "number" && field.name.endsWith("probability");

function newInput(field) {
  if (field.kind === "choice") {
    const select = document.createElement("select");
    select.append(...field.choices.map((c) => new Option(c, c)));
    select.autocomplete = "off";
    return select;
  }
  const input = document.createElement("input");
  input.type = field.kind === "bool" ? "checkbox" : INPUTS[field.kind] ?? "text";
  input.step = field.kind === "whole" ? 1 : "any";
  if (isShare(field)) [input.min, input.max, input.step] = [0, 1, 0.05];
  input.autocomplete = "off";
  input.spellcheck = false;
  return input;
}

// newSlider makes a slider for a share that sets the input.
function newSlider(input, field) {
  const slider = document.createElement("input");
  [slider.type, slider.min, slider.max, slider.step] = ["range", 0, 1, 0.05];
  slider.setAttribute("aria-label", spelled(field.name));
  slider.addEventListener("input", () => {
    input.value = slider.value;
    input.dispatchEvent(new Event("input", { bubbles: true }));
  });
  slider.addEventListener("change", () => input.dispatchEvent(new Event("change")));
  return slider;
}

// showField shows the present value, unless the user is changing it. The value is null if replicas differ.
function showField(label, value, always = false) {
  if (label.dataset.value === String(value) && !always) return;
  label.dataset.value = String(value);
  if (("typed" in label.dataset || "asked" in label.dataset) && !always) return;
  const input = label.querySelector("input, select");
  const slider = label.querySelector("[type=range]");
  if (input.type === "checkbox") {
    input.checked = value === "true";
    input.indeterminate = value === null;
  } else {
    input.value = value ?? "";
    input.placeholder = value === null ? "differs" : "";
  }
  if (slider) slider.value = value ?? 0;
}

// fieldsIn makes fields, one below the other.
function fieldsIn(fields, set) {
  const box = element("div", "", "fields");
  box.append(...fields.map((f) => newField(f, set)));
  return box;
}

const labelsIn = (host) => host.querySelectorAll("[data-field]");

function newButton(text, term, pressed) {
  const button = element("button", text);
  button.type = "button";
  if (term) button.dataset.term = term;
  button.addEventListener("click", pressed);
  return button;
}
