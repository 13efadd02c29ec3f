// A wish in words: what the server understands of it is shown while one writes, and Enter applies it.

import * as api from "./api.js";
import { byId, debounced, make } from "./dom.js";
import { t } from "./texts.js";

/** Ties the box to the document. `describe` says an edit in words, `fail` takes faults. */
export function setUpPrompt(editing, { describe, announce, fail }) {
  const [box, understood] = [byId("prompt"), byId("understood")];
  let reading = null;
  let last = { text: "", answer: { edits: [], unknown: [] } };

  async function read() {
    const text = box.value.trim();
    if (text === last.text) return last.answer;
    reading?.abort();
    reading = new AbortController();
    const answer = text ? await api.understand(text, reading.signal) : { edits: [], unknown: [] };
    last = { text, answer };
    return answer;
  }

  function show({ edits, unknown }) {
    const empty = edits.length === 0 && unknown.length === 0;
    understood.hidden = empty;
    if (empty) return;
    understood.replaceChildren(
      ...edits.map((edit) => make("span", { class: "wish" }, describe(edit))),
      ...(unknown.length > 0 ? [make("span", { class: "unknown" }, t("notUnderstood", { words: unknown.join(", ") }))] : []));
  }

  const guard = async (work) => {
    try {
      await work();
    } catch (error) {
      if (!api.isAborted(error)) fail(error);
    }
  };
  box.addEventListener("input", debounced(120, () => guard(async () => show(await read()))));
  byId("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    guard(async () => {
      const answer = await read();
      show(answer);
      if (answer.edits.length === 0) return;
      editing.apply(answer.edits);
      editing.select({ attribute: answer.edits.at(-1).attribute });
      announce(answer.edits.map(describe).join(", "));
      box.select();
    });
  });
  editing.addEventListener("photo", () => { understood.hidden = true; });
}
