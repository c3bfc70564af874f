/**
 * The language of the search field.
 *
 *   cat dog            rows in which both are found, in any column, whatever the case
 *   "big cat"          a phrase; a quote within it is doubled: "3"" disk"
 *   -dog               rows in which it isn't found
 *   label:cat          within one column; "file name":cat if its name has spaces
 *   label=cat          the whole value; label="" if there is none
 *   width>300          numbers, also >= < <= =
 *
 * What has no such meaning is text to be found: a:b where no column is called a.
 */

import { foldedTexts, foldedValues, folded, markRowsWith, rawTexts } from "./texts.js";

/** @typedef {import("./columns.js").Column} Column */
/** @typedef {":" | "=" | "<" | "<=" | ">" | ">="} Operator */
/**
 * @typedef {object} Term
 * @property {boolean} excluded whether the rows found are to be left out
 * @property {Column[]} columns to be searched
 * @property {Operator} operator
 * @property {string} text
 */
/** @typedef {{text: string, quoted: boolean, end: number}} Word */

const OPERATORS = /[<>]=?|==?|:/g;

/**
 * The phrase or word at a place of the query. A quote that is never closed reaches to the end, as
 * the user may be typing still.
 * @param {string} query
 * @param {number} at
 * @returns {Word}
 */
function wordAt(query, at) {
  const pattern = query[at] === '"' ? /"((?:[^"]|"")*)"?/y : /(\S*)/y;
  pattern.lastIndex = at;
  const found = /** @type {RegExpExecArray} */ (pattern.exec(query));
  const quoted = query[at] === '"';
  const text = quoted ? found[1].replaceAll('""', '"') : found[1];
  return { text, quoted, end: pattern.lastIndex };
}

/**
 * The columns of a name, of equal case if there are any.
 * @param {string} name
 * @param {Column[]} columns
 */
function columnsNamed(name, columns) {
  const same = columns.filter((column) => column.name === name);
  const key = folded(name);
  return same.length ? same : columns.filter((column) => folded(column.name) === key);
}

/**
 * Where a name of columns ends and an operator follows, if the query has that at `at`.
 * @param {string} query
 * @param {number} at
 * @param {Column[]} columns
 * @returns {{columns: Column[], operator: Operator, end: number} | null}
 */
function columnAt(query, at, columns) {
  const first = wordAt(query, at);
  // A bare word may hold several operators, as names may: the first one that ends a name counts.
  OPERATORS.lastIndex = first.quoted ? first.end : at;
  for (let found; (found = OPERATORS.exec(query)); ) {
    const end = first.quoted ? first.end : found.index;
    const name = first.quoted ? first.text : query.slice(at, end);
    if (found.index > end || (!first.quoted && found.index >= first.end)) {
      return null;
    }
    const operator = /** @type {Operator} */ (found[0].replace("==", "="));
    const named = columnsNamed(name, columns).filter((column) => understands(column, operator));
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
function understands(column, operator) {
  return column.kind === "number" || operator === ":" || operator === "=";
}

/**
 * The term that begins at a place of the query; null if there is nothing to search for yet.
 * @param {string} query
 * @param {number} at
 * @param {Column[]} columns
 * @returns {{term: Term | null, end: number}}
 */
function termAt(query, at, columns) {
  const excluded = query[at] === "-";
  const from = excluded ? at + 1 : at;
  const column = columnAt(query, from, columns);
  if (column) {
    const { text, quoted, end } = wordAt(query, column.end);
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
  const { text, end } = wordAt(query, from);
  return { term: text ? { excluded, columns, operator: ":", text } : null, end };
}

/**
 * The terms of a query, all of which a row must meet.
 * @param {string} query
 * @param {Column[]} columns
 * @returns {Term[]}
 */
export function parseQuery(query, columns) {
  const terms = [];
  let at = query.search(/\S/);
  while (at >= 0 && at < query.length) {
    const { term, end } = termAt(query, at, columns);
    if (term) {
      terms.push(term);
    }
    at = end + query.slice(end).search(/\S|$/);
  }
  return terms;
}

/**
 * What in a query looks like a question to a column and is none, in words; null if nothing does.
 * @param {string} query
 * @param {Column[]} columns
 */
export function misunderstood(query, columns) {
  for (const { columns: asked, operator, text } of parseQuery(query, columns)) {
    const found = operator === ":" && asked.length === columns.length
      ? /^([^\s:=<>]+)(:|==?|[<>]=?)/.exec(text) : null;
    if (!found) {
      continue;
    }
    const named = columnsNamed(found[1], columns);
    if (named.length === 0) {
      return `There is no column ${found[1]}`;
    }
    if (named.every(({ kind }) => kind !== "number")) {
      return `${named[0].name} is no column of numbers`;
    }
  }
  return null;
}

/**
 * Marks the rows of a category for whose value `test` holds. There are few values and many rows.
 * @param {import("./columns.js").CategoryColumn} column
 * @param {(value: string, code: number) => boolean} test
 * @param {Uint8Array} mask
 */
export function markRowsOfValues({ values, codes }, test, mask) {
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
function markNumbers({ numbers }, operator, text, mask) {
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
function markRowsWhere({ text, starts }, test, mask) {
  for (let row = 0; row < mask.length; row++) {
    mask[row] |= test(text.slice(starts[row], starts[row + 1])) ? 1 : 0;
  }
}

/**
 * Marks the rows that a term's text is found in, or equal to, in one column.
 * @param {Column} column
 * @param {Operator} operator
 * @param {string} text
 * @param {Uint8Array} mask
 */
function markTerm(column, operator, text, mask) {
  const wanted = folded(text);
  if (column.kind === "category") {
    const values = foldedValues(column.values);
    const equal = operator === "=";
    const test = (/** @type {number} */ code) =>
      equal ? values[code] === wanted : values[code].includes(wanted);
    markRowsOfValues(column, (_, code) => test(code), mask);
  } else if (operator === ":") {
    markRowsWith(foldedTexts(column), wanted, mask);
  } else if (column.kind === "number") {
    markNumbers(column, operator, text, mask);
  } else {
    markRowsWhere(foldedTexts(column), (value) => value === wanted, mask);
  }
}

/**
 * Strikes from `mask` the rows that don't meet a term.
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
 * The expression that a user typed. What Unicode mode refuses, such as \- outside of brackets, is
 * common enough to be read without it.
 * @param {string} source
 * @throws {SyntaxError}
 */
export function compiled(source) {
  try {
    return new RegExp(source, "iu");
  } catch {
    return new RegExp(source, "i");
  }
}

/**
 * Strikes from `mask` the rows in no column of which the expression is found.
 * @param {RegExp} expression
 * @param {Column[]} columns
 * @param {Uint8Array} mask
 */
export function applyExpression(expression, columns, mask) {
  const found = new Uint8Array(mask.length);
  for (const column of columns) {
    if (column.kind === "category") {
      markRowsOfValues(column, (value) => expression.test(value), found);
    } else {
      markRowsWhere(rawTexts(column), (text) => expression.test(text), found);
    }
  }
  for (let row = 0; row < mask.length; row++) {
    mask[row] &= found[row];
  }
}
