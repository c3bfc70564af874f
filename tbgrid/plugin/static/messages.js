// What the tab says: a passing message, a text for screen readers, a banner, and boxes in place of
// a map.

import { createElement, fill } from "./dom.js";

const MESSAGE_TIME = 5000; // ms

export class Messages {
  constructor() {
    this.toast = createElement("p", { class: "message", role: "status", hidden: true });
    this.spoken = createElement("p", { class: "off-screen", "aria-live": "polite" });
    this.banner = createElement("div", { class: "banner", hidden: true, role: "alert" });
    this.timer = 0;
  }

  /** Show a message for a few seconds. @param {string} message */
  show(message) {
    this.toast.textContent = message;
    this.toast.hidden = false;
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => {
      this.toast.hidden = true;
    }, MESSAGE_TIME);
  }

  /** Have a screen reader say something. @param {string} text */
  announce(text) {
    this.spoken.textContent = text;
  }

  /** Say that a run on the page has been replaced. @param {() => void} onReload */
  offerReload(onReload) {
    fill(
      this.banner,
      "This run has been re-exported. ",
      createElement("button", { type: "button", onclick: onReload }, "Show the new export"),
    );
    this.banner.hidden = false;
  }

  hideBanner() {
    this.banner.hidden = true;
  }
}

/** What is wrong, in place of a map. @param {string} problem @param {string} hint */
export function createErrorBox(problem, hint) {
  return createElement(
    "div",
    { class: "trouble", role: "alert" },
    createElement("h2", {}, problem),
    hint ? createElement("p", {}, hint) : null,
  );
}

/**
 * How to create a first run, in place of a map.
 *
 * @param {string} searched where the server has looked for runs
 */
export function createWelcomeBox(searched) {
  return createElement(
    "div",
    { class: "trouble" },
    createElement("h2", {}, "No tbgrid runs here yet"),
    createElement("p", {}, "Create one, then press the reload button:"),
    createElement("pre", {}, "tbgrid export PHOTOS --logdir LOGDIR"),
    createElement("p", { class: "hint" }, searched),
  );
}
