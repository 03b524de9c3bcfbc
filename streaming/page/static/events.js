// What happened: newest first, and as it happens.
import { asking, call } from "./api.js";
import { button, choose, dialog, element, field } from "./dom.js";
import { address } from "./recordings.js";

const PAGE = 50;
const MOST = 500; // shown at a time
const KINDS = ["entered", "left", "dwelled", "crossed", "started", "lost", "recovered", "ended"];
const FILTERS = { stream: "Stream", prompt: "Prompt", kind: "Kind", place: "Place" };

export function events(root, { query, go }) {
  const chosen = Object.fromEntries(Object.keys(FILTERS).map((key) => [key, query.get(key) ?? ""]));
  const known = Object.fromEntries(Object.keys(FILTERS).map((key) => [key, new Set([chosen[key]].filter(Boolean))]));
  KINDS.forEach((kind) => known.kind.add(kind));
  const fields = Object.entries(FILTERS).map(([key, label]) => field(label, { name: key, onchange: filter }, [["", "all"]]));
  const list = element("ol", { class: "events", "aria-label": "Events" });
  const said = element("p", { class: "hint", role: "status" });
  const more = button("Older", () => load(list.lastChild?.dataset.event), { "data-action": "older" });
  const newest = button("Newest", () => load(), { hidden: true });
  root.append(element("h1", {}, "Events"), element("form", { class: "filters" }, fields), newest, list, said, more);
  let asked = 0;
  offer();
  load();

  function offer() {
    for (const label of fields) {
      const list = label.lastChild;
      choose(list, [["", "all"], ...known[list.name]]);
      list.value = chosen[list.name];
    }
  }

  function filter({ target }) {
    chosen[target.name] = target.value;
    history.replaceState(null, "", asking("#/events", chosen));
    load();
  }

  /** Show the newest, or those before an event too. */
  async function load(before) {
    const mine = ++asked;
    if (!before) list.replaceChildren();
    said.textContent = "…";
    try {
      const found = await call(asking("events", { ...chosen, before, limit: PAGE }));
      if (mine !== asked) return; // others were asked for meanwhile
      if (!before) newest.hidden = true;
      found.events.forEach(put);
      for (; list.children.length > MOST; newest.hidden = false) list.firstChild.remove();
      more.hidden = !found.more;
      said.textContent = list.children.length ? "" : "Nothing yet";
      offer();
    } catch (error) {
      said.textContent = error.message;
    }
  }

  // In the order of their ids, each once: its picture may come later than it.
  function put(item) {
    const made = row(item);
    const next = [...list.children].find((shown) => shown.dataset.event <= item.id);
    if (next?.dataset.event !== `${item.id}`) return list.insertBefore(made, next ?? null);
    const had = next.contains(document.activeElement);
    next.replaceWith(made);
    if (had) made.firstChild.focus({ preventScroll: true });
  }

  function row({ id, message, picture, recording }) {
    const { event, track, zone, line, direction, seconds, stream, time } = message;
    const place = zone ?? line;
    for (const [key, value] of Object.entries({ stream, prompt: track.prompt, place })) if (value) known[key].add(value);
    const image = picture && element("img", { src: `events/${id}.jpg`, loading: "lazy", alt: "", width: 160, height: 90 });
    const words = [
      element("b", {}, `${track.prompt} ${track.id}`), ` ${event}`,
      place && ` ${place}`, direction && ` ${direction}`, seconds != null && ` after ${span(seconds)}`,
    ];
    const when = element("time", { datetime: time }, new Date(time).toLocaleString());
    const parts = [image || element("i"), element("span", {}, element("span", {}, words), element("small", {}, stream, " · ", when))];
    const label = `${track.prompt} ${track.id} ${event}`;
    const opened = recording
      ? element("a", { href: address(recording.stream, recording.name, recording.second), title: "Play" }, parts)
      : button(parts, () => open(id, label));
    return element("li", { "data-event": id, "data-kind": event }, opened);
  }

  // Play the recording of an event that had none when it was told; else show its picture.
  async function open(id, label) {
    try {
      const { events: [item] } = await call(asking("events", { before: id + 1, limit: 1 }));
      if (item?.id !== id) said.textContent = "It is not kept any more";
      else if (item.recording) go(address(item.recording.stream, item.recording.name, item.recording.second));
      else if (item.picture) dialog(element("img", { src: `events/${id}.jpg`, alt: label }), element("button", {}, "Close"));
    } catch (error) {
      said.textContent = error.message;
    }
  }

  return {
    state(streams) {
      for (const [name, state] of Object.entries(streams)) {
        known.stream.add(name);
        if (chosen.stream && name !== chosen.stream) continue;
        state.prompts.forEach((prompt) => known.prompt.add(prompt.name));
        for (const place of Object.keys({ ...state.zones, ...state.lines })) known.place.add(place);
      }
      offer();
    },
    event(item) {
      const { event, track, zone, line, stream } = item.message;
      const has = { stream, prompt: track.prompt, kind: event, place: zone ?? line };
      if (Object.keys(chosen).some((key) => chosen[key] && chosen[key] !== has[key])) return;
      if (!newest.hidden) return; // older ones are looked at
      put(item);
      said.textContent = "";
      if (list.children.length <= MOST) return;
      list.lastChild.remove();
      more.hidden = false;
    },
    again: () => load(),
    close() {},
  };
}

/** Seconds in short words. */
export function span(seconds) {
  if (seconds < 60) return `${Math.round(seconds * 10) / 10} s`;
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours ? `${hours} h ${minutes} min` : `${minutes} min ${Math.floor(seconds % 60)} s`;
}
