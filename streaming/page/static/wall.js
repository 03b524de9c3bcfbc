// All streams at once, as large as the window allows; only what is on the screen is asked for.

import { announcer, condition, kinds, pace, trouble } from "./condition.js";
import { element, write } from "./dom.js";
import { Picture } from "./picture.js";
import { href } from "./router.js";

const NARROWEST_TILE = 260;
const [NARROWEST, WIDEST] = [3 / 4, 16 / 9]; // width by height of the tiles' pictures
const CAPTION = 56; // pixels under a picture
const GAP = 8;
// Pictures a second of all tiles together, and of one.
const MOST_PICTURES = 60;
const RATES = [2, 10];
const MOST_WATCHED = 64; // that the server allows
const SETTLING_MS = 150;
let scrolled = 0; // where the wall was left

/**
 * In how many columns `count` tiles are largest, and how wide each, whose pictures are `ratio` times as wide as high.
 * Where they would be too small to be seen all at once, the wall scrolls.
 */
export function layout(count, width, height, ratio = WIDEST) {
  const wide = (columns) => (width - GAP * (columns - 1)) / columns;
  let best = [1, 0];
  for (let columns = 1; columns <= count; columns += 1) {
    const high = height / Math.ceil(count / columns) - GAP - CAPTION;
    const tile = Math.min(wide(columns), high * ratio);
    if (tile > best[1]) best = [columns, tile];
  }
  const most = Math.max(1, Math.floor((width + GAP) / (NARROWEST_TILE + GAP)));
  return best[1] < Math.min(NARROWEST_TILE, width) ? [most, wide(most)] : best;
}

class Tile {
  constructor(name, resized, say) {
    this.announce = announcer(name, say);
    this.picture = new Picture(name, { resized });
    this.badge = element("span", { class: "badge" });
    this.pace = element("span", { class: "dim small number" });
    this.veil = element("p", { class: "veil", hidden: true });
    this.picture.box.append(this.veil);
    this.name = element("bdi", { class: "name" }, name);
    this.node = element(
      "a",
      { class: "tile", href: href("stream", name), "data-stream": name },
      this.picture.box,
      element("span", { class: "caption" }, this.name, this.badge, this.pace),
    );
  }

  state(state, now) {
    this.known = state;
    const word = condition(state);
    this.node.dataset.state = word;
    this.badge.className = `badge ${kinds[word]}`;
    write(this.badge, word);
    write(this.pace, pace(state));
    const why = trouble(state, now);
    this.veil.hidden = !why;
    write(this.veil, why);
    this.picture.told(state);
    this.announce(state);
  }
}

export function wall(root, { live, say }) {
  const tiles = new Map();
  const seen = new Set(); // tiles on the screen
  const grid = element("div", { class: "wall" });
  const empty = element("p", { class: "empty", hidden: true }, "No streams yet.");
  let behind = 0; // of this clock, against the server's
  let settling;
  root.append(element("h1", { class: "unseen" }, "Streams"), grid, empty);

  const watch = () => {
    clearTimeout(settling);
    settling = setTimeout(() => {
      const shown = document.hidden ? [] : [...seen].filter((name) => tiles.has(name)).slice(0, MOST_WATCHED);
      const each = Math.round(MOST_PICTURES / Math.max(1, shown.length));
      const rate = Math.max(RATES[0], Math.min(RATES[1], each));
      live.watch(Object.fromEntries(shown.map((name) => [name, tiles.get(name).picture.width])), rate);
    }, SETTLING_MS);
  };
  const observer = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        const name = target.dataset.stream;
        const tile = tiles.get(name);
        if (isIntersecting) seen.add(name);
        else seen.delete(name);
        // A mask of full resolution takes some megabytes.
        if (tile) tile.picture[isIntersecting ? "repaint" : "rest"]();
      }
      watch();
    },
    { rootMargin: "10%" },
  );
  const arrange = () => {
    const height = window.innerHeight - root.getBoundingClientRect().top - window.scrollY - GAP;
    const ratios = [...tiles.values()].flatMap(({ picture: { message } }) => (message ? message.width / message.height : []));
    const ratio = Math.max(NARROWEST, Math.min(WIDEST, Math.max(...(ratios.length ? ratios : [WIDEST]))));
    grid.style.setProperty("--ratio", ratio);
    const [columns, width] = layout(tiles.size, grid.clientWidth, height, ratio);
    grid.style.setProperty("--columns", columns);
    grid.style.setProperty("--tile", `${Math.floor(width)}px`);
  };
  const resized = () => {
    arrange();
    watch();
  };
  const size = new ResizeObserver(arrange);
  size.observe(root);
  document.addEventListener("visibilitychange", watch);

  const tick = setInterval(() => {
    for (const tile of tiles.values()) if (!tile.veil.hidden) write(tile.veil, trouble(tile.known, Date.now() + behind));
  }, 1000);

  return {
    state(streams, time) {
      if (time) behind = Date.parse(time) - Date.now();
      const names = Object.keys(streams);
      const was = tiles.size;
      for (const [name, tile] of tiles) {
        if (name in streams) continue;
        observer.unobserve(tile.node);
        seen.delete(name);
        tile.picture.close();
        tile.node.remove();
        tiles.delete(name);
      }
      names.forEach((name, at) => {
        let tile = tiles.get(name);
        const fresh = !tile;
        if (fresh) {
          tile = new Tile(name, resized, say);
          tiles.set(name, tile);
        }
        if (grid.children[at] !== tile.node) grid.insertBefore(tile.node, grid.children[at] || null);
        if (fresh) observer.observe(tile.node);
        tile.state(streams[name], Date.now() + behind);
      });
      empty.hidden = names.length > 0;
      if (tiles.size !== was) arrange();
      if (!was) window.scrollTo(0, scrolled);
    },
    frame(frame) {
      const tile = tiles.get(frame.message.stream);
      if (tile) tile.picture.take(frame);
      else frame.drawn();
    },
    close() {
      scrolled = window.scrollY;
      clearTimeout(settling);
      clearInterval(tick);
      observer.disconnect();
      size.disconnect();
      document.removeEventListener("visibilitychange", watch);
      for (const tile of tiles.values()) tile.picture.close();
    },
  };
}
