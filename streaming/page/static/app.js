// The page: one session, one connection, one view at a time.

import { call } from "./api.js";
import { element } from "./dom.js";
import { Live } from "./live.js";
import { href, route } from "./router.js";
import { theme } from "./theme.js";

const LOST_MS = 800; // that a line is away before it is said: most come back at once

const $ = (id) => document.getElementById(id);
let session = null;
let live = null;
let view = null; // {state?, event?, frame?, again?, close()} of the view that is open
let opening = 0; // counts, so that a view that loads late does not take the place of a newer one
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
    login();
    return false;
  }
  if (!was || !was.open) open();
  return true;
}

const heard = {
  link(up, why) {
    if (up) {
      clearTimeout(lost);
      lost = undefined;
      $("link").hidden = true;
      delete document.documentElement.dataset.lost;
      if (view && view.again) view.again();
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

function leave() {
  opening += 1;
  if (view) view.close();
  view = null;
  $("main").replaceChildren();
  return opening;
}

async function show(load, options, title) {
  const turn = leave();
  document.title = title ? `${title} – Maskcast` : "Maskcast";
  const root = element("div", { class: "view" });
  let part;
  try {
    part = await load();
  } catch (error) {
    console.error(error);
    if (turn === opening) $("main").replaceChildren(element("p", { class: "empty" }, "This part of the page could not be loaded."));
    return;
  }
  if (turn !== opening) return;
  $("main").replaceChildren(root);
  window.scrollTo(0, 0);
  if (turn > 1) $("main").focus({ preventScroll: true }); // for who does not see that the page is another
  view = part(root, { session, live, say, go: (hash) => (location.hash = hash), ...options });
  if (last && view.state) view.state(...last);
}

function open() {
  if (!session || !session.open) return;
  delete document.documentElement.dataset.login;
  const { view: name, load, stream, query } = route(location.hash);
  for (const link of document.querySelectorAll("header nav a")) {
    const here = link.getAttribute("href") === href(name) || (name === "stream" && link.getAttribute("href") === "#/");
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  live.watch({});
  const titles = { events: "Events", recordings: "Recordings" };
  show(load, { stream, query }, name === "stream" ? stream : titles[name]);
}

function login() {
  if (document.documentElement.dataset.login) return;
  document.documentElement.dataset.login = "open";
  clearTimeout(lost);
  lost = undefined;
  $("link").hidden = true;
  show(() => import("./login.js").then((module) => module.login), { done: start }, "Sign in");
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
  login();
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
