// Selects images by keyboard and in ranges, tells how many are selected, and keeps the
// progress of a large action up to date. Without scripts there are plain checkboxes.

const SECONDS = 2;
// The pause is at least this many times the duration of the last response.
const PATIENCE = 20;

const fill = (text, number) => text.replace("%(number)s", number.toLocaleString(document.documentElement.lang || undefined));

class Selection {
  constructor(form) {
    this.form = form;
    this.visit(this.boxes[0]);
    this.anchor = this.boxes[0];
    this.before = new Set(this.checked);
    for (const part of form.querySelectorAll("[data-keys], [data-selecting]")) part.hidden = false;
    this.on("[data-select-all]", () => this.set(this.boxes));
    this.on("[data-select-none]", () => this.set([]));
    this.tell();
  }

  // A form on a page of the host may have its checkboxes anywhere on the page.
  get boxes() {
    return [...this.form.elements].filter((each) => each.name === "image" && each.type === "checkbox");
  }

  get checked() {
    return this.boxes.filter((each) => each.checked);
  }

  on(selector, act) {
    this.form.querySelector(selector)?.addEventListener("click", act);
  }

  // One checkbox takes part in the order of the Tab key. Arrow keys move to the others.
  visit(box) {
    for (const each of this.boxes) each.tabIndex = each === box ? 0 : -1;
  }

  focus(box) {
    this.visit(box);
    box.focus();
  }

  // A range begins at the image where the user was last without the shift key.
  begin(box) {
    this.visit(box);
    this.anchor = box;
    this.before = new Set(this.checked);
    this.tell();
  }

  set(boxes) {
    const wanted = new Set(boxes);
    for (const each of this.boxes) each.checked = wanted.has(each);
    const all = this.form.querySelector("[data-everything]");
    if (all && !wanted.size) all.checked = false;
    this.before = wanted;
    this.tell();
  }

  extend(box) {
    const boxes = this.boxes;
    const ends = [boxes.indexOf(this.anchor), boxes.indexOf(box)].sort((one, other) => one - other);
    for (const [place, each] of boxes.entries()) {
      each.checked = this.before.has(each) || (place >= ends[0] && place <= ends[1]);
    }
    this.focus(box);
    this.tell();
  }

  tell() {
    const said = this.form.querySelector("[data-selected]");
    const number = this.checked.length + this.form.querySelectorAll("input[type=hidden][name=image]").length;
    const { none, one, many, all } = said.dataset;
    const everything = this.form.querySelector("[data-everything]")?.checked;
    const text = everything ? all : number === 1 ? one : number ? fill(many, number) : none;
    if (said.textContent !== text) said.textContent = text;
  }

  // Returns the checkbox that an arrow key leads to.
  next(box, key) {
    const boxes = this.boxes;
    const isReversed = getComputedStyle(box).direction === "rtl";
    const step = { ArrowRight: isReversed ? -1 : 1, ArrowLeft: isReversed ? 1 : -1 }[key];
    if (step) return boxes[boxes.indexOf(box) + step];
    const { left, top } = box.getBoundingClientRect();
    const sign = key === "ArrowDown" ? 1 : -1;
    const places = boxes.map((each) => ({ each, at: each.getBoundingClientRect() }));
    const beyond = places.filter(({ at }) => (at.top - top) * sign > 1);
    if (!beyond.length) return undefined;
    const nearest = Math.min(...beyond.map(({ at }) => (at.top - top) * sign));
    const row = beyond.filter(({ at }) => (at.top - top) * sign < nearest + 2);
    row.sort((one, other) => Math.abs(one.at.left - left) - Math.abs(other.at.left - left));
    return row[0].each;
  }

  press(event) {
    const box = event.target;
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape") {
      this.set([]);
    } else if (event.key === " " && event.shiftKey) {
      this.extend(box);
    } else if (event.key.startsWith("Arrow")) {
      const next = this.next(box, event.key);
      if (next && event.shiftKey) this.extend(next);
      else if (next) {
        this.focus(next);
        this.begin(next);
      }
    } else return;
    event.preventDefault();
  }
}

const selections = new Map();

// The boxes may be outside the form, so the listeners are on the document.
function selectionOf(box) {
  return box?.name === "image" && box.type === "checkbox" ? selections.get(box.form) : undefined;
}

document.addEventListener("keydown", (event) => selectionOf(event.target)?.press(event));
document.addEventListener("keyup", (event) => {
  // Firefox would toggle the checkbox.
  if (event.key === " " && event.shiftKey && selectionOf(event.target)) event.preventDefault();
});
document.addEventListener("click", (event) => {
  if (!event.shiftKey || !event.detail) return;
  const box = event.target.closest("label")?.control ?? event.target;
  const selection = selectionOf(box);
  if (!selection) return;
  if (event.target !== box) event.preventDefault();
  selection.extend(box);
});
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-everything]")) selections.get(event.target.form)?.tell();
  const selection = selectionOf(event.target);
  if (selection && !isRange) selection.begin(event.target);
});

// A click with the shift key changes the checkbox, too: its range is set already.
let isRange = false;
document.addEventListener("pointerdown", (event) => {
  isRange = event.shiftKey;
});
document.addEventListener("keydown", () => {
  isRange = false;
}, true);

for (const form of document.querySelectorAll("form[data-autotag-bulk]")) {
  const has = [...form.elements].some((each) => each.name === "image" && each.type === "checkbox");
  if (has && form.querySelector("[data-selected]")) selections.set(form, new Selection(form));
}
// Browsers restore checkboxes after the scripts have run.
window.addEventListener("pageshow", () => {
  for (const selection of selections.values()) selection.begin(selection.anchor);
});

const outcome = () => document.querySelector("[data-outcome]");

async function refresh() {
  const begun = performance.now();
  let pause = SECONDS;
  try {
    const response = await fetch(location.href, { headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const fresh = page.querySelector("[data-outcome]");
    if (!response.ok || response.redirected || !fresh) return;
    const hadFocus = outcome().contains(document.activeElement);
    outcome().replaceWith(document.importNode(fresh, true));
    if (hadFocus) outcome().focus({ preventScroll: true });
    pause = Math.max(SECONDS, (PATIENCE * (performance.now() - begun)) / 1000);
  } catch {
    pause = SECONDS * 10;
  }
  follow(pause);
}

function follow(pause) {
  if (outcome()?.matches("[data-running]")) setTimeout(refresh, pause * 1000);
}

if (outcome()) {
  outcome().focus();
  follow(SECONDS);
}
