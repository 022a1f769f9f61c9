"use strict";
// The OpenAPI document for people: every route with what it takes and gives. Written as text, never as markup.
function make(name, text, kind) { const one = document.createElement(name); if (text) one.textContent = text; if (kind) one.className = kind; return one; }
function shape(schema, all, depth = 0) {
  if (!schema) return "nothing";
  if (schema.$ref) { const name = schema.$ref.split("/").pop(); return depth > 3 ? name : shape(all[name], all, depth + 1); }
  if (schema.anyOf) return schema.anyOf.map((one) => shape(one, all, depth)).join(" or ");
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.type === "array") return "[" + shape(schema.items, all, depth) + "]";
  if (schema.properties) return "{" + Object.entries(schema.properties).map(([key, one]) => "\n" + "  ".repeat(depth + 1) + key + ": " + shape(one, all, depth + 1) + (one.description ? "   // " + one.description : "")).join("") + "\n" + "  ".repeat(depth) + "}";
  return [schema.type, schema.format && "(" + schema.format + ")"].filter(Boolean).join(" ") || "anything";
}
function body(content, all) { const [kind, one] = Object.entries(content || {})[0] || []; return kind ? (kind === "application/json" ? "" : kind + " ") + shape(one.schema, all) : "nothing"; }
(async () => {
  const found = await (await fetch("/openapi.json")).json(), all = found.components.schemas, main = document.getElementById("main");
  document.getElementById("about").textContent = found.info.title + " " + found.info.version + ". " + found.info.description;
  for (const [path, methods] of Object.entries(found.paths)) for (const [method, one] of Object.entries(methods)) {
    const card = make("article", undefined, "card"), title = make("h2");
    title.append(make("span", method.toUpperCase(), "badge"), make("code", path));
    card.append(title, make("p", one.description || one.summary));
    const takes = (one.parameters || []).map((p) => p.in + " " + p.name + (p.required ? "" : " (optional)") + ": " + shape(p.schema, all) + (p.description ? "   // " + p.description : ""));
    if (one.requestBody) takes.push("body: " + body(one.requestBody.content, all));
    if (takes.length) card.append(make("h3", "Takes"), make("pre", takes.join("\n")));
    card.append(make("h3", "Gives"), make("pre", Object.entries(one.responses).map(([status, r]) => status + " " + (status < "300" ? body(r.content, all) : r.description)).join("\n")));
    main.append(card);
  }
})();
