// A form that takes its time says so, and is not sent twice.
function showBusy(form) {
  const said = document.createElement("p");
  said.className = "hint";
  said.setAttribute("role", "status");
  said.textContent = form.dataset.busy;
  form.append(said);
  // Only afterwards, or the button that was pressed would not be sent.
  setTimeout(() =>
    form.querySelectorAll("button").forEach((button) => {
      button.disabled = true;
    }),
  );
}

export function tellOfWork() {
  for (const form of document.querySelectorAll("form[data-busy]")) {
    form.addEventListener("submit", () => showBusy(form));
  }
}
