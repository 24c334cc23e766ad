// Short messages at the edge. The server sends them as Django's messages, or with HX-Trigger: sam:toast.

const SECONDS = 8;

// What failed stays until it is closed.
const STAYS = new Set(["danger", "warning"]);

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
  document.addEventListener("htmx:sendError", () => toast("SAM could not be reached; your network may be down.", "danger"));
  document.addEventListener("htmx:responseError", (event) => {
    const { xhr } = event.detail;
    // A refusal brings its own sentence.
    if ((xhr.getResponseHeader("HX-Trigger") ?? "").includes("sam:toast")) return;
    toast(`That did not work (${xhr.status}); reload the page and try again.`, "danger");
  });
}
