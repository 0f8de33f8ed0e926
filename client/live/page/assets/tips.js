// The terms of the page and their meanings: as tooltips, for pointer, keyboard and touch, and as a list.

const TERMS = {
  replica: ["replica", "A process that serves at one address. When it crashes, every call in flight at it is lost."],
  call: ["call", "A request of the client's user. It may take several attempts."],
  attempt: ["attempt", "One try of a call at one replica: a bar in the lanes."],
  ready: ["ready", "The process runs and serves."],
  starting: ["starting", "The process was launched but does not serve yet."],
  down: ["down", "There is no process. The supervisor launches it after the restart delay."],
  hung: ["hung", "The process keeps its connections but answers nothing, because a signal stopped it or its faults make it hang."],
  unready: ["unready", "The process runs but reports that it does not serve."],
  crash: ["crash", "An exit of the process that was not requested."],
  incarnation: ["incarnation", "The number of the replica's launch: #1 is its first process, #2 the next."],
  command: ["command", "Something done on this page or by a scenario."],
  success: ["success rate", "The share of ended calls that were answered. Calls that still wait do not count yet."],
  latency: ["latency", "The time from when a call was due to its answer, with all attempts and waits. Only calls that succeed count."],
  p50: ["p50", "The median latency: half of the calls that succeeded took no longer."],
  p99: ["p99", "Of 100 calls that succeeded, 99 took no longer."],
  attempts: ["attempts per call", "The average number of attempts of a call. Anything above 1 is load that failover adds."],
  rate: ["calls a second", "How many calls ended per second, whatever their result."],
  waiting: ["waiting line", "How many calls are waiting for a replica with a connection and room for them. Under the policy “attempt” no call waits."],
  limit: ["limit", "The greatest number of attempts in flight at a replica. An adaptive limit is learned from crashes, since a crash takes all attempts in flight with it."],
  budget: ["budget", "How many retries the client may still make. Each call adds a little and each retry takes one, so that an outage does not multiply the load."],
  ejected: ["ejected", "A replica that the client does not use because it hangs or keeps failing. The client probes it and uses it again when it is healthy."],
  back: ["back", "The client uses an ejected replica again, because a probe found it healthy or to try it with one call."],
  freeze: ["freeze", "Holds the picture still while the cluster and the load go on. “Go on” shows the present again."],
  record: ["record", "Writes what happens from now on as a run, which “crashlab report” shows later."],
  window: ["window", "How much of the past the lanes show."],
  trouble: ["in trouble", "A call that failed or took more than one attempt."],
  kill: ["kill", "Ends the process at once with SIGKILL, like a crash."],
  hang: ["hang", "Stops the process with SIGSTOP: it keeps its connections but answers nothing. The supervisor kills it when its probes fail."],
  continue: ["continue", "Resumes a stopped process with SIGCONT."],
  restart: ["restart", "Stops the process and launches it again at once. Launches a replica that is down."],
  scenario: ["guided scenario", "Prepares the cluster and the loads, disturbs the replicas at given times, and says what to look for."],
  faults: ["faults", "What goes wrong in a replica by itself. Faults set here are set again after each relaunch."],
  load: ["load", "The calls that are made and their failover policy. Two loads may run side by side on the same cluster."],
  compare: ["compare", "Runs load A with one policy and load B with the other, side by side on the same cluster."],
  policy: ["policy", "How the client makes a call: when it gives up an attempt, which replica it tries next, and whether it waits."],
  scale: ["replicas", "How many replicas the supervisor runs. It launches new ones and stops the last ones."],
};

const OUTCOME_TERMS = {
  ok: "The replica answered.", refused: "There was no connection. Nothing was sent, so a retry is safe.",
  lost: "Sent, then the connection broke. The request may or may not have been executed.", failed: "The replica answered with a status that is retried.",
  timeout: "The attempt's own deadline passed.", rejected: "The replica answered with a status that is not retried, which ends the call.",
  canceled: "The caller's deadline passed, or another attempt of the call was faster.",
};

// tipOf returns the tooltip of an element: its own text, or that of its term.
const tipOf = (e) => e.dataset.tip ?? TERMS[e.dataset.term]?.[1];

let tipped = null; // the element with the tooltip

function showTip(e) {
  const text = e && tipOf(e);
  if (e === tipped && text) return;
  hideTip();
  if (!text) return;
  const tip = at("tip");
  tipped = e;
  tip.textContent = text;
  tip.hidden = false;
  placeTip();
  describedIn(e)?.setAttribute("aria-describedby", "tip");
}

// placeTip places the tooltip below its element, or above if there is no room.
function placeTip() {
  if (!tipped) return;
  const tip = at("tip");
  const box = tipped.getBoundingClientRect();
  const own = tip.getBoundingClientRect();
  const below = box.bottom + 6 + own.height < innerHeight;
  tip.style.left = Math.max(Math.min(box.left, innerWidth - own.width - 8), 8) + "px";
  tip.style.top = (below ? box.bottom + 6 : Math.max(box.top - own.height - 6, 4)) + "px";
}

// describedIn returns the element that takes the focus: e itself, or the control in a label.
const describedIn = (e) => (e.tagName === "LABEL" ? e.querySelector("input, select") : e);

function hideTip() {
  if (tipped) describedIn(tipped)?.removeAttribute("aria-describedby");
  tipped = null;
  at("tip").hidden = true;
}

function listenForTips() {
  const subject = (e) => e.target.closest?.("[data-term], [data-tip]");
  document.addEventListener("pointerover", (e) => {
    if (e.pointerType === "mouse" && !at("tip").contains(e.target)) showTip(subject(e));
  });
  document.addEventListener("focusin", (e) => showTip(subject(e)));
  document.addEventListener("focusout", hideTip);
  document.addEventListener("pointerup", (e) => { if (e.pointerType !== "mouse") showTip(subject(e)); });
  document.addEventListener("keydown", (e) => { if (e.key === "Escape") hideTip(); });
  document.addEventListener("scroll", placeTip, { capture: true, passive: true });
}

function listTerms() {
  const entries = [...Object.values(TERMS), ...outcomes.map((name) => [name, OUTCOME_TERMS[name]])];
  entries.sort((a, b) => a[0].localeCompare(b[0]));
  at("terms").replaceChildren(...entries.flatMap(([name, text]) => [element("dt", name), element("dd", text)]));
}
