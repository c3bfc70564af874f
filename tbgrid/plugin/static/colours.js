// Colours for values: of categories, of numbers, and of how well photos fit in with neighbours.

/** @typedef {import("./columns.js").Column} Column */
/** @typedef {[number, number, number]} Colour red, green, blue from 0 to 255 */
/** @typedef {[number, number, number]} Lab a colour of OKLab: lightness, green-red, blue-yellow */
/** @typedef {{label: string, colour: Colour, count: number}} LegendItem */
/**
 * @typedef {object} Categories the most frequent first; photos without a value, if any, last
 * @property {"categories"} kind
 * @property {LegendItem[]} items
 */
/**
 * @typedef {object} Range
 * @property {"range"} kind
 * @property {number} low
 * @property {number} high
 * @property {Colour[]} stops evenly spaced from low to high
 * @property {number} missing photos without a number, which are grey
 */
/** @typedef {{colours: Uint8Array, legend: Categories | Range}} Colouring RGBA of each photo */

/** @type {Colour} */
export const MISSING = [128, 128, 128];

/** Stops of a legend: between two of them a linear mixture looks the same as the true colour. */
const STOPS = 17;

/**
 * Found by a search. All have a contrast of at least 2 to white and 2.6 to black, so that borders
 * show on both. The first eight are as far apart as possible also for viewers without red or green
 * cones (0.15 in OKLab); each further one is as far as possible from all before it.
 */
const PALETTE = [
  "3c87ff d25a00 960096 f0a53c 69c3e1 962d0f c35a96 0f1eff",
  "3c875a ff1eff 00d278 962dff ff96c3 785ab4 1e4ba5 ff0069",
  "0096b4 b4005a ff5ac3 c30fd2 d28787 b469e1 b49600 5a2dd2",
]
  .join(" ")
  .split(" ")
  .map(parseHex);

/** Dark violet, blue, teal, green, yellow: ever lighter, so that it is readable as greys too. */
const GRADIENT = [
  labFromPolar(0.3, 0.13, 300),
  labFromPolar(0.45, 0.11, 260),
  labFromPolar(0.6, 0.1, 195),
  labFromPolar(0.75, 0.16, 145),
  labFromPolar(0.9, 0.17, 105),
];

/** How the heat map shows photos that do not fit in. @type {Colour} */
export const BAD = [214, 57, 30];
/** How its legend shows photos that fit in well. @type {Colour} */
const WELL = [236, 236, 236];

/**
 * @param {string} hex
 * @returns {Colour}
 */
function parseHex(hex) {
  const number = parseInt(hex, 16);
  return [number >> 16, (number >> 8) & 255, number & 255];
}

/**
 * @param {number} lightness
 * @param {number} chroma
 * @param {number} hue in degrees
 * @returns {Lab}
 */
function labFromPolar(lightness, chroma, hue) {
  const angle = (hue * Math.PI) / 180;
  return [lightness, chroma * Math.cos(angle), chroma * Math.sin(angle)];
}

/**
 * OKLab (Björn Ottosson, 2020) to sRGB; what lies outside sRGB is clipped.
 * @param {Lab} lab
 * @returns {Colour}
 */
