// Small charts over the training steps, and the slider that picks one of them.

const CHART = { width: 300, height: 136, right: 12, top: 8, bottom: 38 };
const DIGIT = 6.8; // pixels of a digit of an axis, at the most
const runName = (run) => (DATA.methods?.[run] ? `${run} (${DATA.methods[run]})` : run);
const runClass = (run) => `run-${RUNS.indexOf(run) % 7}`;

function setUpTrend() {
  if (STEPS.length < 2) return;
  byId("trend").hidden = byId("to-trend").hidden = false;
  const slider = byId("slider");
  slider.max = String(STEPS.length);
  slider.addEventListener("input", () => choose({ step: slider.value === "0" ? null : STEPS[slider.value - 1] }));
  byId("slider-all").addEventListener("click", () => choose({ step: null }));
  const charts = [...DATA.trend, ...(DATA.parts?.parts ?? []).map((part) => part.chart).filter(Boolean)];
  if (!charts.length) {
    byId("legend").append("No run has two training steps with a number, so there is no course over training to draw. "
      + "The slider still chooses groups by their step.");
    return;
  }
  if (RUNS.length > 1) {
    byId("legend").append(...RUNS.slice(0, 12).map((run) => make("span", {}, swatchLine(runClass(run)), runName(run))));
    if (RUNS.length > 12) byId("legend").append(`and ${RUNS.length - 12} more runs`);
  }
  const beside = new Set(DATA.trend.map((one) => one.beside).filter(Boolean));
  if (beside.size) byId("legend").append(make("span", {}, swatchLine("beside"), [...beside].join(", or ")));
  byId("charts").append(...charts.map(chart));
}

function swatchLine(look) {
  const line = draw("line", { x1: 0, x2: 22, y1: 5, y2: 5, class: `line ${look}` });
  return draw("svg", { width: 22, height: 10, class: "chart-key", "aria-hidden": "true" }, line);
}

function chart(one) {
  const numbers = one.series.flatMap((s) => [s.mean, s.low, s.high, s.besideMean ?? [], s.besideLow ?? [], s.besideHigh ?? []].flat())
    .filter((value) => value !== null);
  const steps = one.series.flatMap((s) => s.step);
  const least = Math.min(0, ...numbers), most = Math.max(...numbers), marks = ticksOf(least, most > least ? most : least + Math.max(1, Math.abs(least) / 5), 3);
  const gap = marks.length > 1 ? marks[1] - marks[0] : 1;
  // The axis ends at round numbers, just beyond what is drawn.
  const low = marks[0] - (marks[0] > least ? gap : 0), high = marks.at(-1) + (marks.at(-1) < most ? gap : 0), span = high - low || 1;
  const first = Math.min(...steps), last = Math.max(...steps);
  const format = one.share ? percent : number;
  const lines = [];
  for (let n = 0; low + n * gap <= high + gap / 2; n += 1) lines.push(Number((low + n * gap).toPrecision(9)));
  const label = (value) => format(value).replace(" %", "%");
  const left = Math.max(46, 8 + DIGIT * Math.max(...lines.map((value) => label(value).length)));
  const x = (step) => left + ((step - first) / (last - first || 1)) * (CHART.width - left - CHART.right);
  const y = (value) => CHART.height - CHART.bottom - ((value - low) / span) * (CHART.height - CHART.top - CHART.bottom);
  const picture = draw("svg", { viewBox: `0 0 ${CHART.width} ${CHART.height}`, role: "img", "aria-label": course(one, format) });
  for (const value of lines) {
    picture.append(draw("line", { class: "axis", x1: left, x2: CHART.width - CHART.right, y1: y(value), y2: y(value) }),
      draw("text", { x: left - 5, y: y(value) + 4, "text-anchor": "end" }, label(value)));
  }
  const round = ticksOf(first, last, 4).filter((step) => Number.isInteger(step));
  picture.append(...round.map((step) => draw("text", { x: Math.min(x(step), CHART.width - (DIGIT / 2) * number(step).length), y: CHART.height - CHART.bottom + 18, "text-anchor": "middle" }, number(step))),
    draw("text", { x: (left + CHART.width) / 2, y: CHART.height - 4, "text-anchor": "middle" }, "training step"));
  for (const s of one.series) {
    if (s.besideMean) picture.append(...stroke(s.step, s.besideMean, s.besideLow, s.besideHigh, x, y, "line beside", "beside-band"));
  }
  for (const s of one.series) picture.append(...stroke(s.step, s.mean, s.low, s.high, x, y, `line ${runClass(s.run)}`, `band ${runClass(s.run)}`));
  const here = draw("line", { class: "here", y1: CHART.top, y2: CHART.height - CHART.bottom, visibility: "hidden" });
  picture.append(here);
  picture.addEventListener("click", (event) => {
    const box = picture.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * CHART.width;
    choose({ step: STEPS.reduce((best, step) => (Math.abs(x(step) - at) < Math.abs(x(best) - at) ? step : best)) });
  });
  const says = make("p", { class: "says" });
  const show = () => {
    const inside = chosen.step !== null && chosen.step >= first && chosen.step <= last;
    here.setAttribute("visibility", inside ? "visible" : "hidden");
    if (inside) for (const end of ["x1", "x2"]) here.setAttribute(end, x(chosen.step));
    says.textContent = chosen.step === null ? course(one, format) : atStep(one, format);
  };
  show();
  listeners.push((changed) => changed.includes("step") && show());
  const title = one.every > 1 ? `${one.name} (each ${one.every}th step)` : one.name;
  return make("figure", { class: "chart" }, make("figcaption", {}, title), says, picture);
}

