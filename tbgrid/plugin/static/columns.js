/**
 * The arrays of a run, decoded and checked. Row i is the same photo in all of them.
 *
 * A logdir may come from a stranger or from a copy that broke off, so nothing is believed that
 * could make a later stage read beyond an array: what doesn't fit is a FormatError for that run.
 */

/**
 * @typedef {object} CategoryColumn
 * @property {string} name
 * @property {"category"} kind
 * @property {Uint32Array} codes index into `values`, one per photo
 * @property {string[]} values distinct
 * @property {Uint32Array} counts photos of each value
 */
/**
 * @typedef {object} NumberColumn
 * @property {string} name
 * @property {"number"} kind
 * @property {Float64Array} numbers NaN where missing
 * @property {number} low least finite number; NaN if there is none
 * @property {number} high greatest finite number; NaN if there is none
 * @property {number} present photos whose number isn't missing
 */
/**
 * @typedef {object} TextColumn
 * @property {string} name
 * @property {"text"} kind
 * @property {Uint8Array} bytes UTF-8 of all texts, one after the other
 * @property {Uint32Array} offsets n + 1 of them: text i lies from offsets[i] to offsets[i + 1]
 */
/** @typedef {CategoryColumn | NumberColumn | TextColumn} Column */

/** What was found in a run and what was expected; the message is for users. */
export class FormatError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = "FormatError";
  }
}

/** Cells of a grid for which memory is taken: 200 MB; a claim beyond it is an error. */
const MOST_CELLS = 50_000_000;

// A byte order mark at the start of a text belongs to the text: a file's name may hold one.
const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });

const LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

/**
 * Typed arrays have the byte order of the machine, the files are little-endian. Every browser that
 * runs WebGL2 is too; on another the numbers would be nonsense without a word.
 * @param {boolean} littleEndian
 */
export function requireLittleEndian(littleEndian = LITTLE_ENDIAN) {
  if (!littleEndian) {
    throw new FormatError(
      "This machine stores numbers big-endian; the Grid tab needs a little-endian one.",
    );
  }
}

/**
 * @param {string} what
 * @param {ArrayBuffer} buffer
 * @param {number} count
 * @param {number} size bytes of one number
 */
function requireLength(what, buffer, count, size) {
  requireLittleEndian();
  if (buffer.byteLength !== count * size) {
    throw new FormatError(
      `${what}: found ${buffer.byteLength} bytes, expected ${count * size} ` +
        `(${count} numbers of ${size} bytes)`,
    );
  }
}

/**
 * @param {string} what
 * @param {ArrayBuffer} buffer
 * @param {number} count
 */
function uint32(what, buffer, count) {
  requireLength(what, buffer, count, 4);
  return new Uint32Array(buffer);
}

/**
 * @param {string} what
 * @param {ArrayBuffer} buffer
 * @param {number} count
 */
function float32(what, buffer, count) {
  requireLength(what, buffer, count, 4);
  return new Float32Array(buffer);
}

/**
 * @param {string} what
 * @param {Float32Array} numbers
 * @param {(number: number) => boolean} accepted
 * @param {string} expected
 */
function requireEach(what, numbers, accepted, expected) {
  const at = numbers.findIndex((number) => !accepted(number));
  if (at >= 0) {
    throw new FormatError(`${what}: number ${at} is ${numbers[at]}, expected ${expected}`);
  }
}

/**
 * @param {string} what
 * @param {Uint32Array} indices
 * @param {number} end
 */
function requireBelow(what, indices, end) {
  for (let i = 0; i < indices.length; i++) {
    if (indices[i] >= end) {
      throw new FormatError(`${what}: number ${i} is ${indices[i]}, expected one below ${end}`);
    }
  }
}

/**
 * @param {string} what
 * @param {unknown} values
 * @returns {string[]}
 */
function distinctStrings(what, values) {
  if (!Array.isArray(values)) {
    throw new FormatError(`${what}: found no list of values`);
  }
  const seen = new Set();
  for (const value of values) {
    if (typeof value !== "string") {
      throw new FormatError(`${what}: found a value that is no text: ${JSON.stringify(value)}`);
    }
    if (seen.has(value)) {
      throw new FormatError(`${what}: found the value ${JSON.stringify(value)} twice`);
    }
    seen.add(value);
  }
  return values;
}

/**
 * @param {string} name
 * @param {ArrayBuffer} buffer uint32[n]
 * @param {unknown} values what the column's JSON file holds
 * @param {number} n
 * @returns {CategoryColumn}
 */
export function decodeCategory(name, buffer, values, n) {
  const what = `column ${JSON.stringify(name)}`;
  const codes = uint32(what, buffer, n);
  const strings = distinctStrings(what, values);
  requireBelow(what, codes, strings.length);
  const counts = new Uint32Array(strings.length);
  for (const code of codes) {
    counts[code]++;
  }
  return { name, kind: "category", codes, values: strings, counts };
}

/**
 * @param {string} name
 * @param {ArrayBuffer} buffer float64[n]
 * @param {number} n
 * @returns {NumberColumn}
 */
