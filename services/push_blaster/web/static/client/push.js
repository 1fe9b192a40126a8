// Web Push for a site; docs/web-client.md says how a page uses it.
const NAME = "push-automation"; // of the cache, of the mark in localStorage, of messages
const TIMEOUT_MS = 15000;

/**
 * Registers the service worker, and again a browser whose address or user changed.
 *
 * identity() returns a fresh identity token, or nothing if nobody is signed in. Notifications lead
 * to the origin of the page, and to those in `links`.
 */
export async function connect({
  identity,
  worker = "/push-worker.js",
  scope,
  links = [],
  server = new URL("..", import.meta.url).href,
}) {
  async function ask(method, path, body, token) {
    const answer = await fetch(new URL(path, server), {
      method,
      body: body && JSON.stringify(body),
      headers: token && { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const told = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(`${method} ${path}: ${told.detail ?? answer.status}`);
    return told;
  }

  async function identify() {
    const token = await identity();
    const claims = token?.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    return { token, userId: claims && JSON.parse(atob(claims)).sub };
  }

  async function register(subscription) {
    const { token, userId } = await identify();
    const device = {
      userId,
      subscription,
      platform: "web",
      timezone: Intl.DateTimeFormat().resolvedOptions().timeZone,
      language: navigator.language,
    };
    const mark = JSON.stringify([device, new Date().toDateString()]); // again once a day
    if (!token || localStorage.getItem(NAME) === mark) return;
    await ask("POST", "api/devices", device, token);
    localStorage.setItem(NAME, mark);
  }

  async function subscribe() {
    const { publicKey } = await ask("GET", "api/web-push");
    const options = { userVisibleOnly: true, applicationServerKey: publicKey };
    const renewed = async (error) => {
      if (error.name !== "InvalidStateError") throw error;
      await (await manager.getSubscription()).unsubscribe(); // it belongs to an earlier key
      return manager.subscribe(options);
    };
    await register(await manager.subscribe(options).catch(renewed));
  }

  // Only a browser that was registered has a mark, and is registered again.
  async function renew() {
    if (Notification.permission === "granted" && localStorage.getItem(NAME)) await subscribe();
  }

  const push = {
    /** Tells "on", "off", "blocked" by the user, or "unsupported" by the browser. */
    async state() {
      if (!manager) return "unsupported";
      if (Notification.permission === "denied") return "blocked";
      return (await manager.getSubscription()) ? "on" : "off";
    },
    /** Asks the user for permission, and registers the browser; call it upon a click. */
    async subscribe() {
      if (manager && (await Notification.requestPermission()) === "granted") await subscribe();
      return push.state();
    },
    /** Forgets the browser, and closes what it shows; call it before the user signs out. */
    async forget() {
      localStorage.removeItem(NAME);
      const subscription = await manager?.getSubscription();
      if (!subscription) return;
      for (const shown of await registration.getNotifications())
        if (shown.data?.receipt) shown.close();
      try {
        const address = encodeURIComponent(subscription.endpoint);
        await ask("DELETE", `api/devices?token=${address}`, null, (await identify()).token);
      } finally {
        await subscription.unsubscribe(); // nothing comes any more, even if the server is away
      }
    },
    /** Opts the user out: of everything, or for example of {scope: "layer", layerId: 3}. */
    async optOut(which = { scope: "all" }) {
      const { token, userId } = await identify();
      await ask("POST", "api/opt-outs", { userId, ...which }, token);
    },
  };

  const isSupported = window.PushManager && window.Notification && navigator.serviceWorker;
  const registration =
    isSupported && (await navigator.serviceWorker.register(worker, scope && { scope }));
  const manager = registration?.pushManager;
  if (!manager) return push;
  await becomeActive(registration);
  const settings = new Response(JSON.stringify({ server, links }));
  await (await caches.open(NAME)).put(`/${NAME}/settings`, settings);
  navigator.serviceWorker.addEventListener("message", ({ data }) => data === NAME && renew());
  registration.active?.postMessage(NAME); // it reports what it could not report before
  await renew().catch(console.warn); // the next page tries again
  return push;
}

async function becomeActive({ active, installing }) {
  while (!active && /^install|^activating/.test(installing?.state))
    await new Promise((done) => (installing.onstatechange = done));
}
