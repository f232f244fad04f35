// Keeps the page of activity up to date: requests the page every few seconds while it is
// visible, and replaces the parts that changed. Without scripts there is a link instead.

const SECONDS = 5;
const LONGEST = 300;
// The pause is at least this many times the duration of the last response, so that a slow
// server gets fewer requests.
const PATIENCE = 20;

const bar = document.querySelector("[data-activity]");
const said = document.querySelector("[data-said]");
const regions = () => [...document.querySelectorAll("[data-live]")];
const mark = (root) => root.querySelector("[data-mark]");

let timer = null;
let failures = 0;
let isPaused = false;

// Compares texts only: the forms have a fresh token in every response.
const isSame = (old, fresh) => old.textContent === fresh.textContent;

function keepFresh(old, fresh) {
  const values = [...fresh.querySelectorAll("input[type=hidden]")];
  for (const [place, field] of [...old.querySelectorAll("input[type=hidden]")].entries()) {
    if (values[place]?.name === field.name) field.value = values[place].value;
  }
}

function replace(old, fresh) {
  if (isSame(old, fresh)) return keepFresh(old, fresh);
  const chosen = document.getSelection();
  // The user has selected a text: keep it until the selection ends.
  if (!chosen.isCollapsed && old.contains(chosen.anchorNode)) return undefined;
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  for (const open of old.querySelectorAll("details[open][id]")) {
    const same = fresh.querySelector(`#${CSS.escape(open.id)}`);
    if (same) same.open = true;
  }
  old.replaceWith(fresh);
  if (focused) focusAgain(focused, fresh);
  return undefined;
}

// Focuses the same element again, or the element around it if it is gone.
function focusAgain(focused, fresh) {
  const place = focused.closest("details[id]")?.id;
  const same =
    (focused.id && document.getElementById(focused.id)) ||
    (focused.localName === "summary" && document.getElementById(place)?.querySelector("summary")) ||
    [...fresh.querySelectorAll(focused.localName)].find((each) => each.textContent === focused.textContent);
  if (!same) fresh.tabIndex = -1;
  (same || fresh).focus({ preventScroll: true });
}

function tell(fresh) {
  const before = mark(document).dataset.mark;
  const now = mark(fresh);
  if (now.dataset.mark !== before) said.textContent = now.textContent;
}

async function ask() {
  const response = await fetch(bar.dataset.activity, { headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  // The user was signed out meanwhile or lost the right to see the page.
  if (!response.ok || response.redirected || !mark(page)) throw new Error("no such page");
  return page;
}

async function update() {
  timer = null;
  const begun = performance.now();
  try {
    const page = await ask();
    if (isPaused || document.hidden) return;
    failures = 0;
    tell(page);
    for (const old of regions()) {
      const fresh = page.getElementById(old.id);
      if (fresh) replace(old, document.importNode(fresh, true));
    }
  } catch {
    failures += 1;
  }
  const took = (performance.now() - begun) / 1000;
  wait(Math.min(LONGEST, failures ? SECONDS * 2 ** failures : Math.max(SECONDS, took * PATIENCE)));
}

function wait(seconds) {
  if (isPaused || document.hidden || timer !== null) return;
  timer = setTimeout(update, seconds * 1000);
  if (failures) {
    const text = bar.dataset.failing.replace("%(seconds)s", Math.round(seconds));
    document.getElementById("autotag-moment").textContent = text;
  }
}

function stop() {
  clearTimeout(timer);
  timer = null;
}

function addPause() {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "at-quiet";
  button.textContent = bar.dataset.pause;
  button.addEventListener("click", () => {
    isPaused = !isPaused;
    button.textContent = isPaused ? bar.dataset.resume : bar.dataset.pause;
    stop();
    if (!isPaused) update();
  });
  bar.append(button);
}

if (bar) {
  addPause();
  wait(SECONDS);
  document.addEventListener("visibilitychange", () => {
    stop();
    if (!document.hidden && !isPaused) update();
  });
}
