// What two texts have in common, word by word: the fewest words taken out and put in (E. Myers, 1986).

const WORD = /\s+|[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]|[\p{L}\p{N}_]+|./gsu;
const MOST_EDITS = 1500; // words taken out and put in, up to which two texts are compared

// Runs of words, each `{ in: "both" | "left" | "right", words }`; null where the texts differ in more than `MOST_EDITS`.
function wordDiff(left, right) {
  let head = 0, tail = 0;
  const least = Math.min(left.length, right.length);
  while (head < least && left[head] === right[head]) head += 1;
  while (tail < least - head && left[left.length - 1 - tail] === right[right.length - 1 - tail]) tail += 1;
  const a = left.slice(head, left.length - tail), b = right.slice(head, right.length - tail);
  const path = leastEdits(a, b) > MOST_EDITS ? null : shortest(...numbered(a, b), a, b);
  if (!path) return null;
  const steps = [...left.slice(0, head).map((word) => ["both", word]), ...path, ...left.slice(left.length - tail).map((word) => ["both", word])];
  const runs = [];
  for (const [where, word] of steps) {
    if (runs.at(-1)?.in === where) runs.at(-1).words.push(word);
    else runs.push({ in: where, words: [word] });
  }
  return runs;
}

// No fewer edits than this: words that one list has more often than the other, wherever they stand.
function leastEdits(a, b) {
  const more = new Map();
  for (const word of a) more.set(word, (more.get(word) ?? 0) + 1);
  for (const word of b) more.set(word, (more.get(word) ?? 0) - 1);
  return [...more.values()].reduce((sum, count) => sum + Math.abs(count), 0);
}

// Equal words as equal numbers, which are compared faster.
function numbered(...lists) {
  const numbers = new Map();
  const numberOf = (word) => numbers.get(word) ?? (numbers.set(word, numbers.size), numbers.size - 1);
  return lists.map((words) => Int32Array.from(words, numberOf));
}

// The shortest path through the grid of two lists of numbers: on diagonal k = x - y, how far x comes with d edits.
function shortest(a, b, left, right) {
  const most = Math.min(MOST_EDITS, a.length + b.length), trace = [];
  const far = new Int32Array(2 * most + 3), middle = most + 1;
  for (let d = 0; d <= most; d += 1) {
    trace.push(far.slice(middle - d - 1, middle + d + 2));
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && far[middle + k - 1] < far[middle + k + 1]);
      let x = down ? far[middle + k + 1] : far[middle + k - 1] + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x += 1;
      far[middle + k] = x;
      if (x >= a.length && x - k >= b.length) return backwards(left, right, trace);
    }
  }
  return null;
}

function backwards(a, b, trace) {
  const steps = [];
  let x = a.length, y = b.length;
  for (let d = trace.length - 1; d >= 0; d -= 1) {
    const far = trace[d], at = (k) => far[k + d + 1], k = x - y;
    const down = k === -d || (k !== d && at(k - 1) < at(k + 1));
    const from = down ? k + 1 : k - 1;
    const fromX = d ? at(from) : 0, fromY = d ? fromX - from : 0;
    while (x > fromX && y > fromY) {
      [x, y] = [x - 1, y - 1];
      steps.push(["both", a[x]]);
    }
    if (!d) break;
    if (down) y -= 1;
    else x -= 1;
    steps.push(down ? ["right", b[y]] : ["left", a[x]]);
  }
  return steps.reverse();
}
