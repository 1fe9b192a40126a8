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

export function showBusyForms() {
  for (const form of document.querySelectorAll("form[data-busy]")) {
    form.addEventListener("submit", () => showBusy(form));
  }
}
