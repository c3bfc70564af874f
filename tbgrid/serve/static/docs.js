/** The routes, read from the OpenAPI document. */

/**
 * @param {string} tag
 * @param {string} text
 * @param {string} [kind]
 */
function element(tag, text, kind) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

/**
 * A schema with its references followed, as an outline to read.
 * @param {any} schema
 * @param {any} document
 * @param {number} depth
 * @returns {unknown}
 */
export function outline(schema, document, depth = 0) {
  if (!schema || depth > 14) return "...";
  if (schema.$ref) {
    const name = String(schema.$ref).split("/").pop() ?? "";
    return outline(document.components.schemas[name], document, depth + 1);
  }
  if (schema.anyOf) {
    const parts = schema.anyOf.map((/** @type {any} */ one) => outline(one, document, depth + 1));
    if (parts.every((/** @type {unknown} */ part) => typeof part === "string")) return parts.join(" or ");
    return parts.find((/** @type {unknown} */ part) => typeof part !== "string");
  }
  if (schema.properties) {
    const required = new Set(schema.required ?? []);
    return Object.fromEntries(
      Object.entries(schema.properties).map(([name, inner]) => [
        required.has(name) ? name : `${name}?`,
        outline(inner, document, depth + 1),
      ]),
    );
  }
  if (schema.type === "array") return [outline(schema.items, document, depth + 1)];
  if (schema.enum) return schema.enum.join(" | ");
  return schema.format ?? schema.type ?? "any";
}

async function show() {
  const main = document.getElementById("routes");
  const told = await (await fetch("/openapi.json")).json();
  for (const [path, methods] of Object.entries(told.paths)) {
    for (const [method, operation] of Object.entries(/** @type {any} */ (methods))) {
      const entry = document.createElement("details");
      const summary = document.createElement("summary");
      summary.append(element("span", method.toUpperCase(), "method"), element("code", path));
      entry.append(summary, element("p", operation.description ?? operation.summary ?? ""));
      for (const one of operation.parameters ?? []) {
        const what = `${one.in} ${one.name}${one.required ? "" : "?"}: ${outline(one.schema, told)}`;
        entry.append(element("p", one.description ? `${what}; ${one.description}` : what));
      }
      for (const [kind, {schema}] of Object.entries(operation.requestBody?.content ?? {})) {
        entry.append(element("p", kind));
        entry.append(element("pre", JSON.stringify(outline(schema, told), null, 2)));
      }
      for (const [status, answer] of Object.entries(operation.responses)) {
        const schema = /** @type {any} */ (answer).content?.["application/json"]?.schema;
        if (Number(status) >= 400) continue;
        entry.append(element("p", `answer ${status}`));
        if (schema) entry.append(element("pre", JSON.stringify(outline(schema, told), null, 2)));
      }
      main?.append(entry);
    }
  }
}

if (typeof document !== "undefined") void show();
