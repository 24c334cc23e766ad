// The server writes times in UTC; here they become the reader's own, and "3 minutes ago" stays true.

const UNITS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60]];
const MINUTE = 60000;

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const absolute = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

function since(date) {
  const seconds = (date - Date.now()) / 1000;
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
  }
  return "just now";
}

export function showTimes(root = document) {
  for (const time of root.querySelectorAll("time[data-when]")) {
    const date = new Date(time.dateTime);
    time.title = absolute.format(date);
    time.textContent = time.dataset.when === "relative" ? since(date) : absolute.format(date);
  }
}

export function startTimes() {
  showTimes();
  document.addEventListener("htmx:load", (event) => showTimes(event.detail.elt));
  setInterval(() => showTimes(), MINUTE);
}
