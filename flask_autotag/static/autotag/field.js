// Changes tags on pages of the host without leaving the page, and completes typed words.
// The listeners are on the document, so that elements which scripts of the host insert work
// too. Without this script the forms are sent and redirect back to the page.

const PAUSE = 150;

async function send(form, button) {
  const body = new FormData(form, button);
  for (const each of form.querySelectorAll("button")) each.disabled = true;
  try {
    const headers = { Accept: "application/json" };
    const response = await fetch(form.getAttribute("action"), { method: "POST", body, headers });
    const answer = await response.json();
    if (!answer.parts && !answer.error) throw new Error("not an answer of ours");
    show(form.closest("[data-autotag-part]"), button, answer);
  } catch {
    // The user was signed out, or the network failed: let the browser show the result.
    for (const each of form.querySelectorAll("button")) each.disabled = false;
    form.removeAttribute("data-autotag-edit");
    form.requestSubmit(button);
  }
}

function show(part, button, answer) {
  const place = [...part.querySelectorAll("button")].indexOf(button);
  // Without parts the form is no longer valid: keep the typed text in it.
  for (const [name, html] of Object.entries(answer.parts ?? {})) {
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
  if (!answer.parts) for (const each of part.querySelectorAll("button")) each.disabled = false;
  focusAgain(part, button.name, place);
}

// The pressed button is gone: focus its neighbour, or the field if there is none.
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
  // Ignore the response if the user has typed on.
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
