// The page: one session, one connection, one view at a time.

import { call } from "./api.js";
import { element } from "./dom.js";
import { events } from "./events.js";
import { Live } from "./live.js";
import { login } from "./login.js";
import { recordings } from "./recordings.js";
import { href, route } from "./router.js";
import { stream } from "./stream.js";
import { theme } from "./theme.js";
import { wall } from "./wall.js";

const LOST_MS = 800; // that a line is away before it is said: most come back at once

// By the first word of the address. All are loaded at the start: later there may be no connection.
const views = new Map(Object.entries({ "": wall, stream, events, recordings }));
const titles = { events: "Events", recordings: "Recordings" };

const $ = (id) => document.getElementById(id);
let session = null;
let live = null;
let view = null; // {state?, event?, frame?, again?, close()} of the view that is open
let first = true; // no view has been open yet
let last = null; // the last states, and when they were told
let lost; // the timer that says so, from when the line was lost on

/** Tell those who do not see the page what changed. */
function say(text) {
  $("spoken").textContent = text;
}

async function admitted() {
  const now = await call("session");
  if (session && session.version !== now.version) {
    location.reload(); // another version of the process: of the page, too
    return false;
  }
  const was = session;
  session = now;
  $("logout").hidden = !(now.password && now.open);
  document.querySelector(`nav a[href="${href("recordings")}"]`).hidden = !now.service; // a single run has none
  if (!now.open) {
    signIn();
    return false;
  }
  if (!was || !was.open) open();
  return true;
}

const heard = {
  link(up, why) {
    if (up) {
      const was = lost !== undefined;
      clearTimeout(lost);
      lost = undefined;
      $("link").hidden = true;
      delete document.documentElement.dataset.lost;
      if (was && view && view.again) view.again();
    } else if (lost === undefined && (!session || session.open)) {
      lost = setTimeout(() => {
        $("link").textContent = `${why || "Connection lost"}. Trying again…`;
        $("link").hidden = false;
        document.documentElement.dataset.lost = "";
      }, LOST_MS);
    }
  },
  state(streams, time) {
    last = [streams, time];
    if (view && view.state) view.state(...last);
  },
  event(item) {
    if (view && view.event) view.event(item);
  },
  frame(frame) {
    if (view && view.frame) view.frame(frame);
    else frame.drawn();
  },
};

function show(part, options, title) {
  if (view) view.close();
  view = null;
  document.title = title ? `${title} – Maskcast` : "Maskcast";
  const root = element("div", { class: "view" });
  $("main").replaceChildren(root);
  window.scrollTo(0, 0);
  if (!first) $("main").focus({ preventScroll: true }); // for who does not see that the page is another
  first = false;
  view = part(root, { session, live, say, go: (hash) => (location.hash = hash), ...options });
  if (last && view.state) view.state(...last);
}

function open() {
  if (!session || !session.open) return;
  delete document.documentElement.dataset.login;
  const { view: asked, stream: id, query } = route(location.hash);
  const name = views.has(asked) ? asked : "";
  for (const link of document.querySelectorAll("header nav a")) {
    const here = link.getAttribute("href") === href(name) || (name === "stream" && link.getAttribute("href") === "#/");
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  live.watch({});
  show(views.get(name), { stream: id, query }, name === "stream" ? id : titles[name]);
}

function signIn() {
  if (document.documentElement.dataset.login) return;
  document.documentElement.dataset.login = "open";
  clearTimeout(lost);
  lost = undefined;
  $("link").hidden = true;
  show(login, { done: start }, "Sign in");
}

/** Connect anew, with the session as the server sees it. */
function start() {
  if (live) live.close();
  session = session && { ...session, open: false };
  live = new Live(heard, admitted);
}

window.addEventListener("hashchange", () => {
  if (location.hash === "" || location.hash.startsWith("#/")) open();
});
window.addEventListener("login", () => {
  if (!session || !session.open) return;
  session = { ...session, open: false };
  if (live) live.close();
  signIn();
});
$("logout").addEventListener("click", async () => {
  try {
    await call("logout", {});
  } finally {
    location.reload();
  }
});
theme($("theme"));
start();
