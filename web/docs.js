// Draws /openapi.json: routes by tag, their parameters, bodies and replies; schemas; error codes.

import { byId, el, table } from "./dom.js";

let description;

function resolve(schema) {
  let found = schema;
  while (found && found.$ref) {
    found = found.$ref.slice(2).split("/").reduce((at, name) => at[name], description);
  }
  return found || {};
}

function schemaLink(name) {
  return el("a", { href: `#schema-${name}` }, name);
}

function typeOf(schema) {
  if (schema.$ref) return schemaLink(schema.$ref.split("/").pop());
  const types = [schema.type].flat().filter(Boolean);
  const orNull = types.includes("null") ? " or null" : "";
  const type = types.find((name) => name !== "null") || "any";
  if (type === "array") return el("span", {}, "list of ", typeOf(schema.items || {}), orNull);
  if (type === "object" && schema.additionalProperties && schema.additionalProperties !== true) {
    return el("span", {}, "map of ", typeOf(schema.additionalProperties), orNull);
  }
  return (schema.format || type) + orNull;
}

function limitsOf(schema) {
  const said = [];
  if (schema.enum) said.push(schema.enum.join(" · "));
  if (schema.pattern) said.push(`matches ${schema.pattern}`);
  if (schema.minimum !== undefined || schema.maximum !== undefined) {
    said.push(`${schema.minimum ?? "…"} to ${schema.maximum ?? "…"}`);
  }
  if (schema.maxLength) said.push(`${schema.minLength ?? 0} to ${schema.maxLength} characters`);
  if (schema.default !== undefined) said.push(`default ${schema.default}`);
  if (schema.examples) said.push(`e.g. ${JSON.stringify(schema.examples[0])}`);
  return said.join("; ");
}

function drawLimits(schema) {
  const limits = limitsOf(schema);
  return limits ? el("div", { class: "quiet" }, limits) : null;
}

/** Prose with `code` in it. */
function prose(text) {
  return (text || "").split("`").map((part, i) => (i % 2 ? el("code", {}, part) : part));
}

function fieldsOf(schema) {
  const required = schema.required || [];
  const rows = Object.entries(schema.properties || {}).map(([name, field]) => [
    el("span", { class: "nowrap" }, el("code", {}, name),
      required.includes(name) ? el("b", { title: "required" }, " *") : ""),
    typeOf(field),
    el("span", {}, prose(field.description), drawLimits(field)),
  ]);
  return table(["Field", "Type", "Meaning"], rows);
}

function parametersOf(operation) {
  const parameters = operation.parameters || [];
  if (parameters.length === 0) return null;
  return el("div", { class: "section" },
    el("h3", {}, "Parameters"),
    table(["Name", "In", "Type", "Meaning"], parameters.map((parameter) => [
      el("span", { class: "nowrap" }, el("code", {}, parameter.name),
        parameter.required ? el("b", { title: "required" }, " *") : ""),
      parameter.in,
      typeOf(parameter.schema),
      el("span", {}, prose(parameter.description), drawLimits(parameter.schema)),
    ])));
}

function exampleOf(schema) {
  const properties = Object.entries(schema.properties || {})
    .filter(([name, field]) => field.examples && (schema.required || []).includes(name));
  return Object.fromEntries(properties.map(([name, field]) => [name, field.examples[0]]));
}

function curlOf(method, path, operation) {
  const lines = [`curl ${method === "get" ? "" : `-X ${method.toUpperCase()} `}"$HOLDFAST${path}"`];
  if ((operation.security || []).length > 0) {
    lines.push('-H "Authorization: Bearer $HOLDFAST_KEY"');
  }
  if ((operation.parameters || []).some((p) => p.name === "Idempotency-Key" && p.required)) {
    lines.push('-H "Idempotency-Key: $(uuidgen)"');
  }
  const body = operation.requestBody?.content["application/json"]?.schema;
  if (body) {
    let example = exampleOf(resolve(body));
    if (path === "/v1/ops") example = { ...example, asset: "COIN", amount: "12.50" };
    if (path === "/v1/ops/batch") {
      example = { ops: [{ type: "grant", user_id: "17", asset: "COIN", amount: "12.50",
        idempotency_key: "import-1" }] };
    }
    lines.push('-H "Content-Type: application/json"', `-d '${JSON.stringify(example)}'`);
  }
  return el("pre", { tabindex: 0 }, lines.join(" \\\n     "));
}

