// Pages that ask for a confirmation open as a dialog over the page with the link.

// Opens a dialog; when it closes, the focus returns to `opener`, also if that was drawn anew.
export function openModal(dialog, opener = document.activeElement) {
  if (dialog.open) return;
  const href = opener?.getAttribute?.("href");
  dialog.addEventListener(
    "close",
    () => {
      const anew = href && document.querySelector(`a[href="${CSS.escape(href)}"]`);
      const back = opener?.isConnected ? opener : anew;
      (back || document.querySelector("#main")).focus({ preventScroll: true });
    },
    { once: true },
  );
  dialog.showModal();
}

async function open(link) {
  const opener = document.activeElement === document.body ? link : document.activeElement;
  const answer = await fetch(link.href);
  if (!answer.ok || answer.redirected) return location.assign(link.href);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const content = page.querySelector("[data-dialog-content]");
  if (!content) return location.assign(link.href);
  const dialog = document.querySelector("#dialog");
  dialog.replaceChildren(content);
  dialog.querySelector("[data-close]")?.addEventListener("click", (event) => {
    event.preventDefault();
    dialog.close();
  });
  openModal(dialog, opener);
  dialog.querySelector("input:not([type=hidden]), textarea")?.focus();
}

export function openDialogs() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-dialog]");
    if (!link || event.metaKey || event.ctrlKey) return;
    event.preventDefault();
    open(link);
  });
}
