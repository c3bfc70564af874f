// Panels of which one is shown at a time.

import { createElement } from "./dom.js";

export class Tabs {
  /** @param {{id: string, title: string, node: HTMLElement}[]} panels */
  constructor(panels) {
    this.panels = panels;
    this.buttons = panels.map(({ id, title, node }, index) => {
      node.id = `panel-${id}`;
      node.setAttribute("role", "tabpanel");
      node.setAttribute("aria-labelledby", `tab-${id}`);
      return createElement(
        "button",
        {
          type: "button",
          role: "tab",
          id: `tab-${id}`,
          "aria-controls": node.id,
          onclick: () => this.show(id),
          onkeydown: (/** @type {KeyboardEvent} */ event) => this.handleKey(event, index),
        },
        title,
      );
    });
    this.node = createElement(
      "div",
      { class: "tabs" },
      createElement("div", { role: "tablist", "aria-label": "Panels" }, ...this.buttons),
      ...panels.map(({ node }) => node),
    );
    this.show(panels[0].id);
  }

  /** @param {string} id */
  show(id) {
    for (const [index, panel] of this.panels.entries()) {
      const selected = panel.id === id;
      panel.node.hidden = !selected;
      this.buttons[index].setAttribute("aria-selected", String(selected));
      this.buttons[index].tabIndex = selected ? 0 : -1;
    }
  }

  /** @param {string} id @param {string} title */
  setTitle(id, title) {
    const index = this.panels.findIndex((panel) => panel.id === id);
    this.buttons[index].textContent = title;
  }

  /** @param {KeyboardEvent} event @param {number} index */
  handleKey(event, index) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) {
      const next = (index + step + this.panels.length) % this.panels.length;
      this.show(this.panels[next].id);
      this.buttons[next].focus();
      event.preventDefault();
    }
  }
}
