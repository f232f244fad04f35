// Review by keyboard: letters decide about the focused image. Without a focused image they
// do nothing, so that they cannot disturb users who type or read on the page.

const form = document.querySelector("[data-review]");
const cards = form ? [...form.querySelectorAll("[data-card]")] : [];

const radio = (card, value) => card.querySelector(`input[value="${value}"]`);
const chosen = (card) => card.querySelector("input:checked").value;
const fill = (text, values) => text.replace(/%\((\w+)\)s/g, (_, name) => values[name]);

function say(text) {
  form.querySelector("[data-said]").textContent = text;
}

function count() {
  const values = { accepted: 0, rejected: 0, undecided: 0 };
  const names = { accept: "accepted", reject: "rejected", "": "undecided" };
  for (const card of cards) values[names[chosen(card)]] += 1;
  form.querySelector("[data-count]").textContent = fill(form.dataset.counts, values);
}

// One card takes part in the order of the Tab key. Arrow keys move to the others.
function visit(card) {
  for (const each of cards) each.tabIndex = each === card ? 0 : -1;
  card.focus();
  card.scrollIntoView({ block: "nearest" });
}

function move(card, step) {
  const next = cards[cards.indexOf(card) + step];
  if (next) visit(next);
  return Boolean(next);
}

// Returns the number of cards in a row of the current layout.
function columns() {
  const top = cards[0].getBoundingClientRect().top;
  const below = cards.findIndex((card) => card.getBoundingClientRect().top > top);
  return below < 0 ? cards.length : below;
}

function decide(card, value) {
  radio(card, value).checked = true;
  count();
  const said = { accept: "saidAccept", reject: "saidReject", "": "saidUndecided" };
  const name = card.querySelector("strong").textContent;
  const words = [`${name}: ${form.dataset[said[value]]}.`];
  if (value && !move(card, 1)) {
    visit(card);
    words.push(form.dataset.last);
  }
  say(words.join(" "));
}

const KEYS = {
  j: (card) => move(card, 1),
  k: (card) => move(card, -1),
  ArrowRight: (card) => move(card, 1),
  ArrowLeft: (card) => move(card, -1),
  ArrowDown: (card) => move(card, columns()),
  ArrowUp: (card) => move(card, -columns()),
  a: (card) => decide(card, "accept"),
  Enter: (card) => decide(card, "accept"),
  r: (card) => decide(card, "reject"),
  x: (card) => decide(card, "reject"),
  u: (card) => decide(card, ""),
  s: () => form.requestSubmit(form.querySelector("button[value=save]")),
};

function press(event) {
  const card = event.target.closest("[data-card]");
  if (!card || event.altKey || event.ctrlKey || event.metaKey) return;
  // Radio buttons and the link keep their usual keys.
  const own = event.target !== card && event.key.length > 1;
  const act = KEYS[event.key.length > 1 ? event.key : event.key.toLowerCase()];
  if (!act || own) return;
  event.preventDefault();
  act(card);
}

function start() {
  for (const card of cards) card.tabIndex = -1;
  cards[0].tabIndex = 0;
  cards[0].setAttribute("aria-describedby", "autotag-keys");
  form.querySelector("#autotag-keys").hidden = false;
  form.addEventListener("keydown", press);
  form.addEventListener("change", count);
  count();
  if ("continues" in form.dataset) {
    cards[0].focus();
    say(document.querySelector(".at-notice")?.textContent ?? "");
  }
}

if (form?.querySelector("[data-count]")) start();
