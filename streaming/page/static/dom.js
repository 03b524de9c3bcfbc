// Elements made without markup: what comes from outside is always text, never HTML.

/** An element: `on…` are listeners, true and false are attributes that are there or not, strings become text. */
export function element(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(given)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child != null && child !== false));
  return made;
}

/** Write text where it differs: layout and screen readers are left alone where it does not. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Put other children into a list. The focus stays on the button of the same label, or else on the first one. */
export function refill(list, children) {
  const label = (node) => node.getAttribute("aria-label") ?? node.textContent;
  const had = list.contains(document.activeElement) && label(document.activeElement);
  list.replaceChildren(...children);
  if (had === false) return;
  const buttons = [...list.querySelectorAll("button")];
  (buttons.find((one) => label(one) === had) ?? buttons[0])?.focus({ preventScroll: true });
}

/** A button that does something. */
export function button(label, onclick, given = {}) {
  return element("button", { type: "button", onclick, ...given }, label);
}

/** A field under its label; `options` of a list are texts, or pairs of a value and a text. */
export function field(label, given = {}, options = null) {
  const tag = options ? "select" : given.type === "textarea" ? "textarea" : "input";
  const made = element(tag, { ...given, type: tag === "input" ? given.type ?? "text" : null, value: null });
  if (options) choose(made, options);
  made.value = given.value ?? made.value;
  return element("label", { class: "field" }, element("span", {}, label), made);
}

/** Put other options into a list; what was chosen stays so. */
export function choose(list, options) {
  const pairs = options.map((option) => (Array.isArray(option) ? option : [option, option]));
  if (list.dataset.options === JSON.stringify(pairs)) return;
  list.dataset.options = JSON.stringify(pairs);
  const { value } = list;
  list.replaceChildren(...pairs.map(([key, text]) => element("option", { value: key }, text)));
  if (pairs.some(([key]) => key === value)) list.value = value;
}

/** Show something above the page until it is closed; resolves to the value of the button that closed it. */
export function dialog(content, ...buttons) {
  const box = element("dialog", {}, content, element("form", { method: "dialog" }, buttons));
  document.body.append(box);
  box.showModal();
  return new Promise((resolve) => {
    box.addEventListener("close", () => {
      box.remove();
      resolve(box.returnValue);
    });
  });
}

/** Ask before something that cannot be undone. */
export async function sure(question, yes) {
  const answers = [element("button", { value: "" }, "Cancel"), element("button", { value: "yes" }, yes)];
  return (await dialog(element("p", {}, question), ...answers)) === "yes";
}
