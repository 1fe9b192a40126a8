// Countdowns that run, and the zone of this device; the server writes all other times.

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

function offerOwnZone() {
  document.addEventListener("click", ({ target }) => {
    if (!target.matches("[data-own-zone]")) return;
    target.form.elements.zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone;
  });
}

export function runClocks() {
  tick();
  setInterval(tick, 1000);
  offerOwnZone();
}
