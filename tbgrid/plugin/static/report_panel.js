// The report cards of the runs on the page, side by side.

import { createElement, fill } from "./dom.js";

/** @typedef {import("./data.js").Run} Run */

export class ReportPanel {
  constructor() {
    this.node = createElement("section", { class: "panel report-panel" });
  }

  /** @param {Run[]} runs */
  show(runs) {
    const tables = [
      createTable("Run", runs, (run) => [["title", run.manifest.title], ...run.manifest.summary]),
      createTable("Map quality", runs, (run) => run.manifest.report),
    ];
    const notes = runs.flatMap((run) =>
      run.manifest.notes.map((note) => (runs.length > 1 ? `${run.name}: ${note}` : note)));
    const several = runs.length > 1;
    fill(
      this.node,
      ...tables,
      notes.length ? createElement("h3", {}, "Notes") : null,
      notes.length
        ? createElement("ul", {}, ...notes.map((note) => createElement("li", {}, note))) : null,
      ...runs.filter((run) => run.manifest.skipped > 0).map((run) =>
        createElement("p", {}, createSkippedLink(run, several ? ` of ${run.name}` : ""))),
    );
  }
}

/** @param {Run} run @param {string} ofRun */
function createSkippedLink(run, ofRun) {
  return createElement(
    "a",
    { href: run.fileAddress("skipped.tsv"), target: "_blank", download: "skipped.tsv" },
    `Skipped files${ofRun}, with reasons (${run.manifest.skipped.toLocaleString("en")})`,
  );
}

/**
 * @param {string} title @param {Run[]} runs
 * @param {(run: Run) => readonly (readonly [string, string])[]} listRows
 */
function createTable(title, runs, listRows) {
  const valuesOfRuns = runs.map((run) => new Map(listRows(run)));
  const names = [...new Set(valuesOfRuns.flatMap((values) => [...values.keys()]))];
  return createElement(
    "table",
    { class: "report" },
    createElement("caption", {}, title),
    runs.length > 1
      ? createElement(
          "thead",
          {},
          createElement("tr", {},
            createElement("td"), ...runs.map((run) => createElement("th", {}, run.name))),
        )
      : null,
    createElement(
      "tbody",
      {},
      ...names.map((name) =>
        createElement(
          "tr",
          {},
          createElement("th", {}, name),
          ...valuesOfRuns.map((values) => createElement("td", {}, values.get(name) ?? "–")),
        )),
    ),
  );
}
