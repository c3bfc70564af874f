/** The page to drop photos on: it sends them, asks for maps, and shows them when they are done. */

import {Client, Refused} from "./client.js";
import {chosen, dropped, each} from "./dropped.js";

/** @typedef {import("./client.js").Output} Output */
/** @typedef {import("./dropped.js").Photo} Photo */

const AT_ONCE = 4; // photos on their way
const OFTEN = 700; // ms between two looks at a map that is being made
const FEWEST = 3; // photos that make a map
const LARGEST = 160; // px of a photo in the mosaic, which would be all blur beyond

const client = new Client();
/** @type {Map<string, {item: HTMLLIElement, picture: string}>} what is shown, by id */
const shown = new Map();
/** @type {Set<string>} maps that are not done */
const open = new Set();

/** @template {HTMLElement} T @param {string} id @returns {T} */
const by = (id) => /** @type {T} */ (document.getElementById(id));
/** @type {HTMLSelectElement} */
const application = by("application");
/** @type {HTMLInputElement} */
const files = by("files");
const drop = by("drop");

/**
 * @param {string} tag
 * @param {Record<string, string>} attributes
 * @param {(Node | string)[]} children
 */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Do something of the user's; what is refused is told in one line. @param {() => Promise<void>} work */
async function attempt(work) {
  const problem = by("problem");
  problem.hidden = true;
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.status === 401) {
      by("key-field").hidden = false;
      by("key").focus();
    }
    problem.textContent = error.message;
    problem.hidden = false;
  }
}

async function showCount() {
  /** @type {{applications: {name: string, inputs: number}[]}} */
  const {applications} = await client.json("GET", "/v2/applications");
  if (!applications.some((one) => one.name === client.application) && applications[0]) {
    client.application = applications[0].name;
  }
  application.replaceChildren(
    ...applications.map(({name}) => {
      const option = new Option(name, name);
      option.selected = name === client.application;
      return option;
    }),
  );
  const count = applications.find((one) => one.name === client.application)?.inputs ?? 0;
  by("count").textContent = `${count.toLocaleString()} ${count === 1 ? "photo" : "photos"}`;
  /** @type {HTMLButtonElement} */ (by("make")).disabled = count < FEWEST;
  by("few").hidden = count >= FEWEST;
}

/** @param {Photo[]} photos */
async function send(photos) {
  const bar = /** @type {HTMLProgressElement} */ (by("sent"));
  const refused = /** @type {HTMLDetailsElement} */ (by("refused"));
  const list = /** @type {HTMLUListElement} */ (refused.querySelector("ul"));
  let done = 0;
  list.replaceChildren();
  refused.hidden = true;
  bar.hidden = false;
  await each(
    photos,
    AT_ONCE,
    async ({file, label}) => {
      try {
        await client.add(file, label);
      } finally {
        done += 1;
        bar.value = done / photos.length;
        by("count").textContent = `${done} of ${photos.length} sent`;
      }
    },
    ({file}, error) => {
      const line = error.message;
      list.append(element("li", {}, line.startsWith(file.name) ? line : `${file.name}: ${line}`));
      const summary = /** @type {HTMLElement} */ (refused.querySelector("summary"));
      summary.textContent = `${list.children.length} not taken`;
      refused.hidden = false;
      refused.open = true;
    },
  );
  bar.hidden = true;
  await showCount();
  if (!photos.length) by("count").textContent += "; there was no photo in that";
}

/** @param {Output} output */
function told(output) {
  if (output.data) {
    const {photos, left_out: left, run, image} = output.data;
    const without = left.length ? `, ${left.length} left out` : "";
    return `${photos} photos on ${image.rows} x ${image.columns}${without}; TensorBoard: ${run}`;
  }
  return output.status.details ?? output.stage ?? "";
}

