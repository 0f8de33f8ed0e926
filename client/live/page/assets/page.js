// The page: updates, the theme, and the start.

function at(id) {
  return document.getElementById(id);
}

// refresh updates the page. whole is true after a whole new state.
function refresh(whole) {
  if (!about || !state) return;
  if (whole || stage.blocks.length !== shown().replicas.length) layOut();
  if (!stage.frozen || whole) paintSoon();
  if (document.hidden) return;
  if (!stage.frozen) {
    showFigures();
    showKey();
  }
  showHeads();
  showHistory();
  if (changed("replicas")) showFaults();
  if (changed("groups")) showCluster();
  if (changed("plans")) showLoads();
  if (changed("scenario")) showScenario();
  if (changed("recording")) showRecording();
  if (changed("cluster")) showControl();
  showMarks();
  speak();
  document.documentElement.dataset.ready = "";
}

const drawn = {};

// changed reports whether a part of the state was replaced since the last call.
function changed(part) {
  const before = drawn[part];
  drawn[part] = state[part];
  return before !== state[part];
}

// showControl shows whether the control service is connected.
function showControl() {
  const { connected, error, control } = state.cluster;
  document.documentElement.classList.toggle("uncontrolled", !control || !connected);
  if (control && !connected) complain("cluster", `The cluster is not under control: ${error || "the control service does not answer"}`);
  else withdraw("cluster");
}

function setTheme(theme) {
  applyTheme(theme);
  for (const { u } of plots) u.redraw(false, true);
  paintSoon();
}

// listenToTheme follows the system's theme until the user chooses one in this tab.
function listenToTheme() {
  at("theme").addEventListener("click", () => {
    const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    sessionStorage.setItem("theme", theme);
    setTheme(theme);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (e) => {
    if (!sessionStorage.getItem("theme")) setTheme(e.matches ? "dark" : "light");
  });
}

function begin() {
  stage.canvas = at("lanes");
  setTheme(document.documentElement.dataset.theme);
  makeKey();
  listTerms();
  for (const e of document.querySelectorAll("h2[data-term], h3[data-term]")) e.tabIndex = 0;
  listenForTips();
  listenToLanes();
  listenToControls();
  listenToTheme();
  at("window").addEventListener("change", (e) => {
    stage.span = Number(e.target.value);
    paintSoon();
  });
  new ResizeObserver(() => {
    if (!state) return;
    layOut();
    paintStage();
  }).observe(at("stage"));
  document.addEventListener("visibilitychange", () => refresh(true));
  showWay();
  if (token) connect();
  else complain("connection", "The address of this page lacks the token. Open the URL that crashlab live has printed in its terminal, including the part after #.");
}

begin();
