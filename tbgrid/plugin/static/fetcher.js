// Pictures on their way from the server: what is wanted most comes first, and few at a time.

const AT_ONCE = 6; // a browser's own limit for one server over HTTP/1.1

/**
 * Fetches and decodes pictures; `wanted` in order of need is replaced with each frame.
 */
export class Fetcher {
  /** @param {(key: string, picture: ImageBitmap) => void} arrived
   *  @param {(error: unknown) => void} failed */
  constructor(arrived, failed) {
    this.arrived = arrived;
    this.failed = failed;
    /** @type {Map<string, AbortController>} */
    this.underWay = new Map();
    /** @type {Set<string>} */
    this.broken = new Set();
    /** @type {{key: string, url: string}[]} */
    this.queue = [];
    this.closed = false;
  }

  /** @param {{key: string, url: string}[]} wanted what is not there yet, the most needed first */
  want(wanted) {
    const keys = new Set(wanted.map((item) => item.key));
    for (const [key, controller] of this.underWay) {
      if (!keys.has(key)) {
        controller.abort();
        this.underWay.delete(key);
      }
    }
    this.queue = wanted.filter(
      (item) => !this.underWay.has(item.key) && !this.broken.has(item.key),
    );
    this.next();
  }

  /** Whether nothing is on its way. */
  get idle() {
    return this.underWay.size === 0 && this.queue.length === 0;
  }

  next() {
    while (!this.closed && this.underWay.size < AT_ONCE) {
      const item = this.queue.shift();
      if (!item) {
        return;
      }
      this.start(item);
    }
  }

  /** @param {{key: string, url: string}} item */
  async start({ key, url }) {
    const controller = new AbortController();
    this.underWay.set(key, controller);
    try {
      const response = await fetch(url, { signal: controller.signal });
      if (!response.ok) {
        throw new Error(`${response.status} for ${key}`);
      }
      const picture = await createImageBitmap(await response.blob(), {
        colorSpaceConversion: "none", // everything in a run is sRGB already
      });
      if (this.underWay.get(key) === controller) {
        this.arrived(key, picture);
      }
      picture.close();
    } catch (error) {
      if (!controller.signal.aborted) {
        this.broken.add(key); // asked for once more after the next reload, not at each frame
        this.failed(error);
      }
    } finally {
      if (this.underWay.get(key) === controller) {
        this.underWay.delete(key);
      }
      this.next();
    }
  }

  close() {
    this.closed = true;
    for (const controller of this.underWay.values()) {
      controller.abort();
    }
    this.underWay.clear();
    this.queue = [];
  }
}

/**
 * Which of a fixed number of places holds what; the one not used for longest is given away.
 */
export class Slots {
  /** @param {number} count */
  constructor(count) {
    this.count = count;
    /** @type {Map<string, number>} in the order of last use */
    this.held = new Map();
    /** @type {Set<string>} */
    this.pinned = new Set();
    /** @type {number[]} */
    this.free = Array.from({ length: count }, (_, slot) => count - 1 - slot);
  }

  /** The slot of `key`, now its latest use; -1 if it has none. @param {string} key */
  use(key) {
    const slot = this.held.get(key);
    if (slot === undefined) {
      return -1;
    }
    this.held.delete(key);
    this.held.set(key, slot);
    return slot;
  }

  /** A slot for `key`; -1 if all are pinned. @param {string} key @param {boolean} [pin] */
  take(key, pin = false) {
    if (pin) {
      this.pinned.add(key);
    }
    const own = this.use(key);
    if (own >= 0) {
      return own;
    }
    let slot = this.free.pop();
    if (slot === undefined) {
      for (const [old, taken] of this.held) {
        if (!this.pinned.has(old)) {
          this.held.delete(old);
          slot = taken;
          break;
        }
      }
    }
    if (slot === undefined) {
      return -1;
    }
    this.held.set(key, slot);
    return slot;
  }

  clear() {
    this.held.clear();
    this.free = Array.from({ length: this.count }, (_, slot) => this.count - 1 - slot);
  }
}
