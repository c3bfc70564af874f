// Fetches and decodes pictures, a few at a time, the most needed first.

const MAX_CONCURRENT = 6; // a browser's own limit per server over HTTP/1.1

/** @typedef {{key: string, url: string}} Item a picture to fetch */

/** Each frame requests what it needs, and so replaces the requests of the one before. */
export class PictureFetcher {
  /**
   * @param {(key: string, picture: ImageBitmap) => void} onLoad
   * @param {(error: unknown) => void} onError
   */
  constructor(onLoad, onError) {
    this.onLoad = onLoad;
    this.onError = onError;
    /** @type {Map<string, AbortController>} */
    this.inFlight = new Map();
    /** @type {Set<string>} keys that are not tried again */
    this.failed = new Set();
    /** @type {Item[]} */
    this.queue = [];
    this.closed = false;
  }

  /** @param {Item[]} items what is needed and not there yet, the most needed first */
  request(items) {
    const keys = new Set(items.map((item) => item.key));
    for (const [key, controller] of this.inFlight) {
      if (!keys.has(key)) {
        controller.abort();
        this.inFlight.delete(key);
      }
    }
    this.queue = items.filter((item) => !this.inFlight.has(item.key) && !this.failed.has(item.key));
    this.startNext();
  }

  /** Whether nothing is in flight. */
  get idle() {
    return this.inFlight.size === 0 && this.queue.length === 0;
  }

  startNext() {
    while (!this.closed && this.inFlight.size < MAX_CONCURRENT) {
      const item = this.queue.shift();
      if (!item) {
        return;
      }
      this.fetch(item);
    }
  }

  /** @param {Item} item */
  async fetch({ key, url }) {
    const controller = new AbortController();
    this.inFlight.set(key, controller);
    try {
      const response = await fetch(url, { signal: controller.signal });
      if (!response.ok) {
        throw new Error(`${response.status} for ${key}`);
      }
      const picture = await createImageBitmap(await response.blob(), {
        colorSpaceConversion: "none", // everything in a run is sRGB already
      });
      if (this.inFlight.get(key) === controller) {
        this.onLoad(key, picture);
      }
      picture.close();
    } catch (error) {
      if (!controller.signal.aborted) {
        this.failed.add(key); // not retried with every frame, but after the next reload
        this.onError(error);
      }
    } finally {
      if (this.inFlight.get(key) === controller) {
        this.inFlight.delete(key);
      }
      this.startNext();
    }
  }

  close() {
    this.closed = true;
    for (const controller of this.inFlight.values()) {
      controller.abort();
    }
    this.inFlight.clear();
    this.queue = [];
  }
}
