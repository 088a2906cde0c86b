// Once the page is painted, everything that needs its data is drawn.

function start() {
  setUpTheme();
  readAddress();
  setUpTrend();
  setUpGroups();
  setUpExplorer();
  if (chosen.group === null && DATA.trees.length) chosen.group = DATA.trees[0].group;
  showStep();
  showTable();
  showGroup();
  document.documentElement.dataset.ready = "true";
}

requestAnimationFrame(() => setTimeout(start));