// Whether each value has an interval. A band that comes and goes would look as if something had happened.
const isWhole = (mean, low) => mean.every((value, row) => value === null || low[row] !== null);

// A band, or bars where only some steps have problems enough for an interval; and the line. It breaks where a value
// is missing, and a value alone is a dot.
function stroke(steps, mean, low, high, x, y, look, bandLook) {
  const marks = [], ranged = steps.map((_, row) => row).filter((row) => low[row] !== null && high[row] !== null);
  if (isWhole(mean, low) && ranged.length > 1) {
    const edge = [...ranged.map((row) => [steps[row], high[row]]), ...ranged.toReversed().map((row) => [steps[row], low[row]])];
    marks.push(draw("polygon", { class: bandLook, points: edge.map(([step, value]) => `${x(step)},${y(value)}`).join(" ") }));
  } else {
    marks.push(...ranged.map((row) => draw("line", { class: bandLook.replace("band", "whisker"), x1: x(steps[row]), x2: x(steps[row]), y1: y(low[row]), y2: y(high[row]) })));
  }
  for (const rows of pieces(steps, mean)) {
    const points = rows.map((row) => `${x(steps[row])},${y(mean[row])}`);
    marks.push(rows.length > 1 ? draw("polyline", { class: look, points: points.join(" ") })
      : draw("circle", { class: look.replace("line", "dot"), cx: x(steps[rows[0]]), cy: y(mean[rows[0]]), r: 2.5 }));
  }
  return marks;
}

function pieces(steps, values) {
  const segments = [];
  let current = [];
  steps.forEach((_, row) => {
    if (values[row] !== null) current.push(row);
    else if (current.length) { segments.push(current); current = []; }
  });
  return current.length ? [...segments, current] : segments;
}

// In words: from the first value to the last.
function course(one, format) {
  const words = one.series.slice(0, 3).map((s) => {
    const known = s.mean.filter((value) => value !== null);
    return `${RUNS.length > 1 ? `${s.run}: ` : ""}${format(known[0])} → ${format(known.at(-1))}`;
  });
  return `${words.join("; ")}${one.series.length > 3 ? "; …" : ""}`;
}

function atStep(one, format) {
  const words = one.series.slice(0, 3).map((s) => {
    const row = s.step.indexOf(chosen.step);
    if (row < 0 || s.mean[row] === null) return `${RUNS.length > 1 ? `${s.run}: ` : ""}no value`;
    const range = s.low[row] === null ? "" : ` [${format(s.low[row])}, ${format(s.high[row])}]`;
    const other = s.besideMean?.[row] ?? null;
    return `${RUNS.length > 1 ? `${s.run}: ` : ""}${format(s.mean[row])}${range}${other === null ? "" : `; ${one.beside} ${format(other)}`}`;
  });
  return words.join("; ");
}

function showStep() {
  const at = chosen.step === null ? 0 : STEPS.indexOf(chosen.step) + 1;
  byId("slider").value = String(at);
  const words = at ? `step ${STEPS[at - 1]}` : "all steps";
  byId("slider-says").textContent = words;
  byId("slider").setAttribute("aria-valuetext", words);
}
