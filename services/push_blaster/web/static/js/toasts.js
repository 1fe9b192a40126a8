// Short messages disappear by themselves; errors stay until somebody clicks them.
function dismissLater(toast) {
  toast.addEventListener("click", () => toast.remove());
  if (!toast.classList.contains("bad")) setTimeout(() => toast.remove(), 9000);
}

export function dismissToasts() {
  document.querySelectorAll(".toast-line").forEach(dismissLater);
}
