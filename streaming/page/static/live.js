// The connection to the server: what is watched goes out; states, events and pictures come in. It comes back by itself.

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 5000;
// States come at least this often while anything runs; a line that is silent for longer is dead, whatever TCP says.
const SILENCE_MS = 20000;
const LONGEST_ANSWER_MS = 10000;

const text = new TextDecoder();

/** A binary message in its parts: the frame message as MQTT has it, and the JPEG. */
export function parts(buffer) {
  const length = new DataView(buffer).getUint32(0);
  const message = JSON.parse(text.decode(new Uint8Array(buffer, 4, length)));
  return { message, jpeg: new Blob([new Uint8Array(buffer, 4 + length)], { type: "image/jpeg" }) };
}

/** The states of all streams after a message of those that changed; what is null is gone. */
export function merged(states, changes) {
  return Object.fromEntries(Object.entries({ ...states, ...changes }).filter(([, state]) => state !== null));
}

export class Live {
  /**
   * `hear`: {link(up, why), state(streams), event(item), frame({message, jpeg, drawn})}; `drawn` is to be called once
   * for each frame, drawn or not: the next may come. `admitted()` says before each connection whether to connect.
   */
  constructor(hear, admitted) {
    this.hear = hear;
    this.admitted = admitted;
    this.wanted = { type: "watch", streams: {}, rate: 10 };
    this.wait = FIRST_WAIT_MS;
    this.closed = false;
    this.again = () => document.hidden || this.timer === undefined || this._now();
    window.addEventListener("online", this.again);
    document.addEventListener("visibilitychange", this.again);
    this._connect();
  }

  /** Watch these streams, `{name: width in device pixels}`, instead of those before; `rate` pictures a second at most. */
  watch(streams, rate = 10) {
    const wanted = { type: "watch", streams, rate };
    if (JSON.stringify(wanted) === JSON.stringify(this.wanted)) return;
    this.wanted = wanted;
    this._send(wanted);
  }

  close() {
    this.closed = true;
    window.removeEventListener("online", this.again);
    document.removeEventListener("visibilitychange", this.again);
    clearTimeout(this.timer);
    if (this.socket) this.socket.close();
  }

  _send(message, socket = this.socket) {
    if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  }

  _now() {
    clearTimeout(this.timer);
    this.timer = undefined;
    this._connect();
  }

  async _connect() {
    const late = new Promise((resolve) => setTimeout(resolve, LONGEST_ANSWER_MS, false));
    const admitted = await Promise.race([this.admitted(), late]).catch(() => false);
    if (this.closed) return;
    if (!admitted) {
      this._later();
      return;
    }
    const url = new URL("live", document.baseURI);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.hash = "";
    const socket = (this.socket = new WebSocket(url.href));
    socket.binaryType = "arraybuffer";
    let states = {};
    const ended = ({ reason }) => {
      clearTimeout(this.silence);
      if (this.socket !== socket) return;
      this.socket = null;
      this._later(reason);
    };
    const alive = () => {
      clearTimeout(this.silence);
      this.silence = setTimeout(() => {
        socket.close(); // of a dead line the browser may take a minute to say that it is closed
        ended({});
      }, SILENCE_MS);
    };
    socket.onopen = () => {
      this.wait = FIRST_WAIT_MS;
      this._send(this.wanted);
      this.hear.link(true);
      alive();
    };
    socket.onmessage = ({ data }) => {
      alive();
      if (typeof data !== "string") {
        const frame = parts(data);
        const { stream } = frame.message;
        this.hear.frame({ ...frame, drawn: () => this._send({ type: "drawn", stream }, socket) });
        return;
      }
      const message = JSON.parse(data);
      if (message.type === "event") this.hear.event(message);
      if (message.type !== "state") return;
      states = merged(states, message.streams);
      this.hear.state(states, message.time);
    };
    socket.onclose = ended;
    alive();
  }

  _later(why = "") {
    if (this.closed) return;
    this.hear.link(false, why);
    this.timer = setTimeout(() => this._now(), this.wait * (0.5 + Math.random() / 2));
    this.wait = Math.min(LONGEST_WAIT_MS, this.wait * 2);
  }
}
