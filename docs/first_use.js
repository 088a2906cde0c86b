// A word of the glossary hovers where it stands first on a page, not everywhere.
document.addEventListener("DOMContentLoaded", () => {
  const seen = new Set();
  for (const word of document.querySelectorAll("article abbr")) {
    if (seen.has(word.textContent) || word.closest("a, h1, h2, h3, h4, th")) word.replaceWith(...word.childNodes);
    else seen.add(word.textContent);
  }
});
