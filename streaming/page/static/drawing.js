// Draw zones and lines on the picture with a mouse, a finger or the keyboard.
import { element } from "./dom.js";
import { problem, share, SNAP } from "./geometry.js";
import { Overlay } from "./overlay.js";

const SNAP_PIXELS = 8;
const ROOM = 56; // pixels between two points from which there is room to add one in between
const STEP = 0.005;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const HELP = "Picture to draw on. Arrow keys move the cross, Space sets a point, Enter ends, Escape cancels.";

function least({ kind }) {
  return kind === "zone" ? 3 : 2;
}

function shape(tag, given) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(given)) made.setAttribute(key, value);
  return made;
}

/**
 * A layer above the picture.
 *
 * `sketch` is what it shows and changes: `places`, each with `kind`, `name`, `points` and of lines `directions`; the
 * `chosen` one; whether it is `open`, so that each click adds a point. `changed` is called after each change, and
 * calls `paint`.
 */
export function drawing(picture, sketch, changed) {
  const svg = shape("svg", { "aria-hidden": true });
  const names = new Overlay(element("canvas")); // and outlines, as they are drawn when in force
  const layer = element("div", { class: "drawing", tabindex: 0, role: "application", "aria-label": HELP }, names.canvas, svg);
  const handles = [];
  let cross = [0.5, 0.5];
  let dragged = null; // index of the point that follows the pointer
  let touched = null; // that of the point which had the focus last
  const listeners = { pointerdown: press, pointermove: move, pointerup: drop, pointercancel: drop, dblclick: end, focusin: note, keydown: key };
  for (const [kind, listener] of Object.entries(listeners)) layer.addEventListener(kind, listener);
  const observer = new ResizeObserver(paint);
  observer.observe(layer);
  picture.append(layer);
  picture.dataset.drawing = "on";

  function at(event) {
    const { left, top, width, height } = layer.getBoundingClientRect();
    const snapped = (distance, size) => share(distance / size, Math.max(SNAP, SNAP_PIXELS / size));
    return [snapped(event.clientX - left, width), snapped(event.clientY - top, height)];
  }

  function press(event) {
    if (event.button || dragged !== null) return;
    const { chosen, open } = sketch;
    const { point, between, place } = event.target.dataset;
    if (point !== undefined) dragged = Number(point);
    else if (between !== undefined) insert(Number(between));
    else if (open) dragged = chosen.points.push(at(event)) - 1;
    else sketch.chosen = sketch.places[place] ?? null;
    if (dragged !== null) layer.setPointerCapture(event.pointerId);
    event.preventDefault();
    changed();
    (open || dragged === null ? layer : handles[dragged]).focus({ preventScroll: true });
  }

  function note({ target }) {
    touched = target.dataset.point ?? null;
  }

  function move(event) {
    cross = at(event);
    if (dragged !== null) sketch.chosen.points[dragged] = cross;
    if (dragged !== null) changed();
    else if (sketch.open) paint();
  }

  function drop(event) {
    const { chosen, open } = sketch;
    const ends = open && event.type === "pointerup" && dragged === 0 && chosen.kind === "zone" && chosen.points.length > 2;
    dragged = null;
    if (ends) end();
  }

  function insert(index) {
    const [a, b] = [sketch.chosen.points.at(index - 1), sketch.chosen.points[index % sketch.chosen.points.length]];
    sketch.chosen.points.splice(index, 0, a.map((value, axis) => share((value + b[axis]) / 2)));
    dragged = index;
  }

  /** Close what is being drawn. */
  function end() {
    if (!sketch.open || sketch.chosen.points.length < least(sketch.chosen)) return;
    sketch.open = false;
    changed();
  }

  function cancel() {
    if (sketch.open) sketch.places.splice(sketch.places.indexOf(sketch.chosen), 1);
    Object.assign(sketch, { open: false, chosen: null });
    changed();
  }

  /** Remove the last point while it is drawn, else the one that was touched last. */
  function remove() {
    const { chosen, open } = sketch;
    if (chosen.points.length > (open ? 0 : least(chosen))) chosen.points.splice(open ? -1 : touched ?? -1, 1);
    touched = null;
    changed();
  }

  function key(event) {
    const { chosen, open } = sketch;
    const { point, between } = event.target.dataset;
    const way = ARROWS[event.key]?.map((step) => step * STEP * (event.shiftKey ? 10 : 1));
    if (event.ctrlKey || event.metaKey || event.altKey || !chosen) return;
    if (way && (open || point !== undefined)) {
      const [x, y] = open ? cross : chosen.points[point];
      const moved = [share(x + way[0]), share(y + way[1])];
      if (open) cross = moved;
      else chosen.points[point] = moved;
      changed();
    } else if (event.key === "Escape") cancel();
    else if (["Delete", "Backspace"].includes(event.key) && (open || point !== undefined)) remove();
    else if (open && event.key === "Enter") end();
    else if (open && event.key === " ") {
      chosen.points.push(cross);
      changed();
    } else if (between !== undefined && ["Enter", " "].includes(event.key)) {
      insert(Number(between));
      dragged = null;
      changed();
      handles.find(({ dataset }) => dataset.point === between).focus();
    } else return;
    event.preventDefault();
  }

  function paint() {
    const [width, height] = [layer.clientWidth, layer.clientHeight];
    const pixels = (points) => points.map(([x, y]) => `${x * width},${y * height}`).join(" ");
    svg.setAttribute("viewBox", `0 0 ${width || 1} ${height || 1}`);
    const { places, chosen, open } = sketch;
    svg.replaceChildren(...places.map((place, index) => {
      const drawn = place === chosen && open;
      const points = drawn && dragged === null ? [...place.points, cross] : place.points;
      const state = place !== chosen ? "" : !open && problem(place.kind, place.points) ? "wrong" : "chosen";
      const tag = place.kind === "zone" && !drawn ? "polygon" : "polyline";
      return shape(tag, { points: pixels(points), "data-place": index, class: state });
    }));
    const ready = (kind) => places.filter((place) => place.kind === kind && place.points.length >= least(place));
    const named = (kind) => Object.fromEntries(ready(kind).map((place) => [place.name, place]));
    names.resize(width, height);
    names.clear();
    names.places(named("zone"), named("line"), null);
    if (open) svg.append(shape("path", { class: "cross", d: `M${cross[0] * width - 9},${cross[1] * height}h18m-9,-9v18` }));
    handle(width, height);
    layer.classList.toggle("open", open);
  }

  // Buttons for the points of the chosen place, and between them. Those that are there stay: one may have the focus.
  function handle(width, height) {
    const { chosen, open } = sketch;
    const points = chosen?.points ?? [];
    const wanted = points.map(([x, y], point) => ({ x, y, point }));
    for (const [point, [x, y]] of points.entries()) {
      const last = points.at(point - 1);
      const far = Math.hypot((x - last[0]) * width, (y - last[1]) * height) > ROOM;
      if (!open && far && (point || chosen.kind === "zone")) {
        wanted.push({ x: (x + last[0]) / 2, y: (y + last[1]) / 2, between: point || points.length });
      }
    }
    while (handles.length > wanted.length) handles.pop().remove();
    for (const [index, { x, y, point, between }] of wanted.entries()) {
      const made = (handles[index] ??= layer.appendChild(element("button", { type: "button", class: "handle" })));
      const label = point === undefined ? "Add a point here" : `Point ${point + 1} of ${points.length}`;
      made.setAttribute("aria-label", `${label}: ${share(x)}, ${share(y)}`);
      made.textContent = point === undefined ? "+" : "";
      delete made.dataset.point;
      delete made.dataset.between;
      Object.assign(made.dataset, point === undefined ? { between } : { point });
      Object.assign(made.style, { left: `${x * 100}%`, top: `${y * 100}%` });
    }
  }

  function focus() {
    layer.focus({ preventScroll: true });
    layer.scrollIntoView({ block: "nearest" });
  }

  function close() {
    observer.disconnect();
    layer.remove();
    delete picture.dataset.drawing;
  }

  return { paint, end, cancel, remove, focus, close };
}
