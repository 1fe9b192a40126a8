// Parts of a page that are fetched again and again while the page is visible.
import { makeSortable } from "./sorting.js";

async function refresh(part) {
  if (document.hidden || document.querySelector("dialog[open]")) return;
  const answer = await fetch(part.dataset.live, { headers: { Accept: "text/html" } }).catch(
    () => null,
  );
  part.classList.toggle("stale", !answer?.ok);
  if (answer?.redirected || answer?.status === 401) return location.reload();
  if (!answer?.ok) return;
  const html = await answer.text();
  if (
    html === part.lastHtml ||
    (part.contains(document.activeElement) && isTyping()) ||
    isFilledIn(part) ||
    isSelecting(part)
  )
    return;
  const focused = part.contains(document.activeElement)
    ? document.activeElement.getAttribute("href")
    : null;
  const opened = [...part.querySelectorAll("details[id][open]")].map((details) => details.id);
  part.lastHtml = html;
  part.innerHTML = html;
  for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
  if (focused)
    part.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  makeSortable(part);
  if (part.querySelector("[data-ended]")) part.dataset.ended = "";
}

function isSelecting(part) {
  const selection = getSelection();
  return !selection.isCollapsed && part.contains(selection.anchorNode);
}

// What was typed stays, wherever the cursor is now.
function isFilledIn(part) {
  const fields = [...part.querySelectorAll("input:not([type=hidden]), textarea")];
  return fields.some(
    (field) => field.value !== field.defaultValue || field.checked !== field.defaultChecked,
  );
}

function isTyping() {
  return document.activeElement.matches("input, select, textarea");
}

export function keepLive() {
  for (const part of document.querySelectorAll("[data-live]")) {
    const repeat = async () => {
      await refresh(part);
      if (!("ended" in part.dataset)) setTimeout(repeat, Number(part.dataset.every));
    };
    setTimeout(repeat, Number(part.dataset.every));
  }
}
