// What the page was given, and how its numbers are written.

const DATA = JSON.parse(document.getElementById("data").textContent);
const UNIT = DATA.unit === "mixed" ? "unit" : DATA.unit;
const COUNT = DATA.groups.count;

// A column of the groups table as a function of the row; one value may stand for all rows, or for a count from it.
function column(name) {
  const held = DATA.groups.columns[name];
  if ("from" in held) return (row) => held.from + row;
  return Array.isArray(held) ? (row) => held[row] : () => held.all;
}

const OF = Object.fromEntries(Object.keys(DATA.groups.columns).map((name) => [name, column(name)]));
const ROWS = Array.from({ length: COUNT }, (_, row) => row);
const ROW_OF = new Map(ROWS.map((row) => [OF.group(row), row]));
const STEPS = [...new Set(ROWS.map(OF.step))].filter((step) => step !== null).sort((a, b) => a - b);
const RUNS = DATA.groups.runs;

function share(row, part, whole) {
  const all = OF[whole](row);
  return all ? OF[part](row) / all : null;
}

function promptOf(row) {
  const at = OF.prompt(row);
  return at < 0 ? "" : DATA.groups.prompts[at];
}

const GROUPED = new Intl.NumberFormat("en-US"); // made once: a locale takes long to be found

// Three figures; a dash for null.
function number(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  if (Number.isInteger(value) || Math.abs(value) >= 1000) return GROUPED.format(Math.round(value)).replace("-", "−");
  return String(Number(value.toPrecision(3))).replace("-", "−");
}

function percent(value) {
  if (value === null || value === undefined) return "–";
  if (value > 0 && value < 5e-5) return "<0.01\u00a0%";
  return `${value >= 0.01 || value === 0 ? Number((100 * value).toPrecision(3)) : (100 * value).toFixed(2)}\u00a0%`; // never at the end of one line and the begin of the next
}

// An advantage with its sign; 0 has none.
function signed(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  return `${value > 0 ? "+" : "−"}${number(Math.abs(value))}`;
}

function amount(count, what) {
  return `${GROUPED.format(count)} ${what}${count === 1 ? "" : "s"}`;
}
