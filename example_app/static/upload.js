// Uploads photos one after the other, as soon as they are chosen or dropped. Each shows
// its progress, and a refused one does not affect the others.

const form = document.getElementById("upload-form");
const input = form.querySelector("input[type=file]");
const list = document.querySelector("[data-upload-list]");
const summary = document.querySelector("[data-upload-status]");
const template = document.getElementById("upload-row");
const most = Number(form.dataset.maxBytes);

const queue = [];
let busy = false;
let uploaded = 0;
let refused = 0;

function add(files) {
  for (const file of files) {
    const row = template.content.firstElementChild.cloneNode(true);
    row.querySelector(".upload-name").textContent = file.name;
    row.querySelector("progress").setAttribute("aria-label", `Upload of ${file.name}`);
    preview(row, file);
    list.append(row);
    queue.push({ file, row });
  }
  if (!busy) work();
}

function preview(row, file) {
  const image = row.querySelector("img");
  const url = URL.createObjectURL(file);
  const done = () => URL.revokeObjectURL(url);
  image.addEventListener("load", done);
  image.addEventListener("error", () => {
    done();
    row.querySelector(".frame").classList.add("broken");
  });
  image.src = url;
}

async function work() {
  busy = true;
  while (queue.length) {
    sayHowFar();
    const { file, row } = queue.shift();
    try {
      if (file.size > most) throw new Error(`The file is larger than ${most / 2 ** 20} MB.`);
      finish(row, await send(file, row.querySelector("progress")));
      uploaded += 1;
    } catch (error) {
      refuse(row, error.message);
      refused += 1;
    }
  }
  busy = false;
  sayHowFar();
}

// XMLHttpRequest, because fetch does not report the progress of an upload.
function send(file, progress) {
  return new Promise((resolve, reject) => {
    const body = new FormData();
    body.append("csrf_token", form.elements.csrf_token.value);
    body.append(input.name, file);
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) progress.value = (100 * event.loaded) / event.total;
    });
    request.addEventListener("load", () => {
      const answer = request.response;
      if (answer?.photos?.length) resolve(answer.photos[0]);
      else reject(new Error(answer?.refused?.[0]?.error ?? answer?.error ?? "The server failed."));
    });
    request.addEventListener("error", () => {
      reject(new Error("The connection was lost. Try this photo again."));
    });
    request.send(body);
  });
}

function finish(row, photo) {
  const link = document.createElement("a");
  link.href = photo.url;
  link.textContent = photo.title;
  row.querySelector(".upload-name").replaceChildren(link);
  row.querySelector("progress").remove();
  // Other scripts add their text below the name.
  const slot = row.querySelector(".upload-note");
  document.dispatchEvent(new CustomEvent("photo-uploaded", { detail: { photo, slot } }));
}

function refuse(row, sentence) {
  row.classList.add("refused");
  row.querySelector("progress").remove();
  row.querySelector(".upload-note").textContent = sentence;
}

function sayHowFar() {
  const parts = [];
  if (busy) parts.push(`Uploading: ${queue.length} to go.`);
  if (uploaded) parts.push(uploaded === 1 ? "1 photo was uploaded." : `${uploaded} photos were uploaded.`);
  if (refused) parts.push(refused === 1 ? "1 file was not accepted." : `${refused} files were not accepted.`);
  summary.textContent = parts.join(" ");
}

input.addEventListener("change", () => {
  add([...input.files]);
  // The same file can then be chosen again.
  input.value = "";
});

// The whole page accepts dropped files: the browser would otherwise open a photo that
// misses the zone.
let depth = 0;
function drag(change) {
  return (event) => {
    event.preventDefault();
    depth = Math.max(0, depth + change);
    form.classList.toggle("dragging", depth > 0);
  };
}
document.addEventListener("dragenter", drag(1));
document.addEventListener("dragleave", drag(-1));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  drag(-Infinity)(event);
  add([...event.dataTransfer.files]);
});
