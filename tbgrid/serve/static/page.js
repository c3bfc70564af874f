// The page that takes photos: it uploads them, asks for maps, and shows finished maps.

import { Client, RequestError } from "./client.js";
import { forEachConcurrently, readDrop, selectPhotos } from "./photo_files.js";

/** @typedef {import("./client.js").Output} Output */
/** @typedef {import("./photo_files.js").Photo} Photo */

const MAX_UPLOADS = 4; // at a time
const POLL_INTERVAL = 700; // ms
const MIN_PHOTOS = 3; // that make a map
const MAX_PHOTO_SIDE = 160; // px in the mosaic, which would be blurred beyond

const client = new Client();
/** @type {Map<string, {item: HTMLLIElement, picture: string}>} the maps on the page, by id */
const shown = new Map();
/** @type {Set<string>} ids of maps that are not done */
const pending = new Set();

/** @template {HTMLElement} T @param {string} id @returns {T} */
const byId = (id) => /** @type {T} */ (document.getElementById(id));
/** @type {HTMLSelectElement} */
const application = byId("application");
/** @type {HTMLInputElement} */
const files = byId("files");
const drop = byId("drop");

/**
 * @param {string} tag
 * @param {Record<string, string>} attributes
 * @param {(Node | string)[]} children
 */
function createElement(tag, attributes = {}, ...children) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    el.setAttribute(name, value);
  }
  el.append(...children);
  return el;
}

/** Do what the user asked for; a failed request is shown. @param {() => Promise<void>} work */
async function attempt(work) {
  const problem = byId("problem");
  problem.hidden = true;
  try {
    await work();
  } catch (error) {
    if (!(error instanceof RequestError)) {
      throw error;
    }
    if (error.status === 401) {
      byId("key-field").hidden = false;
      byId("key").focus();
    }
    problem.textContent = error.message;
    problem.hidden = false;
  }
}

// ---- photos

async function updateCount() {
  /** @type {{applications: {name: string, inputs: number}[]}} */
  const { applications } = await client.requestJson("GET", "/v2/applications");
  if (!applications.some(({ name }) => name === client.application) && applications[0]) {
    client.application = applications[0].name;
  }
  application.replaceChildren(
    ...applications.map(({ name }) => {
      const option = new Option(name, name);
      option.selected = name === client.application;
      return option;
    }),
  );
  const count = applications.find(({ name }) => name === client.application)?.inputs ?? 0;
  byId("count").textContent = `${count.toLocaleString()} ${count === 1 ? "photo" : "photos"}`;
  /** @type {HTMLButtonElement} */ (byId("make")).disabled = count < MIN_PHOTOS;
  byId("few").hidden = count >= MIN_PHOTOS;
}

/** @param {Photo[]} photos */
async function upload(photos) {
  const bar = /** @type {HTMLProgressElement} */ (byId("sent"));
  const rejected = byId("refused");
  let done = 0;
  rejected.querySelector("ul")?.replaceChildren();
  rejected.hidden = true;
  bar.hidden = false;
  await forEachConcurrently(
    photos,
    MAX_UPLOADS,
    async ({ file, label }) => {
      try {
        await client.addPhoto(file, label);
      } finally {
        done += 1;
        bar.value = done / photos.length;
        byId("count").textContent = `${done} of ${photos.length} uploaded`;
      }
    },
    ({ file }, { message }) =>
      listRejected(message.startsWith(file.name) ? message : `${file.name}: ${message}`),
  );
  bar.hidden = true;
  await updateCount();
  if (!photos.length) {
    byId("count").textContent += "; no photos found";
  }
}

/** @param {string} text the name of a photo, and why it was rejected */
function listRejected(text) {
  const details = /** @type {HTMLDetailsElement} */ (byId("refused"));
  const list = /** @type {HTMLUListElement} */ (details.querySelector("ul"));
  const summary = /** @type {HTMLElement} */ (details.querySelector("summary"));
  list.append(createElement("li", {}, text));
  summary.textContent = `${list.children.length} rejected`;
  details.hidden = false;
  details.open = true;
}

// ---- maps

/** @param {Output} output */
function describe(output) {
  if (output.data) {
    const { photos, skipped, run, image } = output.data;
    const without = skipped.length ? `, ${skipped.length} skipped` : "";
    return `${photos} photos on ${image.rows} x ${image.columns} cells${without}; ` +
      `TensorBoard run: ${run}`;
  }
  return output.status.details ?? output.stage ?? "";
}

