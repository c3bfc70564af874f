// Numbers from the files of a run, checked.

/** A file of a run is not as expected; the message is for users. */
export class FormatError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = "FormatError";
  }
}

const LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

/**
 * Typed arrays have the byte order of the machine, and the files are little-endian. So is every
 * browser that runs WebGL2; on any other the numbers would silently be wrong.
 * @param {boolean} littleEndian
 */
export function requireLittleEndian(littleEndian = LITTLE_ENDIAN) {
  if (!littleEndian) {
    throw new FormatError(
      "This machine is big-endian; the Grid tab needs a little-endian one.",
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
export function uint32(what, buffer, count) {
  requireLength(what, buffer, count, 4);
  return new Uint32Array(buffer);
}

/**
 * @param {string} what
 * @param {ArrayBuffer} buffer
 * @param {number} count
 */
export function float32(what, buffer, count) {
  requireLength(what, buffer, count, 4);
  return new Float32Array(buffer);
}

/**
 * @param {string} what
 * @param {ArrayBuffer} buffer
 * @param {number} count
 */
export function float64(what, buffer, count) {
  requireLength(what, buffer, count, 8);
  return new Float64Array(buffer);
}

/**
 * @param {string} what
 * @param {Float32Array} numbers
 * @param {(number: number) => boolean} accepted
 * @param {string} expected
 */
export function requireEach(what, numbers, accepted, expected) {
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
export function requireBelow(what, indices, end) {
  for (let i = 0; i < indices.length; i++) {
    if (indices[i] >= end) {
      throw new FormatError(`${what}: number ${i} is ${indices[i]}, expected one below ${end}`);
    }
  }
}
