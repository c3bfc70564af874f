// Copying a text.

import { createElement } from "./dom.js";

/** @param {string} text @returns {Promise<boolean>} whether the browser allowed it */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Not allowed over plain HTTP or in every frame; the old way still works there.
    const field = createElement("textarea", { value: text, class: "off-screen" });
    document.body.append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    return copied;
  }
}
