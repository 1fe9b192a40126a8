// The automation's form: pushes are added, moved and removed; its plan and looks follow as one types.
const WAIT_MS = 500;

function number(pushes) {
  pushes.querySelectorAll("[data-push]").forEach((push, at) => {
    push.querySelector("legend").textContent = `Push ${at + 1}`;
  });
}

function add(pushes) {
  const template = document.querySelector("#push-fields");
  const taken = [...pushes.querySelectorAll("[name=order]")].map((input) => Number(input.value));
  const index = Math.max(-1, ...taken) + 1;
  const holder = document.createElement("div");
  holder.innerHTML = template.innerHTML.replaceAll("__new__", index);
  const push = holder.firstElementChild;
  pushes.querySelector("[data-add-push]").before(push);
  push.querySelector("input:not([type=hidden])").focus();
}

function change(pushes, event) {
  const push = event.target.closest("[data-push]");
  if (event.target.matches("[data-add-push]")) add(pushes);
  if (event.target.matches("[data-remove]")) push.remove();
  if (event.target.matches("[data-up]")) push.previousElementSibling?.matches("[data-push]") && push.previousElementSibling.before(push);
  if (event.target.matches("[data-down]")) push.nextElementSibling?.matches("[data-push]") && push.nextElementSibling.after(push);
  number(pushes);
}

function showFitting(schedule) {
  const frequency = schedule.querySelector("[name='schedule.frequency']").value;
  for (const part of schedule.querySelectorAll("[data-only]")) part.hidden = part.dataset.only !== frequency;
}

export function edit() {
  const form = document.querySelector("form.editor");
  if (!form) return;
  const pushes = form.querySelector("[data-pushes]");
  const schedule = form.querySelector("[data-schedule]");
  let waiting = 0;

  const preview = async () => {
    const answer = await fetch(form.dataset.preview, { method: "POST", body: new FormData(form) }).catch(() => null);
    if (answer?.ok) form.querySelector("[data-preview-here]").innerHTML = await answer.text();
  };
  const soon = () => {
    clearTimeout(waiting);
    waiting = setTimeout(preview, WAIT_MS);
  };
  pushes.addEventListener("click", (event) => { change(pushes, event); soon(); });
  schedule.addEventListener("change", () => showFitting(schedule));
  form.addEventListener("input", soon);
  number(pushes);
  showFitting(schedule);
}
