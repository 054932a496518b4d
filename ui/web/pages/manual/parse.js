// A page of the manual taken apart: sections by their headings, boxes of code, links. Pure.
import { slug } from "../../parts/markdown.js";

const HEADING = /^(#{1,4}) (.+?)\s*$/;
const FENCE = /^```\s*(\S*)/;
const LISTED = /^- \[([^\]]+)\]\(([a-z-]+)\.md\): (.*)$/;

export const CONTENTS = "contents";

/** [{level, title, id, parts}] in order; a part is {text} or {code}. What stands before the first
 *  heading is left out: it says who made the file. */
export function sections(text) {
  const found = [];
  let part = null;
  let fenced = false;
  for (const line of text.split("\n")) {
    const heading = !fenced && HEADING.exec(line);
    if (heading) {
      found.push({ level: heading[1].length, title: plain(heading[2]), id: slug(heading[2]), parts: [] });
      part = null;
    } else if (FENCE.test(line)) {
      fenced = !fenced;
      part = fenced ? { code: [] } : null;
      if (fenced) found.at(-1)?.parts.push(part);
    } else if (found.length) {
      if (!part) found.at(-1).parts.push(part = { text: [] });
      (part.code ?? part.text).push(line);
    }
  }
  return found.map((section) => ({ ...section, parts: section.parts.map(joined).filter(Boolean) }));
}

function joined(part) {
  if (part.code) return { code: part.code.join("\n") };
  const text = part.text.join("\n").trim();
  return text ? { text } : null;
}

/** The groups of the contents: [{name, pages: [{name, title, tells}]}]. */
export function groups(text) {
  return sections(text).filter((section) => section.level === 2).map((section) => ({
    name: section.title,
    pages: section.parts.flatMap((part) => (part.text ?? "").split("\n")).map((line) => LISTED.exec(line)).filter(Boolean)
      .map(([, title, name, tells]) => ({ name, title, tells })),
  }));
}

/** An address of a page's Markdown as one of these pages: `other.md#anchor`, `#anchor`. */
export function address(url, page) {
  if (url.startsWith("#")) return `/docs/manual/${page}#${slug(url)}`;
  const found = /^([a-z-]+)\.md(?:#(.*))?$/.exec(url);
  if (!found) return url;
  return `/docs/manual/${found[1]}${found[2] ? `#${slug(found[2])}` : ""}`;
}

/** Text without the marks of Markdown, for titles and what a search shows. */
export function plain(text) {
  return text.replace(/^\s*(?:[-*] |\d+\. |\|[-|]+\|\s*$)/gm, "").replace(/\[((?:[^\]\\]|\\.)+)\]\([^\s)]+\)/g, "$1").replace(/[`*|]|\\(?=[|])/g, "").replace(/\s+/g, " ").trim();
}
