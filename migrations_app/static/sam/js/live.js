// What happens, as it happens. A page marks what is to be kept up:
//
//   <section data-live-plan="ID">          one plan; in it, by data-live:
//     data-live="status|step|detail|pace|percentage|error"   text
//     data-live="bar"                       a <progress max="100">
//     data-live="announce"                  with aria-live="polite": told at changes of a step only
//     <li data-live-step="re_embed" data-label="Embedding your knowledge">  in it, by data-live:
//       step-status, step-detail (text), step-bar (<progress max="1">)
//   data-live-percentage="ID"               anywhere on the page: that plan's percentage, as text
//   <body data-live-person>                 all that is the reader's, plans of theirs included
//   data-live-since="PLACE"                 beside either: the place at which it was drawn; what came later is told
//   data-live="mode"                        a sentence while it is not live; hidden else
//
// data-status of a section and of its steps is the status itself, for style sheets. Every event is sent on as
// a CustomEvent "sam:live:NAME" that bubbles from its section (a person's from the body), with the event's JSON
// as detail; NAME is of the table in migrations_app/live/messages.py. Two are made here: "person" when engine or
// adapters changed since the page was opened, "polled" when, without a stream, a poll found something new.

const WORDS = {
  pending: "Waiting", in_progress: "Running", paused: "Paused", completed: "Done", failed: "Failed",
  cancelled: "Stopped", needs_operator: "Waits for an operator", rolled_back: "Taken back",
};
const NAMES = ["change", "plan", "progress", "engine", "adapters", "unread", "notice", "mode", "reset", "end"];
const OF_PERSON = new Set(["engine", "adapters"]);
const FINAL = new Set(["completed", "failed", "cancelled", "rolled_back"]);
const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 30000;
const POLL_PAUSE = 3000;
const HIDDEN_PAUSE = 30000;
const SILENCE = 120000;

function send(root, name, detail) {
  root.dispatchEvent(new CustomEvent(`sam:live:${name}`, { bubbles: true, detail }));
}

function set(root, what, text) {
  root.querySelectorAll(`[data-live="${what}"]`).forEach((place) => {
    if (place.textContent !== text) place.textContent = text;
  });
}

function setBar(root, what, value) {
  root.querySelectorAll(`[data-live="${what}"]`).forEach((bar) => { bar.value = value; });
}

function showStep(row, step) {
  row.dataset.status = step.status;
  set(row, "step-status", WORDS[step.status] ?? step.status);
  set(row, "step-detail", step.error || step.detail || "");
  setBar(row, "step-bar", step.status === "completed" ? 1 : step.progress);
}

// A plan never goes backwards: what a worker told last may be older than what the page was drawn with.
function showPercentage(root, told) {
  const value = Math.max(told, root.querySelector('progress[data-live="bar"]')?.value ?? 0);
  const text = `${Math.floor(value)} %`;
  setBar(root, "bar", value);
  set(root, "percentage", text);
  document.querySelectorAll(`[data-live-percentage="${CSS.escape(root.dataset.livePlan)}"]`)
    .forEach((place) => { place.textContent = text; });
}

function showNow(root, now) {
  set(root, "detail", now?.detail ?? "");
  set(root, "pace", now?.pace ?? "");
  if (!now) return;
  showPercentage(root, now.percentage);
  const row = root.querySelector(`[data-live-step="${now.step}"]`);
  if (row) {
    setBar(row, "step-bar", now.progress);
    set(row, "step-detail", now.detail);
  }
}

function labelOf(root, kind) {
  return root.querySelector(`[data-live-step="${kind}"]`)?.dataset.label ?? kind.replaceAll("_", " ");
}

function announce(root, plan) {
  const running = plan.steps.find((step) => step.status === "in_progress" || step.status === "needs_operator");
  const words = running ? `${labelOf(root, running.kind)}: ${WORDS[running.status]}` : WORDS[plan.status];
  set(root, "announce", words ?? plan.status);
}

function showPlan(root, plan) {
  root.dataset.status = plan.status;
  set(root, "status", WORDS[plan.status] ?? plan.status);
  set(root, "step", plan.current_step ? labelOf(root, plan.current_step) : "");
  set(root, "error", plan.error || plan.warning || "");
  plan.steps.forEach((step) => {
    const row = root.querySelector(`[data-live-step="${step.kind}"]`);
    if (row) showStep(row, step);
  });
  showNow(root, plan.now);
  showPercentage(root, plan.percentage);
  announce(root, plan);
}

const met = new WeakSet();

// What changed while no stream was open and nobody knew a place to go on from is told as a state only.
function meet(section, plan) {
  const drawn = section.dataset.status;
  showPlan(section, plan);
  if (met.has(section)) return;
  met.add(section);
  if (drawn && drawn !== plan.status) send(section, "change", { plan: plan.id, to_status: plan.status });
}

function sectionsOf(id) {
  return document.querySelectorAll(`[data-live-plan="${CSS.escape(id)}"]`);
}

function take(root, name, data) {
  if (name === "plan") sectionsOf(data.id).forEach((section) => meet(section, data));
  if (name === "progress") sectionsOf(data.plan).forEach((section) => showNow(section, data.now));
  if (name === "mode") {
    document.querySelectorAll('[data-live="mode"]').forEach((place) => {
      place.textContent = data.live ? "" : data.reason;
      place.hidden = data.live;
    });
  }
  const sections = data.plan ?? (name === "plan" ? data.id : null);
  const targets = sections ? [...sectionsOf(sections)] : [];
  (targets.length ? targets : [root]).forEach((target) => send(target, name, data));
}

