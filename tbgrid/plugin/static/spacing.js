// The typical spacing of the layout positions: the median distance to the nearest neighbour.

import { boundingBox } from "./geometry.js";

/** Photos whose nearest neighbour is looked up: enough for a median, few enough to be instant. */
const SAMPLE_SIZE = 500;

/**
 * Positions sorted into square buckets, about two in each.
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
 * @param {ArrayLike<number>} positions
 * @param {number} row
 */
function bucketOf(buckets, positions, row) {
  const { left, top, size, columns, rows } = buckets;
  return {
    column: Math.min(columns - 1, Math.floor((positions[2 * row] - left) / size)),
    line: Math.min(rows - 1, Math.floor((positions[2 * row + 1] - top) / size)),
  };
}

/**
 * @param {ArrayLike<number>} positions
 * @param {number} n
 * @returns {Buckets}
 */
function sortIntoBuckets(positions, n) {
  const { left, top, right, bottom } = boundingBox(positions);
  const [width, height] = [right - left, bottom - top];
  const targetCount = Math.max(1, n / 2);
  // Positions on one line span no area; then the length of the line is divided.
  const longest = Math.max(width, height);
  const size = Math.max(Math.sqrt((width * height) / targetCount), longest / targetCount) || 1;
  const columns = Math.floor(width / size) + 1;
  const rows = Math.floor(height / size) + 1;
  const starts = new Uint32Array(columns * rows + 1);
  const members = new Uint32Array(n);
  const buckets = { left, top, size, columns, rows, starts, members };
  const bucketNumbers = Uint32Array.from({ length: n }, (_, row) => {
    const { column, line } = bucketOf(buckets, positions, row);
    return line * columns + column;
  });
  bucketNumbers.forEach((bucket) => starts[bucket + 1]++);
  for (let bucket = 0; bucket < columns * rows; bucket++) {
    starts[bucket + 1] += starts[bucket];
  }
  const next = starts.slice();
  bucketNumbers.forEach((bucket, row) => (members[next[bucket]++] = row));
  return buckets;
}

/**
 * The smallest distance above zero from a row to those in one bucket.
 * @param {Buckets} buckets
 * @param {number} bucket
 * @param {ArrayLike<number>} positions
 * @param {number} row
 */
function nearestInBucket(buckets, bucket, positions, row) {
  const [x, y] = [positions[2 * row], positions[2 * row + 1]];
  let minDistance = Infinity;
  for (let i = buckets.starts[bucket]; i < buckets.starts[bucket + 1]; i++) {
    const other = buckets.members[i];
    const [dx, dy] = [positions[2 * other] - x, positions[2 * other + 1] - y];
    const distance = Math.sqrt(dx * dx + dy * dy); // Math.hypot takes ten times as long
    minDistance = distance > 0 && distance < minDistance ? distance : minDistance;
  }
  return minDistance;
}

/**
 * The distance to the nearest other position, searched in rings of buckets around its own.
 * @param {Buckets} buckets
 * @param {ArrayLike<number>} positions
 * @param {number} row
 */
function nearestOther(buckets, positions, row) {
  const { columns, rows, size } = buckets;
  const { column, line } = bucketOf(buckets, positions, row);
  let minDistance = Infinity;
  for (let ring = 0; ring < Math.max(columns, rows); ring++) {
    const [top, bottom] = [Math.max(0, line - ring), Math.min(rows - 1, line + ring)];
    for (let r = top; r <= bottom; r++) {
      // Whole lines at the ring's top and bottom, otherwise only its two sides.
      const step = Math.abs(r - line) === ring ? 1 : Math.max(1, 2 * ring);
      for (let c = column - ring; c <= column + ring; c += step) {
        if (c >= 0 && c < columns) {
          const distance = nearestInBucket(buckets, r * columns + c, positions, row);
          minDistance = Math.min(minDistance, distance);
        }
      }
    }
    // Everything in the next ring is at least `ring` buckets away.
    if (minDistance <= ring * size) {
      break;
    }
  }
  return minDistance;
}

/**
 * A typical distance from a position to the nearest other one, always above zero. It decides how
 * large photos are drawn at their layout positions. Photos at the same position count as one.
 * @param {ArrayLike<number>} positions
 * @param {number} n
 */
export function typicalSpacing(positions, n) {
  if (n < 2) {
    return 1;
  }
  const buckets = sortIntoBuckets(positions, n);
  const sample = Math.min(n, SAMPLE_SIZE);
  const distances = [];
  for (let i = 0; i < sample; i++) {
    const distance = nearestOther(buckets, positions, Math.floor((i * n) / sample));
    if (distance < Infinity) {
      distances.push(distance);
    }
  }
  distances.sort((a, b) => a - b);
  return distances.length ? distances[distances.length >> 1] : 1;
}

