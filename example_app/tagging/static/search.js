// Offers tags that begin with the typed text. Without scripts the list has the most used.

const WAIT = 120;

const form = document.querySelector("[data-words-url]");
const field = form?.querySelector("input[type=search]");
const list = form?.querySelector("datalist");

let timer = 0;
let latest = 0;

async function offer() {
  const asked = ++latest;
  const url = new URL(form.dataset.wordsUrl, location.href);
  url.searchParams.set("q", field.value);
  const response = await fetch(url, { headers: { Accept: "application/json" } });
  if (!response.ok || asked !== latest) return;
  const { words } = await response.json();
  list.replaceChildren(...words.map((word) => new Option("", word)));
}

field?.addEventListener("input", () => {
  clearTimeout(timer);
  // Offline or signed out: keep the list.
  if (field.value.trim()) timer = setTimeout(() => offer().catch(() => {}), WAIT);
});
