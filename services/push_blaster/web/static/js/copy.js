// Buttons that copy a text; and a link to a folded part of the page unfolds it.
const SHOWN_MS = 2000;

// Pages over plain http have no clipboard; their browsers copy what is selected.
function copySelected(text) {
  const field = document.body.appendChild(document.createElement("textarea"));
  field.value = text;
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
}

async function copy(button) {
  const text = button.dataset.copy;
  const done = navigator.clipboard
    ? await navigator.clipboard.writeText(text).then(
        () => true,
        () => false,
      )
    : copySelected(text);
  button.textContent = done ? "Copied" : "Not copied";
  button.focus();
  setTimeout(() => (button.textContent = "Copy"), SHOWN_MS);
}

function unfold() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.matches("details")) target.open = true;
}

export function offerCopies() {
  document.documentElement.dataset.copies = ""; // the style sheet shows the buttons
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copy(button);
  });
  window.addEventListener("hashchange", unfold);
  unfold();
}
