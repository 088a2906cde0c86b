// Hits of the search are marked in whatever texts stand on the screen, by ranges: no element is changed for it.

const MARKED = "#tree .text, #tree .start, #table .prompt";

function setUpMarks() {
  if (!globalThis.CSS?.highlights) return; // an older browser counts hits, and marks none
  let waiting = 0;
  const later = () => {
    clearTimeout(waiting);
    waiting = setTimeout(markHits, 30);
  };
  new MutationObserver(later).observe(byId("groups"), { childList: true, subtree: true, characterData: true });
  listeners.push(later);
}

function markHits() {
  CSS.highlights.delete("hit");
  if (!sought.pattern) return;
  const ranges = [...document.querySelectorAll(MARKED)].flatMap((element) => rangesIn(element, sought.pattern));
  if (ranges.length) CSS.highlights.set("hit", new Highlight(...ranges));
}

// A hit may begin in one element and end in another: a text is coloured piece by piece.
function rangesIn(element, pattern) {
  const nodes = [], ends = [];
  const walk = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  let text = "";
  while (walk.nextNode()) {
    text += walk.currentNode.data;
    nodes.push(walk.currentNode);
    ends.push(text.length);
  }
  const place = (at, last) => {
    const n = ends.findIndex((end) => (last ? end >= at : end > at));
    return [nodes[n], at - (n ? ends[n - 1] : 0)];
  };
  return [...text.matchAll(pattern)].filter((match) => match[0]).map((match) => {
    const range = new Range();
    range.setStart(...place(match.index, false));
    range.setEnd(...place(match.index + match[0].length, true));
    return range;
  });
}
