// Masks as pixels: a dark edge, a contour in the track's colour and a faint fill, all inside the mask, like
// sinks/video/overlay.py. What it costs is what the masks cover: they go from run lengths straight into columns.

import { trackRgb } from "./palette.js";
import { spans } from "./rle.js";

// As in sinks/video/overlay.py.
const FILL_OPACITY = 0.12;
const CONTOUR_PART = 1 / 240;
const DARK_OPACITY = 0.6;
// Of a track that is highlighted, and of those that are not while one is.
const STRONG_FILL = 0.4;
const WEAK_CONTOUR = 0.35;
// In pixels of the screen, so that a contour is seen on a small picture of a large frame.
const CONTOUR_ON_SCREEN = 1.75;
const EDGE_ON_SCREEN = 0.6;

// Bytes in memory are red, green, blue, alpha; all browsers run on little-endian processors.
function packed([red, green, blue], opacity) {
  const byte = (part) => Math.round(255 * part);
  return ((byte(opacity) << 24) | (byte(blue) << 16) | (byte(green) << 8) | byte(red)) >>> 0;
}

/** The spans of each column from `left` on, as lists `[top, bottom, top, bottom…]`. */
function columns(flat) {
  const left = flat[0];
  const found = Array.from({ length: flat[flat.length - 3] - left + 1 }, () => []);
  for (let at = 0; at < flat.length; at += 3) found[flat[at] - left].push(flat[at + 1], flat[at + 2]);
  return { left, found };
}

/** What two lists of spans have in common. */
function common(one, other) {
  if (one.length === 2 && other.length === 2 && one[0] >= other[0] && one[1] <= other[1]) return one;
  const both = [];
  for (let a = 0, b = 0; a < one.length && b < other.length; ) {
    const top = Math.max(one[a], other[b]);
    const bottom = Math.min(one[a + 1], other[b + 1]);
    if (top < bottom) both.push(top, bottom);
    if (one[a + 1] < other[b + 1]) a += 2;
    else b += 2;
  }
  return both;
}

/** The columns of a mask without what is nearer than `radius` to its border, in any of the eight directions. */
function eroded(whole, radius) {
  const window = 2 * radius + 1;
  if (whole.length < window) return whole.map(() => []);
  let lists = whole.map((spans) => {
    const shorter = [];
    for (let at = 0; at < spans.length; at += 2) {
      if (spans[at + 1] - spans[at] > 2 * radius) shorter.push(spans[at] + radius, spans[at + 1] - radius);
    }
    return shorter;
  });
  // What `reach` columns from each on have in common, for a reach that doubles until two of them cover the window.
  for (let reach = 1; reach < window; ) {
    const step = Math.min(reach, window - reach);
    lists = lists.slice(step).map((list, at) => common(list, lists[at]));
    reach += step;
  }
  const margin = Array.from({ length: radius }, () => []);
  return [...margin, ...lists, ...margin];
}

// One for all canvases, as large as the largest; nothing is in it between two frames.
let pixels = new Uint32Array(0);

/** A canvas with the masks of one frame at their own resolution. */
export class Masks {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.used = null; // rectangle [left, top, right, bottom] that has pixels
  }

  /** Let go of the memory, until the next frame is painted. */
  rest() {
    this.canvas.width = this.canvas.height = 1;
    this.used = null;
  }

  /**
   * Show the tracks of a frame message instead of those before.
   *
   * `shown(track)` says which; `highlighted` is the id of a track or null; `scale` how many pixels of a mask one pixel
   * of the screen stands for.
   */
  paint({ tracks }, { shown, highlighted, scale }) {
    if (tracks.length) this._resize(tracks[0].segmentation.size);
    const before = this.used;
    const { height, width } = this.canvas;
    const edge = Math.max(1, Math.round(EDGE_ON_SCREEN * scale));
    const contour = Math.max(2, Math.round(Math.max(Math.min(height, width) * CONTOUR_PART, CONTOUR_ON_SCREEN * scale)));
    this.used = null;
    if (pixels.length < width * height) pixels = new Uint32Array(width * height);
    for (const track of tracks) {
      if (shown(track)) this._draw(track, highlighted, edge, contour);
    }
    const dirty = union(before, this.used);
    if (!dirty) return;
    const image = new ImageData(new Uint8ClampedArray(pixels.buffer, 0, width * height * 4), width, height);
    const [left, top, right, bottom] = dirty;
    this.context.putImageData(image, 0, 0, left, top, right - left, bottom - top);
    for (let y = top; y < bottom; y += 1) pixels.fill(0, y * width + left, y * width + right);
  }

  _resize([height, width]) {
    const { canvas } = this;
    if (canvas.width === width && canvas.height === height) return;
    canvas.width = width;
    canvas.height = height;
    this.used = null;
  }

  _draw(track, highlighted, edge, contour) {
    const flat = spans(track.segmentation);
    if (!flat.length) return;
    const { left, found } = columns(flat);
    const rgb = trackRgb(track.id);
    const weak = highlighted !== null && highlighted !== track.id;
    const opacity = weak || track.state !== "confirmed" ? 0 : highlighted === track.id ? STRONG_FILL : FILL_OPACITY;
    const dark = packed([0, 0, 0], weak ? 0.15 : DARK_OPACITY);
    const line = packed(rgb, weak ? WEAK_CONTOUR : 1);
    const fill = packed(rgb, opacity);
    const inner = eroded(found, edge);
    const core = eroded(inner, contour);
    let [top, bottom] = [Infinity, 0];
    found.forEach((outer, at) => {
      if (outer.length) {
        top = Math.min(top, outer[0]);
        bottom = Math.max(bottom, outer[outer.length - 1]);
        this._column(left + at, outer, inner[at], dark);
        this._column(left + at, inner[at], core[at], line);
        this._column(left + at, core[at], [], fill);
      }
    });
    this.used = union(this.used, [left, top, left + found.length, bottom]);
  }

  /** Colour a column where `outer` is and `inner`, a part of it, is not. */
  _column(x, outer, inner, colour) {
    const { width } = this.canvas;
    let next = 0;
    for (let at = 0; at < outer.length; at += 2) {
      let y = outer[at];
      const bottom = outer[at + 1];
      while (y < bottom) {
        const has = next < inner.length && inner[next] < bottom;
        const end = (has ? inner[next] : bottom) * width + x;
        for (let pixel = y * width + x; pixel < end; pixel += width) pixels[pixel] = colour;
        y = has ? inner[next + 1] : bottom;
        if (has) next += 2;
      }
    }
  }
}

function union(one, other) {
  if (!one || !other) return one || other;
  return [
    Math.min(one[0], other[0]),
    Math.min(one[1], other[1]),
    Math.max(one[2], other[2]),
    Math.max(one[3], other[3]),
  ];
}
