// The programs that run on the GPU.
//
// Photos are sampled from `layers`, an array of square tiles of the pyramid. `pages` says for each
// tile of the current level where it is: its layer, and how many levels coarser the tile is that
// stands in for it while it is being fetched (16 means the level itself). `marks` and `tints` hold
// one texel per cell.

const HEAD = `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2DArray;
precision highp usampler2D;
`;

// How a photo looks: its picture, then what marks it. uv goes from 0 to 1 across the photo.
const PHOTO = `
uniform sampler2DArray layers;
uniform usampler2D pages;
uniform sampler2D tints;
uniform usampler2D marks;
uniform float photoSide;   // px of a photo at the current level
uniform float tileSide;    // px
uniform float pixels;      // device px of a photo on the screen
uniform float tintKind;    // 0 none, 1 borders, 2 over the whole photo
uniform vec3 paper;        // the background

vec4 picture(ivec2 cell, vec2 uv) {
  int across = int(tileSide / photoSide);
  uvec4 page = texelFetch(pages, cell / across, 0);
  if (page.b == 0u) return vec4(mix(paper, vec3(0.5), 0.15), 1.0);
  float coarser = exp2(float(page.g) - 16.0);
  float side = photoSide / coarser;
  ivec2 within = cell % int(float(across) * coarser + 0.5);
  vec2 at = vec2(within) * side + clamp(uv * side, 0.5, side - 0.5);
  return vec4(texture(layers, vec3(at / tileSide, float(page.r))).rgb, 1.0);
}

// Adds the marks to a picture. Border and dimming follow the photo's own texel of marks:
// r: 255 if it passes the filter; g: 255 if it is selected; b: 255 if there is a photo.
vec4 mark(ivec2 cell, vec2 uv, vec4 colour) {
  uvec4 flags = texelFetch(marks, cell, 0);
  vec4 tint = texelFetch(tints, cell, 0);
  vec2 inside = min(uv, 1.0 - uv) * pixels;
  float edge = min(inside.x, inside.y);
  if (tintKind == 2.0) colour.rgb = mix(colour.rgb, tint.rgb, tint.a * 0.72);
  if (tintKind == 1.0) {
    float width = clamp(pixels * 0.09, 1.0, 5.0);
    float line = 1.0 - smoothstep(width - 0.5, width + 0.5, edge);
    colour.rgb = mix(colour.rgb, tint.rgb, tint.a * line);
  }
  if (flags.r == 0u) {
    float grey = dot(colour.rgb, vec3(0.299, 0.587, 0.114));
    colour.rgb = mix(paper, mix(vec3(grey), colour.rgb, 0.35), 0.2);
  }
  if (flags.g != 0u) {
    float width = clamp(pixels * 0.1, 1.5, 4.0);
    float line = 1.0 - smoothstep(width - 0.5, width + 0.5, edge);
    colour.rgb = mix(mix(colour.rgb, vec3(0.10, 0.45, 0.91), 0.12), vec3(0.10, 0.45, 0.91), line);
  }
  return colour;
}
`;

// Photos on the grid: one triangle over the whole canvas, so that a frame costs the same for any
// number of photos.
export const GRID_VERTEX = `${HEAD}
void main() {
  vec2 corner = vec2(float((gl_VertexID << 1) & 2), float(gl_VertexID & 2));
  gl_Position = vec4(corner * 2.0 - 1.0, 0.0, 1.0);
}`;

export const GRID_FRAGMENT = `${HEAD}
${PHOTO}
uniform vec2 canvasSize;   // device px
uniform vec2 middle;       // cells
uniform float scale;       // device px per cell
uniform ivec2 gridSize;    // columns, rows
out vec4 result;
void main() {
  vec2 screen = vec2(gl_FragCoord.x, canvasSize.y - gl_FragCoord.y);
  vec2 world = (screen - canvasSize * 0.5) / scale + middle + 0.5;
  ivec2 cell = ivec2(floor(world));
  if (any(lessThan(cell, ivec2(0))) || any(greaterThanEqual(cell, gridSize))) discard;
  if (texelFetch(marks, cell, 0).b == 0u) discard;
  vec2 uv = fract(world);
  result = mark(cell, uv, picture(cell, uv));
}`;

// Photos off the grid: four vertices for each. (Instances would need less data, but a browser that
// renders in software treats each instance as a draw call of its own.)
export const PHOTOS_VERTEX = `${HEAD}
layout(location = 0) in vec2 position;
layout(location = 1) in uvec2 cellAt;
uniform vec2 canvasSize;
uniform vec2 middle;
uniform float scale;
uniform float t;           // eased: 0 at the layout positions, 1 in the cells
uniform float side;        // of a photo in cells
flat out ivec2 cell;
out vec2 uv;
void main() {
  cell = ivec2(cellAt);
  uv = vec2(float(gl_VertexID & 1), float((gl_VertexID >> 1) & 1));
  vec2 centre = mix(position, vec2(cellAt), t);
  vec2 screen = (centre + (uv - 0.5) * side - middle) * scale;
  gl_Position = vec4(screen.x * 2.0 / canvasSize.x, -screen.y * 2.0 / canvasSize.y, 0.0, 1.0);
}`;

export const PHOTOS_FRAGMENT = `${HEAD}
${PHOTO}
flat in ivec2 cell;
in vec2 uv;
out vec4 result;
void main() {
  result = mark(cell, uv, picture(cell, uv));
}`;

// Photos seen from close by, each from its own preview.
export const PREVIEWS_VERTEX = `${HEAD}
layout(location = 0) in vec2 centre;
layout(location = 1) in uvec2 cellAt;
layout(location = 2) in vec2 stored;   // layer, part of its side that the preview fills
uniform vec2 canvasSize;
uniform vec2 middle;
uniform float scale;
uniform float side;
flat out ivec2 cell;
flat out vec2 store;
out vec2 uv;
void main() {
  cell = ivec2(cellAt);
  store = stored;
  uv = vec2(float(gl_VertexID & 1), float((gl_VertexID >> 1) & 1));
  vec2 screen = (centre + (uv - 0.5) * side - middle) * scale;
  gl_Position = vec4(screen.x * 2.0 / canvasSize.x, -screen.y * 2.0 / canvasSize.y, 0.0, 1.0);
}`;

export const PREVIEWS_FRAGMENT = `${HEAD}
${PHOTO}
uniform sampler2DArray previews;
uniform float previewSide;  // px of a layer
flat in ivec2 cell;
flat in vec2 store;
in vec2 uv;
out vec4 result;
void main() {
  vec2 at = clamp(uv * store.y, 0.5 / previewSide, store.y - 0.5 / previewSide);
  result = mark(cell, uv, vec4(texture(previews, vec3(at, store.x)).rgb, 1.0));
}`;
