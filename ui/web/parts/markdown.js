// Markdown as elements, never as HTML: whatever a model or a prompt says stays text. Links lead out
// only as http(s) and mailto; images of elsewhere are links, as these pages load nothing from there.
import { html } from "../lib/html.js";

const NESTED_MAX = 8;
// Looking for marks takes the square of a text's length at worst: longer ones are shown plain.
const INLINE_MAX = 8000;
const TEXT_MAX = 400_000;

/** A text as what it means. `link(url)` may turn an address into another, for the manual. */
export function Markdown({ text, link = (url) => url }) {
  if (String(text ?? "").length > TEXT_MAX) return html`<pre>${text}</pre>`;
  return html`<div class="prose">${blocks(String(text ?? "").replace(/\r\n?/g, "\n").split("\n"), 0, link)}</div>`;
}

const FENCE = /^(\s{0,3})(`{3,}|~{3,})\s*([\w+#.-]*)/;
const HEADING = /^(#{1,6})\s+(.*?)\s*#*$/;
const RULE = /^\s{0,3}([-*_])(\s*\1){2,}\s*$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const TABLE_RULE = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;

function blocks(lines, depth, link) {
  const found = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at];
    const fence = FENCE.exec(line);
    if (!line.trim()) at += 1;
    else if (fence) {
      const body = [];
      at += 1;
      while (at < lines.length && !lines[at].trim().startsWith(fence[2])) body.push(lines[at++]);
      at += 1;
      found.push(html`<pre><code>${body.join("\n")}</code></pre>`);
    } else if (HEADING.test(line)) {
      const [, marks, text] = HEADING.exec(line);
      found.push(heading(marks.length, text, link));
      at += 1;
    } else if (RULE.test(line)) {
      found.push(html`<hr />`);
      at += 1;
    } else if (/^\s{0,3}>/.test(line) && depth < NESTED_MAX) {
      const inner = [];
      while (at < lines.length && /^\s{0,3}>/.test(lines[at])) inner.push(lines[at++].replace(/^\s{0,3}> ?/, ""));
      found.push(html`<blockquote>${blocks(inner, depth + 1, link)}</blockquote>`);
    } else if (ITEM.test(line) && depth < NESTED_MAX) at = list(lines, at, found, depth, link);
    else if (line.includes("|") && TABLE_RULE.test(lines[at + 1] ?? "") && lines[at + 1].includes("-")) at = table(lines, at, found, link);
    else {
      const text = [];
      while (at < lines.length && lines[at].trim() && !FENCE.test(lines[at]) && !HEADING.test(lines[at]) && !(text.length && ITEM.test(lines[at]))) text.push(lines[at++]);
      if (!text.length) text.push(lines[at++]);
      found.push(html`<p>${inline(text.join("\n"), link)}</p>`);
    }
  }
  return found;
}

/** What a heading is called in an address. */
export const slug = (text) => text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "");

function heading(level, text, link) {
  const id = slug(text);
  const inner = inline(text, link);
  return [null, html`<h1 id=${id}>${inner}</h1>`, html`<h2 id=${id}>${inner}</h2>`, html`<h3 id=${id}>${inner}</h3>`][level] ?? html`<h4 id=${id}>${inner}</h4>`;
}

function list(lines, start, found, depth, link) {
  const [, indent, mark] = ITEM.exec(lines[start]);
  const isOrdered = /\d/.test(mark);
  const items = [];
  let at = start;
  while (at < lines.length) {
    const item = ITEM.exec(lines[at]);
    if (item && item[1].length <= indent.length && /\d/.test(item[2]) === isOrdered) {
      items.push([item[3]]);
      at += 1;
    } else if (items.length && (/^\s{2,}\S/.test(lines[at]) || (!lines[at].trim() && /^\s{2,}\S/.test(lines[at + 1] ?? "")))) {
      items.at(-1).push(lines[at].replace(new RegExp(`^\\s{1,${indent.length + mark.length + 1}}`), ""));
      at += 1;
    } else break;
  }
  const shown = items.map((item) => html`<li>${item.length === 1 ? inline(item[0], link) : blocks(item, depth + 1, link)}</li>`);
  found.push(isOrdered ? html`<ol start=${parseInt(mark, 10)}>${shown}</ol>` : html`<ul>${shown}</ul>`);
  return at;
}

function table(lines, start, found, link) {
  const cells = (line) => line.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((cell) => inline(cell.trim().replace(/\\\|/g, "|"), link));
  const head = cells(lines[start]);
  let at = start + 2;
  const rows = [];
  while (at < lines.length && lines[at].includes("|") && lines[at].trim()) rows.push(cells(lines[at++]));
  found.push(html`<table><thead><tr>${head.map((cell) => html`<th>${cell}</th>`)}</tr></thead>
    <tbody>${rows.map((row) => html`<tr>${row.map((cell) => html`<td>${cell}</td>`)}</tr>`)}</tbody></table>`);
  return at;
}

const INLINE = /(`+)([\s\S]+?)\1(?!`)|!\[([^\]]*)\]\(([^\s)]+)[^)]*\)|\[((?:[^\]\\]|\\.)+)\]\(([^\s)]+)[^)]*\)|<((?:https?:\/\/|mailto:)[^\s>]+)>|\*\*([^\n]+?)\*\*|__([^\n]+?)__|\*([^\s*][^*\n]*?)\*|(?<![\w])_([^\s_][^_\n]*?)_(?![\w])|~~([^\n]+?)~~|(https?:\/\/[^\s<>()]+[^\s<>().,;:!?'"])|\\([\\`*_{}[\]()#+.!|<>~-])/;

function inline(text, link, depth = 0) {
  if (text.length > INLINE_MAX) return [text];
  const found = [];
  let rest = text;
  while (rest && depth < NESTED_MAX) {
    const hit = INLINE.exec(rest);
    if (!hit) break;
    if (hit.index) found.push(rest.slice(0, hit.index));
    rest = rest.slice(hit.index + hit[0].length);
    const [, , code, alt, image, name, url, bare, strong, strong2, weak, weak2, gone, plain, escaped] = hit;
    const deeper = (inner) => inline(inner, link, depth + 1);
    if (code !== undefined) found.push(html`<code>${code}</code>`);
    else if (image !== undefined) found.push(/^data:image\/(png|jpeg|gif|webp);base64,/.test(image) ? html`<img src=${image} alt=${alt} />` : anchor(image, `Image: ${alt || image}`, link));
    else if (name !== undefined) found.push(anchor(url, deeper(name.replace(/\\(.)/g, "$1")), link));
    else if (bare || plain) found.push(anchor(bare || plain, bare || plain, link));
    else if (strong || strong2) found.push(html`<strong>${deeper(strong || strong2)}</strong>`);
    else if (weak || weak2) found.push(html`<em>${deeper(weak || weak2)}</em>`);
    else if (gone) found.push(html`<s>${deeper(gone)}</s>`);
    else if (escaped) found.push(escaped);
  }
  if (rest) found.push(rest);
  return found;
}

function anchor(url, name, link) {
  const to = link(url);
  if (/^(https?:|mailto:)/i.test(to)) return html`<a href=${to} target="_blank" rel="noopener noreferrer nofollow">${name}</a>`;
  if (/^[/#]/.test(to) && !to.startsWith("//")) return html`<a href=${to}>${name}</a>`;
  return html`<span title=${to}>${name}</span>`;
}
