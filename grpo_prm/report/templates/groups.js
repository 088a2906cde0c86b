// All groups: a histogram whose bars select, filters, and a table that is sorted, searched and paged.

const PAGE = 25;
const BARS = 24; // more different mean rewards than this are put in 20 bins of one width
const view = { bars: new Set(), search: "", which: "all", sort: "suppressed", descending: true, page: 0 };

// Name, head, value to sort by, text to show, and whether it is a number.
const TABLE = [
  { name: "run", head: "run", value: OF.run, text: (row) => RUNS[OF.run(row)], when: RUNS.length > 1 },
  { name: "step", head: "step", value: OF.step, text: (row) => number(OF.step(row)), number: true, when: STEPS.length > 0 },
  { name: "key", head: "group", value: OF.key, text: OF.key },
  { name: "k", head: "k", value: OF.k, text: (row) => number(OF.k(row)), number: true },
  { name: "tokens", head: `${UNIT}s`, value: OF.tokens, text: (row) => number(OF.tokens(row)), number: true },
  { name: "reward", head: "mean reward", value: OF.reward, text: (row) => number(OF.reward(row)), number: true },
  { name: "depth", head: "path depth", value: OF.depth, text: (row) => number(OF.depth(row)), number: true },
  { name: "intermediate", head: "intermediate proportion", value: OF.intermediate, text: (row) => percent(OF.intermediate(row)), number: true },
  { name: "suppressed", head: `suppressed-good ${UNIT}s`, value: OF.suppressed, text: (row) => number(OF.suppressed(row)), number: true },
  { name: "boosted", head: `boosted-bad ${UNIT}s`, value: OF.boosted, text: (row) => number(OF.boosted(row)), number: true },
  { name: "zero", head: "rewards", value: OF.zero, text: (row) => (OF.zero(row) ? "all equal" : "differ") },
].filter((one) => one.when !== false);

const WHICH = {
  all: () => true,
  text: (row) => TREES.has(OF.group(row)),
  suppressed: (row) => OF.suppressed(row) > 0,
  mixed: (row) => !OF.zero(row),
  finding: (row) => ofFinding(OF.group(row)),
};

const BINS = binned();

// Whether a group was kept because a finding is about it.
function ofFinding(group) {
  return Boolean(TREES.get(group)?.kinds.includes("finding"));
}

function openGroup(group) {
  choose({ group, process: null, completion: null });
  byId("tree").scrollIntoView();
  (drawn.boxes[chosen.process] ?? byId("tree")).focus({ preventScroll: true }); // arrows, n and p work at once
}

// Bins of the mean reward: each value if there are few, else 20 of one width. `of` gives the bin of a row, -1 without.
function binned() {
  const rewards = ROWS.map(OF.reward);
  const values = [...new Set(rewards.filter((reward) => reward !== null))].sort((a, b) => a - b);
  if (!values.length) return { labels: [], of: () => -1 };
  if (values.length <= BARS) {
    const at = new Map(values.map((value, bin) => [value, bin]));
    return { labels: values.map((value) => [number(value), number(value)]), of: (row) => at.get(rewards[row]) ?? -1 };
  }
  const low = values[0], width = (values.at(-1) - low) / 20;
  const labels = Array.from({ length: 20 }, (_, bin) => [number(low + bin * width), `${number(low + bin * width)} to ${number(low + (bin + 1) * width)}`]);
  return { labels, of: (row) => (rewards[row] === null ? -1 : Math.min(19, Math.floor((rewards[row] - low) / width))) };
}

// Rows that every filter but the bars lets through.
function let_through() {
  const words = view.search.toLowerCase();
  const meets = (row) => OF.key(row).toLowerCase().includes(words) || promptOf(row).toLowerCase().includes(words)
    || nameOf(row).toLowerCase().includes(words) || RUNS[OF.run(row)].toLowerCase().includes(words);
  return ROWS.filter((row) => (chosen.step === null || OF.step(row) === chosen.step) && WHICH[view.which](row) && (!words || meets(row)));
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
  if (!BINS.labels.length) byId("histogram-block").replaceChildren(make("p", {}, "The log has no rewards: there is no histogram of them."));
  else byId("histogram").append(...BINS.labels.map(bar));
  byId("table").tHead.append(make("tr", {}, TABLE.map(sortHead), make("th", { scope: "col" }, "prompt")));
  byId("search").addEventListener("input", (event) => refilter({ search: event.target.value.trim() }));
  byId("which").addEventListener("change", (event) => refilter({ which: event.target.value }));
  byId("clear").addEventListener("click", clearFilters);
  for (const link of document.querySelectorAll("a[data-group]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      openGroup(Number(link.dataset.group));
    });
  }
  byId("before").addEventListener("click", () => refilter({ page: view.page - 1 }));
  byId("after").addEventListener("click", () => refilter({ page: view.page + 1 }));
  listeners.push((changed) => {
    if (changed.includes("step")) { showStep(); refilter({}); }
    else if (changed.includes("group")) showTable();
  });
}

