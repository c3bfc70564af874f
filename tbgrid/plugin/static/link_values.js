// What a link to the tab says of its state, by name.

import { valueText } from "./columns.js";
import { formatFilter } from "./filter.js";
import { formatView } from "./viewport.js";

/**
 * @param {import("./stage.js").Stage} stage @param {import("./photo_state.js").PhotoState} state
 * @param {string} colour
 * @returns {Map<string, string>} empty values are the defaults
 */
export function collectLinkValues(stage, state, colour) {
  const run = stage.activeRun;
  const [first, second] = stage.panes;
  const viewText = (/** @type {import("./run_pane.js").RunPane | undefined} */ pane) =>
    pane?.map && !pane.map.showsAll ? formatView(pane.map.view, pane.map.size) : "";
  return new Map([
    ["run", first?.listed.run ?? ""],
    ["with", second?.listed.run ?? ""],
    ["view", viewText(first)],
    ["view2", viewText(second)],
    ["snap", stage.t === 1 ? "" : String(Number(stage.t.toFixed(2)))],
    ["filter", run ? formatFilter(state.filter, run.columns) : ""],
    ["colour", colour],
    ["pin", run && state.pinnedRow >= 0 ? valueText(run.key, state.pinnedRow) : ""],
  ]);
}

/** How far photos have moved to the grid, from 0 to 1. @param {string | undefined} text */
export function parseSnap(text) {
  const t = Number(text || "1");
  return Number.isFinite(t) ? Math.min(Math.max(t, 0), 1) : 1;
}
