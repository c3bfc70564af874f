// The service's HTTP API, as the page uses it.

/**
 * @typedef {{code: number, description: string, details?: string}} Status
 * @typedef {{
 *   id: string, name: string, status: Status, stage?: string, progress?: number,
 *   data?: {image: {url: string, rows: number, columns: number}, run: string, photos: number,
 *           skipped: {name: string, reason: string}[]}
 * }} Output
 */

/** A request that failed; the message is the server's. */
export class RequestError extends Error {
  /** @param {number} status 0 without an answer @param {string} message */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Sends requests to the server that the page came from, with a key if it needs one. */
export class Client {
  constructor() {
    this.key = "";
    this.application = "default";
  }

  /**
   * @param {string} path
   * @param {RequestInit} [options]
   * @returns {Promise<Response>}
   */
  async fetch(path, options = {}) {
    const headers = new Headers(options.headers);
    if (this.key) {
      headers.set("Authorization", `Key ${this.key}`);
    }
    let response;
    try {
      response = await fetch(path, { ...options, headers });
    } catch {
      throw new RequestError(0, "the server is not responding");
    }
    if (!response.ok) {
      const body = await response.json().catch(() => null);
      throw new RequestError(
        response.status, body?.status?.description ?? `HTTP ${response.status}`);
    }
    return response;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {unknown} [body]
   * @returns {Promise<any>}
   */
  async requestJson(method, path, body) {
    const headers = body === undefined ? undefined : { "Content-Type": "application/json" };
    const response = await this.fetch(path, { method, headers, body: JSON.stringify(body) });
    return response.status === 204 ? null : response.json();
  }

  /** The path with the chosen application. @param {string} path */
  withApplication(path) {
    return `${path}?application=${encodeURIComponent(this.application)}`;
  }

  /** @param {File} file @param {string} label */
  async addPhoto(file, label) {
    const form = new FormData();
    form.append("image", file, file.name);
    if (label) {
      form.append("label", label);
    }
    await this.fetch(this.withApplication("/v2/inputs"), { method: "POST", body: form });
  }

  /** Ask for a map. @param {Record<string, unknown>} options @returns {Promise<Output>} */
  async createMap(options) {
    const path = this.withApplication("/v2/visualizations");
    return (await this.requestJson("POST", path, options)).output;
  }

  /** @param {string} id @returns {Promise<Output>} */
  async getMap(id) {
    return (await this.requestJson("GET", `/v2/visualizations/${id}`)).output;
  }

  /** @returns {Promise<Output[]>} */
  async listMaps() {
    return (await this.requestJson("GET", this.withApplication("/v2/visualizations"))).outputs;
  }
}
