// The list of all groups: filtered, sorted, and some at a time.

const PAGE = 50;
const NARROWEST = 45; // pixels that a column takes at the least
const view = { sort: "suppressed", descending: true, page: 0, rows: [], every: false, room: 0, most: 0, fit: 0 };

// Name, head, value to sort by, text to show, and whether it is a number.
const TABLE = [
  { name: "key", head: "group", value: nameOf, text: nameOf },
  { name: "hits", head: "hits", value: (row) => sought.hits.get(row) ?? 0, text: (row) => number(sought.hits.get(row) ?? 0), number: true, when: () => sought.pattern !== null },
  { name: "reward", head: "mean reward", value: OF.reward, text: (row) => number(OF.reward(row)), number: true },
  { name: "suppressed", head: `suppressed-good ${UNIT}s`, value: OF.suppressed, text: (row) => number(OF.suppressed(row)), number: true },
  { name: "boosted", head: `boosted-bad ${UNIT}s`, value: OF.boosted, text: (row) => number(OF.boosted(row)), number: true },
  { name: "k", head: "k", value: OF.k, text: (row) => number(OF.k(row)), number: true },
  { name: "length", head: `${UNIT}s a completion`, value: lengthOf, text: (row) => number(lengthOf(row)), number: true },
  { name: "depth", head: "path depth", value: OF.depth, text: (row) => number(OF.depth(row)), number: true },
  { name: "intermediate", head: "intermediate proportion", value: OF.intermediate, text: (row) => percent(OF.intermediate(row)), number: true },
  { name: "zero", head: "rewards", value: OF.zero, text: (row) => (OF.zero(row) ? "all equal" : "differ") },
  { name: "step", head: "step", value: OF.step, text: (row) => number(OF.step(row)), number: true, when: () => STEPS.length > 0 },
  { name: "run", head: "run", value: OF.run, text: (row) => RUNS[OF.run(row)], when: () => RUNS.length > 1 },
];

const columns = () => TABLE.filter((one) => !one.when || one.when());

// The columns that fit, or every one; of those that do not fit only the one that the list is sorted by.
function shownColumns() {
  const all = columns();
  if (view.every || view.fit >= all.length) return all;
  const sorts = all.findIndex((one) => one.name === view.sort); // there is none of hits once the search has ended
  return sorts < view.fit ? all.slice(0, view.fit) : [...all.slice(0, view.fit - 1), all[sorts]];
}

function sorted(rows) {
  const { value } = TABLE.find((one) => one.name === view.sort);
  const sign = view.descending ? -1 : 1;
  const compare = (a, b) => {
    const x = value(a), y = value(b);
    if (x === null || y === null) return (x === null) - (y === null); // gaps last, whichever way
    return (x < y ? -1 : x > y ? 1 : 0) * sign;
  };
  return rows.toSorted(compare);
}

function setUpGroups() {
  byId("before").addEventListener("click", () => turn(view.page - 1));
  byId("after").addEventListener("click", () => turn(view.page + 1));
  byId("every-column").addEventListener("click", () => {
    view.every = !view.every;
    fillTable();
  });
  const fitAgain = () => byId("rows").clientWidth !== view.room && fillTable();
  new ResizeObserver(() => requestAnimationFrame(fitAgain)).observe(byId("rows"));
  listeners.push((changed) => changed.includes("group") && showCurrent());
}

function turn(page) {
  view.page = page;
  showTable();
  byId("rows").scrollTop = 0;
}

function sortHead(one) {
  const press = () => {
    view.descending = view.sort === one.name ? !view.descending : Boolean(one.number);
    Object.assign(view, { sort: one.name, page: 0 });
    showTable();
    byId("table").tHead.querySelector(`[data-name=${one.name}] button`).focus();
  };
  const way = view.sort === one.name ? (view.descending ? "descending" : "ascending") : null;
  return make("th", { scope: "col", class: one.number ? "n" : one.name === "key" ? "name" : null, "data-name": one.name, "aria-sort": way }, make("button", { type: "button", on: { click: press } }, one.head));
}

