// The state of the tab in the address bar, so that a link shows a colleague the same.
//
// TensorBoard keeps `p.<plugin>.<name>=<value>` for plugins in the fragment of its address, beside
// the name of the tab. On a page of its own the tab uses its own fragment in the same form.

const PREFIX = "p.tbgrid.";
const WRITE_DELAY = 250; // ms; browsers refuse more than about a hundred changes in half a minute

/** @returns {Window} the window whose address bar the user sees */
function findTopWindow() {
  try {
    return window.parent !== window && window.parent.location.href ? window.parent : window;
  } catch {
    return window; // a page of another origin around a frame
  }
}

/**
 * The parts of a fragment: the tab's own values by name, and all others as they are.
 *
 * @param {string} hash @returns {{others: string[], own: Map<string, string>}}
 */
export function splitFragment(hash) {
  const others = [];
  /** @type {Map<string, string>} */
  const own = new Map();
  for (const part of hash.replace(/^#/, "").split("&")) {
    const name = part.split("=", 1)[0];
    if (!name.startsWith(PREFIX)) {
      others.push(part);
      continue;
    }
    try {
      own.set(name.slice(PREFIX.length), decodeURIComponent(part.slice(name.length + 1)));
    } catch {
      // not written by the tab: ignored
    }
  }
  return { others: others.filter((part) => part !== ""), own };
}

/**
 * The fragment with other values of the tab; what others keep there stays.
 *
 * @param {string} hash @param {Map<string, string>} own
 */
export function replaceOwnParts(hash, own) {
  const { others } = splitFragment(hash);
  const ownParts = [...own].map(([name, value]) =>
    `${PREFIX}${name}=${encodeURIComponent(value)}`);
  const parts = [...others, ...ownParts];
  return parts.length ? `#${parts.join("&")}` : "";
}

export class AddressBar {
  /** @param {(values: Map<string, string>) => void} onChange the user typed, or went back */
  constructor(onChange) {
    this.window = findTopWindow();
    this.timer = 0;
    /** @type {Map<string, string>} */
    this.values = AddressBar.readValues();
    this.window.addEventListener("hashchange", () => {
      const values = AddressBar.readValues();
      if (replaceOwnParts("", values) !== replaceOwnParts("", this.values)) {
        this.values = values;
        onChange(values);
      }
    });
  }

  /** What the address bar says now. @returns {Map<string, string>} */
  static readValues() {
    return splitFragment(findTopWindow().location.hash).own;
  }

  /** @param {Map<string, string>} values empty ones are left out */
  write(values) {
    this.values = new Map([...values].filter(([, value]) => value !== ""));
    this.timer ||= window.setTimeout(() => {
      this.timer = 0;
      const hash = replaceOwnParts(this.window.location.hash, this.values);
      if (hash !== this.window.location.hash) {
        const { pathname, search } = this.window.location;
        const state = this.window.history.state;
        this.window.history.replaceState(state, "", `${pathname}${search}${hash}`);
      }
    }, WRITE_DELAY);
  }

  /** A link to what is shown now. */
  get link() {
    const { origin, pathname, search, hash } = this.window.location;
    return `${origin}${pathname}${search}${replaceOwnParts(hash, this.values)}`;
  }
}
