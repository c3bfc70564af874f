/** The service, as the page asks it. */

/**
 * @typedef {{code: number, description: string, details?: string}} Status
 * @typedef {{
 *   id: string, name: string, status: Status, stage?: string, progress?: number,
 *   data?: {image: {url: string, rows: number, columns: number}, run: string, photos: number,
 *           left_out: {name: string, reason: string}[]}
 * }} Output
 */

/** A request that was not granted; the message is the server's line. */
export class Refused extends Error {
  /** @param {number} status @param {string} line */
  constructor(status, line) {
    super(line);
    this.status = status;
  }
}

/** Asks the server the page is from, with a key if it wants one. */
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
    if (this.key) headers.set("Authorization", `Key ${this.key}`);
    let answer;
    try {
      answer = await fetch(path, {...options, headers});
    } catch {
      throw new Refused(0, "the server does not answer");
    }
    if (!answer.ok) {
      const told = await answer.json().catch(() => null);
      throw new Refused(answer.status, told?.status?.description ?? `HTTP ${answer.status}`);
    }
    return answer;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {unknown} [body]
   * @returns {Promise<any>}
   */
  async json(method, path, body) {
    const headers = body === undefined ? undefined : {"Content-Type": "application/json"};
    const answer = await this.fetch(path, {method, headers, body: JSON.stringify(body)});
    return answer.status === 204 ? null : answer.json();
  }

  /** @param {string} path */
  of(path) {
    return `${path}?application=${encodeURIComponent(this.application)}`;
  }

  /** @param {File} file @param {string} label */
  async add(file, label) {
    const form = new FormData();
    form.append("image", file, file.name);
    if (label) form.append("label", label);
    await this.fetch(this.of("/v2/inputs"), {method: "POST", body: form});
  }

  /** @param {Record<string, unknown>} options @returns {Promise<Output>} */
  async make(options) {
    return (await this.json("POST", this.of("/v2/visualizations"), options)).output;
  }

  /** @param {string} id @returns {Promise<Output>} */
  async output(id) {
    return (await this.json("GET", `/v2/visualizations/${id}`)).output;
  }

  /** @returns {Promise<Output[]>} */
  async outputs() {
    return (await this.json("GET", this.of("/v2/visualizations"))).outputs;
  }
}
