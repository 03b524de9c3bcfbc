// Which view the address asks for: `#/stream/NAME?key=value`.

/** The address of a view: `href("stream", "door")`, `href("events", null, {stream: "door"})`. */
export function href(view = "", name = null, query = {}) {
  const asked = new URLSearchParams(query).toString();
  const path = [view, ...(name === null ? [] : [encodeURIComponent(name)])].join("/");
  return `#/${path}${asked && `?${asked}`}`;
}

/** What an address asks for. */
export function route(hash) {
  const [path, asked = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [view, name = ""] = path.split("/", 2);
  let stream = name;
  try {
    stream = decodeURIComponent(name);
  } catch {
    // Typed by hand, with a stray percent sign.
  }
  return { view, stream, query: new URLSearchParams(asked) };
}
