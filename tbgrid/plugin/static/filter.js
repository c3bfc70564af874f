/**
 * Which photos are wanted: a query, chosen values of categories, ranges of numbers; and the same as
 * text for the URL.
 */

import { applyExpression, applyTerm, compileExpression, explainMisreading, markRowsByValue,
  parseQuery } from "./query.js";
import { countRows } from "./masks.js";

/** @typedef {import("./columns.js").Column} Column */
/**
 * Immutable: a change returns a new filter.
 * @typedef {object} Filter
 * @property {string} query
 * @property {boolean} regex whether the query is one regular expression
 * @property {ReadonlyMap<number, ReadonlySet<number>>} chips column -> codes, any of which matches
 * @property {ReadonlyMap<number, readonly [number, number]>} ranges column -> both ends inclusive
 */
/**
 * @typedef {{mask: Uint8Array, hits: number, error: string | null, hint: string | null}} Matches
 * `error`: why the query is not a valid regular expression; `hint`: why there may be no hits
 */

/** @type {Filter} */
export const EMPTY_FILTER = Object.freeze({
  query: "",
  regex: false,
  chips: new Map(),
  ranges: new Map(),
});

/**
 * Whether a filter has no conditions, so that every photo matches.
 * @param {Filter} filter
 */
export function isEmpty(filter) {
  return filter.query.trim() === "" && filter.chips.size === 0 && filter.ranges.size === 0;
}

/**
 * @param {Filter} filter
 * @param {string} query
 * @param {boolean} [regex]
 * @returns {Filter}
 */
export function withQuery(filter, query, regex = filter.regex) {
  return { ...filter, query, regex };
}

/**
 * @param {Filter} filter
 * @param {number} column
 * @param {number} code
 * @param {boolean} on
 * @returns {Filter}
 */
export function withChip(filter, column, code, on) {
  const codes = new Set(filter.chips.get(column));
  if (on) {
    codes.add(code);
  } else {
    codes.delete(code);
  }
  const chips = new Map(filter.chips).set(column, codes);
  if (codes.size === 0) {
    chips.delete(column);
  }
  return { ...filter, chips };
}

/**
 * Without any choice among a column's values. The counts beside its chips are taken under this
 * filter, since those of the values not chosen would all be 0 otherwise.
 * @param {Filter} filter
 * @param {number} column
 * @returns {Filter}
 */
export function withoutChips(filter, column) {
  const chips = new Map(filter.chips);
  chips.delete(column);
  return { ...filter, chips };
}

/**
 * @param {Filter} filter
 * @param {number} column
 * @param {readonly [number, number] | null} range
 * @returns {Filter}
 */
export function withRange(filter, column, range) {
  const ranges = new Map(filter.ranges);
  if (range) {
    ranges.set(column, [range[0] + 0, range[1] + 0]); // + 0: no negative zero, which has no text
  } else {
    ranges.delete(column);
  }
  return { ...filter, ranges };
}

/**
 * @param {ReadonlySet<number>} codes
 * @param {Column | undefined} column
 * @param {Uint8Array} mask
 */
function applyChips(codes, column, mask) {
  if (column?.kind === "category") {
    const found = new Uint8Array(mask.length);
    markRowsByValue(column, (_, code) => codes.has(code), found);
    found.forEach((hit, row) => (mask[row] &= hit));
  }
}

/**
 * @param {readonly [number, number]} range
 * @param {Column | undefined} column
 * @param {Uint8Array} mask
 */
function applyRange([low, high], column, mask) {
  if (column?.kind === "number") {
    for (let row = 0; row < mask.length; row++) {
      const number = column.numbers[row];
      mask[row] &= number >= low && number <= high ? 1 : 0;
    }
  }
}

/**
 * @param {Filter} filter
 * @param {Column[]} columns
 * @param {Uint8Array} mask
 * @returns {string | null} why the query is invalid
 */
function applyQuery({ query, regex }, columns, mask) {
  if (!regex) {
    parseQuery(query, columns).forEach((term) => applyTerm(term, mask));
  } else if (query !== "") {
    try {
      applyExpression(compileExpression(query), columns, mask);
    } catch (error) {
      if (!(error instanceof SyntaxError)) {
        throw error;
      }
      return error.message;
    }
  }
  return null;
}

/**
 * The photos that match a filter. An invalid regular expression is reported in `error` and leaves
 * out nothing.
 * @param {Filter} filter
 * @param {Column[]} columns
 * @param {number} n
 * @returns {Matches}
 */
export function applyFilter(filter, columns, n) {
  const mask = new Uint8Array(n).fill(1);
  const error = applyQuery(filter, columns, mask);
  filter.chips.forEach((codes, column) => applyChips(codes, columns[column], mask));
  filter.ranges.forEach((range, column) => applyRange(range, columns[column], mask));
  const hits = countRows(mask);
  const hint = hits === 0 && !filter.regex ? explainMisreading(filter.query, columns) : null;
  return { mask, hits, error, hint };
}

