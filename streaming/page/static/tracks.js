// The list of the tracks in the picture.

import { ago } from "./condition.js";
import { element, write } from "./dom.js";
import { css, ink, trackRgb } from "./palette.js";

// A track that is not seen stays in the list for a while: masks flicker.
const LINGER_SECONDS = 3;
const LEAST_MS = 250; // between two changes of the list
const MOST_ROWS = 100;

/** `chosen(id)` is called when a row is picked. */
export function trackList(root, chosen) {
  const rows = new Map();
  const body = element("tbody");
  const none = element("p", { class: "dim" }, "Nothing in the picture.");
  const heads = ["Track", "Prompt", "Seen", "Score"].map((word) => element("th", { scope: "col" }, word));
  const table = element("table", { class: "tracks" }, element("thead", {}, element("tr", {}, heads)), body);
  root.append(table, none);
  let highlighted = null;
  let beginning = null; // pts of the first frame that was looked at
  let shown = 0;

  const row = (track, pts) => {
    const rgb = trackRgb(track.id);
    const pick = element("button", { type: "button", class: "swatch number", "data-track": track.id, onclick: () => chosen(track.id) }, `${track.id}`);
    pick.style.background = css(rgb);
    pick.style.color = ink(rgb);
    const made = { first: pts, early: pts === beginning, pick, prompt: element("bdi"), age: element("td", { class: "number" }), score: element("td", { class: "number" }) };
    made.node = element("tr", {}, element("td", {}, pick), element("td", {}, made.prompt), made.age, made.score);
    return made;
  };

  return {
    highlight(id) {
      highlighted = id;
      for (const [track, { pick, node }] of rows) {
        pick.setAttribute("aria-pressed", track === id);
        node.classList.toggle("chosen", track === id);
      }
    },
    frame({ tracks, pts }) {
      if (beginning === null || pts < beginning) {
        beginning = pts; // also where a source has begun anew
        rows.clear();
        body.replaceChildren();
      }
      for (const track of tracks) {
        if (!rows.has(track.id)) rows.set(track.id, row(track, pts));
        Object.assign(rows.get(track.id), { track, last: pts });
      }
      const now = performance.now();
      if (now - shown < LEAST_MS) return;
      shown = now;
      for (const [id, { last, node }] of rows) {
        if (pts - last <= LINGER_SECONDS) continue;
        node.remove();
        rows.delete(id);
      }
      const sorted = [...rows.keys()].sort((one, other) => one - other).slice(0, MOST_ROWS);
      sorted.forEach((id, at) => {
        const { track, last, first, early, node, prompt, age, score } = rows.get(id);
        if (body.children[at] !== node) body.insertBefore(node, body.children[at] || null);
        node.classList.toggle("gone", last < pts);
        write(prompt, track.prompt + (track.state === "confirmed" ? "" : " ?"));
        write(age, `${early ? "≥ " : ""}${ago(last - first)}`);
        write(score, track.score.toFixed(2));
      });
      while (body.children.length > sorted.length) body.lastChild.remove();
      table.hidden = !sorted.length;
      none.hidden = sorted.length > 0;
      this.highlight(highlighted);
    },
  };
}
