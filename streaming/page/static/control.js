// What one changes of a stream while it runs: its prompts, whether it looks, its counters.
import { call } from "./api.js";
import { button, element, sure } from "./dom.js";
import { prompts } from "./prompts.js";

/** Have a stream do something, by the same path as over MQTT; see docs/mqtt.md. */
export function ask(stream, request) {
  return call(`control/${encodeURIComponent(stream)}`, request);
}

/** Why nothing can be changed, or null. */
export function refusal(session, state) {
  if (session.read_only) return "Read only: nothing can be changed on this page.";
  return state.control.length ? null : "This stream takes no changes.";
}

export function control(root, { session, stream }) {
  const said = element("output", { class: "said" });
  const pause = button("Pause", () => send({ action: pause.dataset.action }), { "data-action": "pause" });
  const still = button("Publish a still", () => send({ action: "snapshot" }, "Published"), { "data-action": "snapshot" });
  const reset = button("Reset counters", clear, { "data-action": "reset" });
  const buttons = [pause, still, reset];
  const bar = element("div", { class: "row" }, buttons);
  const note = element("p", { class: "hint" });
  const list = element("section");
  const editor = prompts(list, send);
  root.append(element("h2", {}, "Control"), note, bar, said, list);

  async function send(request, done = "Done") {
    said.textContent = "…";
    delete said.dataset.bad;
    try {
      await ask(stream, { schema: "maskcast.control/2", ...request });
      said.textContent = done;
      return true;
    } catch (error) {
      said.textContent = error.message;
      said.dataset.bad = "";
      return false;
    }
  }

  async function clear() {
    if (await sure("Begin all counters of this stream anew?", "Reset")) send({ action: "reset" }, "Counters begin anew");
  }

  return {
    state(streams) {
      const state = streams[stream];
      root.hidden = !state;
      if (!state) return;
      const why = refusal(session, state);
      const changed = state.changed && "Not as in the settings: gone at the restart.";
      note.textContent = [why, changed].filter(Boolean).join(" ");
      bar.hidden = Boolean(why);
      pause.dataset.action = state.paused ? "resume" : "pause";
      pause.textContent = state.paused ? "Resume" : "Pause";
      for (const each of buttons) each.hidden = !state.control.includes(each.dataset.action);
      reset.hidden ||= !Object.keys({ ...state.zones, ...state.lines }).length; // it has no counters
      editor.state(state, why === null);
    },
    close() {},
  };
}
