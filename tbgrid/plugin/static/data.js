// One export of a run, loaded from its files.

import { FormatError } from "./buffers.js";
import { decodeCategory, decodeNumber, decodeText } from "./columns.js";
import { decodeCells, decodeHarmony, decodeNeighbours, decodePositions } from "./map_arrays.js";
import { DataError, address, get } from "./server.js";

/**
 * @typedef {import("./columns.js").Column} Column
 * @typedef {import("./server.js").Listed} Listed
 * @typedef {{name: string, kind: "category" | "number" | "text"}} ColumnInfo
 * @typedef {{title: string, photos: number, grid: [number, number], pictured: boolean,
 *   model: string, layout: string, metric: string, neighbours: number, neighbours_exact: boolean,
 *   columns: ColumnInfo[], key: number, cell: number, tile: number, preview: number,
 *   skipped: number, report: [string, string][], summary: [string, string][], notes: string[]}}
 *   Manifest
 */

/** What is needed to draw an export and to search it; its neighbours are fetched on request. */
export class Run {
  /**
   * @param {string} name @param {string} fingerprint @param {Manifest} manifest
   * @param {{positions: Float32Array, cells: Uint32Array, occupant: Int32Array,
   *   harmony: Float32Array, columns: Column[]}} arrays
   */
  constructor(name, fingerprint, manifest, arrays) {
    this.name = name;
    this.fingerprint = fingerprint;
    this.manifest = manifest;
    this.count = manifest.photos;
    this.rows = manifest.grid[0];
    this.columnsAcross = manifest.grid[1];
    this.positions = arrays.positions;
    this.cells = arrays.cells;
    this.occupant = arrays.occupant;
    this.harmony = arrays.harmony;
    this.columns = arrays.columns;
    /** @type {Promise<{rows: Uint32Array, distances: Float32Array}> | null} */
    this.neighbours = null;
  }

  /** The column that names the photos. */
  get key() {
    return this.columns[this.manifest.key];
  }

  /** The column of labels, if there is one. */
  get label() {
    return this.columns.find((column) => column.name === "label") ?? null;
  }

  get mosaic() {
    const { cell, tile } = this.manifest;
    return { rows: this.rows, columns: this.columnsAcross, cell, tile };
  }

  get grid() {
    return { rows: this.rows, columns: this.columnsAcross };
  }

  /** @param {number} row */
  previewAddress(row) {
    return address("preview", { run: this.name, export: this.fingerprint, row });
  }

  /** @param {{level: number, column: number, row: number}} tile */
  tileAddress(tile) {
    return address("tile", { run: this.name, export: this.fingerprint, ...tile });
  }

  /** @param {string} name */
  fileAddress(name) {
    return address("file", { run: this.name, export: this.fingerprint, name });
  }

  /**
   * The nearest photos of one by embedding, nearest first. Those of all photos are fetched once.
   *
   * @param {number} row
   * @returns {Promise<{row: number, distance: number}[]>}
   */
  async findNearest(row) {
    this.neighbours ??= this.fetchNeighbours().catch((error) => {
      this.neighbours = null; // so that the next click tries again
      throw error;
    });
    const { rows, distances } = await this.neighbours;
    const k = this.manifest.neighbours;
    return Array.from(rows.subarray(k * row, k * row + k), (other, index) => ({
      row: other,
      distance: distances[k * row + index],
    }));
  }

  async fetchNeighbours() {
    const [rows, distances] = await Promise.all([
      fetchBytes(this.fileAddress("neighbours.u32")),
      fetchBytes(this.fileAddress("distances.f32")),
    ]);
    return decodeNeighbours(rows, distances, this.count, this.manifest.neighbours);
  }
}

/** @param {string} url */
async function fetchBytes(url) {
  return (await get(url)).arrayBuffer();
}

/**
 * @param {Listed} listed
 * @returns {Promise<Run>}
 */
export async function loadRun(listed) {
  if (listed.error !== null || listed.export === null) {
    throw new DataError(listed.error ?? "no export", listed.hint ?? "", 422);
  }
  const file = (/** @type {string} */ name) =>
    address("file", { run: listed.run, export: listed.export ?? "", name });
  /** @type {Manifest} */
  const manifest = await (await get(file("manifest.json"))).json();
  const count = manifest.photos;
  const [rows, columnsAcross] = manifest.grid;
  try {
    const [positions, cells, harmony, columns] = await Promise.all([
      fetchBytes(file("places.f32")),
      fetchBytes(file("cells.u32")),
      fetchBytes(file("harmony.f32")),
      Promise.all(
        manifest.columns.map((info, index) => loadColumn(info, count, index, file)),
      ),
    ]);
    return new Run(listed.run, listed.export, manifest, {
      positions: decodePositions(positions, count),
      ...decodeCells(cells, count, rows, columnsAcross),
      harmony: decodeHarmony(harmony, count),
      columns,
    });
  } catch (error) {
    if (error instanceof FormatError) {
      throw new DataError(`run ${listed.run}: ${error.message}`, "export the photos again", 422);
    }
    throw error;
  }
}

/**
 * @param {ColumnInfo} info @param {number} count @param {number} index
 * @param {(name: string) => string} file
 * @returns {Promise<Column>}
 */
async function loadColumn(info, count, index, file) {
  const fetchPart = (/** @type {string} */ kind) => fetchBytes(file(`column-${index}.${kind}`));
  if (info.kind === "number") {
    return decodeNumber(info.name, await fetchPart("f64"), count);
  }
  const numbers = fetchPart("u32");
  if (info.kind === "text") {
    return decodeText(info.name, await fetchPart("utf8"), await numbers, count);
  }
  const values = await (await get(file(`column-${index}.json`))).json();
  return decodeCategory(info.name, await numbers, values, count);
}
