// Requests to Maskcast: relative, so that they work behind any prefix, and with their failures in words.

/** A request was refused, or did not arrive (`status` 0). `again`: after how many seconds to try again. */
export class Refused extends Error {
  constructor(reason, status = 0, again = null) {
    super(reason);
    Object.assign(this, { status, again });
  }
}

/** Ask, or send `body`; the answer's JSON, or null. Where a login is missing the page hears of it, as "login". */
export async function call(path, body) {
  const sent = body && { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  let answer, found;
  try {
    answer = await fetch(path, { ...sent, credentials: "same-origin", cache: "no-store" });
    const text = await answer.text();
    try {
      found = text ? JSON.parse(text) : null;
    } catch {
      found = { reason: text.startsWith("<") ? null : text }; // a proxy's own page is none of ours
    }
  } catch {
    throw new Refused("No connection to Maskcast");
  }
  if (answer.ok) return found;
  if (answer.status === 401 && path !== "login") dispatchEvent(new Event("login"));
  const again = Number(answer.headers.get("Retry-After")) || null;
  const late = answer.status === 429 && `Too many requests: again in ${again ?? "a few"} s`;
  const reason = found?.reason ?? found?.error;
  throw new Refused(late || reason || `Failed (${answer.status})`, answer.status, again);
}

/** A path with what of `query`, an object, is not empty. */
export function asking(path, query) {
  const filled = new URLSearchParams(Object.entries(query).filter(([, value]) => value));
  return `${filled}` ? `${path}?${filled}` : path;
}
