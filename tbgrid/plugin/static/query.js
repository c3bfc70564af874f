/**
 * The language of the search field.
 *
 *   cat dog            rows that contain both, in any column, whatever the case
 *   "big cat"          a phrase; a quote within it is doubled: "3"" disk"
 *   -dog               rows that do not contain it
 *   label:cat          within one column; "file name":cat if its name has spaces
 *   label=cat          the whole value; label="" for no value
 *   width>300          numbers, also >= < <= =
 *
 * Anything else is plain text to search for, such as a:b if no column is called a.
 */

import { foldCase, foldTexts, foldValues, markRowsContaining, readTexts } from "./texts.js";

/** @typedef {import("./columns.js").Column} Column */
/** @typedef {":" | "=" | "<" | "<=" | ">" | ">="} Operator */
/**
 * @typedef {object} Term
 * @property {boolean} excluded whether matching rows are left out instead
 * @property {Column[]} columns to search
 * @property {Operator} operator
 * @property {string} text
 */
/** @typedef {{text: string, quoted: boolean, end: number}} Word */

const OPERATORS = /[<>]=?|==?|:/g;

/**
 * The phrase or word at an index of the query. A quote that is never closed reaches to the end, as
 * the user may still be typing.
 * @param {string} query
 * @param {number} at
 * @returns {Word}
 */
function readWord(query, at) {
  const pattern = query[at] === '"' ? /"((?:[^"]|"")*)"?/y : /(\S*)/y;
  pattern.lastIndex = at;
  const found = /** @type {RegExpExecArray} */ (pattern.exec(query));
  const quoted = query[at] === '"';
  const text = quoted ? found[1].replaceAll('""', '"') : found[1];
  return { text, quoted, end: pattern.lastIndex };
}

/**
 * The columns of a name, with the same case if there are any.
 * @param {string} name
 * @param {Column[]} columns
 */
function findColumns(name, columns) {
  const exact = columns.filter((column) => column.name === name);
  const key = foldCase(name);
  return exact.length ? exact : columns.filter((column) => foldCase(column.name) === key);
}

/**
 * The columns and the operator at an index of the query, and where they end; null without them.
 * @param {string} query
 * @param {number} at
 * @param {Column[]} columns
 * @returns {{columns: Column[], operator: Operator, end: number} | null}
 */
function readColumnPrefix(query, at, columns) {
  const first = readWord(query, at);
  // A bare word may contain several operators, as names may: the first that ends a name counts.
  OPERATORS.lastIndex = first.quoted ? first.end : at;
  for (let found; (found = OPERATORS.exec(query)); ) {
    const end = first.quoted ? first.end : found.index;
    const name = first.quoted ? first.text : query.slice(at, end);
    if (found.index > end || (!first.quoted && found.index >= first.end)) {
      return null;
    }
    const operator = /** @type {Operator} */ (found[0].replace("==", "="));
    const named = findColumns(name, columns).filter((column) => supportsOperator(column, operator));
    if (named.length) {
      return { columns: named, operator, end: end + found[0].length };
    }
    if (first.quoted) {
      return null;
    }
  }
  return null;
}

/**
 * @param {Column} column
 * @param {Operator} operator
 */
function supportsOperator(column, operator) {
  return column.kind === "number" || operator === ":" || operator === "=";
}

/**
 * The term that begins at an index of the query; null if there is nothing to search for yet.
 * @param {string} query
 * @param {number} at
 * @param {Column[]} columns
 * @returns {{term: Term | null, end: number}}
 */
function readTerm(query, at, columns) {
  const excluded = query[at] === "-";
  const from = excluded ? at + 1 : at;
  const column = readColumnPrefix(query, from, columns);
  if (column) {
    const { text, quoted, end } = readWord(query, column.end);
    const { operator } = column;
    const complete = text !== "" || (quoted && operator === "=");
    const term = { excluded, columns: column.columns, operator, text };
    if (!complete) {
      return { term: null, end };
    }
    if (":=".includes(operator) || Number.isFinite(Number(text))) {
      return { term, end };
    }
  }
  const { text, end } = readWord(query, from);
  return { term: text ? { excluded, columns, operator: ":", text } : null, end };
}

/**
 * The terms of a query; a row must match all of them.
 * @param {string} query
 * @param {Column[]} columns
 * @returns {Term[]}
 */
export function parseQuery(query, columns) {
  const terms = [];
  let at = query.search(/\S/);
  while (at >= 0 && at < query.length) {
    const { term, end } = readTerm(query, at, columns);
    if (term) {
      terms.push(term);
    }
    at = end + query.slice(end).search(/\S|$/);
  }
  return terms;
}

