// Short messages disappear by themselves, later if they can undo something; errors stay until
// somebody clicks them.
function dismissLater(toast) {
  if (toast.matches("form")) return setTimeout(() => toast.remove(), 60000);
  toast.addEventListener("click", () => toast.remove());
  if (!toast.classList.contains("bad")) setTimeout(() => toast.remove(), 9000);
}

export function dismissToasts() {
  document.querySelectorAll(".toast-line").forEach(dismissLater);
}