/**
 * How many of the rows in `mask` have each value of a category.
 * @param {import("./columns.js").CategoryColumn} column
 * @param {Uint8Array} mask
 */
export function countValues(column, mask) {
  const found = new Uint32Array(column.values.length);
  for (let row = 0; row < column.codes.length; row++) {
    found[column.codes[row]] += mask[row];
  }
  return found;
}

/*
 * The text of a filter: fields joined by "*", the parts of a field by ".".
 *
 *   q.TEXT   r.PATTERN   c.COLUMN.VALUE.VALUE...   n.COLUMN.LOW.HIGH
 *
 * ASCII letters and digits and "-" stand for themselves, other UTF-16 units are written as _2E or
 * _u20AC. So no part contains a separator, halves of a surrogate pair survive, and neither
 * encodeURIComponent nor URLSearchParams has anything left to change. Columns and values are
 * identified by name, so that a link still means the same after another export; the second column
 * of a name is "c1", the third "c2".
 */

/** @param {string} text */
function escapeText(text) {
  return text.replace(/[^A-Za-z0-9-]/g, (unit) => {
    const code = unit.charCodeAt(0);
    const hex = code.toString(16).toUpperCase();
    return code < 256 ? `_${hex.padStart(2, "0")}` : `_u${hex.padStart(4, "0")}`;
  });
}

/** @param {string} text */
function unescapeText(text) {
  return text.replace(/_([0-9A-F]{2})|_u([0-9A-F]{4})/g, (_, short, long) =>
    String.fromCharCode(parseInt(short ?? long, 16)),
  );
}

/**
 * @param {string} tag
 * @param {number} index
 * @param {Column[]} columns
 */
function columnParts(tag, index, columns) {
  const { name } = columns[index];
  const before = columns.slice(0, index).filter((column) => column.name === name).length;
  return [tag + (before || ""), name];
}

/**
 * @param {Filter} filter
 * @param {Column[]} columns
 * @returns {string} empty for the empty filter
 */
export function formatFilter(filter, columns) {
  const fields = [];
  if (filter.query !== "" || filter.regex) {
    fields.push([filter.regex ? "r" : "q", filter.query]);
  }
  for (const [index, codes] of filter.chips) {
    const column = columns[index];
    if (column?.kind === "category") {
      const values = Array.from(codes, (code) => column.values[code]);
      fields.push([...columnParts("c", index, columns), ...values]);
    }
  }
  for (const [index, range] of filter.ranges) {
    if (columns[index]?.kind === "number") {
      fields.push([...columnParts("n", index, columns), ...range.map(String)]);
    }
  }
  return fields.map((parts) => parts.map(escapeText).join(".")).join("*");
}

/**
 * @param {Filter} filter
 * @param {string[]} values
 * @param {number} index
 * @param {import("./columns.js").CategoryColumn} column
 */
function withChipsNamed(filter, values, index, column) {
  const codes = values.map((value) => column.values.indexOf(value)).filter((code) => code >= 0);
  return codes.reduce((changed, code) => withChip(changed, index, code, true), filter);
}

/**
 * @param {Filter} filter
 * @param {string[]} ends
 * @param {number} index
 */
function withRangeFromText(filter, ends, index) {
  const [low, high] = ends.map((end) => (end === "" ? NaN : Number(end)));
  const isValid = ends.length === 2 && !Number.isNaN(low) && !Number.isNaN(high);
  return isValid ? withRange(filter, index, [low, high]) : filter;
}

/**
 * @param {string} name
 * @param {number} nth
 * @param {Column[]} columns
 * @returns {number} the index of the nth column of a name, counted from 0, or -1
 */
function columnIndex(name, nth, columns) {
  const found = columns.filter((column) => column.name === name)[nth];
  return found ? columns.indexOf(found) : -1;
}

/**
 * @param {Filter} filter
 * @param {string} field
 * @param {Column[]} columns
 * @returns {Filter}
 */
function withField(filter, field, columns) {
  const [tag, name, ...rest] = field.split(".").map(unescapeText);
  if (tag === "q" || tag === "r") {
    return withQuery(filter, name ?? "", tag === "r");
  }
  const index = columnIndex(name, Number(tag.slice(1)), columns);
  const column = columns[index];
  if (tag[0] === "c" && column?.kind === "category") {
    return withChipsNamed(filter, rest, index, column);
  }
  if (tag[0] === "n" && column?.kind === "number") {
    return withRangeFromText(filter, rest, index);
  }
  return filter;
}

/**
 * The filter of a text. Parts that are invalid, or whose column or value a run lacks, are ignored.
 * @param {string} text
 * @param {Column[]} columns
 * @returns {Filter}
 */
export function parseFilter(text, columns) {
  return text.split("*").reduce((filter, field) => withField(filter, field, columns), EMPTY_FILTER);
}
