// Light or dark: as TensorBoard around the tab is, or as the system asks where that is not known.

/** @returns {Document | null} TensorBoard's own page, if this is a frame in it */
export function host() {
  try {
    return window.parent !== window ? window.parent.document : null;
  } catch {
    return null; // a page of another origin, around a frame
  }
}

/** Keep `root`'s theme up to date. @param {HTMLElement} root */
export function followTheme(root) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const page = host();
  const known = () => page?.querySelector("app-root, tb-webapp") ?? null;
  const apply = () => {
    const dark = known() ? page?.body.classList.contains("dark-mode") : system.matches;
    root.dataset.theme = dark ? "dark" : "light";
    root.dispatchEvent(new Event("themechange"));
  };
  system.addEventListener("change", apply);
  if (page) {
    new MutationObserver(apply).observe(page.body, { attributeFilter: ["class"] });
  }
  apply();
}
