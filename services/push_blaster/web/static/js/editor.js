// The form of an automation: its buttons change it in place; plan and preview follow what is typed.
import { showPlaceholderButtons, insertPlaceholders } from "./placeholders.js";

const WAIT_MS = 500;

function showFitting(form) {
  const frequency = form.elements["schedule.frequency"].value;
  for (const part of form.querySelectorAll("[data-only]"))
    part.hidden = part.dataset.only !== frequency;
  for (const part of form.querySelectorAll("[data-but]"))
    part.hidden = part.dataset.but === frequency;
}

function prepare(form) {
  form.querySelector("[data-script]").hidden = true;
  showPlaceholderButtons(form);
}

// A later change names places as they were before such a change.
const moves = (change) => /^(up|down|remove)/.test(change);

const written = (form) => new URLSearchParams(new FormData(form)).toString();

function leave(form, change) {
  const field = document.createElement("input");
  [field.type, field.name, field.value] = ["hidden", "change", change];
  form.append(field);
  form.requestSubmit();
  return null;
}

// Fetches the form as it is after a change; fetches it again if the user typed in the meantime.
async function fetchChanged(form, change) {
  for (;;) {
    const sent = written(form);
    const body = new FormData(form);
    body.set("change", change);
    const answer = await fetch(form.action, { method: "POST", body }).catch(() => null);
    if (answer?.redirected) return leave(form, change); // the session has ended: sign in, come back
    if (!answer?.ok) return null;
    const page = await answer.text();
    if (written(form) === sent) return new DOMParser().parseFromString(page, "text/html");
  }
}

async function rearrange(form, change) {
  const began = document.activeElement;
  const page = await fetchChanged(form, change);
  if (!page) return;
  const { id, selectionStart, selectionEnd } = document.activeElement;
  const hasMoved = document.activeElement !== began;
  for (const part of form.querySelectorAll("[data-part]"))
    part.replaceWith(page.querySelector(`[data-part="${part.dataset.part}"]`));
  prepare(form);
  const next = document.getElementById(
    hasMoved ? id : page.querySelector("form.editor").dataset.focus,
  );
  next?.focus();
  if (hasMoved && selectionStart != null) next?.setSelectionRange(selectionStart, selectionEnd);
}

export function edit() {
  const form = document.querySelector("form.editor[data-preview]");
  if (!form) return;
  const changes = []; // the one in hand, and those that wait for it
  let waiting = 0;

  const preview = async () => {
    const answer = await fetch(form.dataset.preview, {
      method: "POST",
      body: new FormData(form),
    }).catch(() => null);
    if (!answer?.ok || answer.redirected) return;
    form.querySelector("[data-preview-here]").innerHTML = await answer.text();
  };
  const soon = () => {
    clearTimeout(waiting);
    waiting = setTimeout(preview, WAIT_MS);
  };
  const take = async (change) => {
    if (changes.includes(change) || changes.some(moves)) return;
    if (changes.push(change) > 1) return;
    form.ariaBusy = "true";
    for (; changes.length; changes.shift()) await rearrange(form, changes[0]);
    form.ariaBusy = null;
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
  insertPlaceholders(form);
  showFitting(form);
  document.querySelector("[data-summary]")?.focus();
}
