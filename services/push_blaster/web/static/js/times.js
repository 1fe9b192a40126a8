// Every instant in the viewer's time zone beside the page's, and countdowns that run.
const own = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

// Shape: [[size, unit, size of the smaller unit, smaller unit]], as the server writes lengths of time.
const UNITS = JSON.parse(document.body.dataset.spanUnits);

// A length of time in its two largest units.
export function span(seconds) {
  const s = Math.floor(Math.abs(seconds));
  const unit = UNITS.find(([size]) => s >= size);
  if (!unit) return `${s} s`;
  const [size, large, per, small] = unit;
  const rest = Math.floor((s % size) / per);
  return rest
    ? `${Math.floor(s / size)} ${large} ${rest} ${small}`
    : `${Math.floor(s / size)} ${large}`;
}

function tick() {
  for (const element of document.querySelectorAll("[data-countdown]")) {
    const left = (new Date(element.dateTime) - Date.now()) / 1000;
    element.textContent = left > 0 ? `in ${span(left)}` : `${span(left)} ago`;
  }
}

const clock = (timeZone) =>
  new Intl.DateTimeFormat(undefined, {
    weekday: "short",
    hour: "2-digit",
    minute: "2-digit",
    timeZone,
  });

function showBeside(element) {
  const at = new Date(element.dateTime);
  const here = clock().format(at);
  element.hidden = here === clock(element.dataset.ownBeside).format(at);
  element.textContent = `${here} your time`;
}

export function showOwnTimes(root = document) {
  root.querySelectorAll("[data-own-beside]").forEach(showBeside);
  for (const element of root.querySelectorAll("time")) {
    element.title = `${own.format(new Date(element.dateTime))}, your time`;
  }
}

export function runClocks() {
  showOwnTimes();
  tick();
  setInterval(tick, 1000);
}
