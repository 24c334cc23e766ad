// An answer while it is written. Without this module the form works as a form: the answer comes whole.

import { showTimes } from "./times.js";
import { toast } from "./toasts.js";

const page = document.getElementById("chat");
const list = document.getElementById("messages");
const composer = document.getElementById("composer");
const question = composer.elements.content;
const ask = document.getElementById("ask");
const stop = document.getElementById("stop");
const status = document.getElementById("chat-status");

const MAX_TOKENS = 1024;
const PASSAGES = 4;
const TEMPERATURE = 0.2;
const TITLE_CHARS = 60;
const NEAR = 160;
const BUSY = 409;
const ENDING_TRIES = 40;
const ENDING_PAUSE = 250;

let reading = null;
let isEnding = false;
let isNamed = Boolean(page.dataset.conversation);

function make(id) {
  return document.getElementById(id).content.firstElementChild.cloneNode(true);
}

function headers(more = {}) {
  return { "X-CSRFToken": composer.elements.csrfmiddlewaretoken.value, "Content-Type": "application/json", ...more };
}

// The end of what was said, and not of the page: on a phone the list of conversations stands below.
function goToEnd() {
  composer.parentElement.scrollIntoView({ block: "end" });
}

// Whoever has scrolled up to read is left alone.
function follow(change) {
  const isNear = composer.parentElement.getBoundingClientRect().bottom - window.innerHeight < NEAR;
  change();
  if (isNear) goToEnd();
}

async function sentence(response) {
  try {
    return (await response.json()).detail;
  } catch {
    return `That did not work (${response.status}); try again.`;
  }
}

async function findConversation() {
  if (page.dataset.conversation) return page.dataset.conversation;
  const response = await fetch(page.dataset.api, { method: "POST", headers: headers(), body: "{}" });
  if (!response.ok) throw new Error(await sentence(response));
  const { id } = await response.json();
  page.dataset.conversation = id;
  const address = `${page.dataset.page}${id}/`;
  composer.action = address;
  history.replaceState(null, "", address);
  return id;
}

// The first question names a conversation, here as at the server.
function nameConversation(content) {
  const line = content.split(/\s+/).join(" ").trim();
  const head = line.slice(0, TITLE_CHARS);
  const title = line.length > TITLE_CHARS ? `${head.slice(0, head.lastIndexOf(" ")) || head}…` : line;
  document.getElementById("chat-title").textContent = title;
  document.title = `${title} · SAM`;
  const entry = document.getElementById("conversation-entry").content.firstElementChild.cloneNode(true);
  const link = entry.querySelector("a");
  link.href = composer.action;
  link.querySelector("span").textContent = title;
  const entries = document.querySelector("#conversations ul");
  entries.querySelector(":scope > .faint")?.remove();
  entries.prepend(entry);
}

function wish() {
  const body = { stream: true, max_tokens: MAX_TOKENS, temperature: TEMPERATURE };
  if (composer.elements.use_knowledge?.checked) {
    const bases = [...composer.querySelectorAll("[name=bases]:checked")].map((box) => Number(box.value));
    body.knowledge = bases.length ? { k: PASSAGES, bases } : { k: PASSAGES };
  }
  return body;
}

// Server-sent events of a POST, which EventSource cannot ask for.
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const name = /^event: (.*)$/m.exec(part)?.[1];
      const data = [...part.matchAll(/^data: (.*)$/gm)].map((line) => line[1]).join("\n");
      if (name) yield [name, JSON.parse(data)];
    }
  }
}

// Only the last question is answered again.
function withdrawAgain() {
  list.querySelectorAll(".regenerate").forEach((form) => form.remove());
}

function offerAgain(place) {
  if (!page.dataset.conversation) return;
  withdrawAgain();
  const form = make("answer-again");
  form.action = `${page.dataset.page}${page.dataset.conversation}/regenerate/`;
  follow(() => place.append(form));
}

class Answer {
  constructor(replaced = null) {
    this.element = make("busy-message");
    this.replaced = replaced;
    this.engineTurn = null;
    this.text = "";
    follow(() => (replaced ? replaced.replaceWith(this.element) : list.append(this.element)));
    this.wait("Sent");
  }

  part(css) { return this.element.querySelector(css); }

  wait(text) {
    const line = this.part(".message-wait");
    line.hidden = !text;
    line.textContent = text;
  }

  take(name, data) {
    this[`on_${name}`]?.(data);
  }

  on_message({ message }) {
    if (isNamed) return;
    isNamed = true;
    nameConversation(message.content);
  }

  on_waiting({ reason, seconds }) {
    this.wait(seconds ? `${reason} (${seconds} s)` : reason);
    status.textContent = reason;
  }

  on_engine({ engine, switched_from: before, fallback_for: cause }) {
    this.wait("");
    const line = this.part(".message-engine");
    line.hidden = false;
    line.lastElementChild.textContent = cause ? `${engine} for ${cause.engine_id}: ${cause.reason}` : engine;
    if (!before) return;
    this.engineTurn = make("turning-point");
    this.engineTurn.querySelector("span > span").textContent = `From here ${engine} answers`;
    this.element.before(this.engineTurn);
  }

