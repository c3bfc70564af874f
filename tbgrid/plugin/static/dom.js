// DOM elements by function call; text is only ever set as text.

/** @typedef {Node | string | null | false | undefined} Child */

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, unknown>} [properties] `class`, `on…` listeners, and `aria-…`, `data-…`
 *   and `role` as attributes; everything else as properties of the element; undefined is left out
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function createElement(tag, properties = {}, ...children) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) {
      continue;
    }
    if (name === "class") {
      el.className = String(value);
    } else if (name.startsWith("on")) {
      el.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    } else if (/^(aria-|data-|role$|for$|colspan$)/.test(name)) {
      el.setAttribute(name, String(value));
    } else {
      Reflect.set(el, name, value);
    }
  }
  el.append(...dropEmpty(children));
  return el;
}

/** Replace all children. @param {Element} parent @param {...Child} children */
export function fill(parent, ...children) {
  parent.replaceChildren(...dropEmpty(children));
}

/** @param {Child[]} children @returns {(Node | string)[]} */
function dropEmpty(children) {
  const kept = [];
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false) {
      kept.push(child);
    }
  }
  return kept;
}

const SVG = "http://www.w3.org/2000/svg";

/**
 * A line drawing of 24 x 24 in the colour of the text.
 *
 * @param {string} path
 */
export function createIcon(path) {
  const el = document.createElementNS(SVG, "svg");
  el.setAttribute("viewBox", "0 0 24 24");
  el.setAttribute("aria-hidden", "true");
  el.setAttribute("class", "icon");
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", path);
  el.append(line);
  return el;
}
