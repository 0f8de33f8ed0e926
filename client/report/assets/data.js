// The records of trials. Times are in seconds from the start of the load.

const run = JSON.parse(document.getElementById("run").textContent);
const { outcomes } = run;
const OUTCOME = Object.fromEntries(outcomes.map((name, i) => [name, i]));
const STATE = { down: 0, starting: 1, up: 2, paused: 3 };
const RESULT = { ok: 0, failed: 1, interrupted: 2 };
const MICRO = 1e-6;

// column returns a column of n numbers. It is encoded as 0 if all are zero, and as a string if all
// are digits.
function column(values, n) {
  if (values === 0) return new Float64Array(n);
  if (typeof values !== "string") return new Float64Array(values);
  const result = new Float64Array(n);
  for (let i = 0; i < n; i++) result[i] = values.charCodeAt(i) - 48;
  return result;
}

// times returns a column of microseconds in seconds. A running column is encoded as differences.
function times(values, n, running) {
  const result = column(values, n);
  let sum = 0;
  for (let i = 0; i < n; i++) {
    sum = running ? sum + result[i] : result[i];
    result[i] = sum * MICRO;
  }
  return result;
}

function columnsOf(raw) {
  const lengths = Object.values(raw).map((c) => (c === 0 ? 0 : c.length));
  return Math.max(0, ...lengths);
}

// readTrial parses the records of a trial.
function readTrial(number) {
  const raw = JSON.parse(document.getElementById("trial-" + number).textContent);
  const trial = {
    number, open: raw.open, counted: raw.counted, replicas: raw.replicas, reasons: raw.reasons, codes: raw.codes,
    end: raw.end * MICRO, warmup: raw.warmup * MICRO, deadline: raw.deadline * MICRO, timeout: raw.timeout * MICRO,
    bands: raw.bands.map(([replica, state, from, to]) => ({ replica, state, from: from * MICRO, to: to * MICRO })),
    crashes: raw.crashes.map(([replica, incarnation, at]) => ({ replica, incarnation, at: at * MICRO })),
    calls: readCalls(raw.calls),
    attempts: readAttempts(raw.attempts),
  };
  indexAttempts(trial);
  return trial;
}

function readCalls(raw) {
  const n = columnsOf(raw);
  const calls = { n, number: column(raw.number, n), intended: times(raw.intended, n, true), late: times(raw.late, n) };
  calls.duration = times(raw.duration, n);
  calls.result = column(raw.result, n);
  calls.reason = column(raw.reason, n);
  calls.warmup = column(raw.warmup, n);
  calls.latency = calls.duration.map((d, i) => d + calls.late[i]);
  return calls;
}

function readAttempts(raw) {
  const n = columnsOf(raw);
  const attempts = { n, start: times(raw.start, n, true), duration: times(raw.duration, n) };
  for (const name of ["call", "number", "round", "replica", "incarnation", "row", "outcome", "sent", "hedge", "code"]) {
    attempts[name] = column(raw[name], n);
  }
  attempts.end = attempts.start.map((s, i) => s + attempts.duration[i]);
  return attempts;
}

// indexAttempts indexes the attempts by call, and by replica and row, each in the order of their
// starts.
function indexAttempts(trial) {
  const { calls, attempts } = trial;
  trial.counts = outcomes.map(() => 0); // of attempts, by outcome
  trial.first = new Int32Array(calls.n + 1); // the attempts of call c: byCall[first[c]] up to byCall[first[c+1]]
  for (let i = 0; i < attempts.n; i++) {
    trial.first[attempts.call[i] + 1]++;
    trial.counts[attempts.outcome[i]]++;
  }
  for (let c = 0; c < calls.n; c++) trial.first[c + 1] += trial.first[c];
  const next = trial.first.slice();
  trial.byCall = new Int32Array(attempts.n);
  trial.rows = trial.replicas.map((r) => Array.from({ length: r.rows }, () => []));
  for (let i = 0; i < attempts.n; i++) {
    trial.byCall[next[attempts.call[i]]++] = i;
    trial.rows[attempts.replica[i]][attempts.row[i]].push(i);
  }
}

// attemptsOf returns the attempts of a call.
function attemptsOf(trial, call) {
  return trial.byCall.subarray(trial.first[call], trial.first[call + 1]);
}

// inTrouble reports whether a call failed or needed more than one attempt.
function inTrouble(trial, call) {
  return trial.calls.result[call] === RESULT.failed || trial.first[call + 1] - trial.first[call] > 1;
}

// moment formats a time of the trial.
function moment(s) {
  return s.toFixed(3) + " s";
}
