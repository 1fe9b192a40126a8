// A log that is followed as it grows, with levels and a search; of a long one the newest lines stay.
const KEPT = 5000;
const TONES = { info: "calm", success: "good", warning: "held", error: "bad" };

function line(entry) {
  const item = document.createElement("li");
  item.className = TONES[entry.level] ?? "calm";
  item.dataset.level = entry.level;
  const at = document.createElement("span");
  at.textContent = new Date(entry.timestamp).toTimeString().slice(0, 8);
  const stage = document.createElement("b");
  stage.textContent = entry.stage;
  item.append(at, " ", stage, " ", entry.message);
  return item;
}

function follow(log) {
  const lines = log.querySelector("[data-log-lines]");
  const level = log.querySelector("[data-log-level]");
  const find = log.querySelector("[data-log-find]");
  let waiting = [];

  const fits = (item) => {
    const isOfLevel = !level.value || level.value.split(" ").includes(item.dataset.level);
    return isOfLevel && item.textContent.toLowerCase().includes(find.value.toLowerCase());
  };
  const sift = () => { for (const item of lines.children) item.hidden = !fits(item); };
  const show = () => {
    if (!waiting.length) return;
    const isAtEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 40;
    const items = waiting.slice(-KEPT).map(line);
    for (const item of items) item.hidden = !fits(item);
    waiting = [];
    lines.append(...items);
    while (lines.children.length > KEPT) lines.firstElementChild.remove();
    if (isAtEnd) lines.scrollTop = lines.scrollHeight;
  };

  level.addEventListener("change", sift);
  find.addEventListener("input", sift);
  lines.scrollTop = lines.scrollHeight;
  setInterval(show, 250);
  const events = new EventSource(`${log.dataset.log}?after=${log.dataset.after}`);
  events.onmessage = (event) => waiting.push(JSON.parse(event.data));
  events.addEventListener("end", () => events.close());
}

export function followLogs() {
  document.querySelectorAll("[data-log]").forEach(follow);
}