export function decodeNumber(name, buffer, n) {
  requireLength(`column ${JSON.stringify(name)}`, buffer, n, 8);
  const numbers = new Float64Array(buffer);
  let [low, high, present] = [Infinity, -Infinity, 0];
  for (const number of numbers) {
    present += Number.isNaN(number) ? 0 : 1;
    if (Number.isFinite(number)) {
      low = Math.min(low, number);
      high = Math.max(high, number);
    }
  }
  if (low > high) {
    [low, high] = [NaN, NaN];
  }
  return { name, kind: "number", numbers, low, high, present };
}

/**
 * @param {string} name
 * @param {ArrayBuffer} buffer UTF-8
 * @param {ArrayBuffer} offsetBuffer uint32[n + 1]
 * @param {number} n
 * @returns {TextColumn}
 */
export function decodeText(name, buffer, offsetBuffer, n) {
  const what = `column ${JSON.stringify(name)}`;
  const offsets = uint32(what, offsetBuffer, n + 1);
  const bytes = new Uint8Array(buffer);
  if (offsets[0] !== 0 || offsets[n] !== bytes.length) {
    throw new FormatError(
      `${what}: its texts lie at bytes ${offsets[0]} to ${offsets[n]}, ` +
        `expected 0 to ${bytes.length}, the length of its file`,
    );
  }
  for (let row = 0; row < n; row++) {
    if (offsets[row] > offsets[row + 1]) {
      throw new FormatError(
        `${what}: text ${row} begins at byte ${offsets[row]}, behind its end ${offsets[row + 1]}`,
      );
    }
  }
  return { name, kind: "text", bytes, offsets };
}

/**
 * @param {TextColumn} column
 * @param {number} row
 */
function decodedText(column, row) {
  return UTF8.decode(column.bytes.subarray(column.offsets[row], column.offsets[row + 1]));
}

/**
 * A number in as few characters as tell it from all others; nothing for a missing one.
 * @param {number} number
 */
export function numberText(number) {
  return Number.isNaN(number) ? "" : String(number);
}

/**
 * @param {Column} column
 * @param {number} row
 * @returns {string}
 */
export function valueText(column, row) {
  switch (column.kind) {
    case "category":
      return column.values[column.codes[row]];
    case "number":
      return numberText(column.numbers[row]);
    case "text":
      return decodedText(column, row);
  }
}

/**
 * How many photos a column tells of.
 * @param {Column} column
 */
export function rowCount(column) {
  switch (column.kind) {
    case "category":
      return column.codes.length;
    case "number":
      return column.numbers.length;
    case "text":
      return column.offsets.length - 1;
  }
}

/** @type {WeakMap<Column, Map<string, number>>} */
const rowMaps = new WeakMap();

/**
 * Text -> the first row that has it, to find the photo of one run in another.
 * @param {Column} column
 * @returns {Map<string, number>}
 */
export function rowsByText(column) {
  let rows = rowMaps.get(column);
  if (!rows) {
    rows = new Map();
    // From the last to the first, so that the first stays.
    for (let row = rowCount(column) - 1; row >= 0; row--) {
      rows.set(valueText(column, row), row);
    }
    rowMaps.set(column, rows);
  }
  return rows;
}

/**
 * The photos' places in the plane as x0, y0, x1, y1, ... in cells.
 * @param {ArrayBuffer} buffer float32[n, 2]
 * @param {number} n
 */
export function decodePlaces(buffer, n) {
  const places = float32("places", buffer, 2 * n);
  requireEach("places", places, Number.isFinite, "a finite number");
  return places;
}

/**
 * Each photo's cell, and the photo in each cell, -1 where there is none.
 * @param {ArrayBuffer} buffer uint32[n]
 * @param {number} n
 * @param {number} rows
 * @param {number} columns
 */
export function decodeCells(buffer, n, rows, columns) {
  const count = rows * columns;
  if (!(count >= n && count <= MOST_CELLS)) {
    throw new FormatError(
      `grid: found ${rows} x ${columns} cells for ${n} photos, ` +
        `expected at least one for each and at most ${MOST_CELLS}`,
    );
  }
  const cells = uint32("cells", buffer, n);
  requireBelow("cells", cells, count);
  const occupant = new Int32Array(count).fill(-1);
  for (let row = 0; row < n; row++) {
    const other = occupant[cells[row]];
    if (other >= 0) {
      throw new FormatError(`cells: photos ${other} and ${row} are both in cell ${cells[row]}`);
    }
    occupant[cells[row]] = row;
  }
  return { cells, occupant };
}

/**
 * The k nearest photos of each, nearest first, and how far they are.
 * @param {ArrayBuffer} neighbours uint32[n, k]
 * @param {ArrayBuffer} distances float32[n, k]
 * @param {number} n
 * @param {number} k
 */
export function decodeNeighbours(neighbours, distances, n, k) {
  const near = uint32("neighbours", neighbours, n * k);
  const far = float32("distances of neighbours", distances, n * k);
  requireBelow("neighbours", near, n);
  requireEach("distances of neighbours", far, Number.isFinite, "a finite number");
  return { near, far };
}

/**
 * How well each photo sits among its neighbours; NaN where it has none.
 * @param {ArrayBuffer} buffer float32[n]
 * @param {number} n
 */
export function decodeHarmony(buffer, n) {
  const harmony = float32("harmony", buffer, n);
  requireEach("harmony", harmony, (number) => Math.abs(number) !== Infinity, "a finite number");
  return harmony;
}