function labToColour([lightness, a, b]) {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    toByte(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
    toByte(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
    toByte(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s),
  ];
}

/** @param {number} light of one primary, from 0 to 1 */
function toByte(light) {
  const t = Math.min(1, Math.max(0, light));
  return Math.round(255 * (t <= 0.0031308 ? 12.92 * t : 1.055 * t ** (1 / 2.4) - 0.055));
}

/**
 * @param {Lab[]} points
 * @param {number} t 0: the first, 1: the last; in between by the distance along the line
 * @returns {Lab}
 */
function interpolateLab(points, t) {
  const lengths = points.slice(1).map((point, i) => labDistance(points[i], point));
  const total = lengths.reduce((sum, length) => sum + length, 0);
  let rest = Math.min(1, Math.max(0, t)) * total;
  let leg = 0;
  while (leg < lengths.length - 1 && rest > lengths[leg]) {
    rest -= lengths[leg++];
  }
  const part = Math.min(1, rest / lengths[leg]);
  const [from, to] = [points[leg], points[leg + 1]];
  const mixed = from.map((value, i) => value + part * (to[i] - value));
  return [mixed[0], mixed[1], mixed[2]];
}

/**
 * @param {Lab} from
 * @param {Lab} to
 */
function labDistance(from, to) {
  return Math.hypot(from[0] - to[0], from[1] - to[1], from[2] - to[2]);
}

/**
 * The colour of the nth category.
 * @param {number} index
 * @returns {Colour}
 */
export function categoryColour(index) {
  if (index < PALETTE.length) {
    return [...PALETTE[index]];
  }
  // The golden angle never returns to the same hue; neighbours in the list differ in lightness.
  const beyond = index - PALETTE.length;
  return labToColour(labFromPolar(0.5 + 0.1 * (beyond % 3), 0.13, (20 + 137.508 * beyond) % 360));
}

/**
 * From dark violet (0) to light yellow (1); equal steps look equally large.
 * @param {number} t
 * @returns {Colour}
 */
export function gradientColour(t) {
  return labToColour(interpolateLab(GRADIENT, t));
}

/**
 * @param {ArrayLike<number>} values from 0 to 1, NaN where missing
 * @param {(t: number) => Colour} ramp
 */
function paintValues(values, ramp) {
  const table = Array.from({ length: 256 }, (_, i) => ramp(i / 255));
  const colours = new Uint8Array(4 * values.length);
  for (let row = 0; row < values.length; row++) {
    const clamped = Math.min(1, Math.max(0, values[row]));
    setColour(colours, row, Number.isNaN(values[row]) ? MISSING : table[Math.round(255 * clamped)]);
  }
  return colours;
}

/**
 * @param {Uint8Array} colours
 * @param {number} row
 * @param {Colour} colour
 */
function setColour(colours, row, colour) {
  colours[4 * row] = colour[0];
  colours[4 * row + 1] = colour[1];
  colours[4 * row + 2] = colour[2];
  colours[4 * row + 3] = 255;
}

/**
 * @param {ArrayLike<number>} values
 * @param {(t: number) => Colour} ramp
 * @param {number} low
 * @param {number} high
 * @returns {Colouring}
 */
function colourRange(values, ramp, low, high) {
  const stops = Array.from({ length: STOPS }, (_, i) => ramp(i / (STOPS - 1)));
  let missing = 0;
  for (let row = 0; row < values.length; row++) {
    missing += Number.isNaN(values[row]) ? 1 : 0;
  }
  const colours = paintValues(values, ramp);
  return { colours, legend: { kind: "range", low, high, stops, missing } };
}

/**
 * @param {import("./columns.js").CategoryColumn} column
 * @param {number} n
 * @param {import("./columns.js").CategoryColumn[]} among
 * @returns {Colouring}
 */
function colourCategories({ codes, values }, n, among) {
  /** @type {Map<string, number>} */
  const totals = new Map();
  for (const { values: known, counts } of among) {
    known.forEach((value, code) => totals.set(value, (totals.get(value) ?? 0) + counts[code]));
  }
  const used = [...totals].filter(([, count]) => count > 0);
  const named = used.filter(([value]) => value !== "").sort((a, b) => b[1] - a[1]); // stable
  const colourByValue = new Map(named.map(([value], rank) => [value, categoryColour(rank)]));
  const colourOf = (/** @type {string} */ value) => colourByValue.get(value) ?? MISSING;
  const order = named.concat(used.filter(([value]) => value === ""));
  const items = order.map(([label, count]) => ({ label, colour: colourOf(label), count }));
  const colourByCode = values.map(colourOf);
  const colours = new Uint8Array(4 * n);
  for (let row = 0; row < n; row++) {
    setColour(colours, row, colourByCode[codes[row]]);
  }
  return { colours, legend: { kind: "categories", items } };
}

/**
 * @param {import("./columns.js").NumberColumn} column
 * @param {import("./columns.js").NumberColumn[]} among
 * @returns {Colouring | null}
 */
function colourNumbers({ numbers }, among) {
  const present = among.filter(({ low }) => !Number.isNaN(low));
  if (present.length === 0) {
    return null;
  }
  const low = Math.min(...present.map((column) => column.low));
  const high = Math.max(...present.map((column) => column.high));
  // Halves, since the difference of the largest numbers is not a finite number.
  const span = high / 2 - low / 2;
  const normalize = (/** @type {number} */ number) => (number / 2 - low / 2) / span;
  const centre = (/** @type {number} */ number) => (Number.isNaN(number) ? NaN : 0.5);
  return colourRange(numbers.map(span > 0 ? normalize : centre), gradientColour, low, high);
}

/**
 * The colour of each photo by a column, with a legend; null if colours would say nothing: for
 * texts, of which each photo has its own, and for columns without a number. "" counts as missing.
 * @param {Column} column
 * @param {number} n
 * @param {Column[]} [among] the columns of that name in all runs on the page, including this
 *   one: equal values have the same colour in all of them
 * @returns {Colouring | null}
 */
export function colourByColumn(column, n, among = [column]) {
  switch (column.kind) {
    case "category":
      return colourCategories(column, n, among.filter((other) => other.kind === "category"));
    case "number":
      return colourNumbers(column, among.filter((other) => other.kind === "number"));
    case "text":
      return null;
  }
}

/**
 * How badly a photo fits in with its neighbours: the worse, the redder, by the square, so that the
 * worst stand out; photos that fit in well stay as they are. The scale is the same for all runs,
 * from 0 (as by chance, or worse) to 1.
 * @param {Float32Array} harmony NaN where a photo has no neighbours
 * @param {number} n
 * @returns {Colouring}
 */
export function colourByHarmony(harmony, n) {
  const colours = new Uint8Array(4 * n);
  let missing = 0;
  for (let row = 0; row < n; row++) {
    const clamped = Math.min(1, Math.max(0, harmony[row]));
    const isMissing = Number.isNaN(harmony[row]);
    setColour(colours, row, isMissing ? MISSING : BAD);
    colours[4 * row + 3] = isMissing ? 128 : Math.round(255 * (1 - clamped) ** 2);
    missing += isMissing ? 1 : 0;
  }
  const stops = Array.from({ length: STOPS }, (_, i) => {
    const cover = (1 - i / (STOPS - 1)) ** 2;
    const mixed = BAD.map((part, axis) => Math.round(WELL[axis] + (part - WELL[axis]) * cover));
    return /** @type {Colour} */ (mixed);
  });
  return { colours, legend: { kind: "range", low: 0, high: 1, stops, missing } };
}
