// Every text with its contrast to what is behind it, tints over tints included.
() => {
  const rgba = (text) => { const n = text.match(/[\d.]+/g).map(Number); return n.length === 3 ? [...n, 1] : n; };
  const light = (c) => {
    const [r, g, b] = c.map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (e) => { if (!e) return [255, 255, 255]; const [r, g, b, a] = rgba(getComputedStyle(e).backgroundColor);
    return a === 1 ? [r, g, b] : behind(e.parentElement).map((v, n) => v * (1 - a) + [r, g, b][n] * a); };
  const ratios = [], texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const e = texts.currentNode.parentElement;
    if (!texts.currentNode.textContent.trim() || !e.checkVisibility() || e.closest("style")) continue;
    const [a, b] = [light(rgba(getComputedStyle(e).color).slice(0, 3)), light(behind(e))].sort((x, y) => y - x);
    ratios.push([(a + 0.05) / (b + 0.05), e.className, texts.currentNode.textContent.slice(0, 30)]);
  }
  return ratios;
}
