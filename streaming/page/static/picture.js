// A stream's picture: what the camera saw, its masks above it, and labels, zones and lines above those.

import { element } from "./dom.js";
import { Masks } from "./masks.js";
import { Overlay } from "./overlay.js";
import { contains } from "./rle.js";

const UNKNOWN_RATIO = 16 / 9;

/** A JPEG as something that can be drawn, and be let go of by `close`. */
async function decoded(blob) {
  if (window.createImageBitmap) return createImageBitmap(blob);
  const image = new Image();
  const url = URL.createObjectURL(blob);
  try {
    await new Promise((resolve, reject) => {
      image.onload = resolve;
      image.onerror = reject;
      image.src = url;
    });
  } finally {
    URL.revokeObjectURL(url);
  }
  return { width: image.naturalWidth, height: image.naturalHeight, close() {}, image };
}

/**
 * `box` fills what the page gives it; `stage` in it is exactly the picture. After a picture is drawn, `canvas.masks`
 * fires "drawn" with the frame message as its detail, and carries the frame's number as `data-frame`.
 */
export class Picture {
  /** `resized()` is called when the stage has another size; `scores`: whether labels tell scores. */
  constructor(name, { resized = () => {}, scores = false } = {}) {
    this.message = null; // of the frame that is shown
    this.state = null;
    this.show = { masks: true, labels: true, places: true };
    this.hidden = new Set(); // prompts
    this.highlighted = null;
    this.scores = scores;
    this.resized = resized;
    this.canvas = element("canvas", { class: "picture" });
    this.masks = new Masks(element("canvas", { class: "masks", "data-stream": name }));
    this.overlay = new Overlay(element("canvas", { class: "overlay" }));
    const layers = [this.canvas, this.masks.canvas, this.overlay.canvas];
    this.stage = element("div", { class: "stage", "data-stream": name }, layers);
    this.box = element("div", { class: "box" }, this.stage);
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.observer = new ResizeObserver(() => this._fit());
    this.observer.observe(this.box);
  }

  /** Width in pixels of the screen: what is worth being sent. */
  get width() {
    return Math.round((this.stage.clientWidth || 320) * Math.min(window.devicePixelRatio || 1, 3));
  }

  /** Take a frame; of those that come while one is decoded, the newest is shown. */
  take(frame) {
    if (this.waiting) this.waiting.drawn();
    this.waiting = frame;
    if (!this.busy) this._draw();
  }

  /** Take the state of the stream: its zones, lines and what was counted there. */
  told(state) {
    const before = this.state;
    this.state = state;
    const places = ({ zones, lines, tally }) => JSON.stringify([zones, lines, tally]);
    if (!before || (before !== state && places(before) !== places(state))) this._above();
  }

  /** Paint what belongs to the frame that is shown once more, because other things are to be shown. */
  repaint() {
    const { message, overlay } = this;
    if (!overlay.width) return;
    if (message) {
      const scale = message.tracks.length ? message.tracks[0].segmentation.size[1] / overlay.width : 1;
      this.masks.paint(message, { shown: (track) => this.show.masks && this._shown(track), highlighted: this.highlighted, scale });
    }
    this._above();
  }

  _shown({ prompt }) {
    return !this.hidden.has(prompt);
  }

  /** Paint places and labels. */
  _above() {
    const { message, state, show, overlay, scores } = this;
    if (!overlay.width) return;
    overlay.clear();
    if (show.places && state && !this.stage.dataset.drawing) overlay.places(state.zones || {}, state.lines || {}, state.tally, !scores);
    if (!message || !show.labels) return;
    overlay.labels(message, { shown: (track) => this._shown(track), highlighted: this.highlighted, score: scores });
  }

  /** The track whose mask is at a point of the window; the upper one where two are. */
  trackAt(clientX, clientY) {
    if (!this.message) return null;
    const { left, top, width, height } = this.stage.getBoundingClientRect();
    const { message } = this;
    const at = (share, pixels) => Math.floor((share * pixels) / message.downscale);
    const [x, y] = [at((clientX - left) / width, message.width), at((clientY - top) / height, message.height)];
    const hit = message.tracks.filter((track) => this._shown(track) && contains(track.segmentation, x, y));
    return hit.length ? hit[hit.length - 1] : null;
  }

  /** Keep little memory until the next frame, or until it is painted again. */
  rest() {
    this.masks.rest();
  }

  close() {
    this.closed = true;
    this.observer.disconnect();
    if (this.waiting) this.waiting.drawn();
    this.waiting = null;
  }

  async _draw() {
    this.busy = true;
    while (this.waiting) {
      const frame = this.waiting;
      this.waiting = null;
      const image = await decoded(frame.jpeg).catch(() => null);
      if (image) {
        await new Promise(requestAnimationFrame);
        if (!this.closed) this._show(frame.message, image);
        image.close();
      }
      frame.drawn();
    }
    this.busy = false;
  }

  _show(message, image) {
    const { canvas } = this;
    if (canvas.width !== image.width || canvas.height !== image.height) {
      canvas.width = image.width;
      canvas.height = image.height;
    }
    this.context.drawImage(image.image || image, 0, 0);
    const before = this.message;
    this.message = message;
    if (!before || before.width !== message.width || before.height !== message.height || before.downscale !== message.downscale) {
      this._fit();
    }
    this.repaint();
    this.masks.canvas.dataset.frame = message.frame;
    this.masks.canvas.dispatchEvent(new CustomEvent("drawn", { bubbles: true, detail: message }));
  }

  /** Make the stage as large as fits into its box. */
  _fit() {
    const { message, box, stage } = this;
    const ratio = message ? message.width / message.height : UNKNOWN_RATIO;
    box.style.setProperty("--picture", ratio);
    const width = Math.min(box.clientWidth, box.clientHeight * ratio);
    if (!width) return;
    const height = width / ratio;
    stage.style.width = `${width}px`;
    stage.style.height = `${height}px`;
    if (message) {
      // Reduced masks may stand over by less than one of their pixels.
      const over = (pixels) => `${(Math.ceil(pixels / message.downscale) * message.downscale * 100) / pixels}%`;
      this.masks.canvas.style.width = over(message.width);
      this.masks.canvas.style.height = over(message.height);
    }
    this.overlay.resize(width, height);
    this.repaint();
    this.resized();
  }
}