function showTable() {
  showHistogram();
  view.rows = sorted(letThrough());
  const pages = Math.max(1, Math.ceil(view.rows.length / PAGE));
  view.page = Math.min(Math.max(0, view.page), pages - 1);
  byId("found").textContent = `${view.rows.length.toLocaleString("en-US")} of ${amount(COUNT, "group")}.${withText()}`;
  byId("page").textContent = `${view.page + 1} of ${pages}`;
  byId("pages").hidden = pages === 1;
  byId("before").disabled = view.page === 0;
  byId("after").disabled = view.page === pages - 1;
  fillTable();
}

// As many columns as there is room for, so that none is cut off: one less, until they fit.
function fillTable() {
  const rows = byId("rows"), most = columns().length;
  if (rows.clientWidth !== view.room || most !== view.most) {
    const room = rows.clientWidth;
    Object.assign(view, { room, most, fit: Math.min(most, Math.max(2, Math.floor(room / NARROWEST))) });
  }
  fillRows();
  while (!view.every && view.fit > 2 && rows.scrollWidth > rows.clientWidth) {
    view.fit -= 1;
    fillRows();
  }
  const button = byId("every-column");
  button.hidden = view.fit === most;
  button.textContent = view.every ? "Fewer columns" : `All ${most} columns`;
  button.setAttribute("aria-pressed", String(view.every));
  showCurrent();
}

function fillRows() {
  const table = byId("table"), some = view.rows.slice(view.page * PAGE, (view.page + 1) * PAGE);
  table.tHead.replaceChildren(make("tr", {}, shownColumns().map(sortHead)));
  table.tBodies[0].replaceChildren(...some.map(tableRow));
}

// How many groups have their text here; nothing where all have.
function withText() {
  if (HEADS.size === COUNT) return "";
  const others = DATA.elsewhere?.index ? ", others in the other pages" : FURTHER ? `, ${FURTHER.toLocaleString("en-US")} in the other pages` : "";
  const what = DATA.text ? "text" : "tree";
  return ` ${amount(HEADS.size, "group")} ${HEADS.size === 1 ? `has its ${what}` : "have their " + what + (DATA.text ? "" : "s")} in this page (in bold)${others}.`;
}

function tableRow(row) {
  const group = OF.group(row);
  return make("tr", { "data-group": group }, shownColumns().map((one) => (one.name === "key" ? nameCell(row, group) : make("td", { class: one.number ? "n" : null }, one.text(row)))));
}

function nameCell(row, group) {
  const button = make("button", { type: "button", class: HEADS.has(group) || (FURTHER && pageOf(group)) ? "has-text" : null, on: { click: () => openGroup(group).then(() => stacked() && land()) } }, nameOf(row) || "(no key)");
  const asked = promptOf(row);
  return make("th", { scope: "row", class: "name" }, button, badges(group), asked ? make("span", { class: "prompt" }, asked) : null);
}

// A group may be kept for its mean reward and for what is pushed down in it, so badges name the reason and no rank.
const REASONS = { best: "high reward", worst: "good pushed down" };

function badge(kind, told = false) {
  const reason = REASONS[kind] ?? kind;
  return make("span", { class: `badge ${kind}`, ...(told && { tabindex: 0, "data-tip": reason }) }, reason);
}

// Why the text of a group was kept; of most it was because there was room.
function badges(group) {
  return (HEADS.get(group)?.kinds ?? []).filter((kind) => kind !== "random").map((kind) => badge(kind));
}

// The open group is marked where it stands in the list.
function showCurrent() {
  for (const line of byId("table").tBodies[0].children) {
    const here = Number(line.dataset.group) === chosen.group;
    if (here) line.setAttribute("aria-current", "true");
    else line.removeAttribute("aria-current");
  }
  const at = view.rows.indexOf(ROW_OF.get(chosen.group));
  openSoon([at + 1, at - 1].filter((n) => n in view.rows).map((n) => OF.group(view.rows[n])));
}

// Open the next or the previous group of the list.
function step(by) {
  const at = view.rows.indexOf(ROW_OF.get(chosen.group));
  const to = at < 0 ? 0 : at + by;
  if (to < 0 || to >= view.rows.length) return;
  const page = Math.floor(to / PAGE);
  if (page !== view.page) turn(page);
  const row = view.rows[to];
  openGroup(OF.group(row)).then(() => {
    byId("table").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
    byId("detail").scrollTop = 0;
    announce(`Group ${nameOf(row)}`);
  });
}
