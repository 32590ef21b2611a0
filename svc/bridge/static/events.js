// The stream of what happens in a channel. It reconnects for ever and asks for what it missed.

const KINDS = ["ready", "heard", "posted", "ended", "decision", "token"];
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10000;

/** Call `on[kind](data)` for every event and `onState("open" | "away")`; returns a function that stops it. */
export function watch(channel, on, onState) {
  let source = null;
  let last = "";
  let pause = FIRST_PAUSE_MS;
  let timer = 0;
  let stopped = false;

  function open() {
    clearTimeout(timer);
    source?.close();
    const query = new URLSearchParams({ channel });
    if (last) query.set("since", last);
    source = new EventSource(`/api/events?${query}`);
    source.onopen = () => {
      pause = FIRST_PAUSE_MS;
      onState("open");
    };
    source.onerror = () => {
      if (stopped) return;
      onState("away");
      // The browser retries a broken connection itself, but gives up after an HTTP error.
      if (source.readyState === EventSource.CLOSED) {
        timer = setTimeout(open, pause);
        pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
      }
    };
    for (const kind of KINDS) {
      source.addEventListener(kind, (event) => {
        if (event.lastEventId) last = event.lastEventId;
        on[kind](JSON.parse(event.data));
      });
    }
  }

  function hurry() {
    if (!stopped && source?.readyState !== EventSource.OPEN && document.visibilityState === "visible") open();
  }

  open();
  window.addEventListener("online", hurry);
  document.addEventListener("visibilitychange", hurry);
  return () => {
    stopped = true;
    clearTimeout(timer);
    source.close();
    window.removeEventListener("online", hurry);
    document.removeEventListener("visibilitychange", hurry);
  };
}
