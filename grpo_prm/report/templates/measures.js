// What a token can be coloured by, and the one scale of each for the whole log.

const MEASURES = {
  credit: { name: "credit A(λ)", word: "credit", low: "pushed down", high: "raised", sided: true },
  local: { name: "local advantage", low: "worse than the step before", high: "better than it", sided: true },
  surprisal: { name: "surprisal", low: "sure", high: "surprising", sided: false },
  gap: { name: "sampler-trainer gap", low: "likelier to the sampler", high: "likelier to the trainer", sided: true },
};
const PALE = [243, 241, 237], DEEP = [88, 24, 112]; // of a measure that begins at 0

function colourOf(measure, value) {
  const limit = DATA.scales[measure]?.limit ?? 0;
  if (MEASURES[measure].sided || value === null || value === undefined) return colour(value ?? null, limit);
  const at = limit ? Math.min(1, value / limit) : 0;
  return PALE.map((low, channel) => Math.round(low + at * (DEEP[channel] - low)));
}

function paintedBy(measure, value) {
  const rgb = colourOf(measure, value);
  return { background: css(rgb), color: inkOn(rgb) };
}

// A value in words, with its name.
function saidOf(measure, value) {
  const name = MEASURES[measure].name;
  if (value === null || value === undefined) return `${name}: none`;
  if (measure !== "surprisal") return `${name} ${signed(value)}`;
  return `${name} ${number(value)} (probability ${percent(Math.exp(-value))})`;
}

// The colours with their numbers; beyond the ends they do not change, where the log has larger values.
function scaleOf(measure) {
  const { name, word = name, low, high, sided } = MEASURES[measure], scale = DATA.scales[measure];
  if (!scale) return "";
  const cells = 25, { limit, most } = scale;
  const at = (n) => (sided ? (2 * n) / (cells - 1) - 1 : n / (cells - 1)) * limit;
  const bar = draw("svg", { width: cells * 5, height: 14, "aria-hidden": "true" }, Array.from({ length: cells }, (_, n) =>
    draw("rect", { x: n * 5, y: 0, width: 5.3, height: 14, fill: css(colourOf(measure, at(n))) })));
  const beyond = most > limit, less = beyond ? " or less" : "", more = beyond ? " or more" : "";
  return make("span", { class: "scale" }, sided ? `${low} ${signed(-limit)}${less}` : `${low} 0`, bar, `${sided ? signed(limit) : number(limit)}${more} ${high}: `, term(name, word));
}
