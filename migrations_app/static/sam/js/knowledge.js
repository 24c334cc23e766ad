// Documents by drag and drop: files and whole folders, sent one by one, with a line for each that was refused.
// Without this module the form sends all chosen files at once.

const AT_ONCE = 2;
const TRIES = 30;
const MOST_FILES = 5000;
const MOST_LINES = 200;

function start(form) {
  const zone = form.querySelector("[data-drop-zone]");
  const folder = form.querySelector("[data-folder]");
  const [files, directory] = form.querySelectorAll('input[type="file"]');
  form.querySelector("[data-plain]").hidden = true;
  folder.hidden = false;
  folder.querySelector("button").addEventListener("click", () => directory.click());
  const queue = new Queue(form);
  for (const input of [files, directory]) {
    input.addEventListener("change", () => {
      const shown = [...input.files].filter((file) => isShown(form, file.webkitRelativePath.split("/").slice(1)));
      queue.add(shown.map((file) => ({ file, folder: folderOf(file.webkitRelativePath) })));
      input.value = "";
    });
  }
  zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("is-over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("is-over"));
  zone.addEventListener("drop", async (event) => {
    event.preventDefault();
    zone.classList.remove("is-over");
    queue.add(await collect(event.dataTransfer, (name) => isShown(form, [name])));
  });
  // Who leaves while files are on their way is asked.
  window.addEventListener("beforeunload", (event) => { if (queue.isBusy) event.preventDefault(); });
}

// What is hidden in a folder stays there, as where `sam` adds it: of a project that is thousands of files.
function isShown(form, names) {
  const { hiddenPrefixes, hiddenNames } = form.dataset;
  const [prefixes, whole] = [hiddenPrefixes.split(" "), hiddenNames.split(" ")];
  return !names.some((name) => whole.includes(name.toLowerCase()) || prefixes.some((prefix) => name.startsWith(prefix)));
}

function folderOf(path) {
  return path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
}

// What was dropped; entries must be asked for before the event is over.
async function collect(transfer, isShownName) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, folder: "" }));
  const found = [];
  for (const entry of entries) await walk(entry, "", found, isShownName);
  return found;
}

async function walk(entry, folder, found, isShownName) {
  if (found.length > MOST_FILES) return;
  if (entry.isFile) {
    found.push({ file: await new Promise((done, fail) => entry.file(done, fail)), folder });
    return;
  }
  const reader = entry.createReader();
  const inside = folder ? `${folder}/${entry.name}` : entry.name;
  for (;;) {
    const some = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!some.length) return;
    for (const one of some) if (isShownName(one.name)) await walk(one, inside, found, isShownName);
  }
}

class Queue {
  constructor(form) {
    this.form = form;
    this.state = form.querySelector("[data-upload-state]");
    this.label = form.querySelector("[data-upload-label]");
    this.note = form.querySelector("[data-upload-note]");
    this.bar = form.querySelector("progress");
    this.lines = form.querySelector("[data-upload-lines]");
    this.begin();
  }

  begin() {
    this.waiting = [];
    this.running = new Map();
    this.counts = { added: 0, replaced: 0, moved: 0, kept: 0, missing: 0, refused: 0 };
    this.total = this.done = this.bytes = this.sent = 0;
  }

  get isBusy() { return this.running.size > 0; }

  add(files) {
    if (!files.length) return;
    if (!this.isBusy) {
      this.begin();
      this.lines.replaceChildren();
      this.others = undefined;
      this.list = this.lines.appendChild(document.createElement("ul"));
      this.list.className = "points";
    }
    const taken = files.slice(0, MOST_FILES);
    if (taken.length < files.length) this.refuse(`${files.length} files`, `At most ${MOST_FILES} are taken at once; drop the rest afterwards.`);
    this.waiting.push(...taken);
    this.total += taken.length;
    this.bytes += taken.reduce((sum, { file }) => sum + file.size, 0);
    this.state.hidden = false;
    while (this.running.size < AT_ONCE && this.waiting.length) this.next();
    this.show();
  }

