// Placeholders as buttons: a click inserts one, with its fallback, where the cursor was last.
const TEXT = /\.(title|body|deepLink)$/;

function insert(field, text) {
  field.setRangeText(text, field.selectionStart, field.selectionEnd, "end");
  field.dispatchEvent(new Event("input", { bubbles: true }));
  field.focus();
}

function makeButton(code) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "chip";
  button.dataset.column = code.dataset.column;
  button.textContent = code.textContent;
  code.replaceWith(button);
}

export function showPlaceholderButtons(form) {
  form.querySelectorAll("code[data-column]").forEach(makeButton);
  form.querySelectorAll(".fallback").forEach((label) => {
    label.hidden = false;
  });
}

export function insertPlaceholders(form) {
  const last = new WeakMap();
  form.addEventListener("focusin", ({ target }) => {
    if (TEXT.test(target.name)) last.set(target.closest("[data-push]"), target);
  });
  form.addEventListener("click", ({ target }) => {
    if (!target.matches("button[data-column]")) return;
    const push = target.closest("[data-push]");
    const fallback = push.querySelector("[data-fallback]").value.trim();
    insert(
      last.get(push) ?? push.querySelector("textarea"),
      `[[var:${target.dataset.column}${fallback && `|${fallback}`}]]`,
    );
  });
}
