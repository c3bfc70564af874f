// Light or dark: as TensorBoard's page around the tab, or else as the system.

/** @returns {Document | null} TensorBoard's own page, if this is a frame within it */
function findHostPage() {
  try {
    return window.parent !== window ? window.parent.document : null;
  } catch {
    return null; // a page of another origin around a frame
  }
}

/** Keep `root`'s theme up to date. @param {HTMLElement} root @param {() => void} onChange */
export function followTheme(root, onChange) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const page = findHostPage();
  const isTensorBoard = () => Boolean(page?.querySelector("app-root, tb-webapp"));
  const apply = () => {
    const dark = isTensorBoard() ? page?.body.classList.contains("dark-mode") : system.matches;
    root.dataset.theme = dark ? "dark" : "light";
    onChange();
  };
  system.addEventListener("change", apply);
  if (page) {
    new MutationObserver(apply).observe(page.body, { attributeFilter: ["class"] });
  }
  apply();
}
