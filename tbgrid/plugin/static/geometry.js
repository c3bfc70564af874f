/**
 * Where photos lie, and which lie under a point, in a rectangle or in a lasso.
 *
 * The unit is the grid's cell: x is the column and y the row, both at the cell's centre, so that
 * cell (row r, column c) covers [c - 0.5, c + 0.5) x [r - 0.5, r + 0.5). `centres` are the centres
 * of the photos, x0, y0, x1, y1, ...
 */

/** @typedef {{x: number, y: number}} Point */
/** @typedef {{left: number, top: number, right: number, bottom: number}} Rectangle */

/** Photos whose nearest place is looked for: enough for a median, few enough for a blink. */
const SAMPLE = 500;

/** Bands that a lasso is cut into. */
const BANDS = 64;

/**
 * The rectangle between two opposite corners.
 * @param {Point} a
 * @param {Point} b
 * @returns {Rectangle}
 */
export function rectangle(a, b) {
  return {
    left: Math.min(a.x, b.x),
    top: Math.min(a.y, b.y),
    right: Math.max(a.x, b.x),
    bottom: Math.max(a.y, b.y),
  };
}

/**
 * @param {Rectangle} rect
 * @param {number} x
 * @param {number} y
 */
function holds(rect, x, y) {
  return x >= rect.left && x <= rect.right && y >= rect.top && y <= rect.bottom;
}

/**
 * The photos whose centres lie in a rectangle, its border included.
 * @param {Rectangle} rect
 * @param {ArrayLike<number>} centres
 * @param {number} n
 */
export function inRectangle(rect, centres, n) {
  const mask = new Uint8Array(n);
  for (let row = 0; row < n; row++) {
    mask[row] = holds(rect, centres[2 * row], centres[2 * row + 1]) ? 1 : 0;
  }
  return mask;
}

/** @param {ArrayLike<number | number[]>} polygon points, or x0, y0, x1, y1, ... */
function flatPolygon(polygon) {
  return Float64Array.from(Array.from(polygon).flat());
}

/**
 * @param {ArrayLike<number>} points x0, y0, x1, y1, ...
 * @returns {Rectangle}
 */
function boundingBox(points) {
  const box = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity };
  for (let i = 0; i + 1 < points.length; i += 2) {
    box.left = Math.min(box.left, points[i]);
    box.right = Math.max(box.right, points[i]);
    box.top = Math.min(box.top, points[i + 1]);
    box.bottom = Math.max(box.bottom, points[i + 1]);
  }
  return box;
}

/**
 * Whether all points lie on one line, where rounding alone would decide what is inside.
 * @param {Float64Array} points
 */
function isFlat(points) {
  const [x, y] = points;
  let [farX, farY] = [0, 0];
  for (let i = 2; i < points.length; i += 2) {
    if (Math.hypot(points[i] - x, points[i + 1] - y) > Math.hypot(farX, farY)) {
      [farX, farY] = [points[i] - x, points[i + 1] - y];
    }
  }
  const tolerance = 1e-12 * (farX * farX + farY * farY);
  for (let i = 2; i < points.length; i += 2) {
    if (Math.abs((points[i] - x) * farY - (points[i + 1] - y) * farX) > tolerance) {
      return false;
    }
  }
  return true;
}

/**
 * A polygon's edges as upper x, upper y, lower x, lower y. Always from top to bottom, so that an
 * edge drawn twice, there and back, is the same number twice and cancels out exactly.
 * @param {Float64Array} points
 */
function downwardEdges(points) {
  const edges = [];
  for (let i = 0; i < points.length; i += 2) {
    const next = (i + 2) % points.length;
    const start = [points[i], points[i + 1]];
    const end = [points[next], points[next + 1]];
    if (start[1] !== end[1]) {
      edges.push(start[1] < end[1] ? [...start, ...end] : [...end, ...start]);
    }
  }
  return Float64Array.from(edges.flat());
}

/**
 * The edges in each of BANDS bands of a box, from top to bottom: a hand draws a lasso of a thousand
 * edges, of which a photo needs to be compared with those at its height alone.
 * @param {Float64Array} edges
 * @param {Rectangle} box
 */
function edgesInBands(edges, box) {
  const bands = Array.from({ length: BANDS }, () => /** @type {number[]} */ ([]));
  for (let i = 0; i < edges.length; i += 4) {
    for (let band = bandOf(edges[i + 1], box); band <= bandOf(edges[i + 3], box); band++) {
      bands[band].push(i);
    }
  }
  return bands;
}

/**
 * @param {number} y
 * @param {Rectangle} box
 */
function bandOf(y, { top, bottom }) {
  return Math.min(BANDS - 1, Math.floor(((y - top) / (bottom - top)) * BANDS));
}

/**
 * Whether a ray from the point to the right crosses an odd number of edges.
 * @param {Float64Array} edges
 * @param {number[]} near where in `edges` those lie that may be crossed
 * @param {number} x
 * @param {number} y
 */
