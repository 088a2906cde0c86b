// Text of a log travels as it was logged; what could hide from a reader is made an escape before it is shown.

const ODD = /[\p{C}\p{Zl}\p{Zp}]/gu;
const hex = (code, digits) => code.toString(16).padStart(digits, "0");

function escaped(sign) {
  const code = sign.codePointAt(0);
  if (sign === "\n") return sign;
  if (sign === "\t") return "\\t";
  if (sign === "\r") return "\\r";
  return code < 256 ? `\\x${hex(code, 2)}` : code < 65536 ? `\\u${hex(code, 4)}` : `\\U${hex(code, 8)}`;
}

const printable = (text) => text.replace(ODD, escaped);

// The same with every text of it printable, names too.
function shown(data) {
  if (typeof data === "string") return printable(data);
  if (Array.isArray(data)) return data.some((one) => typeof one === "string" || (typeof one === "object" && one)) ? data.map(shown) : data;
  if (data === null || typeof data !== "object") return data;
  return Object.fromEntries(Object.entries(data).map(([name, value]) => [printable(name), shown(value)]));
}
