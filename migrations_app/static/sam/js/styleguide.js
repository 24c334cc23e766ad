// The styleguide's sample of a toast.

import { toast } from "./toasts.js";

for (const button of document.querySelectorAll("[data-toasts]")) {
  button.addEventListener("click", () => toast(button.dataset.toasts, "success"));
}