function isInside(edges, near, x, y) {
  let inside = false;
  for (const i of near) {
    const top = edges[i + 1];
    const bottom = edges[i + 3];
    if (y >= top && y < bottom) {
      const share = (y - top) / (bottom - top);
      inside = x < edges[i] + share * (edges[i + 2] - edges[i]) ? !inside : inside;
    }
  }
  return inside;
}

/**
 * The photos whose centres lie in a polygon, by the even-odd rule: a loop within a loop is a hole.
 * @param {ArrayLike<number | number[]>} polygon points, or x0, y0, x1, y1, ...
 * @param {ArrayLike<number>} centres
 * @param {number} n
 */
export function inLasso(polygon, centres, n) {
  const mask = new Uint8Array(n);
  const points = flatPolygon(polygon);
  const readable = points.length % 2 === 0 && points.every(Number.isFinite);
  if (!readable || points.length < 6 || isFlat(points)) {
    return mask;
  }
  const box = boundingBox(points);
  const edges = downwardEdges(points);
  const bands = edgesInBands(edges, box);
  for (let row = 0; row < n; row++) {
    const x = centres[2 * row];
    const y = centres[2 * row + 1];
    const inside = holds(box, x, y) && isInside(edges, bands[bandOf(y, box)], x, y);
    mask[row] = inside ? 1 : 0;
  }
  return mask;
}

/**
 * The photo under a point, or -1: of those whose square of `side` holds the point, the one whose
 * centre is nearest; of equals the last one, which is drawn on top.
 * @param {number} x
 * @param {number} y
 * @param {ArrayLike<number>} centres
 * @param {number} side
 * @param {number} n
 */
export function photoAt(x, y, centres, side, n) {
  const half = side / 2;
  let [found, least] = [-1, Infinity];
  for (let row = 0; row < n; row++) {
    const dx = Math.abs(centres[2 * row] - x);
    const dy = Math.abs(centres[2 * row + 1] - y);
    if (dx <= half && dy <= half && dx * dx + dy * dy <= least) {
      [found, least] = [row, dx * dx + dy * dy];
    }
  }
  return found;
}

/**
 * The cell under a point, or -1 outside of the grid.
 * @param {number} x
 * @param {number} y
 * @param {number} rows
 * @param {number} columns
 */
export function cellAt(x, y, rows, columns) {
  // Math.round goes up at .5 and, unlike floor(x + 0.5), never loses the last digit to the sum.
  const [column, row] = [Math.round(x), Math.round(y)];
  const within = column >= 0 && column < columns && row >= 0 && row < rows;
  return within ? Math.abs(row * columns + column) : -1; // abs: no negative zero
}

/**
 * @param {number} cell
 * @param {number} columns
 * @returns {Point}
 */
export function cellCentre(cell, columns) {
  return { x: cell % columns, y: Math.floor(cell / columns) };
}

/**
 * How far two cells lie apart, as the crow flies, in cells.
 * @param {number} a
 * @param {number} b
 * @param {number} columns
 */
export function cellDistance(a, b, columns) {
  const [from, to] = [cellCentre(a, columns), cellCentre(b, columns)];
  return Math.hypot(from.x - to.x, from.y - to.y);
}

/**
 * Slow at both ends: 0 -> 0, 1/2 -> 1/2, 1 -> 1.
 * @param {number} share
 */
export function eased(share) {
  const t = Math.min(1, Math.max(0, share));
  return t * t * (3 - 2 * t);
}

/**
 * The photos' centres on their way from the places in the plane (share 0) to the cells (share 1).
 * @param {Float32Array} places
 * @param {Uint32Array} cells
 * @param {number} columns
 * @param {number} share
 * @param {Float32Array} [out] to be written to and returned, so that an animation needs no memory
 */
export function between(places, cells, columns, share, out = new Float32Array(places.length)) {
  const t = eased(share);
  for (let row = 0; row < cells.length; row++) {
    const column = cells[row] % columns;
    const line = (cells[row] - column) / columns;
    const [x, y] = [places[2 * row], places[2 * row + 1]];
    out[2 * row] = x + t * (column - x);
    out[2 * row + 1] = y + t * (line - y);
  }
  return out;
}

/**
 * Places sorted into square buckets, about two in each.
 * @typedef {object} Buckets
 * @property {number} left
 * @property {number} top
 * @property {number} size of a bucket
 * @property {number} columns
 * @property {number} rows
 * @property {Uint32Array} starts bucket i holds members[starts[i]] up to members[starts[i + 1] - 1]
 * @property {Uint32Array} members rows
 */

/**
 * @param {Buckets} buckets
 * @param {ArrayLike<number>} places
 * @param {number} row
 */
function bucketOf(buckets, places, row) {
  const { left, top, size, columns, rows } = buckets;
  return {
    column: Math.min(columns - 1, Math.floor((places[2 * row] - left) / size)),
    line: Math.min(rows - 1, Math.floor((places[2 * row + 1] - top) / size)),
  };
}