const streams = new Set();

// One stream, kept open: again after errors, later each time; closed while nobody sees the page.
class Stream {
  constructor(root, events, progress) {
    this.root = root;
    this.events = events;
    this.progress = progress;
    this.lastId = root.dataset.liveSince ?? "";
    this.etag = "";
    this.told = new Map();
    this.pause = FIRST_PAUSE;
    this.source = null;
    this.timer = 0;
    this.watch = 0;
    this.isOver = false;
    document.addEventListener("visibilitychange", () => this.follow());
    window.addEventListener("pagehide", () => this.close());
    this.open();
  }

  // What is gone from the page is not told any more: a browser opens only a few connections.
  stopIfGone() {
    if (this.root.isConnected) return;
    this.isOver = true;
    clearTimeout(this.timer);
    this.close();
    streams.delete(this);
  }

  follow() {
    clearTimeout(this.timer);
    if (this.isOver) return;
    if (document.hidden) this.timer = setTimeout(() => this.close(), HIDDEN_PAUSE);
    else if (!this.source) this.open();
  }

  open() {
    clearTimeout(this.timer);
    if (this.isOver) return;
    const address = new URL(this.events, location.href);
    if (this.lastId) address.searchParams.set("last_event_id", this.lastId);
    this.source = new EventSource(address);
    NAMES.forEach((name) => this.source.addEventListener(name, (event) => this.hear(name, event)));
    this.source.onopen = () => { this.pause = FIRST_PAUSE; this.expect(); };
    this.source.onerror = () => this.fail();
    this.expect();
  }

  // A connection that died without a word is noticed by its silence; comments are not seen here, so a stream
  // that tells nothing is opened anew now and then, which costs one request.
  expect() {
    clearTimeout(this.watch);
    this.watch = setTimeout(() => { if (!this.isOver && !document.hidden) { this.close(); this.open(); } }, SILENCE);
  }

  hear(name, event) {
    this.expect();
    if (event.lastEventId) this.lastId = event.lastEventId;
    const data = JSON.parse(event.data);
    take(this.root, name, data);
    if (OF_PERSON.has(name)) this.compare(name, event.data);
    if (name !== "end") return;
    this.close();
    this.isOver = !data.again;
    if (data.again) this.later();
  }

  // What is now comes first on every stream, and was drawn with the page.
  compare(name, text) {
    const before = this.told.get(name);
    this.told.set(name, text);
    if (before !== undefined && before !== text) send(this.root, "person", { name });
  }

  close() {
    clearTimeout(this.watch);
    this.source?.close();
    this.source = null;
  }

  fail() {
    this.close();
    this.poll().then((goesOn) => { if (goesOn) this.later(); else this.isOver = true; });
  }

  later() {
    clearTimeout(this.timer);
    const spread = this.pause * (0.75 + Math.random() / 2);
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE);
    const openAt = Date.now() + spread;
    const turn = () => {
      if (document.hidden) return;
      if (Date.now() >= openAt) this.open();
      else this.poll().then((goesOn) => { if (goesOn) this.timer = setTimeout(turn, wait()); });
    };
    const wait = () => Math.max(Math.min(openAt - Date.now(), POLL_PAUSE), 0);
    this.timer = setTimeout(turn, wait());
  }

  // What a stream would tell now; false when there is nothing more to ask for.
  async poll() {
    const headers = this.etag ? { "If-None-Match": this.etag } : {};
    try {
      const answer = await fetch(this.progress, { headers, cache: "no-store", credentials: "same-origin" });
      if (answer.status === 401 || answer.status === 403 || answer.status === 404) return false;
      if (answer.status !== 200) return true;
      const isNew = Boolean(this.etag);
      this.etag = answer.headers.get("ETag") ?? "";
      const body = await answer.json();
      const plans = body.plans ?? [body];
      plans.forEach((plan) => take(this.root, "plan", plan));
      if (isNew) send(this.root, "polled", {});
      return Boolean(body.plans) || !FINAL.has(body.status);
    } catch {
      return true;
    }
  }
}

const API = "/api/v1";
const started = new WeakSet();

// Starts what the page marks; to be called again when a part of the page was exchanged.
export function startLive(root = document) {
  streams.forEach((stream) => stream.stopIfGone());
  const person = document.querySelector("[data-live-person]");
  if (person && !started.has(person)) {
    started.add(person);
    const scope = person.dataset.livePerson === "all" ? "?scope=all" : "";
    streams.add(new Stream(person, `${API}/events${scope}`, `${API}/progress${scope}`));
  }
  root.querySelectorAll("[data-live-plan]").forEach((section) => {
    // The reader's own plans come with their stream: browsers open only a few connections.
    if (started.has(section) || (person && section.dataset.liveOwn !== "false")) return;
    started.add(section);
    if (FINAL.has(section.dataset.status)) return;
    const plan = `${API}/plans/${section.dataset.livePlan}`;
    streams.add(new Stream(section, `${plan}/events`, `${plan}/progress`));
  });
}

startLive();
document.addEventListener("htmx:load", (event) => startLive(event.target));
