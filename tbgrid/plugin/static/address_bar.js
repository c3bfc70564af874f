// What the address bar says of the tab: a link shows a colleague the same spot.
//
// TensorBoard keeps `p.<plugin>.<name>=<value>` for plugins in the fragment of its address, beside
// the name of the tab. On a page of its own the tab uses its own fragment in the same form.

const PREFIX = "p.tbgrid.";
const PATIENCE = 250; // ms; browsers refuse more than about a hundred changes in half a minute

/** @returns {Window} the window whose address bar the user sees */
function shownWindow() {
  try {
    return window.parent !== window && window.parent.location.href ? window.parent : window;
  } catch {
    return window; // a page of another origin, around a frame
  }
}

/** @param {string} hash @returns {{others: string[], own: Map<string, string>}} */
export function parts(hash) {
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
      // not encoded by us: of no use
    }
  }
  return { others: others.filter((part) => part !== ""), own };
}

/**
 * The fragment with other values of ours; what others keep there stays.
 *
 * @param {string} hash @param {Map<string, string>} own
 */
export function written(hash, own) {
  const kept = parts(hash).others;
  const ours = [...own].map(([name, value]) => `${PREFIX}${name}=${encodeURIComponent(value)}`);
  const all = [...kept, ...ours];
  return all.length ? `#${all.join("&")}` : "";
}

export class AddressBar {
  /** @param {(values: Map<string, string>) => void} changed by the user, or by going back */
  constructor(changed) {
    this.window = shownWindow();
    this.timer = 0;
    /** @type {Map<string, string>} */
    this.values = AddressBar.values();
    this.window.addEventListener("hashchange", () => {
      const now = AddressBar.values();
      if (written("", now) !== written("", this.values)) {
        this.values = now;
        changed(now);
      }
    });
  }

  /** What the address bar says now. @returns {Map<string, string>} */
  static values() {
    return parts(shownWindow().location.hash).own;
  }

  /** @param {Map<string, string>} values those that are empty are left out */
  write(values) {
    this.values = new Map([...values].filter(([, value]) => value !== ""));
    this.timer ||= window.setTimeout(() => {
      this.timer = 0;
      const hash = written(this.window.location.hash, this.values);
      if (hash !== this.window.location.hash) {
        const { pathname, search } = this.window.location;
        const state = this.window.history.state;
        this.window.history.replaceState(state, "", `${pathname}${search}${hash}`);
      }
    }, PATIENCE);
  }

  /** A link to what is shown now. */
  get link() {
    const { origin, pathname, search, hash } = this.window.location;
    return `${origin}${pathname}${search}${written(hash, this.values)}`;
  }
}
