// A fixed number of slots, of which the least recently used is given away first.

export class LruSlots {
  /** @param {number} capacity */
  constructor(capacity) {
    this.capacity = capacity;
    /** @type {Map<string, number>} slots by key, the least recently used first */
    this.slots = new Map();
    /** @type {Set<string>} keys that are never evicted */
    this.pinned = new Set();
    this.free = this.listAll();
  }

  /** All slots, so that the first to be popped is slot 0. @returns {number[]} */
  listAll() {
    return Array.from({ length: this.capacity }, (_, slot) => this.capacity - 1 - slot);
  }

  /** The slot of `key`, or -1; this does not count as a use. @param {string} key */
  peek(key) {
    return this.slots.get(key) ?? -1;
  }

  /** The slot of `key`, or -1; it is now the most recently used. @param {string} key */
  touch(key) {
    const slot = this.slots.get(key);
    if (slot === undefined) {
      return -1;
    }
    this.slots.delete(key);
    this.slots.set(key, slot);
    return slot;
  }

  /** A slot for `key`, or -1 if all are pinned. @param {string} key @param {boolean} [pin] */
  allocate(key, pin = false) {
    if (pin) {
      this.pinned.add(key);
    }
    const existing = this.touch(key);
    if (existing >= 0) {
      return existing;
    }
    const slot = this.free.pop() ?? this.evict();
    if (slot >= 0) {
      this.slots.set(key, slot);
    }
    return slot;
  }

  /** The slot of the least recently used key that is not pinned, now free; or -1. */
  evict() {
    for (const [key, slot] of this.slots) {
      if (!this.pinned.has(key)) {
        this.slots.delete(key);
        return slot;
      }
    }
    return -1;
  }

  clear() {
    this.slots.clear();
    this.free = this.listAll();
  }
}
