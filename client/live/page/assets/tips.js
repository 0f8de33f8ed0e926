// The words of the page and what they mean: as tooltips, for pointer, keyboard and touch, and as a list.

const TERMS = {
  replica: ["replica", "One process that serves at one address. It crashes as a whole, and every call in flight at it is lost with it."],
  call: ["call", "One request of the client's user. It may take several attempts."],
  attempt: ["attempt", "One try of a call at one replica. A bar in the lanes."],
  ready: ["ready", "The process runs and serves."],
  starting: ["starting", "The process was launched and does not serve yet."],
  down: ["down", "There is no process. The supervisor launches it after the restart delay."],
  hung: ["hung", "The process was stopped by a signal, or its faults have it hang: it holds its connections and answers nothing."],
  unready: ["unready", "The process runs, and reports that it does not serve."],
  crash: ["crash", "The end of a process that nobody asked for."],
  incarnation: ["incarnation", "How often the replica was launched: #1 is the first process, #2 the one after it."],
  command: ["command", "What was done on this page or by a scenario, at the moment at which it was done."],
  success: ["success rate", "The share of calls that ended with an answer, of those that have ended. A call that still waits does not count yet."],
  latency: ["latency", "The time from the moment at which a call was due to its answer, with all its attempts and waits. Of calls that succeed."],
  p50: ["p50", "The median latency: half of the calls that succeeded took no longer."],
  p99: ["p99", "Of 100 calls that succeeded, 99 took no longer."],
  attempts: ["attempts per call", "How many attempts a call took on average. 1 is the least; what is above it is load that failover adds."],
  rate: ["calls a second", "How many calls ended in a second, with whatever result."],
  waiting: ["waiting line", "How many calls wait at this moment until a replica has a connection and room for them. Under the policy “attempt” none waits."],
  limit: ["limit", "How many attempts may be in flight at one replica at a time. An adaptive limit is learned from how often an attempt ends in a crash: a crash takes all the others with it."],
  budget: ["budget", "How many repetitions the client may still make. Each call fills the budget a little, and each repetition takes one; so an outage is not answered with a multiple of the load."],
  ejected: ["ejected", "A replica that the client leaves out, as it hangs or keeps failing. It is probed, and put back when it is healthy."],
  back: ["back", "The client uses a replica again that it had left out, as a probe found it healthy, or to try it with one call."],
  freeze: ["freeze", "Holds the picture still to look at it. The cluster and the load go on; “Go on” shows them as they are then."],
  record: ["record", "Writes what happens from now on as the folder of a run, which “crashlab report” shows later."],
  window: ["window", "How much of the past the lanes show."],
  trouble: ["in trouble", "A call that failed or took more than one attempt."],
  kill: ["kill", "Ends the process at once with SIGKILL, as a crash would."],
  hang: ["hang", "Stops the process with SIGSTOP: it holds its connections and answers nothing. The supervisor kills it when its probes go unanswered."],
  continue: ["continue", "Lets a stopped process go on, with SIGCONT."],
  restart: ["restart", "Asks the process to end, and launches it again at once. One that is down is launched."],
  scenario: ["guided scenario", "Sets the stage, disturbs the cluster on cue, and says what to look for."],
  faults: ["faults", "What goes wrong in a replica by itself. Those set here are set again when the replica is relaunched."],
  load: ["load", "The calls that are made, and the policy by which they fail over. Two loads may run side by side at the same cluster."],
  compare: ["compare", "Makes load A with the one policy and load B with the other, side by side at the same cluster."],
  policy: ["policy", "How the client carries a call through the replicas: when it gives up on one, which it tries next, and whether it waits."],
  scale: ["replicas", "How many replicas the supervisor keeps. New ones are launched, the last ones are stopped."],
};

const OUTCOME_TERMS = {
  ok: "The replica answered.", refused: "There was no connection: never sent, so it is safe to try again.",
  lost: "Sent, then the connection broke: it may or may not have been executed.", failed: "The replica answered with a status that is retried.",
  timeout: "The attempt's own deadline passed.", rejected: "A status that is not retried. It ends the call.",
  canceled: "The caller's deadline passed, or another attempt of the call was quicker.",
};

// tipOf returns what is to be said of an element: its own text, or that of its term.
const tipOf = (e) => e.dataset.tip ?? TERMS[e.dataset.term]?.[1];

let tipped = null; // the element that the tooltip is about

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

// placeTip puts the tooltip below what it is about, or above where there is no room.
function placeTip() {
  if (!tipped) return;
  const tip = at("tip");
  const box = tipped.getBoundingClientRect();
  const own = tip.getBoundingClientRect();
  const below = box.bottom + 6 + own.height < innerHeight;
  tip.style.left = Math.max(Math.min(box.left, innerWidth - own.width - 8), 8) + "px";
  tip.style.top = (below ? box.bottom + 6 : Math.max(box.top - own.height - 6, 4)) + "px";
}

// describedIn returns the element that gets the focus: e itself, or the control in a label.
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
