// The page's words: `texts/LANGUAGE.json` has all of one language.

const known = document.documentElement.dataset.languages.split(" ");
const storage = "facet-language";

/** The language that was chosen here, else the first of the browser's that there is. */
function choose() {
  const wanted = [localStorage.getItem(storage), ...navigator.languages.map((tag) => tag.split("-")[0])];
  return wanted.find((code) => known.includes(code)) ?? known[0];
}

export const languages = known;
export const language = choose();
document.documentElement.lang = language;

const { page: texts } = await (await fetch(`texts/${language}.json`)).json();

/** Takes another language, from the next load on. */
export function useLanguage(code) { localStorage.setItem(storage, code); }

/** The text of a key, with `{name}` replaced by values; with a `count` of 1 the key's `One` where there is one. */
export function t(key, values = {}) {
  const text = (values.count === 1 && texts[`${key}One`]) || texts[key];
  return (text ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Whether there is a text. */
export const has = (key) => key in texts;
