// Groups by name: STEP:KEY, or RUN:STEP:KEY of several runs, as in the terminal; and how a name stands in an address.

const dash = (step) => (step === null ? "-" : String(step));
const namesOf = (row) => [...(RUNS.length > 1 ? [RUNS[OF.run(row)]] : []), dash(OF.step(row)), OF.key(row)];
// Which draw of its prompt a group is, where its key says so: 2 of KEY#2; null of the first.
const drawOf = (row) => (/#([2-9]|[1-9][0-9]+)$/.exec(OF.key(row)) ?? [null, null])[1];
const nameOf = (row) => namesOf(row).join(":");

// A slash, a colon or a mark inside of a name is written in percent, so that those between names are known.
const inAddress = (text) => encodeURIComponent(text).replaceAll("~", "%7E");

// Address of each row; of groups with one name those after the first have a number behind it.
const ADDRESSES = ROWS.map((row) => namesOf(row).map(inAddress).join(":"));
const ROW_AT = new Map();
ADDRESSES.forEach((name, row) => {
  let address = name;
  for (let more = 2; ROW_AT.has(address); more += 1) address = `${name}~${more}`;
  ROW_AT.set(address, row);
  ADDRESSES[row] = address;
});

// Row and completion that a path names; row undefined where there is no such group.
function placeAt(path) {
  const slash = path.indexOf("/");
  const [name, sample] = slash < 0 ? [path, ""] : [path.slice(0, slash), path.slice(slash + 1)];
  return { row: ROW_AT.get(name) ?? ROW_AT.get(again(name)), sample: /^\d+$/.test(sample) ? Number(sample) : null };
}

// A name that somebody typed, or a mail program wrote anew, may be written in percent otherwise.
function again(name) {
  try {
    return name.split(":").map((part) => inAddress(decodeURIComponent(part))).join(":");
  } catch {
    return name;
  }
}

// What shows a group of the log in the terminal, as it can be pasted; null where its name is not whole here.
function commandOf(row) {
  const names = namesOf(row).join(":");
  if (!DATA.command || names.includes("…") || names.includes("\\")) return null;
  return `${DATA.command} ${/^[\w@%+=:,./-]+$/.test(names) ? names : `'${names.replaceAll("'", `'"'"'`)}'`}`;
}
