// Keyboard: J and K through rows, Enter opens, Ctrl (or Cmd) with Enter, P, E and / act; Esc closes.
const ACTIONS = { Enter: "run", p: "pause", e: "edit" };

function move(by) {
  const rows = [...document.querySelectorAll("[data-rows] tbody tr")];
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.getAttribute("aria-selected") === "true");
  const next = Math.min(rows.length - 1, Math.max(0, at + by));
  rows[at]?.removeAttribute("aria-selected");
  rows[next].setAttribute("aria-selected", "true");
  rows[next].querySelector("a")?.focus();
}

function act(event) {
  if (event.key === "/") return document.querySelector("#help").showModal();
  const action = ACTIONS[event.key];
  const target = action && document.querySelector(`[data-key="${action}"]`);
  if (!target) return;
  event.preventDefault();
  target.click();
}

export function listenToKeys() {
  document
    .querySelector("[data-help]")
    ?.addEventListener("click", () => document.querySelector("#help").showModal());
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input, textarea, select")) return;
    if (event.ctrlKey || event.metaKey) return act(event);
    if (event.key === "j") move(1);
    if (event.key === "k") move(-1);
  });
}
