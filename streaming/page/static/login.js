// The password of the page.
import { call } from "./api.js";
import { element, field } from "./dom.js";

/** Ask for it; `done` is called when it was right. */
export function login(root, { done }) {
  const said = element("p", { role: "alert" });
  const password = field("Password", {
    type: "password", name: "password", autocomplete: "current-password", required: true, maxlength: 1000,
  });
  // So that a password manager keeps the password under a name.
  const user = element("input", { name: "username", autocomplete: "username", value: "maskcast", hidden: true });
  const enter = element("button", { class: "main" }, "Sign in");
  const box = password.lastChild;
  let timer = 0;

  async function submit(event) {
    event.preventDefault();
    enter.disabled = true;
    said.textContent = "";
    try {
      await call("login", { password: box.value });
      return done();
    } catch (error) {
      if (error.status === 429) return wait(error.again ?? 60);
      said.textContent = error.status === 401 ? "Wrong password" : error.message;
    }
    enter.disabled = false;
    box.select();
  }

  function wait(seconds) {
    const at = new Date(Date.now() + seconds * 1000).toLocaleTimeString();
    said.textContent = `Too many tries: again at ${at}`;
    timer = setTimeout(() => (enter.disabled = false), seconds * 1000);
  }

  root.append(element("form", { class: "login", onsubmit: submit }, element("h1", {}, "Maskcast"), user, password, enter, said));
  box.focus();
  return { close: () => clearTimeout(timer) };
}
