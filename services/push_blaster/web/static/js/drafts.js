// What somebody types into a form stays in this browser until it is saved, or for a week.
import { span } from "./times.js";

const WAIT_MS = 300;
const KEPT_MS = 7 * 24 * 60 * 60 * 1000;
const PREFIX = "draft ";
const SENT = "sent draft";
const DRAFT = "draft-form"; // the field of forms that the server can draw again
const TYPED = "input:not([type=hidden], [type=file], [type=password]), textarea, select";
const NOT_KEPT = new Set(["csrf_token", DRAFT]);

const caller = document.body.dataset.caller;
const pathOf = (form) => new URL(form.getAttribute("action") ?? "", location.href).pathname;
const keyOf = (form) => `${PREFIX}${caller} ${pathOf(form)}`;

function read(form) {
  const secret = new Set([...form.querySelectorAll("[type=password]")].map(({ name }) => name));
  return [...new FormData(form)].filter(
    ([name, value]) => typeof value === "string" && !NOT_KEPT.has(name) && !secret.has(name),
  );
}

// What was typed, without what differs each time the page is drawn.
const typedIn = (fields) => JSON.stringify(fields.filter(([name]) => name !== "once"));

function load(key) {
  try {
    const draft = JSON.parse(localStorage.getItem(key));
    return draft && Date.now() - draft.at < KEPT_MS ? draft : null;
  } catch {
    return null;
  }
}

function store(key, fields) {
  try {
    localStorage.setItem(key, JSON.stringify({ at: Date.now(), fields }));
  } catch {
    // The browser keeps nothing, or is full: leaving the page still asks.
  }
}

function forgetOld() {
  for (const key of Object.keys(localStorage)) {
    if (key.startsWith(PREFIX) && !load(key)) localStorage.removeItem(key);
  }
}

// Returns the key of the form that led to this page; a message of success ends its draft.
function takeSent() {
  const key = sessionStorage.getItem(SENT);
  sessionStorage.removeItem(SENT);
  if (key && document.querySelector(".toast-line.good")) localStorage.removeItem(key);
  return key;
}

function hide(name, value) {
  const field = document.createElement("input");
  [field.type, field.name, field.value] = ["hidden", name, value];
  return field;
}

// The server draws the form anew, with all pushes and variants that were typed.
function sendBack(form, fields) {
  const again = document.createElement("form");
  [again.method, again.hidden] = ["post", true];
  again.setAttribute("action", pathOf(form));
  const token = form.elements.csrf_token.value;
  const all = [["csrf_token", token], [DRAFT, "show"], ...fields];
  again.append(...all.map(([name, value]) => hide(name, value)));
  document.body.append(again);
  again.submit();
}

function fill(form, fields) {
  const left = new Map();
  for (const field of fields) left.set(field[0], [...(left.get(field[0]) ?? []), field]);
  for (const field of form.querySelectorAll(TYPED)) {
    const values = left.get(field.name) ?? [];
    if (field.type === "checkbox" || field.type === "radio")
      field.checked = values.some(([, value]) => value === field.value);
    else if (values.length) field.value = values.shift()[1];
  }
  form.dispatchEvent(new Event("input", { bubbles: true }));
}

function offer(form, draft, restore, discard) {
  const panel = document.createElement("section");
  panel.className = "panel attention draft-offer";
  panel.setAttribute("aria-label", "Entries that are not saved");
  const said = document.createElement("p");
  const ago = span((Date.now() - draft.at) / 1000);
  said.textContent = `This browser has entries of yours from ${ago} ago that are not saved.`;
  const actions = document.createElement("p");
  actions.className = "actions";
  for (const [label, look, act] of [
    ["Put them back", "btn-primary", restore],
    ["Discard them", "btn-outline-secondary", discard],
  ]) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = `btn ${look}`;
    button.textContent = label;
    button.addEventListener("click", () => {
      panel.remove();
      act();
    });
    actions.append(button);
  }
  panel.append(said, actions);
  form.before(panel);
}

function keep(form, sent) {
  const key = keyOf(form);
  const drawn = read(form);
  const draft = load(key);
  const isBack = draft && typedIn(draft.fields) === typedIn(drawn);
  const state = { isChanged: Boolean(isBack || (draft && sent === key)), isLeaving: false };
  let waiting = 0;

  const save = () => {
    const now = read(form);
    state.isChanged = typedIn(now) !== typedIn(drawn) || state.isChanged;
    if (state.isChanged) store(key, now);
  };
  if (draft && !state.isChanged) {
    const restore = () => {
      if (!form.elements[DRAFT]) return fill(form, draft.fields);
      state.isLeaving = true;
      return sendBack(form, draft.fields);
    };
    offer(form, draft, restore, () => localStorage.removeItem(key));
  }
  form.addEventListener("input", () => {
    state.isChanged = true;
    clearTimeout(waiting);
    waiting = setTimeout(save, WAIT_MS);
  });
  form.addEventListener("click", ({ target }) => {
    if (target.name === "change") state.isChanged = true;
    if (target.closest("[data-discard]")) state.isLeaving = true;
  });
  form.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    save();
    state.isLeaving = true;
    sessionStorage.setItem(SENT, key);
  });
  window.addEventListener("pageshow", ({ persisted }) => {
    if (persisted) state.isLeaving = false;
  });
  window.addEventListener("beforeunload", (event) => {
    if (!state.isChanged || state.isLeaving) return;
    save();
    event.preventDefault();
  });
}

export function keepDrafts() {
  if (!caller) return;
  document.querySelector("form[data-submit-at-once]")?.submit();
  forgetOld();
  const sent = takeSent();
  for (const link of document.querySelectorAll("form [data-discard]"))
    link.addEventListener("click", () => localStorage.removeItem(keyOf(link.closest("form"))));
  for (const form of document.querySelectorAll("main form[method=post]:not([data-no-draft])")) {
    if (form.querySelector(TYPED)) keep(form, sent);
  }
}
