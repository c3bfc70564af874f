// Movements that take a while: each is advanced once per frame until it ends.

/** @typedef {(now: number) => boolean} Motion advances to a time in ms; false once it has ended */

export class Animator {
  /** @param {() => void} onStart called when there is something to advance in the next frame */
  constructor(onStart) {
    this.onStart = onStart;
    /** @type {Motion[]} */
    this.motions = [];
  }

  get running() {
    return this.motions.length > 0;
  }

  /**
   * Start a motion; its time begins with the next frame.
   *
   * @param {number} duration in ms @param {(t: number) => void} step called with 0 to 1
   * @param {Motion} [replaced] a motion that ends now
   * @returns {Motion}
   */
  start(duration, step, replaced) {
    this.stop(replaced);
    let begin = 0;
    const motion = (/** @type {number} */ now) => {
      begin ||= now;
      const t = Math.min(1, (now - begin) / duration);
      step(t);
      return t < 1;
    };
    this.motions.push(motion);
    this.onStart();
    return motion;
  }

  /** @param {Motion | undefined} motion */
  stop(motion) {
    this.motions = this.motions.filter((other) => other !== motion);
  }

  /** @param {number} now in ms */
  advance(now) {
    this.motions = this.motions.filter((motion) => motion(now));
  }
}
