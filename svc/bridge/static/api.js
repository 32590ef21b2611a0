// Requests to the bridge. Every failure becomes an Error whose message says what to do.

export const TEXT_CHARS_MAX = 4000;
const PATIENCE_MS = 15000;

export const getCast = async () => (await ask("/api/cast")).cast;
export const getHistory = (channel) => ask(`/api/history?channel=${encodeURIComponent(channel)}`);
export const getTurn = (turn) => ask(`/api/turns/${encodeURIComponent(turn)}`);

/** Say something. Sent twice with the same `native` it is said once, so trying again is safe. */
export function say({ text, to, channel, name, native }) {
  return ask("/api/say", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ text, to, channel, name, native }),
  });
}

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch {
    throw new Error("Quahog can't be reached. Is it still running?");
  }
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  throw new Error([body.detail || response.statusText, body.remedy].filter(Boolean).join(" "));
}
