// Enter asks, Shift+Enter begins a line. A plain script beside the form and no module: it has to be there
// as soon as somebody can type, and until chat.js is there the form is sent as a form.

{
  const composer = document.getElementById("composer");
  composer.elements.content.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    composer.requestSubmit();
  });
}
