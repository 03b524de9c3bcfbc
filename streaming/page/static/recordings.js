// Recordings by stream and day, and their player.
import { asking, call } from "./api.js";
import { choose, element, field } from "./dom.js";
import { span } from "./events.js";

/** Where one of them is played, from a second on. */
export function address(stream, name, second = 0, day = "") {
  return asking("#/recordings", { stream, name, day, t: second ? `${Math.floor(second * 10) / 10}` : "" });
}

export function recordings(root, { query, go }) {
  const chosen = { stream: query.get("stream") ?? "", day: query.get("day") ?? "" };
  const name = query.get("name");
  const stream = field("Stream", { onchange: () => go(asking("#/recordings", { stream: stream.lastChild.value })) }, [["", "all"]]);
  const day = field("Day", { onchange: () => go(asking("#/recordings", { ...chosen, day: day.lastChild.value })) }, []);
  const list = element("ul", { class: "recordings", "aria-label": "Recordings" });
  const said = element("p", { class: "hint", role: "status" }, "…");
  const path = `recordings/${encodeURIComponent(chosen.stream)}/${encodeURIComponent(name)}#t=${Number(query.get("t")) || 0}`;
  const failed = () => (said.textContent = "It cannot be played: it may be deleted");
  const player = name && element("video", { src: path, controls: true, autoplay: true, playsinline: true, onerror: failed });
  offer([]);
  root.append(element("h1", {}, "Recordings"), player || "", element("form", { class: "filters" }, stream, day), list, said);
  show();

  function offer(streams) {
    choose(stream.lastChild, [["", "all"], ...new Set([chosen.stream, ...streams].filter(Boolean))]);
    stream.lastChild.value = chosen.stream;
  }

  async function show() {
    try {
      const found = await call(asking("recordings", chosen));
      choose(day.lastChild, [["", "all"], ...found.days]);
      day.lastChild.value = chosen.day;
      list.replaceChildren(...found.recordings.map(row));
      const words = found.more ? "The newest alone: choose a stream or a day" : "";
      said.textContent = found.recordings.length ? words : "Nothing recorded";
    } catch (error) {
      said.textContent = error.message;
    }
  }

  function row(recording) {
    const { start, seconds, bytes, writing } = recording;
    const current = recording.stream === chosen.stream && recording.name === name;
    const given = { href: address(recording.stream, recording.name, 0, chosen.day), "aria-current": current && "true" };
    const rest = [recording.stream, seconds != null && span(seconds), `${(bytes / 1e6).toFixed(1)} MB`, writing && "being written"].filter(Boolean);
    return element("li", {}, element("a", given, new Date(start).toLocaleString(), " ", element("small", {}, rest.join(" · "))));
  }

  return {
    state(streams) {
      offer(Object.keys(streams));
    },
    again: show,
    close: () => player && player.pause(),
  };
}
