// The routes, read from the OpenAPI document.

/**
 * @param {string} tag
 * @param {string} text
 * @param {string} [className]
 */
function createElement(tag, text, className) {
  const el = document.createElement(tag);
  el.textContent = text;
  if (className) {
    el.className = className;
  }
  return el;
}

/**
 * A schema as a readable outline, with its references resolved.
 *
 * @param {any} schema
 * @param {any} openapi
 * @param {number} depth
 * @returns {unknown}
 */
export function outlineSchema(schema, openapi, depth = 0) {
  if (!schema || depth > 14) {
    return "...";
  }
  if (schema.$ref) {
    const name = String(schema.$ref).split("/").pop() ?? "";
    return outlineSchema(openapi.components.schemas[name], openapi, depth + 1);
  }
  if (schema.anyOf) {
    /** @type {unknown[]} */
    const parts = schema.anyOf.map((/** @type {any} */ part) =>
      outlineSchema(part, openapi, depth + 1));
    const structured = parts.find((part) => typeof part !== "string");
    return structured ?? parts.join(" or ");
  }
  if (schema.properties) {
    const required = new Set(schema.required ?? []);
    return Object.fromEntries(
      Object.entries(schema.properties).map(([name, inner]) => [
        required.has(name) ? name : `${name}?`,
        outlineSchema(inner, openapi, depth + 1),
      ]),
    );
  }
  if (schema.type === "array") {
    return [outlineSchema(schema.items, openapi, depth + 1)];
  }
  if (schema.enum) {
    return schema.enum.join(" | ");
  }
  return schema.format ?? schema.type ?? "any";
}

/** @param {unknown} schema @param {unknown} openapi */
function createOutline(schema, openapi) {
  return createElement("pre", JSON.stringify(outlineSchema(schema, openapi), null, 2));
}

/** @param {string} method @param {string} path @param {any} operation @param {unknown} openapi */
function createRoute(method, path, operation, openapi) {
  const entry = document.createElement("details");
  const summary = document.createElement("summary");
  summary.append(createElement("span", method.toUpperCase(), "method"),
    createElement("code", path));
  entry.append(summary, createElement("p", operation.description ?? operation.summary ?? ""));
  for (const { in: place, name, required, schema, description } of operation.parameters ?? []) {
    const type = outlineSchema(schema, openapi);
    const text = `${place} ${name}${required ? "" : "?"}: ${type}`;
    entry.append(createElement("p", description ? `${text}; ${description}` : text));
  }
  for (const [type, { schema }] of Object.entries(operation.requestBody?.content ?? {})) {
    entry.append(createElement("p", type), createOutline(schema, openapi));
  }
  for (const [status, response] of Object.entries(operation.responses)) {
    if (Number(status) < 400) {
      entry.append(createElement("p", `response ${status}`));
      const schema = /** @type {any} */ (response).content?.["application/json"]?.schema;
      if (schema) {
        entry.append(createOutline(schema, openapi));
      }
    }
  }
  return entry;
}

async function showRoutes() {
  const main = document.getElementById("routes");
  const openapi = await (await fetch("/openapi.json")).json();
  for (const [path, methods] of Object.entries(openapi.paths)) {
    for (const [method, operation] of Object.entries(/** @type {any} */ (methods))) {
      main?.append(createRoute(method, path, operation, openapi));
    }
  }
}

if (typeof document !== "undefined") {
  void showRoutes();
}