/** @param {Output} output */
function show(output) {
  const {id, status} = output;
  let entry = shown.get(id);
  if (!entry) {
    entry = {item: /** @type {HTMLLIElement} */ (element("li")), picture: ""};
    shown.set(id, entry);
    by("outputs").prepend(entry.item);
  }
  const busy = ["pending", "running"].includes(status.description);
  if (busy) open.add(id);
  else open.delete(id);
  const stop = element("button", {type: "button"}, busy ? "Cancel" : "Delete");
  stop.addEventListener("click", () => attempt(() => (busy ? cancel(id) : remove(id))));
  const head = element(
    "div",
    {class: "output-head"},
    element("span", {class: `status${status.description === "failed" ? " bad" : ""}`}, status.description),
    element("span", {class: "told"}, told(output)),
    stop,
  );
  if (busy) {
    const bar = /** @type {HTMLProgressElement} */ (
      element("progress", {"aria-label": output.stage ?? "waits"})
    );
    if (output.progress !== undefined) bar.value = output.progress;
    head.append(bar);
  }
  const picture = entry.item.querySelector("a");
  const focused = entry.item.contains(document.activeElement);
  entry.item.replaceChildren(head, ...(picture ? [picture] : []));
  if (focused) stop.focus();
  if (output.data && !entry.picture) void attempt(() => showPicture(output));
}

/** The mosaic, fetched with the key, as a picture's own request would not be. @param {Output} output */
async function showPicture(output) {
  const entry = shown.get(output.id);
  if (!entry || !output.data) return;
  const answer = await client.fetch(output.data.image.url);
  entry.picture = URL.createObjectURL(await answer.blob());
  const alt = `mosaic of ${output.data.photos} photos, look-alikes side by side`;
  const picture = element("img", {src: entry.picture, alt});
  picture.style.maxWidth = `${output.data.image.columns * LARGEST}px`;
  entry.item.append(element("a", {href: entry.picture, target: "_blank"}, picture));
}

/** @param {string} id */
async function cancel(id) {
  show((await client.json("POST", `/v2/visualizations/${id}/cancel`)).output);
}

/** @param {string} id */
async function remove(id) {
  await client.json("DELETE", `/v2/visualizations/${id}`);
  forget(id);
}

/** @param {string} id */
function forget(id) {
  const entry = shown.get(id);
  if (entry?.picture) URL.revokeObjectURL(entry.picture);
  entry?.item.remove();
  shown.delete(id);
  open.delete(id);
}

async function showAll() {
  for (const id of [...shown.keys()]) forget(id);
  await showCount();
  for (const output of (await client.outputs()).reverse()) show(output);
  /** @type {{models: string[]}} */
  const {models} = await client.json("GET", "/v2/models");
  by("model").replaceChildren(...models.map((name) => new Option(name, name)));
}

async function look() {
  for (const id of [...open]) {
    try {
      const output = await client.output(id);
      if (open.has(id)) show(output);
    } catch (error) {
      if (error instanceof Refused && error.status === 404) forget(id);
    }
  }
  setTimeout(look, OFTEN);
}

by("options").addEventListener("submit", (event) => {
  event.preventDefault();
  const value = (/** @type {string} */ id) => /** @type {HTMLInputElement} */ (by(id)).value;
  /** @type {Record<string, unknown>} */
  const options = {model: value("model"), aspect: value("aspect")};
  if (value("perplexity")) options.perplexity = Number(value("perplexity"));
  void attempt(async () => show(await client.make(options)));
});
application.addEventListener("change", () => {
  client.application = application.value;
  void attempt(showAll);
});
by("new").addEventListener("click", () => {
  const name = prompt("Name of the new application: letters a to z, digits, dashes");
  if (!name) return;
  void attempt(async () => {
    await client.json("POST", "/v2/applications", {name});
    client.application = name;
    await showAll();
  });
});
by("where").addEventListener("submit", (event) => event.preventDefault());
by("key").addEventListener("change", () => {
  client.key = /** @type {HTMLInputElement} */ (by("key")).value.trim();
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
  const photos = chosen(files.files ?? []);
  files.value = "";
  void attempt(() => send(photos));
});
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault(); // a photo beside the field must not replace the page
    drop.classList.toggle("over", drop.contains(/** @type {Node} */ (event.target)));
  });
}
document.addEventListener("dragleave", () => drop.classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  const transfer = event.dataTransfer;
  if (transfer) void attempt(async () => send(await dropped(transfer)));
});

void attempt(showAll);
void look();
