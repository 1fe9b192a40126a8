// A form that takes long says so, and cannot be sent twice.
function showBusy(form) {
  const note = document.createElement("p");
  note.className = "hint";
  note.setAttribute("role", "status");
  note.textContent = form.dataset.busy;
  form.append(note);
  // After the event: a disabled button would not be part of what is sent.
  setTimeout(() =>
    form.querySelectorAll("button").forEach((button) => {
      button.disabled = true;
    }),
  );
}

const TWICE_WITHIN_MS = 1000;

// A double click sends a form once: the answer to the first click is the one that counts.
export function keepFromDoubleClicks() {
  const sentAt = new WeakMap();
  document.addEventListener("submit", (event) => {
    const now = performance.now();
    if (event.target.method !== "post" || event.defaultPrevented) return;
    if (now - (sentAt.get(event.target) ?? -Infinity) < TWICE_WITHIN_MS) event.preventDefault();
    else sentAt.set(event.target, now);
  });
}

export function showBusyForms() {
  for (const form of document.querySelectorAll("form[data-busy]")) {
    form.addEventListener("submit", () => showBusy(form));
  }
}
