// How a stream is, in words.

/** One word for a state: "online", "overloaded", "paused", "starting" or "offline". */
export function condition(state) {
  if (!state.online) return state.reason === "starting" ? "starting" : "offline";
  if (state.paused) return "paused";
  return state.overloaded ? "overloaded" : "online";
}

/** The class that colours a condition. */
export const kinds = { online: "good", overloaded: "warn", paused: "warn", starting: "dim", offline: "bad" };

const rate = (number) => (number >= 9.95 ? number.toFixed(0) : number.toFixed(1));

/** Frames a second, latency and, of several, the worker: "7.9 of 10/s · 120 ms · worker 2". */
export function pace({ online, paused, rate: frames, latency, worker }) {
  if (!online || paused) return "";
  const words = [];
  if (frames && frames.wanted + frames.tracked > 0) {
    const short = frames.wanted - frames.tracked > 0.05 * frames.wanted;
    words.push(short ? `${rate(frames.tracked)} of ${rate(frames.wanted)}/s` : `${rate(frames.tracked)}/s`);
  }
  if (typeof latency === "number") words.push(latency < 10 ? `${Math.round(latency * 1000)} ms` : ago(latency));
  if (worker) words.push(worker);
  return words.join(" · ");
}

/** A time that has passed: "12 s", "3 min", "5 h", "2 days". */
export function ago(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 48 * 3600) return `${Math.floor(whole / 3600)} h`;
  return `${Math.floor(whole / 86400)} days`;
}

/** Tells `say` when a stream is in another condition. Not of overload, which may come and go with every second. */
export function announcer(name, say) {
  let before = null;
  return (state) => {
    const word = condition({ ...state, overloaded: false });
    if (before && word !== before) say(`${name}: ${word}${state.reason ? `, ${state.reason}` : ""}`);
    before = word;
  };
}

/** Why there is no newer picture; "" while they come. `now` is the server's time in milliseconds. */
export function trouble(state, now) {
  const word = condition(state);
  if (word === "online" || word === "overloaded") return "";
  const seconds = (now - Date.parse(state.since)) / 1000;
  const since = seconds >= 0 ? ` for ${ago(seconds)}` : "";
  const reason = word === "offline" && state.reason ? `: ${state.reason}` : "";
  return `${word[0].toUpperCase()}${word.slice(1)}${since}${reason}`;
}