function clearFilters() {
  view.bars.clear();
  byId("search").value = "";
  byId("which").value = "all";
  choose({ step: null });
  refilter({ search: "", which: "all" });
}

function refilter(fields) {
  Object.assign(view, { page: 0 }, fields);
  showTable();
}

function bar([tick, range], bin) {
  const press = () => {
    if (!view.bars.delete(bin)) view.bars.add(bin);
    refilter({});
  };
  const some = bin % Math.ceil(BINS.labels.length / 6) === 0; // has its tick on a narrow screen
  const parts = [make("span", { class: "count" }), make("span", { class: "bar" }, make("span", { class: "part-bar" })), make("span", { class: some ? "tick some" : "tick", "aria-hidden": "true" }, tick)];
  return make("button", { type: "button", "aria-pressed": "false", "data-range": range, on: { click: press } }, parts);
}

function showHistogram(rows) {
  if (!BINS.labels.length) return;
  const count = (some) => {
    const counts = new Array(BINS.labels.length).fill(0);
    for (const row of some) if (BINS.of(row) >= 0) counts[BINS.of(row)] += 1;
    return counts;
  };
  const all = count(ROWS), here = count(rows), most = Math.max(...all);
  [...byId("histogram").children].forEach((button, bin) => {
    const [counted, whole] = button.children;
    button.setAttribute("aria-pressed", String(view.bars.has(bin)));
    button.setAttribute("aria-label", `mean reward ${button.dataset.range}: ${amount(here[bin], "group")}`);
    button.title = `${button.dataset.range}: ${here[bin].toLocaleString("en-US")} of ${amount(all[bin], "group")}`;
    counted.textContent = here[bin] ? here[bin].toLocaleString("en-US") : "";
    whole.style.height = `${all[bin] ? Math.max(2, (all[bin] / most) * 108) : 0}px`;
    whole.firstChild.style.height = `${all[bin] ? (100 * here[bin]) / all[bin] : 0}%`;
  });
}

function sortHead(one) {
  const press = () => {
    const again = view.sort === one.name;
    refilter({ sort: one.name, descending: again ? !view.descending : Boolean(one.number) });
  };
  return make("th", { scope: "col", class: one.number ? "n" : null, "data-name": one.name }, make("button", { type: "button", on: { click: press } }, one.head));
}

function showTable() {
  const through = let_through();
  showHistogram(through);
  const rows = sorted(view.bars.size ? through.filter((row) => view.bars.has(BINS.of(row))) : through);
  const pages = Math.max(1, Math.ceil(rows.length / PAGE));
  view.page = Math.min(Math.max(0, view.page), pages - 1);
  for (const head of byId("table").tHead.querySelectorAll("th[data-name]")) {
    if (head.dataset.name === view.sort) head.setAttribute("aria-sort", view.descending ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
  byId("table").tBodies[0].replaceChildren(...rows.slice(view.page * PAGE, (view.page + 1) * PAGE).map(tableRow));
  byId("found").textContent = `${rows.length.toLocaleString("en-US")} of ${amount(COUNT, "group")}.`
    + ` ${amount(TREES.size, "group")} of the log ${TREES.size === 1 ? "has its" : "have their"} text in this page (in bold).`;
  byId("page").textContent = `page ${view.page + 1} of ${pages}`;
  byId("before").disabled = view.page === 0;
  byId("after").disabled = view.page === pages - 1;
}

function tableRow(row) {
  const group = OF.group(row);
  const cells = TABLE.map((one) => {
    if (one.name !== "key") return make("td", { class: one.number ? "n" : null }, one.text(row));
    const button = make("button", { type: "button", class: TREES.has(group) ? "has-text" : null, on: { click: () => openGroup(group) } }, OF.key(row) || "(no key)");
    return make("th", { scope: "row", class: "name" }, button, ofFinding(group) ? make("span", { class: "badge" }, "finding") : null);
  });
  return make("tr", { "aria-current": chosen.group === group ? "true" : null }, cells, make("td", { class: "name" }, promptOf(row)));
}
