// The zones and lines of a stream: drawn on the picture, named and narrowed here, applied or copied as TOML.
import { ask, refusal } from "./control.js";
import { button, element, field, refill, write } from "./dom.js";
import { drawing } from "./drawing.js";
import { problem } from "./geometry.js";
import { table, toml } from "./toml.js";

const ANCHORS = [["bottom", "middle of its lower border"], ["centre", "centre"], ["overlap", "how much of it is inside"]];
const DRAW = "Set point after point. Click the first one, double-click, or press Enter to end; Esc cancels.";
const EDIT = "Drag a point, + adds one, Delete removes one.";
const DONE = "Applied. Copy the TOML to keep them after the restart.";

export function places(root, { session, stream, picture, repaint }) {
  const sketch = { places: [], chosen: null, open: false };
  let seen = null; // what is in force, as text
  let dirty = false;
  let names = []; // of prompts
  let layer = null;
  let shown = null; // the place in the form

  const list = element("div", { class: "row", role: "group", "aria-label": "Zones and lines" });
  const form = element("form", { onsubmit: (event) => event.preventDefault(), oninput: read });
  const hint = element("p", { class: "hint", role: "status" });
  const wrong = element("p", { class: "error", role: "alert" });
  const start = ["zone", "line"].map((kind) => button(`New ${kind}`, () => begin(kind), { "data-new": kind }));
  const finish = button("Finish", () => layer.end(), { class: "main" });
  const undo = button("Remove point", () => layer.remove());
  const cancel = button("Cancel", () => layer.cancel());
  const apply = button("Apply until the restart", commit, { class: "main", "data-action": "places" });
  const discard = button("Discard", () => load(seen));
  const said = element("output");
  const text = element("textarea", { readonly: true, rows: 6, spellcheck: "false", "aria-label": "TOML" });
  const file = session.service === false;
  const keep = element("details", { open: file },
    element("summary", {}, file ? "TOML for --zones" : "TOML for the settings, to keep them"),
    text, button("Copy", copy, { "data-action": "copy" }));
  const tools = element("div", { class: "row" }, start, finish, undo, cancel, hint);
  const fold = element("details", { ontoggle: toggle }, element("summary", {}, "Zones and lines"),
    tools, list, form, wrong, element("div", { class: "row" }, apply, discard), said, keep);
  root.append(fold);

  function toggle() {
    if (fold.open) layer ??= drawing(picture, sketch, changed);
    else if (layer) layer = layer.close();
    if (fold.open) paint();
    repaint?.(); // without what is drawn here, or with it again
  }

  function load(known) {
    const chosen = sketch.chosen?.name;
    sketch.places = Object.entries(JSON.parse(known)).flatMap(([kinds, tables]) =>
      Object.entries(tables).map(([name, keys]) => ({ kind: kinds.slice(0, -1), name, ...keys })));
    sketch.chosen = sketch.places.find(({ name }) => name === chosen) ?? null;
    sketch.open = dirty = false;
    paint();
  }

  function begin(kind) {
    toggle(); // it is told of late by the browser
    let number = 1;
    while (sketch.places.some(({ name }) => name === `${kind} ${number}`)) number += 1;
    sketch.chosen = { kind, name: `${kind} ${number}`, points: [] };
    sketch.places.push(sketch.chosen);
    sketch.open = true;
    layer.focus();
    changed();
  }

  function changed() {
    const written = JSON.stringify(drawn());
    dirty = sketch.open || written !== seen;
    paint();
  }

  function drawn() {
    const tables = (kind) => sketch.places.filter((place) => place.kind === kind).map((place) => [place.name, table(kind, place)]);
    return { zones: Object.fromEntries(tables("zone")), lines: Object.fromEntries(tables("line")) };
  }

  function fault(place) {
    const twin = sketch.places.some((other) => other !== place && other.name === place.name);
    return place.fault ?? (twin ? "Another one has this name" : problem(place.kind, place.points));
  }

  function paint() {
    if (!layer) return;
    const { places: all, chosen, open } = sketch;
    layer.paint();
    if (shown !== chosen) describe(chosen);
    tools.classList.toggle("sketching", open);
    for (const each of [finish, cancel]) each.hidden = !open;
    for (const each of start) each.hidden = open;
    undo.hidden = !chosen;
    write(hint, open ? DRAW : chosen ? EDIT : "");
    refill(list, all.map((place) =>
      button(place.name || "?", () => pick(place), { "aria-pressed": `${place === chosen}`, "data-place": place.name })));
    const bad = open ? null : all.find(fault);
    write(wrong, bad ? `${bad.name}: ${fault(bad)}` : "");
    for (const each of [apply, discard]) each.disabled = !dirty || open;
    apply.disabled ||= Boolean(bad);
    text.value = bad || open ? "" : toml(drawn(), file ? null : stream);
  }

  function pick(place) {
    if (sketch.open) layer.cancel();
    sketch.chosen = place === sketch.chosen ? null : place;
    paint();
  }

  // The form of the chosen place.
  function describe(place) {
    shown = place;
    form.replaceChildren();
    if (!place) return;
    const number = { type: "number", step: "any" };
    const [right, left] = place.directions ?? ["right", "left"];
    const name = { required: true, maxlength: 64 };
    const boxes = [...new Set([...(place.prompts ?? []), ...names])].map((prompt) => {
      const checked = place.prompts?.includes(prompt);
      return element("label", {}, element("input", { type: "checkbox", name: "prompts", value: prompt, checked }), " ", prompt);
    });
    form.append(
      field("Name", { ...name, name: "name", value: place.name }),
      element("fieldset", {}, element("legend", {}, "For prompts (none: all)"), boxes),
      field("What of an object counts", { name: "anchor", value: place.anchor ?? "bottom" }, place.kind === "zone" ? ANCHORS : ANCHORS.slice(0, 2)),
      ...(place.kind === "zone"
        ? [field("Share of it that must be inside", { ...number, name: "share", value: place.share ?? 0.5, min: 0.01, max: 1 }),
          field("Dwelled after seconds", { ...number, name: "dwell", value: place.dwell ?? "", min: 0.1, max: 86400 })]
        : [field("Crossing one way", { ...name, name: "right", value: right }), field("The other way", { ...name, name: "left", value: left })]),
      button(`Remove ${place.kind}`, () => drop(place)),
    );
    read();
  }

  function read() {
    const { name, anchor, share, dwell, right, left } = form.elements;
    const prompts = [...form.querySelectorAll("[name=prompts]:checked")].map(({ value }) => value);
    Object.assign(shown, { name: name.value.trim(), prompts, anchor: anchor.value });
    if (share) {
      share.parentNode.hidden = anchor.value !== "overlap";
      Object.assign(shown, { share: Number(share.value), dwell: dwell.value ? Number(dwell.value) : null });
    } else shown.directions = [right.value.trim(), left.value.trim()];
    const invalid = form.querySelector("input:invalid");
    const twice = right && right.value.trim() === left.value.trim() && "Both ways have one name";
    shown.fault = invalid ? invalid.validationMessage : shown.name ? twice || null : "It needs a name";
    changed();
  }

  function drop(place) {
    sketch.places.splice(sketch.places.indexOf(place), 1);
    Object.assign(sketch, { chosen: null, open: false });
    changed();
  }

  async function commit() {
    said.textContent = "…";
    apply.disabled = true;
    try {
      await ask(stream, { schema: "maskcast.control/3", action: "places", ...drawn() });
      said.textContent = DONE;
      dirty = false;
    } catch (error) {
      said.textContent = error.message;
    }
    paint();
  }

  async function copy() {
    try {
      await navigator.clipboard.writeText(text.value);
    } catch { // over plain HTTP there is no such thing
      text.select();
      if (!document.execCommand("copy")) return (said.textContent = "Copy it with Ctrl+C");
    }
    said.textContent = "Copied";
  }

  return {
    state(streams) {
      const state = streams[stream];
      root.hidden = !state;
      if (!state) return;
      names = state.prompts.map((prompt) => prompt.name);
      apply.hidden = Boolean(refusal(session, state)) || !state.control.includes("places");
      const tables = (kind) => Object.entries(state[`${kind}s`] ?? {}).map(([name, keys]) => [name, table(kind, keys)]);
      const found = JSON.stringify({ zones: Object.fromEntries(tables("zone")), lines: Object.fromEntries(tables("line")) });
      if (found === seen) return;
      const mine = JSON.stringify(drawn()) === found;
      seen = found;
      if (!dirty || mine) load(found);
      else said.textContent = "Changed meanwhile elsewhere: Apply replaces that, Discard shows it.";
    },
    close: () => layer?.close(),
  };
}
