// Words of ours say what they mean under the pointer and under the focus; the list of all is at "How to read".

// A word as an element that says it; plain text where the glossary does not have it.
function term(word, key = word) {
  return key in DATA.glossary ? make("span", { class: "term", tabindex: 0, "data-tip": key }, word) : word;
}

function setUpGlossary() {
  const tip = byId("tip");
  let of = null;
  const hide = () => {
    of?.removeAttribute("aria-describedby");
    of = null;
    tip.hidden = true;
  };
  const say = (event) => {
    const word = event.target.closest?.("[data-tip]");
    if (!word || !DATA.glossary[word.dataset.tip]) return;
    hide();
    of = word;
    tip.textContent = DATA.glossary[word.dataset.tip];
    tip.hidden = false;
    word.setAttribute("aria-describedby", "tip");
    place();
  };
  // Where its word is, also while the page scrolls to it or another size of the window moves it.
  const place = () => {
    if (!of) return;
    const { left, top, bottom } = of.getBoundingClientRect(), { width, height } = tip.getBoundingClientRect();
    const below = bottom + 6 + height < window.innerHeight;
    tip.style.left = `${Math.max(8, Math.min(left, window.innerWidth - width - 8))}px`;
    tip.style.top = `${below ? bottom + 6 : Math.max(8, top - height - 6)}px`;
  };
  for (const event of ["pointerover", "focusin"]) document.addEventListener(event, say);
  document.addEventListener("pointerout", (event) => of?.contains(event.target) && !of.contains(event.relatedTarget) && hide());
  document.addEventListener("focusout", hide);
  document.addEventListener("scroll", place, { capture: true, passive: true });
  window.addEventListener("resize", place);
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
  for (const link of document.querySelectorAll("a[data-part]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const title = document.querySelector(`[data-title="${CSS.escape(link.dataset.part)}"]`);
      title?.scrollIntoView();
      title?.focus({ preventScroll: true });
    });
  }
}
