// Search over all pages of the manual: sections that have every word, those in a title first. Pure.
import { plain, sections } from "./parse.js";

const SHOWN_MAX = 40;
const BEFORE = 50;
const AROUND = 150;

/** What is searched: [{page, title, section, id, text, low}] of texts by page, in this order. */
export function indexOf(pages, texts) {
  return pages.flatMap(({ name, title }) => sections(texts[name] ?? "").map((section) => {
    const text = plain(section.parts.map((part) => part.code ?? part.text).join("\n"));
    const heading = section.level === 1 ? "" : section.title;
    return { page: name, title, section: heading, id: heading && section.id, text, low: `${title} ${heading} ${text}`.toLowerCase() };
  }));
}

/** The best of them, the best first: [{...entry, excerpt}]. */
export function found(index, query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  return index.filter((entry) => words.every((word) => entry.low.includes(word)))
    .map((entry) => ({ entry, score: score(entry, words) }))
    .sort((one, other) => other.score - one.score)
    .slice(0, SHOWN_MAX)
    .map(({ entry }) => ({ ...entry, excerpt: excerpt(entry.text, words) }));
}

function score(entry, words) {
  const heading = (entry.section || entry.title).toLowerCase();
  const whole = words.join(" ");
  let sum = heading === whole ? 100 : 0;
  for (const word of words) {
    if (heading.split(/[^\p{L}\p{N}_]+/u).includes(word)) sum += 12;
    else if (heading.includes(word)) sum += 8;
    else if (entry.title.toLowerCase().includes(word)) sum += 3;
    sum += Math.min(entry.low.split(word).length - 1, 4);
  }
  return sum - entry.text.length / 20_000;
}

/** The text around the first of the words, on whole words. */
function excerpt(text, words) {
  const low = text.toLowerCase();
  const at = Math.max(0, Math.min(...words.map((word) => low.indexOf(word)).filter((place) => place >= 0), text.length) - BEFORE);
  const begin = at === 0 || at >= text.length ? 0 : text.indexOf(" ", at) + 1;
  const cut = text.length - begin > AROUND;
  const part = cut ? text.slice(begin, text.lastIndexOf(" ", begin + AROUND)) : text.slice(begin);
  return `${begin ? "… " : ""}${part}${cut ? " …" : ""}`;
}