/**
 * Why a term that looks like a condition on a column was read as plain text; null if none was.
 * @param {string} query
 * @param {Column[]} columns
 */
export function explainMisreading(query, columns) {
  for (const { columns: searched, operator, text } of parseQuery(query, columns)) {
    const found = operator === ":" && searched.length === columns.length
      ? /^([^\s:=<>]+)(:|==?|[<>]=?)/.exec(text) : null;
    if (!found) {
      continue;
    }
    const named = findColumns(found[1], columns);
    if (named.length === 0) {
      return `There is no column ${found[1]}`;
    }
    if (named.every(({ kind }) => kind !== "number")) {
      return `${named[0].name} is not a numeric column`;
    }
  }
  return null;
}

/**
 * Mark the rows of a category whose value passes `test`. There are few values and many rows.
 * @param {import("./columns.js").CategoryColumn} column
 * @param {(value: string, code: number) => boolean} test
 * @param {Uint8Array} mask
 */
export function markRowsByValue({ values, codes }, test, mask) {
  const wanted = Uint8Array.from(values, (value, code) => (test(value, code) ? 1 : 0));
  for (let row = 0; row < codes.length; row++) {
    mask[row] |= wanted[codes[row]];
  }
}

/** @type {Record<Operator, (a: number, b: number) => boolean>} */
const COMPARISONS = {
  ":": () => false,
  "=": (a, b) => a === b,
  "<": (a, b) => a < b,
  "<=": (a, b) => a <= b,
  ">": (a, b) => a > b,
  ">=": (a, b) => a >= b,
};

/**
 * @param {import("./columns.js").NumberColumn} column
 * @param {Operator} operator
 * @param {string} text
 * @param {Uint8Array} mask
 */
function markRowsByNumber({ numbers }, operator, text, mask) {
  const compare = COMPARISONS[operator];
  const number = Number(text);
  const missing = text === "" ? 1 : 0;
  for (let row = 0; row < numbers.length; row++) {
    const hit = missing ? Number.isNaN(numbers[row]) : compare(numbers[row], number);
    mask[row] |= hit ? 1 : 0;
  }
}

/**
 * @param {import("./texts.js").Texts} texts
 * @param {(text: string) => boolean} test
 * @param {Uint8Array} mask
 */
function markRowsByText({ text, starts }, test, mask) {
  for (let row = 0; row < mask.length; row++) {
    mask[row] |= test(text.slice(starts[row], starts[row + 1])) ? 1 : 0;
  }
}

/**
 * Mark the rows in which a column contains a term's text, or is equal to it.
 * @param {Column} column
 * @param {Operator} operator
 * @param {string} text
 * @param {Uint8Array} mask
 */
function markTerm(column, operator, text, mask) {
  const wanted = foldCase(text);
  if (column.kind === "category") {
    const values = foldValues(column.values);
    const equal = operator === "=";
    const test = (/** @type {number} */ code) =>
      equal ? values[code] === wanted : values[code].includes(wanted);
    markRowsByValue(column, (_, code) => test(code), mask);
  } else if (operator === ":") {
    markRowsContaining(foldTexts(column), wanted, mask);
  } else if (column.kind === "number") {
    markRowsByNumber(column, operator, text, mask);
  } else {
    markRowsByText(foldTexts(column), (value) => value === wanted, mask);
  }
}

/**
 * Clear in `mask` the rows that do not match a term.
 * @param {Term} term
 * @param {Uint8Array} mask
 */
export function applyTerm({ excluded, columns, operator, text }, mask) {
  const found = new Uint8Array(mask.length);
  for (const column of columns) {
    markTerm(column, operator, text, found);
  }
  const wanted = excluded ? 0 : 1;
  for (let row = 0; row < mask.length; row++) {
    mask[row] &= found[row] === wanted ? 1 : 0;
  }
}

/**
 * The expression that a user typed. What Unicode mode rejects, such as \- outside brackets, is
 * common enough to be read without it.
 * @param {string} source
 * @throws {SyntaxError}
 */
export function compileExpression(source) {
  try {
    return new RegExp(source, "iu");
  } catch {
    return new RegExp(source, "i");
  }
}

/**
 * Clear in `mask` the rows in which no column matches the expression.
 * @param {RegExp} expression
 * @param {Column[]} columns
 * @param {Uint8Array} mask
 */
export function applyExpression(expression, columns, mask) {
  const found = new Uint8Array(mask.length);
  for (const column of columns) {
    if (column.kind === "category") {
      markRowsByValue(column, (value) => expression.test(value), found);
    } else {
      markRowsByText(readTexts(column), (text) => expression.test(text), found);
    }
  }
  for (let row = 0; row < mask.length; row++) {
    mask[row] &= found[row];
  }
}
