// Improvements for browsers with scripts; all pages work without them.

document.documentElement.classList.add("has-script");

// "Delete…" links to a page for confirmation; here a dialog asks instead.
for (const opener of document.querySelectorAll("[data-opens]")) {
  const dialog = document.getElementById(opener.dataset.opens);
  opener.addEventListener("click", (event) => {
    event.preventDefault();
    dialog.showModal();
  });
  dialog.querySelector("[data-closes]").addEventListener("click", (event) => {
    event.preventDefault();
    dialog.close();
  });
}

for (const button of document.querySelectorAll("[data-fill-name]")) {
  button.addEventListener("click", () => {
    const form = document.getElementById("sign-in");
    form.elements.name.value = button.dataset.fillName;
    form.elements.password.value = button.dataset.fillPassword;
    form.querySelector("button").focus();
  });
}

// The arrow keys lead to the photos beside this one.
document.addEventListener("keydown", (event) => {
  const busy = event.altKey || event.ctrlKey || event.metaKey || event.shiftKey;
  if (busy || document.querySelector("dialog[open]")) return;
  document.querySelector(`[data-key="${CSS.escape(event.key)}"]`)?.click();
});

// Show a text instead of a broken icon if a file is not an image.
function markBroken(image) {
  image.closest(".frame")?.classList.add("broken");
}
for (const image of document.querySelectorAll(".frame img[src]")) {
  if (image.complete && image.naturalWidth === 0) markBroken(image);
  image.addEventListener("error", () => markBroken(image));
}
