// Short messages that go by themselves; errors stay until they are clicked away.
function dismissLater(toast) {
  toast.addEventListener("click", () => toast.remove());
  if (!toast.classList.contains("bad")) setTimeout(() => toast.remove(), 9000);
}

export function toast(text, tone = "good") {
  const element = document.createElement("p");
  element.className = `toast-line ${tone}`;
  element.textContent = text;
  document.querySelector(".toasts").append(element);
  dismissLater(element);
}

export function dismissToasts() {
  document.querySelectorAll(".toast-line").forEach(dismissLater);
}
