// Tags on pages of the host: changed without leaving the page, and words offered while
// somebody types. Everything is listened to at the document, so that what scripts of the
// host insert works too; without this script forms are sent and lead back.

const PAUSE = 150;

async function send(form, button) {
  const body = new FormData(form, button);
  for (const each of form.querySelectorAll("button")) each.disabled = true;
  try {
    const headers = { Accept: "application/json" };
    const response = await fetch(form.getAttribute("action"), { method: "POST", body, headers });
    const answer = await response.json();
    if (!answer.parts) throw new Error("not an answer of ours");
    show(form.closest("[data-autotag-part]"), button, answer);
  } catch {
    // Signed out meanwhile, or no network: let the browser show what there is.
    for (const each of form.querySelectorAll("button")) each.disabled = false;
    form.removeAttribute("data-autotag-edit");
    form.requestSubmit(button);
  }
}

function show(part, button, answer) {
  const place = [...part.querySelectorAll("button")].indexOf(button);
  for (const [name, html] of Object.entries(answer.parts)) {
    const same = `[data-autotag-image="${answer.image}"][data-autotag-part="${name}"]`;
    for (const each of document.querySelectorAll(same)) {
      const typed = answer.error ? each.querySelector("[name=add]")?.value : "";
      each.querySelector("[data-autotag-body]").innerHTML = html;
      if (typed) each.querySelector("[name=add]").value = typed;
    }
  }
  const said = part.querySelector("[data-autotag-said]");
  said.textContent = answer.error ?? answer.message;
  said.classList.toggle("at-wrong", Boolean(answer.error));
  focusAgain(part, button.name, place);
}

// The button that was pressed is gone: its neighbour gets the focus, or else the field.
function focusAgain(part, name, place) {
  const buttons = [...part.querySelectorAll(`button[name="${CSS.escape(name)}"]`)];
  const near = buttons.find((each) => [...part.querySelectorAll("button")].indexOf(each) >= place);
  const field = document.querySelector(
    `[data-autotag-image="${CSS.escape(part.dataset.autotagImage)}"] [name=add]`,
  );
  (name ? (near ?? buttons.at(-1) ?? field) : field)?.focus();
}

async function offer(field) {
  const url = new URL(field.dataset.autotagComplete, location.href);
  url.searchParams.set("q", field.value);
  const response = await fetch(url, { headers: { Accept: "application/json" } });
  if (!response.ok) return;
  const { words } = await response.json();
  // Somebody who types on is answered for what he typed last.
  if (url.searchParams.get("q") !== field.value || !field.list) return;
  field.list.replaceChildren(...words.map((word) => new Option("", word)));
}

let timer = 0;

document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-autotag-edit]") || !event.submitter) return;
  event.preventDefault();
  send(event.target, event.submitter);
});

document.addEventListener("input", (event) => {
  if (!event.target.matches("[data-autotag-complete]")) return;
  clearTimeout(timer);
  if (!event.target.value.trim()) return;
  timer = setTimeout(() => offer(event.target).catch(() => {}), PAUSE);
});
