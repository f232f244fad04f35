// Improves forms: sliders beside thresholds, labels that follow the sliders, and responses
// that keep the page. Everything works without scripts too.

import { judge } from "./trial.js";

const number = (field) => {
  const text = field.value.trim() || field.dataset.inherited || "";
  const value = Number(text);
  return text !== "" && Number.isFinite(value) ? value : null;
};

const labelOf = (root, field) => root.querySelector(`label[for="${field.id}"]`).textContent;

function makeSlider(root, field) {
  const slider = document.createElement("input");
  Object.assign(slider, { type: "range", min: "0", max: "1", step: "0.01" });
  slider.disabled = field.disabled;
  slider.setAttribute("aria-label", labelOf(root, field));
  const follow = () => {
    const value = number(field);
    if (value !== null) slider.value = String(value);
  };
  slider.addEventListener("input", () => {
    field.value = Number(slider.value).toFixed(2);
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });
  field.addEventListener("input", follow);
  follow();
  return slider;
}

// Repeats each provider's threshold beside its labels, to show the effect of a change.
function addThresholds(root) {
  for (const place of root.querySelectorAll("[data-threshold-of]")) {
    const field = root.querySelector(`[data-fraction][data-provider="${CSS.escape(place.dataset.thresholdOf)}"]`);
    if (!field) continue;
    const name = document.createElement("span");
    name.textContent = labelOf(root, field);
    name.setAttribute("aria-hidden", "true");
    place.replaceChildren(name, makeSlider(root, field));
  }
}

function judgeTrial(root) {
  const trial = root.querySelector("[data-trial]");
  if (!trial) return;
  const thresholds = new Map();
  for (const field of root.querySelectorAll("[data-fraction]")) {
    const value = number(field);
    if (value === null || value < 0 || value > 1) return;
    thresholds.set(field.dataset.provider, value);
  }
  judge(trial, thresholds);
}

// Responses to "Try" and "What would change?" replace parts of the page in place, which
// keeps the chosen file, the typed keys and the scroll position.
async function answerInPlace(event) {
  const form = event.target;
  const button = event.submitter;
  if (!button || !(["try", "preview"].includes(button.value) || ["test", "preview"].includes(button.name))) return;
  event.preventDefault();
  const body = new FormData(form, button);
  for (const each of form.querySelectorAll("button")) each.disabled = true;
  try {
    const response = await fetch(form.getAttribute("action"), { method: "POST", body, headers: { Accept: "text/html" } });
    const text = await response.text();
    const root = new DOMParser().parseFromString(text, "text/html").querySelector(".autotag");
    if (!root || response.redirected) throw new Error("another page");
    replace(form, document.importNode(root, true), button);
  } catch {
    // The user was signed out, or the network failed: let the browser show the result.
    for (const each of form.querySelectorAll("button")) each.disabled = false;
    form.removeEventListener("submit", answerInPlace);
    button.click();
  }
}

// Keeps the texts that were typed into the other forms of the page.
function keepTyped(old, form, root) {
  const forms = [...old.querySelectorAll("[data-autotag-form]")].filter((other) => other !== form);
  for (const typed of forms.flatMap((other) => [...other.querySelectorAll("input[type=text][id], select[id]")])) {
    const same = root.querySelector(`#${CSS.escape(typed.id)}`);
    if (same) same.value = typed.value;
  }
}

function replace(form, root, button) {
  const old = form.closest(".autotag");
  keepTyped(old, form, root);
  for (const kept of old.querySelectorAll("input[type=file], input[type=password]")) {
    root.querySelector(`#${kept.id}`)?.replaceWith(kept);
  }
  for (const chosen of old.querySelectorAll("input:checked")) {
    const same = root.querySelector(`input[name="${CSS.escape(chosen.name)}"][value="${CSS.escape(chosen.value)}"]`);
    if (same) same.checked = true;
  }
  const tried = old.querySelector("#autotag-try-result");
  if (tried && !root.querySelector("#autotag-try-result")) {
    root.querySelector("[aria-labelledby=autotag-try]")?.append(tried);
  }
  old.replaceWith(root);
  start(root);
  judgeTrial(root);
  const wrong = root.querySelector("[aria-invalid=true]");
  const results = { try: "#autotag-try-result", preview: "#autotag-preview-result" };
  const wanted = results[button.value] ?? results[button.name];
  const result = wanted ? root.querySelector(wanted) : null;
  const same = root.querySelector(`button[name="${CSS.escape(button.name)}"][value="${CSS.escape(button.value)}"]`);
  (wrong ?? result ?? same)?.focus();
  result?.scrollIntoView({ block: "nearest" });
}

function start(root) {
  for (const field of root.querySelectorAll("[data-fraction]")) {
    // Without a number the slider has no position.
    if (number(field) !== null) field.after(makeSlider(root, field));
  }
  addThresholds(root);
  root.addEventListener("input", (event) => {
    if (event.target.matches("[data-fraction]")) judgeTrial(root);
  });
  for (const form of root.querySelectorAll("[data-autotag-form]")) form.addEventListener("submit", answerInPlace);
}

for (const root of document.querySelectorAll(".autotag")) start(root);
