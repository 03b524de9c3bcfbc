// One stream, large: what to show of it, its tracks, and what can be changed.

import { announcer, condition, kinds, pace, trouble } from "./condition.js";
import { control } from "./control.js";
import { element, write } from "./dom.js";
import { Picture } from "./picture.js";
import { places } from "./places.js";
import { href } from "./router.js";
import { trackList } from "./tracks.js";

const RATE = 15; // pictures a second
const SETTLING_MS = 150;

export function stream(root, given) {
  const { live, say, go, stream: name } = given;
  const picture = new Picture(name, { resized: () => watch(), scores: true });
  const { box, stage } = picture;
  const announce = announcer(name, say);
  const opened = [];
  let names = [];
  let known = null; // its state, as told last
  let behind = 0;
  let settling;

  const toggle = (word, key, what, change) => {
    const node = element("button", { type: "button", "aria-pressed": "true", title: key ? `Key ${key}` : null, "data-toggle": what }, word);
    node.addEventListener("click", () => {
      const on = node.getAttribute("aria-pressed") !== "true";
      node.setAttribute("aria-pressed", on);
      change(on);
      picture.repaint();
    });
    return node;
  };
  const show = (what) => (on) => (picture.show[what] = on);
  const toggles = {
    m: toggle("Masks", "M", "masks", show("masks")),
    l: toggle("Labels", "L", "labels", show("labels")),
    z: toggle("Zones", "Z", "places", show("places")),
  };
  const prompts = element("div", { class: "row", role: "group", "aria-label": "Prompts shown" });
  const full = element("button", { type: "button", title: "Key F", onclick: () => fullScreen() }, "Full screen");
  const still = element("a", { class: "button", href: `still/${encodeURIComponent(name)}`, download: `${name.replace(/[^\p{L}\p{N}._-]+/gu, "_")}.jpg` }, "Save still");
  const badge = element("span", { class: "badge" });
  const rates = element("span", { class: "dim small number" });
  const veil = element("p", { class: "veil", hidden: true });
  const previous = element("a", { class: "button", "aria-label": "Previous stream", title: "Key ←" }, "‹");
  const next = element("a", { class: "button", "aria-label": "Next stream", title: "Key →" }, "›");
  const missing = element("p", { class: "empty", hidden: true }, "There is no stream of this name.");
  const listed = element("section", { class: "panel", "aria-label": "Tracks" }, element("h2", {}, "Tracks"));
  const side = element("aside", {}, listed);
  const bar = element(
    "div",
    { class: "row title" },
    previous,
    next,
    element("h1", { class: "grow" }, element("bdi", {}, name)),
    element("span", { class: "row" }, rates, badge),
  );
  const tools = element(
    "div",
    { class: "row tools" },
    element("div", { class: "row", role: "group", "aria-label": "Shown in the picture" }, Object.values(toggles)),
    prompts,
    element("span", { class: "row end" }, still, full),
  );
  const exit = element("button", { type: "button", class: "exit", onclick: () => fullScreen() }, "Exit");
  const screen = element("div", { class: "screen" }, box, exit);
  box.append(veil);
  const layout = element("div", { class: "stream", "data-stream": name }, element("div", { class: "seen" }, bar, screen, tools), side);
  root.append(layout, missing);

  const highlight = (id) => {
    picture.highlighted = id !== null && id === picture.highlighted ? null : id;
    stage.dataset.highlighted = picture.highlighted === null ? "" : picture.highlighted;
    tracks.highlight(picture.highlighted);
    picture.repaint();
  };
  const tracks = trackList(listed, highlight);
  stage.addEventListener("click", ({ clientX, clientY }) => {
    if (stage.dataset.drawing) return;
    const track = picture.trackAt(clientX, clientY);
    highlight(track ? track.id : null);
  });
  stage.addEventListener("drawn", ({ detail }) => tracks.frame(detail));

  function watch() {
    clearTimeout(settling);
    settling = setTimeout(() => live.watch(document.hidden ? {} : { [name]: picture.width }, RATE), SETTLING_MS);
  }
  watch();
  document.addEventListener("visibilitychange", watch);

  const inFull = () => document.fullscreenElement || document.webkitFullscreenElement;
  const filled = () => screen.classList.toggle("full", Boolean(inFull()));
  const changes = ["fullscreenchange", "webkitfullscreenchange"];
  for (const change of changes) document.addEventListener(change, filled);
  function fullScreen() {
    const enter = screen.requestFullscreen || screen.webkitRequestFullscreen;
    if (inFull()) (document.exitFullscreen || document.webkitExitFullscreen).call(document);
    // Where the browser has no full screen for a page, as on some phones, the picture fills the window.
    else if (screen.classList.toggle("full") && enter) Promise.resolve(enter.call(screen)).catch(() => {});
  }

  const to = (step) => {
    if (names.length > 1) go(href("stream", names[(names.indexOf(name) + step + names.length) % names.length]));
  };
  const keys = (event) => {
    const { target, key } = event;
    if (event.ctrlKey || event.altKey || event.metaKey || stage.dataset.drawing || document.querySelector("dialog[open]")) return;
    if (target.closest && target.closest("input, select, textarea, [contenteditable], video")) return;
    if (key === "Escape" && screen.classList.contains("full") && !inFull()) fullScreen();
    else if (key === "Escape" && picture.highlighted !== null) highlight(null);
    else if (key === "Escape" && !inFull()) go(href());
    else if (key === "ArrowLeft") to(-1);
    else if (key === "ArrowRight") to(1);
    else if (key.toLowerCase() === "f") fullScreen();
    else if (toggles[key.toLowerCase()]) toggles[key.toLowerCase()].click();
    else return;
    event.preventDefault();
  };
  document.addEventListener("keydown", keys);

  // A single run takes no requests, but zones can be drawn for the next one.
  for (const part of given.session.service ? [control, places] : [places]) {
    const panel = element("section", { class: "panel", hidden: true });
    side.append(panel);
    opened.push(part(panel, { ...given, picture: stage, repaint: () => picture.repaint() }));
  }

  const offer = (texts) => {
    if (prompts.dataset.known === JSON.stringify(texts)) return;
    prompts.dataset.known = JSON.stringify(texts);
    const several = texts.length > 1 ? texts : [];
    for (const prompt of [...picture.hidden]) if (!several.includes(prompt)) picture.hidden.delete(prompt);
    prompts.replaceChildren(
      ...several.map((prompt) => {
        const node = toggle("", "", "prompt", (on) => picture.hidden[on ? "delete" : "add"](prompt));
        node.append(element("bdi", {}, prompt));
        node.dataset.prompt = prompt;
        node.setAttribute("aria-pressed", !picture.hidden.has(prompt));
        return node;
      }),
    );
    prompts.hidden = !several.length;
  };

  const tick = setInterval(() => {
    if (known) describe(known);
  }, 1000);
  function describe(state) {
    const why = trouble(state, Date.now() + behind);
    veil.hidden = !why;
    write(veil, why);
  }

  return {
    state(streams, time) {
      if (time) behind = Date.parse(time) - Date.now();
      names = Object.keys(streams);
      const state = (known = streams[name]);
      layout.hidden = !state;
      missing.hidden = Boolean(state);
      if (!state) return;
      const around = (step) => names[(names.indexOf(name) + step + names.length) % names.length];
      previous.hidden = next.hidden = names.length < 2;
      previous.href = href("stream", around(-1));
      next.href = href("stream", around(1));
      const word = condition(state);
      announce(state);
      layout.dataset.state = word;
      badge.className = `badge ${kinds[word]}`;
      write(badge, word);
      write(rates, pace(state));
      toggles.z.hidden = !Object.keys({ ...state.zones, ...state.lines }).length;
      offer((state.prompts || []).map((prompt) => prompt.name));
      describe(state);
      picture.told(state);
      for (const part of opened) if (part.state) part.state(streams, time);
    },
    event(item) {
      for (const part of opened) if (part.event) part.event(item);
    },
    frame(frame) {
      if (frame.message.stream === name) picture.take(frame);
      else frame.drawn();
    },
    close() {
      clearTimeout(settling);
      clearInterval(tick);
      document.removeEventListener("visibilitychange", watch);
      document.removeEventListener("keydown", keys);
      for (const change of changes) document.removeEventListener(change, filled);
      for (const part of opened) part.close();
      picture.close();
    },
  };
}
