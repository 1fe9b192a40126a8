// The automation's form: its buttons change it in place, its plan and looks follow as one types.
import { offerPlaceholders, takePlaceholders } from "./placeholders.js";
import { tellOwnTimes } from "./times.js";

const WAIT_MS = 500;

function showFitting(form) {
  const frequency = form.elements["schedule.frequency"].value;
  for (const part of form.querySelectorAll("[data-only]")) part.hidden = part.dataset.only !== frequency;
  for (const part of form.querySelectorAll("[data-but]")) part.hidden = part.dataset.but === frequency;
}

function prepare(form) {
  form.querySelector("[data-script]").hidden = true;
  offerPlaceholders(form);
}

async function rearrange(form, change) {
  const body = new FormData(form);
  body.set("change", change);
  const answer = await fetch(form.action, { method: "POST", body }).catch(() => null);
  if (!answer?.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of form.querySelectorAll("[data-part]")) part.replaceWith(page.querySelector(`[data-part="${part.dataset.part}"]`));
  prepare(form);
  document.getElementById(page.querySelector("form.editor").dataset.focus)?.focus();
}

export function edit() {
  const form = document.querySelector("form.editor");
  if (!form) return;
  let waiting = 0;

  const preview = async () => {
    const answer = await fetch(form.dataset.preview, { method: "POST", body: new FormData(form) }).catch(() => null);
    if (!answer?.ok) return;
    const here = form.querySelector("[data-preview-here]");
    here.innerHTML = await answer.text();
    tellOwnTimes(here);
  };
  const soon = () => {
    clearTimeout(waiting);
    waiting = setTimeout(preview, WAIT_MS);
  };
  const take = async (change) => {
    await rearrange(form, change);
    soon();
  };
  form.addEventListener("submit", (event) => {
    if (event.submitter?.name !== "change") return;
    event.preventDefault();
    take(event.submitter.value);
  });
  form.addEventListener("change", ({ target }) => {
    if (target.name === "schedule.frequency") showFitting(form);
    if (target.name.endsWith(".scriptId")) take("script");
    if (target.name.endsWith(".audienceName")) take(`audience:${target.name.split(".")[1]}`);
  });
  form.addEventListener("input", soon);
  prepare(form);
  takePlaceholders(form);
  showFitting(form);
  document.querySelector("[data-summary]")?.focus();
}
