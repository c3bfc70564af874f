// What was selected, to take along.

import { element, fill } from "./dom.js";
import { PhotoList } from "./photo_list.js";
import { asCsv, asJson, asPaths, asTsv } from "./selection.js";

/** @typedef {import("./data.js").Run} Run */

export class SelectionPanel {
  /**
   * @param {{chosen: (row: number) => void, hovered: (row: number) => void,
   *   cleared: () => void, inverted: () => void, hitsTaken: () => void, hitsKept: () => void,
   *   told: (message: string) => void}} listener
   */
  constructor(listener) {
    this.listener = listener;
    this.list = new PhotoList("Selected photos", listener);
    this.heading = element("h3", {});
    this.actions = element("div", { class: "buttons" });
    this.node = element("section", { class: "panel selection-panel" },
      this.actions, this.heading, this.list.node);
  }

  /** @param {Run} run @param {Uint32Array} rows @param {boolean} filtered */
  show(run, rows, filtered) {
    this.run = run;
    this.rows = rows;
    const none = rows.length === 0;
    const save = (/** @type {string} */ name, /** @type {() => string} */ text,
      /** @type {string} */ type) =>
      element(
        "button",
        { type: "button", disabled: none,
          onclick: () => download(`${run.name === "." ? run.manifest.title : run.name}-selection.${name}`, text(), type) },
        name.toUpperCase(),
      );
    fill(
      this.actions,
      element("button", { type: "button", disabled: none, class: "main",
        onclick: () => this.copy() }, "Copy paths"),
      save("tsv", () => asTsv(rows, run.columns), "text/tab-separated-values"),
      save("csv", () => asCsv(rows, run.columns), "text/csv"),
      save("json", () => asJson(rows, run.columns), "application/json"),
      element("button", { type: "button", disabled: none,
        onclick: () => this.listener.cleared() }, "Clear"),
      element("button", { type: "button", onclick: () => this.listener.inverted() }, "Invert"),
      filtered
        ? element("button", { type: "button",
            onclick: () => this.listener.hitsTaken() }, "Add all that match")
        : null,
      filtered && !none
        ? element("button", { type: "button",
            onclick: () => this.listener.hitsKept() }, "Keep those that match")
        : null,
    );
    this.heading.textContent = none
      ? "Nothing is selected"
      : `${rows.length.toLocaleString("en")} selected`;
    if (none) {
      this.heading.append(
        element(
          "p",
          { class: "hint" },
          "Draw a rectangle or a lasso with the tools above the map, or hold Shift and drag. " +
            "Shift adds, Alt takes away; Ctrl-click takes a single photo.",
        ),
      );
    }
    this.list.show(run, rows);
  }

  async copy() {
    const { run, rows } = this;
    if (!run || !rows) {
      return;
    }
    const done = await copyText(asPaths(rows, run.key));
    const count = rows.length.toLocaleString("en");
    this.listener.told(
      done ? `${count} paths copied` : "The browser does not let the tab copy: download TSV instead",
    );
  }
}

/** @param {string} text @returns {Promise<boolean>} */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Not over plain HTTP, and not in every frame; the old way still works there.
    const field = element("textarea", { value: text, class: "off-screen" });
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}

/** @param {string} name @param {string} text @param {string} type */
function download(name, text, type) {
  const url = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  const link = element("a", { href: url, download: name.replace(/[\\/:*?"<>|]+/g, "-") });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
