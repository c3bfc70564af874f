// What a reload has found, in words.

/** @typedef {import("./server.js").Listed} Listed */

const MAX_CHANGES = 4; // listed one by one

/**
 * @param {Listed[]} before @param {Listed[]} now @param {Listed[]} shown the runs on the page
 * @returns {string}
 */
export function describeChanges(before, now, shown) {
  const added = now.filter(({ run }) => !before.some((old) => old.run === run));
  const removed = before.filter(({ run }) => !now.some((listed) => listed.run === run));
  const replaced = now.filter((listed) =>
    shown.some((old) => old.run === listed.run && old.export !== listed.export));
  const changes = [
    ...replaced.map(({ run }) => `${run} has been re-exported`),
    ...added.map(({ run }) => `new run ${run}`),
    ...removed.map(({ run }) => `${run} has been removed`),
  ];
  if (changes.length === 0) {
    return "No changes";
  }
  if (changes.length <= MAX_CHANGES) {
    return changes.join(", ");
  }
  const listed = changes.slice(0, MAX_CHANGES - 1);
  return `${listed.join(", ")} and ${changes.length - listed.length} more`;
}
