// The form of one push: the preview follows what is typed, and a chosen file lists its placeholders.
const WAIT_MS = 300;
const HEADER_BYTES = 64 * 1024;
const IDS = /^(user[_ ]?id|id|user)$/i;

async function showColumns(file, list) {
  const header = file
    ? (await file.slice(0, HEADER_BYTES).text()).replace(/^\ufeff/, "").split(/[\r\n]/)[0]
    : "";
  const names = header
    .split(/[,;\t]/)
    .map((name) => name.replace(/"/g, "").trim().replace(/\s+/g, "_"))
    .filter((name) => /^[\p{L}_][\p{L}\p{M}\p{N}_]*$/u.test(name) && !IDS.test(name));
  list.textContent = `Placeholders: ${names.map((name) => `[[var:${name}]]`).join(" ")}`;
  list.hidden = !names.length;
}

export function compose() {
  const form = document.querySelector("form.composer");
  if (!form) return;
  let waiting = 0;

  const preview = async () => {
    const written = new FormData(form);
    written.delete("file");
    const answer = await fetch(form.dataset.preview, { method: "POST", body: written }).catch(
      () => null,
    );
    if (answer?.ok && !answer.redirected)
      form.querySelector("[data-preview-here]").innerHTML = await answer.text();
  };
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(preview, WAIT_MS);
  });
  // Text may have been typed before this script ran.
  if (form.elements.title.value !== form.elements.title.defaultValue) preview();
  form.elements.file.addEventListener("change", () =>
    showColumns(form.elements.file.files[0], form.querySelector("[data-columns]")),
  );
  const button = form.querySelector("[data-look]");
  button.addEventListener("click", async (event) => {
    event.preventDefault();
    button.disabled = true;
    const body = new FormData(form);
    const answer = await fetch(button.dataset.look, { method: "POST", body }).catch(() => null);
    const found = answer?.ok ? await answer.text() : "The file could not be sent. Try again.";
    form.querySelector("[data-look-here]").innerHTML = found;
    button.disabled = false;
  });
}
