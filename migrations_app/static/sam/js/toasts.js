// Short messages at the edge. The server sends them as Django's messages, or with HX-Trigger: sam:toast.

const SECONDS = 8;

// What failed stays until it is closed.
const STAYS = new Set(["danger", "warning"]);

const UNREACHED = "SAM could not be reached; your network may be down.";

function find(text, tone) {
  const shown = document.querySelectorAll(`#toasts .toast[data-tone="${tone}"]`);
  return [...shown].find((each) => each.querySelector("p").textContent === text);
}

function arm(toast) {
  toast.querySelector("[data-dismiss]").addEventListener("click", () => toast.remove());
  if (STAYS.has(toast.dataset.tone)) return;
  let timer = 0;
  const start = () => { timer = setTimeout(() => toast.remove(), SECONDS * 1000); };
  toast.addEventListener("pointerenter", () => clearTimeout(timer));
  toast.addEventListener("focusin", () => clearTimeout(timer));
  toast.addEventListener("pointerleave", start);
  toast.addEventListener("focusout", start);
  start();
}

export function toast(text, tone = "info") {
  const same = find(text, tone);
  // A page that asks every few seconds fails every few seconds, and once is enough.
  if (same && STAYS.has(tone)) return;
  same?.remove();
  const region = document.getElementById("toasts");
  const template = document.getElementById(`toast-${tone}`) ?? document.getElementById("toast-info");
  const made = template.content.firstElementChild.cloneNode(true);
  made.querySelector("p").textContent = text;
  region.append(made);
  arm(made);
}

export function startToasts() {
  document.querySelectorAll("#toasts .toast").forEach(arm);
  document.addEventListener("sam:toast", (event) => toast(event.detail.text, event.detail.tone));
  document.addEventListener("htmx:sendError", () => toast(UNREACHED, "danger"));
  document.addEventListener("htmx:afterRequest", (event) => {
    // Whatever it answers: it is there again.
    if (event.detail.xhr.status) find(UNREACHED, "danger")?.remove();
  });
  document.addEventListener("htmx:responseError", (event) => {
    const { xhr } = event.detail;
    // A refusal brings its own sentence.
    if ((xhr.getResponseHeader("HX-Trigger") ?? "").includes("sam:toast")) return;
    toast(`That did not work (${xhr.status}); reload the page and try again.`, "danger");
  });
}
