// What the photos of a run can be coloured by, and their colours.

import { colourByColumn, colourByHarmony } from "./colours.js";

/**
 * @typedef {import("./data.js").Run} Run
 * @typedef {import("./colours.js").Colouring & {kind: 1 | 2, name: string}} RunColouring
 *   kind 1: as borders, 2: over the photo; the name is the legend's title
 */

const HARMONY = "*harmony"; // beside the names of columns, none of which is likely to be this

/** @param {Run} run @returns {{value: string, text: string}[]} */
export function listColourChoices(run) {
  return [
    { value: "", text: "no colour" },
    ...run.columns
      .filter((column) => column.kind !== "text" && varies(column))
      .map(({ name }) => ({ value: name, text: `colour: ${name}` })),
    { value: HARMONY, text: "heat map: harmony" },
  ];
}

/** Whether photos can differ in a column. @param {import("./columns.js").Column} column */
function varies(column) {
  return column.kind === "number" ? column.low < column.high : column.kind === "category";
}

/**
 * @param {Run} run @param {string} choice a value of `listColourChoices`
 * @param {Run[]} shown all runs on the page, which share one scale
 * @returns {RunColouring | null}
 */
export function colourRun(run, choice, shown) {
  if (choice === HARMONY) {
    const colouring = colourByHarmony(run.harmony, run.count);
    return { ...colouring, kind: 2, name: "harmony (0: as by chance, 1: best)" };
  }
  const column = run.columns.find(({ name }) => name === choice);
  const among = shown.flatMap((other) => other.columns.filter(({ name }) => name === choice));
  const colouring = column && colourByColumn(column, run.count, among);
  return colouring ? { ...colouring, kind: 1, name: column.name } : null;
}