/**
 * @param {ArrayLike<number>} places
 * @param {number} n
 * @returns {Buckets}
 */
function sortIntoBuckets(places, n) {
  const { left, top, right, bottom } = boundingBox(places);
  const [width, height] = [right - left, bottom - top];
  const wanted = Math.max(1, n / 2);
  // Places on one line have no area; then the length of the line is what is divided.
  const longest = Math.max(width, height);
  const size = Math.max(Math.sqrt((width * height) / wanted), longest / wanted) || 1;
  const columns = Math.floor(width / size) + 1;
  const rows = Math.floor(height / size) + 1;
  const starts = new Uint32Array(columns * rows + 1);
  const members = new Uint32Array(n);
  const buckets = { left, top, size, columns, rows, starts, members };
  const numbers = Uint32Array.from({ length: n }, (_, row) => {
    const { column, line } = bucketOf(buckets, places, row);
    return line * columns + column;
  });
  numbers.forEach((bucket) => starts[bucket + 1]++);
  for (let bucket = 0; bucket < columns * rows; bucket++) {
    starts[bucket + 1] += starts[bucket];
  }
  const next = starts.slice();
  numbers.forEach((bucket, row) => (members[next[bucket]++] = row));
  return buckets;
}

/**
 * The least distance, other than zero, from a row to those in one bucket.
 * @param {Buckets} buckets
 * @param {number} bucket
 * @param {ArrayLike<number>} places
 * @param {number} row
 */
function nearestInBucket(buckets, bucket, places, row) {
  const [x, y] = [places[2 * row], places[2 * row + 1]];
  let least = Infinity;
  for (let i = buckets.starts[bucket]; i < buckets.starts[bucket + 1]; i++) {
    const other = buckets.members[i];
    const [dx, dy] = [places[2 * other] - x, places[2 * other + 1] - y];
    const distance = Math.sqrt(dx * dx + dy * dy); // Math.hypot takes ten times as long
    least = distance > 0 && distance < least ? distance : least;
  }
  return least;
}

/**
 * The distance to the nearest other place, looked for in rings of buckets around its own.
 * @param {Buckets} buckets
 * @param {ArrayLike<number>} places
 * @param {number} row
 */
function nearestOther(buckets, places, row) {
  const { columns, rows, size } = buckets;
  const { column, line } = bucketOf(buckets, places, row);
  let least = Infinity;
  for (let ring = 0; ring < Math.max(columns, rows); ring++) {
    const [top, bottom] = [Math.max(0, line - ring), Math.min(rows - 1, line + ring)];
    for (let r = top; r <= bottom; r++) {
      // Whole lines at the ring's top and bottom, else only its two sides.
      const step = Math.abs(r - line) === ring ? 1 : Math.max(1, 2 * ring);
      for (let c = column - ring; c <= column + ring; c += step) {
        if (c >= 0 && c < columns) {
          least = Math.min(least, nearestInBucket(buckets, r * columns + c, places, row));
        }
      }
    }
    // Whatever lies in the next ring is at least `ring` buckets away.
    if (least <= ring * size) {
      break;
    }
  }
  return least;
}

/**
 * A typical distance from a place to the nearest other one, always above zero: how large photos may
 * be drawn at their places in the plane. Photos at the very same place count as one.
 * @param {ArrayLike<number>} places
 * @param {number} n
 */
export function spacing(places, n) {
  if (n < 2) {
    return 1;
  }
  const buckets = sortIntoBuckets(places, n);
  const sample = Math.min(n, SAMPLE);
  const distances = [];
  for (let i = 0; i < sample; i++) {
    const distance = nearestOther(buckets, places, Math.floor((i * n) / sample));
    if (distance < Infinity) {
      distances.push(distance);
    }
  }
  distances.sort((a, b) => a - b);
  return distances.length ? distances[distances.length >> 1] : 1;
}

/**
 * The nearest photo to one side of another, for the arrow keys, or -1. A side is everything up to
 * 45 degrees from the direction (dx, dy); of equally near ones the straightest, then the first.
 * @param {number} row
 * @param {number} dx
 * @param {number} dy
 * @param {ArrayLike<number>} centres
 * @param {number} n
 */
export function neighbourInDirection(row, dx, dy, centres, n) {
  const [x, y] = [centres[2 * row], centres[2 * row + 1]];
  let found = -1;
  let [least, straightest] = [Infinity, Infinity];
  for (let other = 0; other < n; other++) {
    const [toX, toY] = [centres[2 * other] - x, centres[2 * other + 1] - y];
    const along = toX * dx + toY * dy;
    const across = Math.abs(toX * dy - toY * dx);
    const distance = toX * toX + toY * toY;
    const nearer = distance < least || (distance === least && across < straightest);
    if (along > 0 && across <= along && nearer) {
      [found, least, straightest] = [other, distance, across];
    }
  }
  return found;
}
