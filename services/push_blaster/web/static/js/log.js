// A log of any length: the page holds a window of its lines and fetches others while the user scrolls.
const KEPT = 600; // lines in the window
const NEAR_PX = 160; // so close to an edge of the window, more lines are fetched
const EVERY_MS = 1000;
const TYPED_MS = 250;

async function read(log, form, place) {
  const asked = new URLSearchParams({ ...Object.fromEntries(new FormData(form)), ...place });
  const answer = await fetch(`${log.dataset.log}?${asked}`).catch(() => null);
  if (!answer?.ok || answer.redirected) return null;
  const found = document.createElement("template");
  found.innerHTML = await answer.text();
  return [...found.content.children];
}

function follow(log) {
  const form = log.querySelector("form");
  const lines = log.querySelector("[data-log-lines]");
  const isFull = (found) => found.length === Number(log.dataset.page);
  const below = () => lines.scrollHeight - lines.scrollTop - lines.clientHeight;
  const isAtEnd = () => below() < 40;
  let isFirst = !isFull([...lines.children]); // the window holds the first line that fits,
  let isLast = !/[?&](after|before)=/.test(location.search); // … and the last one
  let queue = Promise.resolve();
  let waiting = 0;

  const ask = (place, show) => {
    waiting += 1;
    queue = queue.then(async () => {
      const found = await read(log, form, place());
      if (found) show(found);
      log.querySelector("[data-log-none]").hidden = lines.children.length > 0;
      waiting -= 1;
      setTimeout(look, found ? 0 : EVERY_MS);
    });
    return queue;
  };
  const showLast = () =>
    ask(
      () => ({}),
      (found) => {
        lines.replaceChildren(...found);
        [isFirst, isLast] = [!isFull(found), true];
        lines.scrollTop = lines.scrollHeight;
      },
    );
  const showFirst = () =>
    ask(
      () => ({ after: 0 }),
      (found) => {
        lines.replaceChildren(...found);
        [isFirst, isLast] = [true, !isFull(found)];
        lines.scrollTop = 0;
      },
    );
  const goUp = () =>
    ask(
      () => ({ before: lines.firstElementChild?.dataset.id ?? 0 }),
      (found) => {
        const height = lines.scrollHeight;
        lines.prepend(...found);
        lines.scrollTop += lines.scrollHeight - height;
        isFirst = !isFull(found);
        for (const line of [...lines.children].slice(KEPT)) {
          line.remove();
          isLast = false;
        }
      },
    );
  const goDown = () =>
    ask(
      () => ({ after: lines.lastElementChild?.dataset.id ?? 0 }),
      (found) => {
        const [wasAtEnd, top, height] = [isAtEnd(), lines.scrollTop, lines.scrollHeight];
        for (const line of [...lines.children].slice(0, found.length - KEPT)) {
          line.remove();
          isFirst = false;
        }
        const removed = height - lines.scrollHeight;
        lines.append(...found);
        isLast = !isFull(found);
        lines.scrollTop = wasAtEnd && isLast ? lines.scrollHeight : top - removed;
      },
    );
  const look = () => {
    if (waiting) return;
    if (!isFirst && lines.scrollTop < NEAR_PX) goUp();
    else if (!isLast && below() < NEAR_PX) goDown();
  };
  const followEnd = async () => {
    const wasAtEnd = isAtEnd();
    await goDown();
    if (wasAtEnd && !isLast) await showLast(); // more came than a page: the end is what is followed
  };
  const repeat = async () => {
    const hasEnded = document.querySelector("[data-live][data-ended]") !== null;
    if (lines.children.length >= KEPT && below() > NEAR_PX) isLast = false; // nothing that is read goes away
    if (isLast && !document.hidden) await followEnd();
    if (!hasEnded) setTimeout(repeat, EVERY_MS);
  };

  lines.addEventListener("scroll", look);
  let typed;
  form.addEventListener("input", () => {
    clearTimeout(typed);
    typed = setTimeout(showLast, TYPED_MS);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    showLast();
  });
  for (const [name, show] of [
    ["first", showFirst],
    ["last", showLast],
  ]) {
    log.querySelector(`[data-log-${name}]`).addEventListener("click", (event) => {
      event.preventDefault();
      show();
    });
  }
  if (isLast) lines.scrollTop = lines.scrollHeight;
  repeat();
}

export function followLogs() {
  document.querySelectorAll("[data-log]").forEach(follow);
}
