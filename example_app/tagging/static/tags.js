// Shows new tags. It requests pending photos, less and less often while nothing changes,
// and not at all if none is pending or the page is hidden.

const FIRST = 700;
const LONGEST = 15000;

const said = document.querySelector("[data-tag-status]");
const count = document.querySelector("[data-pending-count]");
const filters = document.querySelector("[data-filters]");

let delay = FIRST;
let timer = 0;
let asking = false;
let stopped = false;

function pending() {
  return [...document.querySelectorAll("[data-photo][data-pending]")];
}

function plan() {
  clearTimeout(timer);
  showCount();
  if (!stopped && !document.hidden && pending().length) timer = setTimeout(turn, delay);
}

async function turn() {
  if (asking) return;
  asking = true;
  try {
    delay = (await ask(pending().slice(0, 100))) ? FIRST : Math.min(delay * 1.5, LONGEST);
  } catch {
    // The server may become available again.
    delay = Math.min(delay * 2, LONGEST);
  } finally {
    asking = false;
  }
  plan();
}

// Returns whether something has changed.
async function ask(slots) {
  const url = new URL(said.dataset.tagsUrl, location.href);
  url.searchParams.set("ids", slots.map((slot) => slot.dataset.photo).join(","));
  const response = await fetch(url, { headers: { Accept: "application/json" } });
  if (response.status === 401 || response.status === 403) {
    stopped = true;
    said.textContent = "Your session has ended. Sign in again to see new tags.";
    said.classList.remove("visually-hidden");
    return false;
  }
  if (!response.ok) throw new Error(response.statusText);
  return show(slots, await response.json());
}

function show(slots, answer) {
  const byId = new Map(answer.photos.map((photo) => [String(photo.id), photo]));
  const news = [];
  for (const slot of slots) {
    const photo = byId.get(slot.dataset.photo);
    if (photo?.pending) continue;
    // A photo without an answer was deleted meanwhile.
    slot.removeAttribute("data-pending");
    if (!photo) continue;
    slot.innerHTML = photo.html;
    slot.classList.add("arrived");
    news.push(photo.words);
  }
  if (news.length) {
    said.textContent = news.join(" ");
    showFilters(answer.filters);
  }
  return news.length > 0;
}

function showFilters(html) {
  if (!filters) return;
  const focused = filters.contains(document.activeElement)
    ? document.activeElement.getAttribute("href")
    : null;
  filters.innerHTML = html;
  if (focused !== null) filters.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
}

function showCount() {
  if (!count) return;
  const number = pending().length;
  count.hidden = number === 0;
  count.lastElementChild.textContent =
    number === 1 ? "1 photo is being tagged" : `${number} photos are being tagged`;
}

function hurry() {
  delay = FIRST;
  plan();
}

document.addEventListener("visibilitychange", hurry);
document.addEventListener("photo-uploaded", ({ detail: { photo, slot } }) => {
  slot.dataset.photo = photo.id;
  slot.toggleAttribute("data-pending", photo.pending);
  slot.innerHTML = photo.html;
  hurry();
});
plan();