  async next() {
    const one = this.waiting.shift();
    this.running.set(one, 0);
    await this.send(one);
    this.running.delete(one);
    this.sent += one.file.size;
    this.done += 1;
    this.show();
    if (this.waiting.length) this.next();
    else if (!this.running.size) this.finish();
  }

  async send(one) {
    for (let attempt = 0; ; attempt += 1) {
      const answer = await post(this.form, one, (part) => { this.running.set(one, part * one.file.size); this.show(); });
      if (answer.status === 429 && attempt < TRIES) {
        await new Promise((done) => setTimeout(done, 1000 * (answer.wait || 2)));
        continue;
      }
      this.take(one, answer);
      return;
    }
  }

  take(one, answer) {
    const part = answer.status === 200 ? new DOMParser().parseFromString(answer.text, "text/html").querySelector("[data-intake]") : null;
    if (!part) {
      this.refuse(one.file.name, reasonOf(answer));
      return;
    }
    for (const name of Object.keys(this.counts)) this.counts[name] += Number(part.dataset[name]);
    const lines = [...part.querySelectorAll("[data-intake-refused] > li")];
    this.list.append(...lines.map((line) => document.importNode(line, true)));
    this.tell([...part.querySelectorAll("[data-intake-taken] > li")]);
  }

  // The first of those that were taken; a list of thousands helps nobody.
  tell(lines) {
    const others = this.others ??= this.lines.appendChild(document.getElementById("taken-files").content.firstElementChild.cloneNode(true));
    const list = others.querySelector("ul");
    list.append(...lines.slice(0, MOST_LINES - list.children.length).map((line) => document.importNode(line, true)));
    others.hidden = !list.children.length;
  }

  refuse(name, why) {
    this.counts.refused += 1;
    const line = document.getElementById("refused-file").content.firstElementChild.cloneNode(true);
    line.querySelector("[data-name]").textContent = name;
    line.querySelector("[data-why]").textContent = why;
    this.list.append(line);
  }

  show() {
    const under = [...this.running.values()].reduce((sum, part) => sum + part, 0);
    this.bar.value = this.bytes ? Math.min(100, 100 * (this.sent + under) / this.bytes) : 0;
    this.label.textContent = `Sending ${this.total} ${this.total === 1 ? "file" : "files"}`;
    this.note.textContent = `${this.done} of ${this.total}`;
  }

  finish() {
    const words = { added: "added", replaced: "replaced", moved: "moved", kept: "already there", missing: "missing", refused: "refused" };
    const parts = Object.entries(this.counts).filter(([, number]) => number).map(([name, number]) => `${number} ${words[name]}`);
    this.bar.value = 100;
    this.label.textContent = `Done: ${parts.join(", ") || "nothing was in it"}.`;
    document.body.dispatchEvent(new CustomEvent("sam:uploaded"));
  }
}

function reasonOf({ status, text, toast }) {
  if (toast) return toast;
  if (status === 0) return "It could not be sent; your network may be down. Drop it once more.";
  const said = new DOMParser().parseFromString(text, "text/html").querySelector(".card p.soft")?.textContent.trim();
  return said || `It was refused (${status}); reload the page and try again.`;
}

function post(form, { file, folder }, onPart) {
  const body = new FormData();
  body.append("files", file, file.name);
  // The name of a file in a form loses blanks and joiners that are a part of it.
  body.append("path", folder ? `${folder}/${file.name}` : file.name);
  if (form.elements.replace.checked) body.append("replace", "1");
  const request = new XMLHttpRequest();
  request.open("POST", form.action);
  request.setRequestHeader("X-CSRFToken", form.elements.csrfmiddlewaretoken.value);
  request.setRequestHeader("HX-Request", "true");
  request.upload.addEventListener("progress", (event) => { if (event.lengthComputable) onPart(event.loaded / event.total); });
  return new Promise((done) => {
    request.addEventListener("loadend", () => {
      const triggers = request.getResponseHeader("HX-Trigger");
      done({
        status: request.status,
        text: request.responseText,
        wait: Number(request.getResponseHeader("Retry-After")),
        toast: triggers ? JSON.parse(triggers)["sam:toast"]?.text : "",
      });
    });
    request.send(body);
  });
}

const form = document.querySelector("[data-uploads]");
if (form) start(form);
