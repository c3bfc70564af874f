// Photos from files and folders that were dropped or chosen; a photo's folder is its label.

/** @typedef {{file: File, label: string}} Photo */

const IMAGE_SUFFIX = /\.(jpe?g|png|webp|gif|bmp|tiff?|avif|hei[cf])$/i;

/** The last folder of a path with slashes, or "". @param {string} path */
export function labelOf(path) {
  return path.split("/").filter(Boolean).slice(-2, -1)[0] ?? "";
}

/** Whether a file may be an image; the server looks inside. @param {File} file */
export function mayBeImage(file) {
  return file.type.startsWith("image/") || IMAGE_SUFFIX.test(file.name);
}

/** @param {Iterable<File>} files that were chosen @returns {Photo[]} */
export function selectPhotos(files) {
  return [...files]
    .filter(mayBeImage)
    .map((file) => ({ file, label: labelOf(file.webkitRelativePath ?? "") }));
}

/**
 * All photos of a drop. The entries are read at once, since the browser forgets them after the
 * event.
 *
 * @param {DataTransfer} transfer
 * @returns {Promise<Photo[]>}
 */
export async function readDrop(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry());
  if (!entries.some((entry) => entry?.isDirectory)) {
    return selectPhotos(transfer.files);
  }
  /** @type {Photo[]} */
  const photos = [];
  for (const entry of entries) {
    if (entry) {
      await collectPhotos(entry, photos);
    }
  }
  return photos;
}

/**
 * Append a file, or all files of a folder.
 *
 * @param {FileSystemEntry} entry @param {Photo[]} photos
 */
async function collectPhotos(entry, photos) {
  if (entry.isDirectory) {
    const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
    for (;;) {
      /** @type {FileSystemEntry[]} */
      const batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!batch.length) {
        return;
      }
      for (const inner of batch) {
        await collectPhotos(inner, photos);
      }
    }
  }
  /** @type {File} */
  const file = await new Promise((resolve, reject) => {
    /** @type {FileSystemFileEntry} */ (entry).file(resolve, reject);
  });
  if (mayBeImage(file)) {
    photos.push({ file, label: labelOf(entry.fullPath) });
  }
}

/**
 * Run `work` on all items, a few at a time; an error is reported and does not stop the others.
 *
 * @template T
 * @param {T[]} items
 * @param {number} concurrency
 * @param {(item: T) => Promise<void>} work
 * @param {(item: T, error: Error) => void} onError
 */
export async function forEachConcurrently(items, concurrency, work, onError) {
  const queue = items.values();
  const run = async () => {
    for (const item of queue) {
      try {
        await work(item);
      } catch (error) {
        onError(item, /** @type {Error} */ (error));
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, items.length) }, run));
}
