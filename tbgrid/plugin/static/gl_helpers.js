// The few WebGL2 calls that would otherwise be repeated.

/**
 * @typedef {{program: WebGLProgram, uniforms: Record<string, WebGLUniformLocation | null>}} Program
 *   a linked program and the locations of its active uniforms by name
 */

/** The browser cannot draw the map with WebGL2; the message says what is missing. */
export class WebGLUnavailableError extends Error {}

/**
 * Compile and link a program.
 *
 * @param {WebGL2RenderingContext} gl @param {string} vertexSource @param {string} fragmentSource
 * @returns {Program}
 */
export function createProgram(gl, vertexSource, fragmentSource) {
  const program = gl.createProgram();
  for (const [kind, source] of /** @type {const} */ ([
    [gl.VERTEX_SHADER, vertexSource],
    [gl.FRAGMENT_SHADER, fragmentSource],
  ])) {
    const shader = gl.createShader(kind);
    if (!shader) {
      throw new WebGLUnavailableError("The WebGL context was lost");
    }
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
    gl.deleteShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS) && !gl.isContextLost()) {
      throw new Error(`shader: ${gl.getShaderInfoLog(shader)}`);
    }
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
    throw new Error(`program: ${gl.getProgramInfoLog(program)}`);
  }
  return { program, uniforms: locateUniforms(gl, program) };
}

/** @param {WebGL2RenderingContext} gl @param {WebGLProgram} program */
function locateUniforms(gl, program) {
  /** @type {Record<string, WebGLUniformLocation | null>} */
  const uniforms = {};
  const count = gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS) ?? 0;
  for (let index = 0; index < count; index++) {
    const info = gl.getActiveUniform(program, index);
    if (info) {
      uniforms[info.name] = gl.getUniformLocation(program, info.name);
    }
  }
  return uniforms;
}

/**
 * A vertex buffer filled once.
 *
 * @param {WebGL2RenderingContext} gl @param {Float32Array | Uint16Array} data
 */
export function createBuffer(gl, data) {
  const buffer = gl.createBuffer();
  gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
  gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
  return buffer;
}

/**
 * Feed an attribute of the bound vertex array from a buffer with two numbers per vertex.
 *
 * @param {WebGL2RenderingContext} gl @param {WebGLBuffer | null} buffer @param {number} location
 * @param {number} type of the numbers: gl.FLOAT or gl.UNSIGNED_SHORT
 */
export function enableAttribute(gl, buffer, location, type) {
  gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
  gl.enableVertexAttribArray(location);
  if (type === gl.FLOAT) {
    gl.vertexAttribPointer(location, 2, type, false, 0, 0);
  } else {
    gl.vertexAttribIPointer(location, 2, type, 0, 0);
  }
}

/**
 * Set the filters of the bound texture, and clamp it to its edges.
 *
 * @param {WebGL2RenderingContext} gl @param {number} target @param {number} minFilter
 * @param {number} magFilter
 */
export function setSampling(gl, target, minFilter, magFilter) {
  gl.texParameteri(target, gl.TEXTURE_MIN_FILTER, minFilter);
  gl.texParameteri(target, gl.TEXTURE_MAG_FILTER, magFilter);
  gl.texParameteri(target, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
  gl.texParameteri(target, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
}

/**
 * @param {WebGL2RenderingContext} gl @param {number} unit @param {number} target
 * @param {WebGLTexture | null} texture
 */
export function bindTexture(gl, unit, target, texture) {
  gl.activeTexture(gl.TEXTURE0 + unit);
  gl.bindTexture(target, texture);
}
