// In a page and in its worker: a subscription whose keys a test has, in the place of the browser's
// own push service, which is out of reach. {endpoint, keys} are filled in.
(() => {
  const NAME = "subscription of the test";
  const reached = async () => caches.open(NAME);
  const kept = async () => (await (await reached()).match("/key"))?.text();

  const subscribed = (key) => ({
    endpoint: GIVEN.endpoint,
    options: { userVisibleOnly: true, applicationServerKey: key },
    toJSON: () => ({ endpoint: GIVEN.endpoint, expirationTime: null, keys: GIVEN.keys }),
    unsubscribe: async () => (await reached()).delete("/key"),
  });
  PushManager.prototype.getSubscription = async () => {
    const key = await kept();
    return key ? subscribed(key) : null;
  };
  PushManager.prototype.subscribe = async ({ applicationServerKey, userVisibleOnly }) => {
    const key = await kept();
    if (!userVisibleOnly) throw new DOMException("It is not visible.", "NotAllowedError");
    if (key && key !== applicationServerKey)
      throw new DOMException("It has another key.", "InvalidStateError");
    await (await reached()).put("/key", new Response(applicationServerKey));
    return subscribed(applicationServerKey);
  };
})();
