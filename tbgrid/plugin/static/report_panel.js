// The report cards of the runs that are shown, side by side.

import { element, fill } from "./dom.js";

/** @typedef {import("./data.js").Run} Run */

export class ReportPanel {
  constructor() {
    this.node = element("section", { class: "panel report-panel" });
  }

  /** @param {Run[]} runs */
  show(runs) {
    const tables = [
      table("The run", runs, (run) => [["title", run.manifest.title], ...run.manifest.summary]),
      table("How good the map is", runs, (run) => run.manifest.report),
    ];
    const notes = runs.flatMap((run) =>
      run.manifest.notes.map((note) => (runs.length > 1 ? `${run.name}: ${note}` : note)));
    fill(
      this.node,
      ...tables,
      notes.length ? element("h3", {}, "Notes") : null,
      notes.length ? element("ul", {}, ...notes.map((note) => element("li", {}, note))) : null,
      ...runs.filter((run) => run.manifest.skipped > 0).map((run) =>
        element(
          "p",
          {},
          element(
            "a",
            { href: run.fileAddress("skipped.tsv"), target: "_blank", download: "skipped.tsv" },
            `${run.manifest.skipped} files left out${runs.length > 1 ? ` of ${run.name}` : ""}, ` +
              "with the reasons",
          ),
        )),
    );
  }
}

/**
 * @param {string} title @param {Run[]} runs
 * @param {(run: Run) => readonly (readonly [string, string])[]} lines
 */
function table(title, runs, lines) {
  const found = runs.map((run) => new Map(lines(run)));
  const names = [...new Set(found.flatMap((values) => [...values.keys()]))];
  return element(
    "table",
    { class: "report" },
    element("caption", {}, title),
    runs.length > 1
      ? element(
          "thead",
          {},
          element("tr", {}, element("td"), ...runs.map((run) => element("th", {}, run.name))),
        )
      : null,
    element(
      "tbody",
      {},
      ...names.map((name) =>
        element(
          "tr",
          {},
          element("th", {}, name),
          ...found.map((values) => element("td", {}, values.get(name) ?? "–")),
        )),
    ),
  );
}
