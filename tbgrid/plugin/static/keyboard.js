// The keys that work anywhere in the tab.

/**
 * @template Pane
 * @typedef {object} KeyActions what keys do; an action that returns false did not apply
 * @property {() => void} focusSearch
 * @property {(step: 1 | -1) => void} stepHit
 * @property {() => void} toggleSnap
 * @property {(tool: import("./map_view.js").Tool) => void} setTool
 * @property {() => void} showHelp
 * @property {() => boolean} unpin
 * @property {(pane: Pane | undefined) => boolean} toggleHovered selects the photo that the keyboard
 *   or the mouse points at in a pane, or deselects it
 */

/** @template Pane */
export class Keyboard {
  /** @param {KeyActions<Pane>} actions */
  constructor(actions) {
    /** @type {[string, (pane: Pane | undefined) => boolean | void][]} */
    const shortcuts = [
      ["/", () => actions.focusSearch()],
      ["n", () => actions.stepHit(1)],
      ["p", () => actions.stepHit(-1)],
      ["g", () => actions.toggleSnap()],
      ["v", () => actions.setTool("move")],
      ["r", () => actions.setTool("rectangle")],
      ["l", () => actions.setTool("lasso")],
      ["?", () => actions.showHelp()],
      ["s", (pane) => actions.toggleHovered(pane)],
      ["Escape", () => actions.unpin()],
    ];
    this.shortcuts = new Map(shortcuts);
  }

  /**
   * Do what a key means.
   *
   * @param {string} key @param {Pane} [pane] whose map has the focus
   * @returns {boolean} whether it meant something
   */
  press(key, pane) {
    const action = this.shortcuts.get(key);
    return action !== undefined && action(pane) !== false;
  }

  /**
   * Listen for keys that nothing within `root` has handled.
   *
   * @param {HTMLElement} root @param {() => boolean} isSuspended
   */
  listen(root, isSuspended) {
    root.addEventListener("keydown", (event) => {
      const isTyping = event.target instanceof Element &&
        event.target.matches("input, select, textarea, dialog, dialog *");
      const modified = event.altKey || event.ctrlKey || event.metaKey;
      const applies = !modified && !event.defaultPrevented && (event.key === "Escape" || !isTyping);
      if (applies && !isSuspended() && this.press(event.key)) {
        event.preventDefault();
      }
    });
    root.tabIndex = -1; // so that keys arrive here before anything else has the focus
  }
}
