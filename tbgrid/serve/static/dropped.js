/** Photos out of what was dropped or chosen: folders are walked through, and name the labels. */

/** @typedef {{file: File, label: string}} Photo */

const PICTURE = /\.(jpe?g|png|webp|gif|bmp|tiff?|avif|hei[cf])$/i;

/** The last folder of a path with slashes, "" for none. @param {string} path */
export function labelOf(path) {
  return path.split("/").filter(Boolean).slice(-2, -1)[0] ?? "";
}

/** Whether a file may be a picture; the server looks into it. @param {File} file */
export function mayBePicture(file) {
  return file.type.startsWith("image/") || PICTURE.test(file.name);
}

/** @param {Iterable<File>} files @returns {Photo[]} */
export function chosen(files) {
  return [...files]
    .filter(mayBePicture)
    .map((file) => ({file, label: labelOf(file.webkitRelativePath ?? "")}));
}

/**
 * All photos of a drop. Entries are taken at once, since the browser forgets them after the event.
 * @param {DataTransfer} transfer
 * @returns {Promise<Photo[]>}
 */
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry());
  if (!entries.some((entry) => entry?.isDirectory)) return chosen(transfer.files);
  /** @type {Photo[]} */
  const found = [];
  for (const entry of entries) if (entry) await walk(entry, found);
  return found;
}

/** @param {FileSystemEntry} entry @param {Photo[]} found */
async function walk(entry, found) {
  if (entry.isDirectory) {
    const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
    for (;;) {
      /** @type {FileSystemEntry[]} */
      const some = await new Promise((done, fail) => reader.readEntries(done, fail));
      if (!some.length) return;
      for (const inner of some) await walk(inner, found);
    }
  }
  /** @type {File} */
  const file = await new Promise((done, fail) => {
    /** @type {FileSystemFileEntry} */ (entry).file(done, fail);
  });
  if (mayBePicture(file)) found.push({file, label: labelOf(entry.fullPath)});
}

/**
 * Run `work` over all items, a few at a time; what fails is told of and does not stop the others.
 * @template T
 * @param {T[]} items
 * @param {number} atOnce
 * @param {(item: T) => Promise<void>} work
 * @param {(item: T, error: Error) => void} failed
 */
export async function each(items, atOnce, work, failed) {
  const queue = items.values();
  const run = async () => {
    for (const item of queue) {
      try {
        await work(item);
      } catch (error) {
        failed(item, /** @type {Error} */ (error));
      }
    }
  };
  await Promise.all(Array.from({length: Math.min(atOnce, items.length)}, run));
}
