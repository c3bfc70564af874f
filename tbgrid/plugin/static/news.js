// What a reload has found, in words.

/** @typedef {import("./server.js").Listed} Listed */

const MOST = 4; // things that are named one by one

/**
 * @param {Listed[]} before @param {Listed[]} now @param {Listed[]} shown those on the page
 * @returns {string}
 */
export function news(before, now, shown) {
  const fresh = now.filter(({ run }) => !before.some((old) => old.run === run));
  const gone = before.filter(({ run }) => !now.some((listed) => listed.run === run));
  const anew = now.filter((listed) =>
    shown.some((old) => old.run === listed.run && old.export !== listed.export));
  const said = [
    ...anew.map(({ run }) => `${run} was exported anew`),
    ...fresh.map(({ run }) => `new run ${run}`),
    ...gone.map(({ run }) => `${run} is gone`),
  ];
  if (said.length === 0) {
    return "Nothing new";
  }
  const rest = said.length > MOST ? ` and ${said.length - MOST + 1} more` : "";
  return said.slice(0, rest ? MOST - 1 : MOST).join(", ") + rest;
}
