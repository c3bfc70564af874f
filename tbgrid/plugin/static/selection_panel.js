// The selected photos, to copy or to download.

import { copyText } from "./clipboard.js";
import { createElement, fill } from "./dom.js";
import { PhotoList } from "./photo_list.js";
import { formatCsv, formatJson, formatPaths, formatTsv } from "./table_formats.js";

/** @typedef {import("./data.js").Run} Run */

export class SelectionPanel {
  /**
   * @param {import("./photo_list.js").Listener & {onClear: () => void, onInvert: () => void,
   *   onAddHits: () => void, onKeepHits: () => void, onMessage: (message: string) => void}}
   *   listener
   */
  constructor(listener) {
    this.listener = listener;
    this.list = new PhotoList("Selected photos", listener);
    this.heading = createElement("h3", {});
    this.actions = createElement("div", { class: "buttons" });
    this.node = createElement("section", { class: "panel selection-panel" },
      this.actions, this.heading, this.list.node);
  }

  /** @param {Run} run @param {Uint32Array} rows @param {boolean} filtered */
  show(run, rows, filtered) {
    this.run = run;
    this.rows = rows;
    const { listener } = this;
    const isEmpty = rows.length === 0;
    const name = `${run.name === "." ? run.manifest.title : run.name}-selection`;
    fill(
      this.actions,
      createElement("button", { type: "button", disabled: isEmpty, class: "main",
        onclick: () => this.copyPaths() }, "Copy paths"),
      createButton("TSV", isEmpty, () =>
        download(`${name}.tsv`, formatTsv(rows, run.columns), "text/tab-separated-values")),
      createButton("CSV", isEmpty, () =>
        download(`${name}.csv`, formatCsv(rows, run.columns), "text/csv")),
      createButton("JSON", isEmpty, () =>
        download(`${name}.json`, formatJson(rows, run.columns), "application/json")),
      createButton("Clear", isEmpty, () => listener.onClear()),
      createButton("Invert", false, () => listener.onInvert()),
      filtered ? createButton("Add all matches", false, () => listener.onAddHits()) : null,
      filtered && !isEmpty
        ? createButton("Keep only matches", false, () => listener.onKeepHits()) : null,
    );
    this.heading.textContent = isEmpty
      ? "Nothing is selected"
      : `${rows.length.toLocaleString("en")} selected`;
    if (isEmpty) {
      this.heading.append(
        createElement(
          "p",
          { class: "hint" },
          "Draw a rectangle or a lasso with the tools above the map, or hold Shift and drag. " +
            "Shift adds to the selection, Alt subtracts from it; Ctrl-click selects a single photo.",
        ),
      );
    }
    this.list.show(run, rows);
  }

  async copyPaths() {
    const { run, rows } = this;
    if (!run || !rows) {
      return;
    }
    const copied = await copyText(formatPaths(rows, run.key));
    const count = rows.length.toLocaleString("en");
    this.listener.onMessage(
      copied ? `${count} paths copied` : "The browser blocked copying; download the TSV instead",
    );
  }
}

/** @param {string} text @param {boolean} disabled @param {() => void} onclick */
function createButton(text, disabled, onclick) {
  return createElement("button", { type: "button", disabled, onclick }, text);
}

/** @param {string} name @param {string} text @param {string} type */
function download(name, text, type) {
  const url = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  const link = createElement("a", { href: url, download: name.replace(/[\\/:*?"<>|]+/g, "-") });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
