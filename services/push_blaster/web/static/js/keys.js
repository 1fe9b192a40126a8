// Keyboard: J and K through rows, Enter opens, / searches, ? helps, Ctrl (or Cmd) with Enter, P, E and / act.
import { openModal } from "./dialogs.js";

const ACTIONS = { Enter: "run", p: "pause", e: "edit" };
const TYPED = "input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]";
const SEARCH = "[role=search] input:not([type=hidden]), input[type=search]";

const help = () => openModal(document.querySelector("#help"));

function move(by) {
  const rows = [...document.querySelectorAll("[data-rows] tbody tr")];
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.getAttribute("aria-selected") === "true");
  const next = Math.min(rows.length - 1, Math.max(0, at + by));
  rows[at]?.removeAttribute("aria-selected");
  rows[next].setAttribute("aria-selected", "true");
  rows[next].querySelector("a")?.focus();
}

// The search of the page comes before the search of the frame.
function search() {
  const seen = [...document.querySelectorAll(SEARCH)].filter((one) => one.checkVisibility());
  const field = seen.find((one) => one.closest("main")) ?? seen[0];
  field?.focus();
  field?.select();
}

function act(event) {
  if (event.key === "/") return help();
  const action = ACTIONS[event.key];
  const target = action && document.querySelector(`[data-key="${action}"]`);
  if (!target) return;
  event.preventDefault();
  target.click();
}

const PLAIN = { j: () => move(1), k: () => move(-1), "/": search, "?": help };

export function listenToKeys() {
  document.querySelector("[data-help]")?.addEventListener("click", help);
  document.addEventListener("keydown", (event) => {
    if (event.target.matches(TYPED)) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.ctrlKey || event.metaKey) return act(event);
    if (event.altKey || !(event.key in PLAIN)) return;
    event.preventDefault();
    PLAIN[event.key]();
  });
}
