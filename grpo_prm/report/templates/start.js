// Once the page is painted, everything that needs its data is drawn.

async function start() {
  readAddress();
  if (goElsewhere(chosen, "replace")) return;
  setUpTheme();
  setUpGlossary();
  setUpTabs();
  setUpTrend();
  setUpFilters();
  setUpHistogram();
  setUpGroups();
  setUpExplorer();
  setUpSave();
  setUpKeys();
  setUpMarks();
  showFilters();
  showStep();
  showTab();
  search();
  await tell(["group"]);
  if (location.hash.includes(":")) land();
  goOn();
  document.documentElement.dataset.ready = "true";
}

requestAnimationFrame(() => setTimeout(start));
