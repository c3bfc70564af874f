// The module that TensorBoard imports. It asks for the first picture before the rest is loaded, so
// that something is seen at once.

import { overview } from "./overview.js";
import { AddressBar } from "./address_bar.js";
import { listRuns } from "./server.js";

const here = new URL("./", import.meta.url);

/** Called by TensorBoard once its frame is there. */
export async function render() {
  const style = document.createElement("link");
  style.rel = "stylesheet";
  style.href = new URL("style.css", here).href;
  const styled = new Promise((resolve) => {
    style.addEventListener("load", resolve);
    style.addEventListener("error", resolve);
  });
  document.head.append(style);
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
    const asked = AddressBar.values().get("run");
    const shown = runs.find(({ run }) => run === asked) ?? runs.find(({ error }) => error === null);
    const picture = shown && overview(shown);
    if (picture) {
      early.append(picture);
    }
  } catch {
    // the app tells of it
  }
  const code = import("./app.js");
  await styled;
  const { App } = await code;
  await new App(root).start(listing);
}
