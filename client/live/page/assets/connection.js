// The connection to the server: events, commands and messages about failures.

const token = location.hash.slice(1);
const SILENCE = 5000; // ms without an event after which the connection counts as lost; the server sends one each second
const RETRY = 1000; // ms

let source = null;
let watchdog = 0;
let lost = 0; // failed connections in a row

// connect opens the stream of events, which begins with a whole state.
function connect() {
  source?.close();
  source = new EventSource("api/events?token=" + encodeURIComponent(token));
  source.addEventListener("about", (e) => takeAbout(JSON.parse(e.data)));
  source.addEventListener("state", (e) => {
    takeState(JSON.parse(e.data));
    news(true);
  });
  source.addEventListener("diff", (e) => {
    if (state) takeDiff(JSON.parse(e.data));
    news(false);
  });
  source.addEventListener("error", () => loseConnection());
  watch();
}

// watch restarts the watchdog of the connection.
function watch() {
  clearTimeout(watchdog);
  watchdog = setTimeout(() => loseConnection(), SILENCE);
}

function news(whole) {
  watch();
  if (whole) {
    lost = 0;
    withdraw("connection");
    showConnection();
  }
  refresh(whole);
}

// loseConnection reports the loss and connects again, which an EventSource that got another answer than a stream does not do.
function loseConnection() {
  clearTimeout(watchdog);
  source.close();
  lost++;
  setConnection("lost", "connection lost");
  if (lost === 2) explainLoss();
  setTimeout(connect, Math.min(RETRY * lost, 5 * RETRY));
}

// explainLoss finds out why there is no stream, since an EventSource does not tell.
async function explainLoss() {
  const say = (text) => lost > 0 && complain("connection", text);
  try {
    const response = await fetch("api/calls/A/0", { headers: authorization });
    if (response.status === 401) {
      say("This page has no valid token. Open the URL that crashlab live has printed in its terminal, including the part after #.");
    } else if (response.status === 503) {
      say((await problemOf(response)).error);
    } else {
      say("The connection to crashlab live is lost. Trying again.");
    }
  } catch {
    say("crashlab live does not answer. Trying again; if it has ended, start it again and open the URL that it prints.");
  }
}

const authorization = { Authorization: "Bearer " + token };

async function problemOf(response) {
  try {
    return await response.json();
  } catch {
    return { error: `crashlab live answered with status ${response.status}.` };
  }
}

// ask sends a command. It returns null if it has taken effect, and the problem otherwise. It shows the problem unless it is
// about a field, beside which the caller shows it.
async function ask(command) {
  let problem = null;
  try {
    const response = await fetch("api/command", {
      method: "POST", headers: { ...authorization, "Content-Type": "application/json" }, body: JSON.stringify(command),
    });
    if (!response.ok) problem = await problemOf(response);
  } catch {
    problem = { error: "crashlab live does not answer, so nothing was changed. Try again when the connection is back." };
  }
  if (problem && !problem.field) complain(command.do, problem.error);
  else withdraw(command.do);
  return problem;
}

// showConnection shows that the page is connected or frozen.
function showConnection() {
  if (stage.frozen) setConnection("frozen", `frozen at ${clock(stage.frozen.now)}`);
  else setConnection("live", "live");
}

function setConnection(name, text) {
  at("connection").dataset.state = name;
  at("connection").textContent = text;
}

const MESSAGES = 4; // at most

// complain shows a message until it is closed, withdrawn, or replaced by another about the same subject.
function complain(subject, text) {
  const messages = at("messages");
  const old = messages.querySelector(`[data-about="${subject}"]`);
  if (old?.firstChild.textContent === text) return;
  const message = element("div", "", "message");
  message.dataset.about = subject;
  const close = element("button", "Close");
  close.type = "button";
  close.addEventListener("click", () => message.remove());
  message.append(element("p", text), close);
  if (old) old.replaceWith(message);
  else messages.append(message);
  while (messages.children.length > MESSAGES) messages.firstChild.remove();
}

function withdraw(subject) {
  at("messages").querySelector(`[data-about="${subject}"]`)?.remove();
}