  on_left_out({ messages }) {
    toast(`The engine's context is full: the ${messages} oldest messages are not read any more.`, "info");
  }

  on_citations({ citations }) {
    const row = this.part(".citations");
    row.hidden = !citations.length;
    row.replaceChildren(...citations.map(({ number, title, place, document_id: doc, chunk_id: chunk }) => {
      const link = document.createElement("a");
      link.className = "citation";
      link.href = `${page.dataset.documents}${doc}/?passage=${chunk}#passage`;
      const mark = document.createElement("b");
      mark.textContent = number;
      const name = document.createElement("span");
      name.textContent = place ? `${title} · ${place}` : title;
      link.append(mark, name);
      return link;
    }));
  }

  on_reasoning({ text }) {
    const box = this.part(".reasoning");
    box.hidden = false;
    follow(() => box.lastElementChild.append(text));
  }

  on_delta({ text }) {
    this.wait("");
    this.text += text;
    follow(() => this.part(".message-body").append(text));
  }

  async on_done({ message }) {
    await this.draw(message);
    status.textContent = "The answer is there.";
  }

  async on_error({ detail, message }) {
    if (message) await this.draw(message);
    else this.element.remove();
    this.fail(detail);
  }

  fail(text) {
    const failed = make("failed-message");
    failed.querySelector("p").textContent = text;
    follow(() => list.append(failed));
    offerAgain(failed);
    status.textContent = text;
  }

  // The server draws what is kept: Markdown, sources, who wrote it.
  async draw(message) {
    const address = `${page.dataset.page}${page.dataset.conversation}/messages/${message.id}/`;
    const response = await fetch(address, { headers: { "HX-Request": "true" } });
    if (!response.ok) { this.settle(); return; }
    const drawn = new DOMParser().parseFromString(await response.text(), "text/html").body;
    withdrawAgain();
    this.engineTurn?.remove();
    follow(() => this.element.replaceWith(...drawn.children));
    showTimes(list);
  }

  settle() {
    this.element.removeAttribute("aria-busy");
    this.wait(this.text ? "Stopped" : "Stopped before the first word");
    offerAgain(this.part(".message-meta"));
  }
}

function busy(isBusy) {
  ask.hidden = isBusy;
  stop.hidden = !isBusy;
  page.toggleAttribute("data-busy", isBusy);
}

// An answer that was stopped holds its conversation for a moment more: until the server has kept its part.
async function send(address, request) {
  for (let tries = 0; ; tries += 1) {
    const response = await fetch(address, request);
    if (response.status !== BUSY || !isEnding || tries === ENDING_TRIES) return response;
    await new Promise((resolve) => { setTimeout(resolve, ENDING_PAUSE); });
  }
}

async function turn(path, body, key, begin) {
  reading = new AbortController();
  busy(true);
  let answer = null;
  try {
    const id = await findConversation();
    answer = begin();
    const response = await send(`${page.dataset.api}/${id}/messages${path}`, {
      method: "POST",
      headers: headers({ Accept: "text/event-stream", ...(key ? { "Idempotency-Key": key } : {}) }),
      body: JSON.stringify(body),
      signal: reading.signal,
    });
    isEnding = false;
    if (!response.ok) throw new Error(await sentence(response));
    for await (const [name, data] of events(response)) await answer.take(name, data);
  } catch (error) {
    if (error.name === "AbortError") answer?.settle();
    else if (answer) { answer.element.remove(); answer.fail(error.message); } else toast(error.message, "danger");
  } finally {
    reading = null;
    busy(false);
  }
}

function say(text) {
  const mine = make("person-message");
  mine.querySelector(".message-body").textContent = text;
  document.querySelector(".chat-empty")?.remove();
  withdrawAgain();
  list.append(mine);
  goToEnd();
}

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = question.value;
  if (reading || !text.trim()) return;
  question.value = "";
  turn("", { ...wish(), content: text }, crypto.randomUUID?.() ?? String(Math.random()), () => {
    say(text);
    return new Answer();
  });
  question.focus();
});

stop.addEventListener("click", () => {
  isEnding = true;
  reading?.abort();
});

list.addEventListener("submit", (event) => {
  const form = event.target.closest(".regenerate");
  if (!form) return;
  event.preventDefault();
  if (reading) return;
  const replaced = form.closest(".message-from-engine");
  form.remove();
  turn("/regenerate", wish(), "", () => new Answer(replaced));
});

// A source opens beside the answer; with a modifier key, or without a script, it is a page.
list.addEventListener("click", async (event) => {
  const link = event.target.closest("a.citation, a.cited");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  const response = await fetch(link.href, { headers: { "HX-Request": "true" } });
  if (!response.ok) { location.assign(link.href); return; }
  const text = document.getElementById("passage-text");
  text.replaceChildren(...new DOMParser().parseFromString(await response.text(), "text/html").body.children);
  showTimes(text);
  document.getElementById("passage-dialog").showModal();
  text.querySelector(".is-marked")?.scrollIntoView({ block: "center" });
});

// A conversation opens at its end, also where it is loaded again.
history.scrollRestoration = "manual";
if (list.lastElementChild) goToEnd();