/** @param {Output} output */
function show(output) {
  const { id, status } = output;
  let entry = shown.get(id);
  if (!entry) {
    entry = { item: /** @type {HTMLLIElement} */ (createElement("li")), picture: "" };
    shown.set(id, entry);
    byId("outputs").prepend(entry.item);
  }
  const isBusy = ["pending", "running"].includes(status.description);
  if (isBusy) {
    pending.add(id);
  } else {
    pending.delete(id);
  }
  const button = createElement("button", { type: "button" }, isBusy ? "Cancel" : "Delete");
  button.addEventListener("click", () => attempt(() => (isBusy ? cancel(id) : remove(id))));
  const head = createElement(
    "div",
    { class: "output-head" },
    createElement("span",
      { class: `status${status.description === "failed" ? " bad" : ""}` }, status.description),
    createElement("span", { class: "told" }, describe(output)),
    button,
  );
  if (isBusy) {
    head.append(createProgress(output));
  }
  const picture = entry.item.querySelector("a");
  const hadFocus = entry.item.contains(document.activeElement);
  entry.item.replaceChildren(head, ...(picture ? [picture] : []));
  if (hadFocus) {
    button.focus();
  }
  if (output.data && !entry.picture) {
    void attempt(() => showPicture(output));
  }
}

/** @param {Output} output */
function createProgress({ stage, progress }) {
  const bar = /** @type {HTMLProgressElement} */ (
    createElement("progress", { "aria-label": stage ?? "waiting" })
  );
  if (progress !== undefined) {
    bar.value = progress;
  }
  return bar;
}

/**
 * Show the mosaic. It is fetched with the key, which an image's own request would not have.
 *
 * @param {Output} output
 */
async function showPicture(output) {
  const entry = shown.get(output.id);
  if (!entry || !output.data) {
    return;
  }
  const response = await client.fetch(output.data.image.url);
  entry.picture = URL.createObjectURL(await response.blob());
  const alt = `mosaic of ${output.data.photos} photos, look-alikes side by side`;
  const picture = createElement("img", { src: entry.picture, alt });
  picture.style.maxWidth = `${output.data.image.columns * MAX_PHOTO_SIDE}px`;
  entry.item.append(createElement("a", { href: entry.picture, target: "_blank" }, picture));
}

/** @param {string} id */
async function cancel(id) {
  show((await client.requestJson("POST", `/v2/visualizations/${id}/cancel`)).output);
}

/** @param {string} id */
async function remove(id) {
  await client.requestJson("DELETE", `/v2/visualizations/${id}`);
  forget(id);
}

/** @param {string} id */
function forget(id) {
  const entry = shown.get(id);
  if (entry?.picture) {
    URL.revokeObjectURL(entry.picture);
  }
  entry?.item.remove();
  shown.delete(id);
  pending.delete(id);
}

async function showAll() {
  for (const id of [...shown.keys()]) {
    forget(id);
  }
  await updateCount();
  for (const output of (await client.listMaps()).reverse()) {
    show(output);
  }
  /** @type {{models: string[]}} */
  const { models } = await client.requestJson("GET", "/v2/models");
  byId("model").replaceChildren(...models.map((name) => new Option(name, name)));
}

async function poll() {
  for (const id of [...pending]) {
    try {
      const output = await client.getMap(id);
      if (pending.has(id)) {
        show(output);
      }
    } catch (error) {
      if (error instanceof RequestError && error.status === 404) {
        forget(id);
      }
    }
  }
  setTimeout(poll, POLL_INTERVAL);
}

/** @param {string} name */
async function createApplication(name) {
  await client.requestJson("POST", "/v2/applications", { name });
  client.application = name;
  await showAll();
}

// ---- what the user does

byId("options").addEventListener("submit", (event) => {
  event.preventDefault();
  const value = (/** @type {string} */ id) => /** @type {HTMLInputElement} */ (byId(id)).value;
  /** @type {Record<string, unknown>} */
  const options = { model: value("model"), aspect: value("aspect") };
  if (value("perplexity")) {
    options.perplexity = Number(value("perplexity"));
  }
  void attempt(async () => show(await client.createMap(options)));
});
application.addEventListener("change", () => {
  client.application = application.value;
  void attempt(showAll);
});
byId("new").addEventListener("click", () => {
  const name = prompt("Name of the new application (letters a to z, digits and dashes)");
  if (name) {
    void attempt(() => createApplication(name));
  }
});
byId("where").addEventListener("submit", (event) => event.preventDefault());
byId("key").addEventListener("change", () => {
  client.key = /** @type {HTMLInputElement} */ (byId("key")).value.trim();
  void attempt(showAll);
});

drop.addEventListener("click", () => files.click());
drop.addEventListener("keydown", (event) => {
  if (event.target === drop && (event.key === "Enter" || event.key === " ")) {
    event.preventDefault();
    files.click();
  }
});
files.addEventListener("click", (event) => event.stopPropagation());
files.addEventListener("change", () => {
  const photos = selectPhotos(files.files ?? []);
  files.value = "";
  void attempt(() => upload(photos));
});
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault(); // a photo dropped beside the field must not replace the page
    drop.classList.toggle("over", drop.contains(/** @type {Node} */ (event.target)));
  });
}
document.addEventListener("dragleave", () => drop.classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  const transfer = event.dataTransfer;
  if (transfer) {
    void attempt(async () => upload(await readDrop(transfer)));
  }
});

void attempt(showAll);
void poll();
