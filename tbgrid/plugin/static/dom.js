// Elements by function call; text is only ever set as text.

/** @typedef {Node | string | null | false | undefined} Child */

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, unknown>} [properties] `class`, `on…` listeners, `aria-…`, `data-…` and
 *   `role` as attributes; all else as properties of the element; undefined is left out
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) {
      continue;
    }
    if (name === "class") {
      made.className = String(value);
    } else if (name.startsWith("on")) {
      made.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    } else if (/^(aria-|data-|role$|for$|colspan$)/.test(name)) {
      made.setAttribute(name, String(value));
    } else {
      Reflect.set(made, name, value);
    }
  }
  made.append(...shown(children));
  return made;
}

/** @param {Element} parent @param {...Child} children */
export function fill(parent, ...children) {
  parent.replaceChildren(...shown(children));
}

/** @param {Child[]} children @returns {(Node | string)[]} */
function shown(children) {
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
export function icon(path) {
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", "0 0 24 24");
  picture.setAttribute("aria-hidden", "true");
  picture.setAttribute("class", "icon");
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", path);
  picture.append(line);
  return picture;
}
