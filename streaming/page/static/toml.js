// Zones and lines as the settings write them; see docs/settings.md.

const DEFAULTS = { prompts: [], anchor: "bottom", share: 0.5, dwell: null, directions: ["right", "left"] };

/** The table of a place without what is the default anyway, in the order of the documentation. */
export function table(kind, given) {
  const keys = ["points", "prompts", "anchor", ...(kind === "zone" ? ["share", "dwell"] : ["directions"])];
  const kept = keys.filter((key) => given[key] != null && JSON.stringify(given[key]) !== JSON.stringify(DEFAULTS[key]));
  return Object.fromEntries(kept.filter((key) => key !== "share" || given.anchor === "overlap").map((key) => [key, given[key]]));
}

/** The TOML of all places: of a stream in a settings file, or without `stream` of a file for `--zones`. */
export function toml({ zones, lines }, stream = null) {
  const above = stream === null ? "" : `streams.${name(stream)}.`;
  const tables = { zones, lines };
  const blocks = Object.keys(tables).flatMap((kind) =>
    Object.entries(tables[kind]).map(([place, keys]) => {
      const rows = Object.entries(keys).map(([key, given]) => `${key} = ${value(given)}\n`);
      return `[${above}${kind}.${name(place)}]\n${rows.join("")}`;
    }),
  );
  return blocks.join("\n");
}

function quoted(text) {
  return JSON.stringify(text).replaceAll("\x7f", "\\u007f");
}

function name(key) {
  return /^[A-Za-z0-9_-]+$/.test(key) ? key : quoted(key);
}

function value(given) {
  if (Array.isArray(given)) return `[${given.map(value).join(", ")}]`;
  // A plain ${ must not name a variable of the environment.
  return typeof given === "string" ? quoted(given.replaceAll("${", () => "$${")) : String(given);
}
