// What is written and drawn above the masks, in pixels of the screen: labels of tracks, zones and lines with counters.

import { middle } from "./geometry.js";
import { css, ink, PLACE_RGB, trackRgb } from "./palette.js";

// Of a line's arrow, in heights of the text; as in sinks/video/places.py.
const ARROW_HEIGHTS = 1.5;
// Of the picture's width, that a label takes at most.
const WIDEST_LABEL = 0.6;

/** The sum of counts by prompt. */
export function sum(counts) {
  return Object.values(counts || {}).reduce((total, count) => total + count, 0);
}

export class Overlay {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
  }

  /** Make the canvas as large as the stage: `width` and `height` in CSS pixels. */
  resize(width, height) {
    this.ratio = Math.min(window.devicePixelRatio || 1, 3);
    const { canvas, ratio } = this;
    this.width = width;
    this.height = height;
    canvas.width = Math.max(1, Math.round(width * ratio));
    canvas.height = Math.max(1, Math.round(height * ratio));
  }

  clear() {
    const { context, canvas, ratio } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.size = Math.max(11, Math.min(18, this.width / 50));
    context.font = `600 ${this.size}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    context.lineJoin = "round";
  }

  /** A label above the box of each track; `score` says whether it tells the score. */
  labels({ tracks, width, height }, { shown, highlighted, score }) {
    // The one that is lifted out lies on top.
    for (const track of [...tracks].sort((one, other) => (one.id === highlighted) - (other.id === highlighted))) {
      if (!shown(track)) continue;
      const rgb = trackRgb(track.id);
      const [x, y] = [(track.bbox[0] / width) * this.width, (track.bbox[1] / height) * this.height];
      this.context.globalAlpha = highlighted === null || highlighted === track.id ? 1 : 0.5;
      this._write([`${track.id} ${track.prompt}`, score ? track.score.toFixed(2) : ""], x, y, rgb, "above");
    }
    this.context.globalAlpha = 1;
  }

  /** Zones and lines as tables of the settings, and what has been counted there (null for names alone); `short`: who is in a zone alone. */
  places(zones, lines, tally, short) {
    for (const { points } of Object.values(zones)) this._path(points, true);
    for (const { points } of Object.values(lines)) {
      this._path(points, false);
      this._arrows(points);
    }
    for (const [name, { points }] of Object.entries(zones)) {
      const [x, y] = points.reduce((top, point) => (point[1] < top[1] || (point[1] === top[1] && point[0] < top[0]) ? point : top));
      const counts = tally ? [`${sum(tally.inside && tally.inside[name])}`, short ? "" : `entered ${sum(tally.entered && tally.entered[name])}`] : [];
      this._write([name, ...counts], x * this.width, y * this.height, PLACE_RGB, "above");
    }
    for (const [name, { points, directions = ["right", "left"] }] of Object.entries(lines)) {
      const [x, y] = points[0];
      this._write([name], x * this.width, y * this.height, PLACE_RGB, "above");
      const { middle: centre, right } = middle(points, this.width, this.height);
      const crossed = tally && tally.crossed && tally.crossed[name];
      directions.forEach((direction, at) => {
        const side = at ? -1 : 1;
        const away = [side * right[0], side * right[1]];
        const words = tally ? `${direction} ${sum(crossed && crossed[direction])}` : direction;
        this._beside(words, centre, away);
      });
    }
  }

  _path(points, closed) {
    const { context } = this;
    context.beginPath();
    points.forEach(([x, y], at) => context[at ? "lineTo" : "moveTo"](x * this.width, y * this.height));
    if (closed) context.closePath();
    this._stroke();
  }

  _stroke() {
    const { context } = this;
    context.strokeStyle = "rgb(0 0 0 / .7)";
    context.lineWidth = 4;
    context.stroke();
    context.strokeStyle = css(PLACE_RGB);
    context.lineWidth = 2;
    context.stroke();
  }

  _arrows(points) {
    const { context } = this;
    const { middle: [x, y], right } = middle(points, this.width, this.height);
    const long = ARROW_HEIGHTS * this.size;
    context.beginPath();
    for (const side of [1, -1]) {
      const [dx, dy] = [side * right[0] * long, side * right[1] * long];
      context.moveTo(x, y);
      context.lineTo(x + dx, y + dy);
      context.moveTo(x + dx * 0.67 - dy / 4, y + dy * 0.67 + dx / 4);
      context.lineTo(x + dx, y + dy);
      context.lineTo(x + dx * 0.67 + dy / 4, y + dy * 0.67 - dx / 4);
    }
    this._stroke();
  }

  /** Words in a box that touches the tip of an arrow. */
  _beside(words, [x, y], [dx, dy]) {
    const half = [(this._width(words) + this.size * 0.6) / 2, this.size * 0.7];
    const away = ARROW_HEIGHTS * this.size + 2 + Math.abs(dx) * half[0] + Math.abs(dy) * half[1];
    this._write([words], x + dx * away - half[0], y + dy * away - half[1], PLACE_RGB, "");
  }

  _width(text) {
    return this.context.measureText(text).width;
  }

  /** Words on a coloured ground with a dark border, moved into the picture. */
  _write(words, x, y, rgb, where) {
    const { context, size } = this;
    const text = this._cut(words.filter(Boolean).join("  "));
    const [width, height] = [this._width(text) + size * 0.6, size * 1.4];
    const left = Math.max(0, Math.min(x, this.width - width));
    const top = Math.max(0, Math.min(where === "above" ? y - height : y, this.height - height));
    context.fillStyle = "rgb(0 0 0 / .7)";
    context.fillRect(left - 1, top - 1, width + 2, height + 2);
    context.fillStyle = css(rgb);
    context.fillRect(left, top, width, height);
    context.fillStyle = ink(rgb);
    context.fillText(text, left + size * 0.3, top + height / 2 + size * 0.05);
  }

  _cut(text) {
    const most = this.width * WIDEST_LABEL;
    if (this._width(text) <= most) return text;
    const letters = Array.from(text);
    let length = Math.min(letters.length, 80);
    while (length > 4 && this._width(`${letters.slice(0, length).join("")}…`) > most) length -= 1;
    return `${letters.slice(0, length).join("")}…`;
  }
}
