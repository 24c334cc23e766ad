// A moment is typed in the reader's own zone; the server is told which one that is.

const form = document.querySelector("[data-moments]");

function localValue(date) {
  const shifted = new Date(date.getTime() - date.getTimezoneOffset() * 60000);
  return shifted.toISOString().slice(0, 16);
}

function start() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!zone) return;
  form.querySelector("[data-zone]").value = zone;
  form.querySelector("[data-zone-name]").textContent = zone;
  const input = form.querySelector("input[type=datetime-local]");
  input.min = localValue(new Date());
  // What a refused form sends back is what the reader typed; what the server keeps comes in UTC until it
  // knows the reader's zone.
  if (form.dataset.startsAt && input.defaultValue === form.dataset.startsAt.slice(0, 16)) {
    input.value = localValue(new Date(form.dataset.startsAt));
  }
  // Who types a time means it.
  input.addEventListener("input", () => {
    form.querySelector("input[name=when][value=later]").checked = true;
  });
}

if (form) start();
