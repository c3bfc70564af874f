// The module that TensorBoard imports. It requests the first picture before the rest of the code is
// loaded, so that something is visible at once.

import { AddressBar } from "./address_bar.js";
import { preloadModules } from "./module_preload.js";
import { createOverview } from "./overview.js";
import { listRuns } from "./server.js";

const BASE = new URL("./", import.meta.url);

/** Called by TensorBoard once its frame has loaded. */
export async function render() {
  const styled = loadStyle();
  document.title = "tbgrid";
  document.documentElement.lang = "en";
  const root = document.createElement("div");
  root.className = "tbgrid loading";
  root.setAttribute("aria-busy", "true");
  const early = document.createElement("div");
  early.className = "early";
  root.append(early);
  document.body.append(root);
  const listing = listRuns();
  try {
    const { runs } = await listing;
    const name = AddressBar.readValues().get("run");
    const shown = runs.find(({ run }) => run === name) ?? runs.find(({ error }) => error === null);
    const overview = shown && createOverview(shown);
    if (overview) {
      // Only then, so that the picture does not wait for the modules.
      overview.addEventListener("load", () => preloadModules(BASE));
      early.append(overview);
    }
  } catch {
    // reported by the app
  }
  const code = import("./app.js");
  await styled;
  const { App } = await code;
  await new App(root).start(listing);
}

/** @returns {Promise<unknown>} settled once the style sheet has loaded, or cannot be */
function loadStyle() {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = new URL("style.css", BASE).href;
  const loaded = new Promise((resolve) => {
    link.addEventListener("load", resolve);
    link.addEventListener("error", resolve);
  });
  document.head.append(link);
  return loaded;
}
