// Elements are made here. Text of the log goes in as text nodes and never as markup.

const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);

// Properties: `on` listeners, `style` by CSSOM (the policy forbids style attributes), everything else as attributes.
function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, act] of Object.entries(value)) element.addEventListener(event, act);
    else if (name === "style") for (const [key, said] of Object.entries(value)) element.style.setProperty(key, said);
    else element.setAttribute(name, value === true ? "" : value);
  }
  // One by one: a long completion has more children than a call may have arguments.
  for (const child of children.flat()) if (child !== null && child !== undefined) element.append(child);
  return element;
}

const make = (tag, properties = {}, ...children) => fill(document.createElement(tag), properties, children);
const draw = (tag, properties = {}, ...children) => fill(document.createElementNS(SVG, tag), properties, children);

function announce(text) {
  byId("live").textContent = text;
}

// A text of the log, and where it was cut how much is missing.
function written(text) {
  if (!Array.isArray(text)) return [text ?? ""];
  const [head, missing, tail, what] = text;
  return [head, make("span", { class: "left-out" }, `${amount(missing, what ?? "character")} left out of this page`), tail];
}

// The start of a text in one line.
function opening(text, length) {
  const whole = Array.isArray(text) ? text[0] : text ?? "";
  const line = whole.slice(0, 4 * length).replace(/\s+/g, " ").trim();
  return line.length > length ? `${line.slice(0, length)}…` : line;
}

function facts(pairs) {
  return make("dl", { class: "facts" }, pairs.filter(([, value]) => value !== null).map(([name, value]) =>
    make("div", {}, make("dt", {}, typeof name === "string" ? term(name) : name), make("dd", {}, value))));
}

function tableOf(caption, heads, rows) {
  return make("table", { class: "figures" }, make("caption", { class: "hidden" }, caption),
    make("thead", {}, make("tr", {}, heads.map((head) => make("th", { scope: "col" }, head)))),
    make("tbody", {}, rows.map(([head, ...cells]) =>
      make("tr", {}, make("th", { scope: "row" }, head), cells.map((cell) => make("td", {}, cell))))));
}
