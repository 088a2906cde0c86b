// Which groups are shown: every filter is a field of the address, and all of them are cleared at once.

const FILTERS = ["query", "regex", "show", "run", "step", "reward", "length"];

const SHOW = {
  all: () => true,
  text: (row) => HEADS.has(OF.group(row)),
  suppressed: (row) => OF.suppressed(row) > 0,
  boosted: (row) => OF.boosted(row) > 0,
  mixed: (row) => !OF.zero(row),
  finding: (row) => ofFinding(OF.group(row)),
  ...Object.fromEntries(Object.entries(DATA.findings).map(([code, name]) => [code, (row) => OF[name](row) > 0])),
};

// Whether a group was kept because a finding is about it.
function ofFinding(group) {
  return Boolean(HEADS.get(group)?.kinds.includes("finding"));
}

// Tokens of a completion, in the mean of its group.
const lengthOf = (row) => OF.tokens(row) / OF.k(row);

// Ends of a range that is written FROM..TO; either may be missing.
function rangeOf(text) {
  const [from, to] = (text ?? "").split("..").map((end) => (end === "" || Number.isNaN(Number(end)) ? null : Number(end)));
  return { from: from ?? -Infinity, to: to ?? Infinity };
}

const inside = (value, { from, to }) => value !== null && value >= from && value <= to;

// Rows that the filters let through, but for those that are left out.
function letThrough(...without) {
  const on = (name) => chosen[name] !== null && !without.includes(name);
  const reward = rangeOf(chosen.reward), length = rangeOf(chosen.length);
  const tests = [
    on("step") && ((row) => OF.step(row) === chosen.step),
    on("run") && ((row) => RUNS[OF.run(row)] === chosen.run),
    on("show") && (SHOW[chosen.show] ?? SHOW.all),
    on("reward") && ((row) => inside(OF.reward(row), reward)),
    on("length") && ((row) => inside(lengthOf(row), length)),
    on("query") && isHit,
  ].filter(Boolean);
  return ROWS.filter((row) => tests.every((test) => test(row)));
}

function setUpFilters() {
  for (const code of Object.keys(DATA.findings)) {
    const count = ROWS.filter(SHOW[code]).length;
    byId("which").append(make("option", { value: code }, `finding ${code} (${amount(count, "group")})`));
  }
  byId("of-run").append(...RUNS.map((run) => make("option", { value: run }, run)));
  byId("of-run").parentElement.hidden = RUNS.length < 2;
  byId("of-step").append(...STEPS.map((step) => make("option", { value: step }, String(step))));
  byId("of-step").parentElement.hidden = STEPS.length < 2;
  const text = (id, field, value = (control) => control.value || null) =>
    byId(id).addEventListener("change", (event) => choose({ [field]: value(event.target) }));
  text("which", "show", (control) => (control.value === "all" ? null : control.value));
  text("of-run", "run");
  text("of-step", "step", (control) => (control.value === "" ? null : Number(control.value)));
  for (const field of ["reward", "length"]) {
    for (const end of ["from", "to"]) {
      text(`${field}-${end}`, field, () => {
        const range = `${byId(`${field}-from`).value}..${byId(`${field}-to`).value}`;
        return range === ".." ? null : range;
      });
    }
  }
  let waiting = 0;
  const takeQuery = () => {
    clearTimeout(waiting);
    choose({ query: byId("search").value || null });
  };
  byId("search").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(takeQuery, 250);
  });
  byId("search").addEventListener("change", takeQuery); // when the focus goes on to another filter
  byId("regex").addEventListener("change", () => choose({ regex: byId("regex").checked || null }));
  byId("clear").addEventListener("click", () => choose(Object.fromEntries(FILTERS.map((field) => [field, null]))));
  listeners.push((changed) => {
    if (!changed.some((field) => FILTERS.includes(field))) return;
    showFilters();
    if (changed.includes("step")) showStep();
    if (changed.includes("query") || changed.includes("regex")) search();
    view.page = 0;
    showTable();
  });
}

// What the controls say is what the address says.
function showFilters() {
  if (byId("search").value !== (chosen.query ?? "") && document.activeElement !== byId("search")) byId("search").value = chosen.query ?? "";
  byId("regex").checked = Boolean(chosen.regex);
  byId("which").value = chosen.show in SHOW ? chosen.show : "all";
  byId("of-run").value = chosen.run ?? "";
  byId("of-step").value = chosen.step ?? "";
  for (const field of ["reward", "length"]) {
    const { from, to } = rangeOf(chosen[field]);
    byId(`${field}-from`).value = Number.isFinite(from) ? from : "";
    byId(`${field}-to`).value = Number.isFinite(to) ? to : "";
  }
  const used = FILTERS.filter((field) => field !== "regex" && chosen[field] !== null);
  byId("clear").disabled = !used.length;
  const hidden = used.filter((field) => !["query", "show"].includes(field));
  byId("more-says").textContent = hidden.length ? ` (${hidden.join(", ")})` : "";
}