function contentOf(title, content) {
  const [type, media] = Object.entries(content || {})[0] || [];
  if (!type) return null;
  const schema = media.schema || {};
  return el("div", { class: "section" },
    el("h3", {}, title, " ", el("span", { class: "quiet" }, type),
      schema.$ref ? [" ", schemaLink(schema.$ref.split("/").pop())] : null),
    schema.$ref
      ? el("details", {},
        el("summary", {}, "Fields"),
        el("p", {}, prose(resolve(schema).description)),
        fieldsOf(resolve(schema)))
      : null);
}

function drawOperation(path, method, operation) {
  const success = Object.entries(operation.responses).filter(([status]) => /^2/.test(status));
  const open = (operation.security || []).length === 0;
  return el("section", { class: "panel", id: operation.operationId },
    el("div", { class: "split" },
      el("h3", {}, el("span", { class: `verb ${method}` }, method.toUpperCase()),
        el("span", { class: "mono" }, path)),
      open ? el("span", { class: "pill good" }, "no key") : null),
    el("p", {}, prose(operation.description)),
    curlOf(method, path, operation),
    parametersOf(operation),
    operation.requestBody ? contentOf("Body", operation.requestBody.content) : null,
    success.map(([status, response]) => contentOf(`Reply ${status}`, response.content)));
}

function drawSchema(name, schema) {
  return el("section", { class: "panel", id: `schema-${name}` },
    el("h3", { class: "mono" }, name),
    el("p", {}, prose(schema.description)),
    fieldsOf(schema));
}

function operations() {
  const all = [];
  for (const [path, methods] of Object.entries(description.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      all.push({ path, method, operation });
    }
  }
  return all;
}

function draw() {
  const contents = byId("contents");
  const main = byId("main");
  const all = operations();
  contents.replaceChildren();
  main.replaceChildren(el("section", { class: "panel" },
    el("p", {}, prose(description.info.description)),
    el("p", { class: "quiet" }, "Fields marked ", el("b", {}, "*"), " are required.")));
  byId("version").textContent = description.info.version;
  byId("version").hidden = false;
  for (const tag of description.tags) {
    const own = all.filter((one) => one.operation.tags.includes(tag.name));
    contents.append(el("h2", {}, tag.name), ...own.map((one) =>
      el("a", { href: `#${one.operation.operationId}`, title: one.operation.summary },
        el("span", { class: `verb ${one.method}` }, one.method.toUpperCase()),
        one.path.replace("/v1", ""))));
    main.append(el("h2", { id: `tag-${tag.name}` }, tag.description),
      ...own.map((one) => drawOperation(one.path, one.method, one.operation)));
  }
  contents.append(el("h2", {}, "reference"), el("a", { href: "#errors" }, "Error codes"),
    el("a", { href: "#schemas" }, "Schemas"));
  main.append(el("h2", { id: "errors" }, "Error codes"), el("section", { class: "panel" },
    table(["Status", "Code", "Retry", "Meaning"], description["x-errors"].map((error) => [
      String(error.status), el("code", {}, error.code), error.retryable ? "yes" : "",
      error.title]))));
  main.append(el("h2", { id: "schemas" }, "Schemas"),
    ...Object.entries(description.components.schemas).map(([name, schema]) =>
      drawSchema(name, schema)));
}

async function start() {
  try {
    const response = await fetch("/openapi.json");
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    description = await response.json();
    draw();
    if (location.hash) byId(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
  } catch (error) {
    byId("main").replaceChildren(el("p", { class: "notice", role: "alert" },
      `The description cannot be read: ${error.message}`));
  }
}

start();
