// The prompts of a stream with their conditions (docs/prompts.md), changed in a draft that is applied as a whole: a
// group, which needs two prompts, could not be begun one by one.
import { button, element, field, refill, write } from "./dom.js";

const SHARE = { type: "number", min: 0, max: 1, step: "any", inputmode: "decimal" };
const FIELDS = {
  text: ["Look for", { maxlength: 500, required: true }],
  name: ["Name, if not the same", { maxlength: 500 }],
  threshold: ["Least score, 0 to 1", SHARE],
  min_area: ["Least share of the picture, 0 to 1", SHARE],
  max_area: ["Largest share of the picture, 0 to 1", SHARE],
  min_frames: ["Frames in a row until it is believed", { type: "number", min: 1, max: 1000 }],
  group: ["Group: an object is one of its prompts", { maxlength: 500 }],
  avoid: ["Avoid, a phrase a line", { type: "textarea", rows: 2 }],
};
const WORDS = {
  text: "looks for", threshold: "score from", min_area: "share from", max_area: "share to", min_frames: "frames",
  group: "group", avoid: "avoids",
};
const DEFAULTS = { min_area: 0, max_area: 1, avoid: "" };

// A prompt as a request has it: without what is the default.
function table(prompt) {
  const { text, name } = prompt;
  const rest = Object.keys(WORDS).slice(1).filter((key) => prompt[key] != null && `${prompt[key]}` !== `${DEFAULTS[key]}`);
  return Object.fromEntries([["text", text], ["name", name || text], ...rest.map((key) => [key, prompt[key]])]);
}

function same(a, b) {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** What was changed from `base` to `mine`, done to `theirs`: others change prompts, too. */
export function rebase(base, mine, theirs) {
  const named = (list, name) => list.find((prompt) => prompt.name === name);
  const kept = theirs.filter(({ name }) => named(mine, name) || !named(base, name));
  const changed = kept.map((their) => {
    const my = named(mine, their.name);
    return my && !same(my, named(base, their.name)) ? my : their;
  });
  return [...changed, ...mine.filter(({ name }) => !named(base, name) && !named(theirs, name))];
}

/** Show and change them; `send` carries a request out and tells whether it was accepted. */
export function prompts(root, send) {
  let shown = null; // in force
  let draft = null; // changed here, not applied yet; null for as in force
  let actions = [];
  let edited = null; // the prompt of the draft that is in the form; null for another one

  const list = element("ul", { class: "prompts" });
  const note = element("p", { class: "hint", role: "status" });
  const apply = button("Apply until the restart", commit, { class: "main", "data-action": "apply-prompts" });
  const pending = element("div", { class: "row", hidden: true }, note, apply, button("Discard", () => change(null)));
  const fields = Object.fromEntries(Object.entries(FIELDS).map(([key, [label, given]]) => [key, field(label, { ...given, name: key })]));
  const { text, ...conditions } = fields;
  const more = element("details", {}, element("summary", {}, "Conditions"), Object.values(conditions));
  const put = element("button", {}, "Add");
  const cancel = button("Cancel", () => edit(null), { hidden: true });
  const form = element("form", { class: "prompt", onsubmit: take }, text, more, element("div", { class: "row" }, put, cancel));
  root.append(element("h3", {}, "Prompts"), list, pending, form);

  function change(next) {
    draft = next && same(next, shown) ? null : next;
    edit(null);
  }

  function edit(prompt) {
    edited = prompt;
    for (const [key, label] of Object.entries(fields)) {
      const given = prompt?.[key] ?? "";
      label.lastChild.value = Array.isArray(given) ? given.join("\n") : key === "name" && given === prompt?.text ? "" : given;
    }
    more.open = Boolean(prompt);
    put.textContent = prompt ? "Change" : "Add";
    cancel.hidden = !prompt;
    if (prompt) text.lastChild.focus();
    paint();
  }

  function take(event) {
    event.preventDefault();
    const written = {};
    for (const [key, label] of Object.entries(fields)) {
      const { value, type } = label.lastChild;
      const lines = value.split("\n").map((line) => line.trim()).filter(Boolean);
      if (lines.length) written[key] = key === "avoid" ? lines : type === "number" ? Number(value) : lines[0];
    }
    if (!written.text) return;
    const next = table(written);
    const others = (draft ?? shown).filter((prompt) => prompt !== edited);
    const at = edited ? (draft ?? shown).indexOf(edited) : others.length;
    const kept = [...others.slice(0, at), next, ...others.slice(at)];
    change(kept.filter((prompt) => prompt === next || prompt.name !== next.name));
    text.lastChild.focus();
  }

  async function commit() {
    const gone = shown.filter((old) => !draft.some(({ name }) => name === old.name));
    const fresh = draft.filter((prompt) => !shown.some((old) => same(old, prompt)));
    const requests = { add: fresh, remove: gone.map(({ name }) => name), set: draft };
    const action = !gone.length ? "add" : !fresh.length && draft.length ? "remove" : "set";
    apply.disabled = true;
    if (await send({ action, prompts: requests[action] }, "Applied")) change(null);
    apply.disabled = false;
  }

  function row(prompt, can) {
    const parts = Object.keys(WORDS).filter((key) => prompt[key] != null && !(key === "text" && prompt.text === prompt.name));
    const words = parts.map((key) => `${WORDS[key]} ${[prompt[key]].flat().join(", ")}`).join(" · ");
    const doing = can && element("span", { class: "row" },
      button("Edit", () => edit(prompt), { "aria-label": `Edit ${prompt.name}` }),
      button("Remove", () => change((draft ?? shown).filter((other) => other !== prompt)), { "aria-label": `Remove ${prompt.name}` }),
    );
    const given = { "data-prompt": prompt.name, "data-pending": !shown.some((old) => same(old, prompt)) };
    return element("li", given, element("span", { class: "grow" }, element("b", {}, prompt.name), " ", element("small", {}, words)), doing);
  }

  function paint() {
    const can = actions.some((action) => ["set", "add", "remove"].includes(action));
    form.hidden = !can;
    refill(list, (draft ?? shown).map((prompt) => row(prompt, can)));
    pending.hidden = !draft;
    write(note, draft?.length ? "Not applied yet" : "A stream needs a prompt");
    apply.hidden = !draft?.length;
  }

  return {
    state(state, can) {
      const found = state.prompts.map(table);
      const may = can ? state.control : [];
      if (same(found, shown) && same(may, actions)) return;
      draft &&= rebase(shown, draft, found);
      [shown, actions] = [found, may];
      if (same(draft, shown)) draft = null;
      paint();
    },
  };
}
