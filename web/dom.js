// Building pages out of data. Text only ever becomes text: nothing here parses HTML.

const svgNamespace = "http://www.w3.org/2000/svg";

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    node.append(child);
  }
  return node;
}

/** An HTML element: el("p", {class: "quiet"}, "text", other, ...). */
export function el(name, properties, ...children) {
  return fill(document.createElement(name), properties, children);
}

/** The same for SVG. */
export function svg(name, properties, ...children) {
  return fill(document.createElementNS(svgNamespace, name), properties, children);
}

export function byId(id) {
  return document.getElementById(id);
}

/** A table; cells of columns named in `numbers` are set right. */
export function table(columns, rows, numbers = []) {
  const right = (index) => (numbers.includes(index) ? "number" : undefined);
  return el("div", { class: "scroll" },
    el("table", {},
      el("thead", {}, el("tr", {}, columns.map((name, i) =>
        el("th", { class: right(i), scope: "col" }, name)))),
      el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell, i) =>
        el("td", { class: right(i) }, cell)))))));
}
