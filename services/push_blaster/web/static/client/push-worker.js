// The service worker of Web Push for a site: docs/web-client.md. It leaves alone what has no receipt.
(() => {
  const NAME = "push-automation";
  const REPORTS = `/${NAME}/reports/`;

  // What push.js stored: `server`, and `links`, where messages may lead.
  async function readSettings() {
    const found = await caches.match(`/${NAME}/settings`);
    return found ? found.json() : { links: [] };
  }

  async function post(path, body, headers) {
    return fetch(new URL(path, (await readSettings()).server), {
      method: "POST",
      body: JSON.stringify(body),
      headers,
      keepalive: true,
      signal: AbortSignal.timeout(15000),
    });
  }

  async function report({ receipt }, event, action) {
    const at = new Date().toISOString();
    const place = [receipt, event, action].map(encodeURIComponent).join("/");
    const stored = new Response(JSON.stringify({ receipt, event, action, at }));
    await (await caches.open(NAME)).put(REPORTS + place, stored);
    await sendReports().catch(() => registration.sync?.register(NAME).catch(() => {}));
  }

  let sending = Promise.resolve();
  const sendReports = () => (sending = sending.catch(() => {}).then(sendStored));

  // A report that is sent twice counts once.
  async function sendStored() {
    const cache = await caches.open(NAME);
    const places = (await cache.keys()).filter(({ url }) => url.includes(REPORTS));
    const sent = places.slice(0, 50);
    if (!sent.length) return;
    const read = async (place) => (await cache.match(place)).json();
    const { status } = await post("api/events", { events: await Promise.all(sent.map(read)) });
    if (status === 429 || status >= 500) throw status; // tried again later
    await Promise.all(sent.map((place) => cache.delete(place)));
    if (places.length > sent.length) await sendStored();
  }

  // A silent message is for the site alone.
  async function take({ data }) {
    await self.pushData?.(data);
    await report(data, "delivered");
  }

  async function show({ notification: { title, ...options }, data, badge }) {
    const { body, tag } = options;
    await registration
      .showNotification(title, { ...options, data })
      .catch(() => registration.showNotification(title, { body, tag, data }));
    if (Number.isInteger(badge)) await navigator.setAppBadge?.(badge).catch(() => {});
    await report(data, "delivered");
  }

  const findPages = () => clients.matchAll({ includeUncontrolled: true });

  function findLink({ url, actions }, id) {
    const chosen = JSON.parse(actions ?? "[]").find((action) => action.id === id);
    return chosen?.deepLink || url;
  }

  // A message leads to the site, or where the page allows.
  async function open(data, action) {
    const origins = [location.origin, ...(await readSettings()).links];
    let url = new URL(registration.scope);
    try {
      const link = new URL(findLink(data, action));
      if (/^https?:$/.test(link.protocol) && origins.includes(link.origin)) url = link;
    } catch {}
    const shown = (await findPages()).find((page) => page.url === url.href);
    await (shown ? shown.focus() : clients.openWindow(url));
  }

  async function click({ action, notification }) {
    const { data } = notification;
    notification.close();
    if (action === "opt_out") return report(data, "opted_out");
    const reported = report(data, action ? "action" : "opened", action);
    return Promise.allSettled([open(data, action), reported]);
  }

  // A page registers the next subscription, or the site's `self.pushIdentity`.
  async function renew({ newSubscription, oldSubscription }) {
    for (const page of await findPages()) page.postMessage(NAME);
    const token = await self.pushIdentity?.();
    if (!token) return;
    const { options } = oldSubscription ?? newSubscription;
    const subscription = await registration.pushManager.subscribe(options);
    const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
    await post("api/devices", { subscription, platform: "web" }, headers);
  }

  function listen(name, find, handle) {
    addEventListener(name, (event) => {
      const found = find(event);
      if (found) event.waitUntil(handle(found));
    });
  }

  function findMessage({ data }) {
    try {
      const message = data.json();
      const { notification } = message;
      return message.data.receipt && (!notification || notification.title) && message;
    } catch {
      return null;
    }
  }

  const findAnswer = (event) => event.notification.data?.receipt && event;
  listen("push", findMessage, (message) => (message.notification ? show : take)(message));
  listen("notificationclick", findAnswer, click);
  listen("notificationclose", findAnswer, (event) => report(event.notification.data, "dismissed"));
  listen("pushsubscriptionchange", (event) => event, renew);
  listen("sync", ({ tag }) => tag === NAME, sendReports);
  listen("message", ({ data }) => data === NAME, sendReports);
})();
