// By what the photos of a run can be coloured.

import { columnColours, harmonyColours } from "./colours.js";

/**
 * @typedef {import("./data.js").Run} Run
 * @typedef {import("./colours.js").Colouring} Colours
 * @typedef {Colours & {kind: 1 | 2, name: string}} Colouring kind 1: borders, 2: over the photo
 */

const HARMONY = "*harmony"; // stands beside names of columns, none of which the user calls so

/** @param {Run} run @returns {{value: string, text: string}[]} */
export function colourChoices(run) {
  return [
    { value: "", text: "no colours" },
    ...run.columns
      .filter((column) => column.kind !== "text" && varied(column))
      .map(({ name }) => ({ value: name, text: `colour: ${name}` })),
    { value: HARMONY, text: "heat map: harmony" },
  ];
}

/** Whether there is anything to tell by. @param {import("./columns.js").Column} column */
function varied(column) {
  return column.kind === "number" ? column.low < column.high : column.kind === "category";
}

/**
 * @param {Run} run @param {string} choice
 * @param {Run[]} shown all runs on the page, which share one scale
 * @returns {Colouring | null}
 */
export function colouring(run, choice, shown) {
  if (choice === HARMONY) {
    return { ...harmonyColours(run.harmony, run.count), kind: 2, name: "harmony: 0 as by chance, 1 best" };
  }
  const column = run.columns.find(({ name }) => name === choice);
  const among = shown.flatMap((other) => other.columns.filter(({ name }) => name === choice));
  const made = column && columnColours(column, run.count, among);
  return made ? { ...made, kind: 1, name: column.name } : null;
}
