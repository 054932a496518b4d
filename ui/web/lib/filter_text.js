// A filter as people write it, and the same filter as the API wants it.
//
//   model = gpt-4o and (status >= 500 or property.tenant = "acme inc") and body ~ refund
//
// `and` may be left out. A word by itself is looked for in both bodies. Pure; see tests/ui.

/** What may be filtered by: the name people write → the API's column, its kind, what it means. */
export const FIELDS = {
  model: { column: "model", kind: "text", tells: "The model that answered" },
  provider: { column: "provider", kind: "text", tells: "The provider that answered" },
  status: { column: "status", kind: "number", tells: "The HTTP status of the answer; below 0: not the provider's" },
  user: { column: "user_id", kind: "text", tells: "Helicone-User-Id" },
  cost: { column: "cost", kind: "number", tells: "USD" },
  latency: { column: "latency", kind: "number", tells: "Milliseconds from the request's arrival to the end of the answer" },
  ttft: { column: "time_to_first_token", kind: "number", tells: "Milliseconds to the first token" },
  tokens: { column: "total_tokens", kind: "number", tells: "Prompt, completion and reasoning tokens" },
  prompt_tokens: { column: "prompt_tokens", kind: "number", tells: "Tokens of the prompt" },
  completion_tokens: { column: "completion_tokens", kind: "number", tells: "Tokens of the answer" },
  time: { column: "request_created_at", kind: "time", tells: "When the request came: 2026-11-22 or 2026-11-22T14:00:00Z" },
  cached: { column: "cached", kind: "flag", tells: "Answered from the cache" },
  threat: { column: "threat", kind: "flag", tells: "The guard took it for an attack" },
  feedback: { column: "helicone-score-feedback", kind: "flag", tells: "true: positive" },
  request: { column: "request_body", kind: "body", tells: "Text in the request's body" },
  response: { column: "response_body", kind: "body", tells: "Text in the response's body" },
  body: { column: "", kind: "body", tells: "Text in either body" },
  id: { column: "request_id", kind: "text", tells: "The request's id" },
  session: { column: "", kind: "property", key: "Helicone-Session-Id", tells: "Helicone-Session-Id" },
  prompt: { column: "prompt_id", kind: "text", tells: "The prompt's id" },
  country: { column: "country_code", kind: "text", tells: "The caller's country, where it is known" },
  target: { column: "target_url", kind: "text", tells: "The URL that was called" },
};
export const OPERATORS = {
  text: ["=", "!=", "~", "!~"],
  body: ["~", "!~"],
  property: ["=", "!=", "~", "!~"],
  score: ["=", "!=", ">", ">=", "<", "<="],
  number: ["=", "!=", ">", ">=", "<", "<="],
  time: [">", ">=", "<", "<="],
  flag: ["="],
};
const WIRE = {
  "=": "equals", "!=": "not-equals", "~": "contains", "!~": "not-contains",
  ">": "gt", ">=": "gte", "<": "lt", "<=": "lte",
};
const TOKEN = /\s*(?:(\()|(\))|(!=|!~|>=|<=|=|~|>|<)|"((?:[^"\\]|\\.)*)"|([^\s()"=~<>!]+|!))/y;
const DEPTH_MAX = 20;
const CONDITIONS_MAX = 50;

/** The kind of a field as it is written; "" for what is none. */
export function kindOf(field) {
  if (Object.hasOwn(FIELDS, field)) return FIELDS[field].kind;
  if (/^property\../.test(field)) return "property";
  if (/^score\../.test(field)) return "score";
  return "";
}

/** {tree, filter, error}: what was written, as a tree of {and|or: [...]} and {field, operator,
 *  value}, and as the API's filter. `error` says what cannot be read; then there is no filter. */
export function parse(text) {
  try {
    const tree = read(text ?? "");
    return { tree, filter: tree ? compile(tree) : "all", error: "" };
  } catch (error) {
    if (!(error instanceof FilterError)) throw error;
    return { tree: null, filter: null, error: error.message };
  }
}

class FilterError extends Error {}

function read(text) {
  const words = split(text);
  let at = 0;
  let conditions = 0;
  const peek = () => words[at];
  const isWord = (value) => peek()?.word && !peek().quoted && peek().value.toLowerCase() === value;

  function any(depth) {
    if (depth > DEPTH_MAX) throw new FilterError("The parentheses are nested too deeply.");
    const parts = [all(depth)];
    while (isWord("or")) {
      at += 1;
      parts.push(all(depth));
    }
    return parts.length === 1 ? parts[0] : { or: parts };
  }

  function all(depth) {
    const parts = [];
    for (;;) {
      if (isWord("and")) {
        if (!parts.length) throw new FilterError("There is nothing before “and”.");
        at += 1;
        if (!peek() || peek().close || isWord("or")) throw new FilterError("There is nothing after “and”.");
      }
      if (!peek() || peek().close || isWord("or")) break;
      parts.push(one(depth));
    }
    if (!parts.length) throw new FilterError(at ? "A condition is missing." : "There is no condition.");
    return parts.length === 1 ? parts[0] : { and: parts };
  }

  function one(depth) {
    if (peek().open) {
      at += 1;
      const inner = any(depth + 1);
      if (!peek()?.close) throw new FilterError("A closing parenthesis is missing.");
      at += 1;
      return inner;
    }
    conditions += 1;
    if (conditions > CONDITIONS_MAX) throw new FilterError(`There are more than ${CONDITIONS_MAX} conditions.`);
    const word = peek();
    if (!word.word) throw new FilterError(`“${word.operator}” needs a field before it.`);
    at += 1;
    if (!peek()?.operator) return { field: "body", operator: "~", value: word.value };
    const operator = peek().operator;
    at += 1;
    const value = peek();
    if (!value?.word) throw new FilterError(`There is no value after “${word.value} ${operator}”.`);
    at += 1;
    return checked({ field: word.value, operator, value: value.value });
  }

  if (!words.length) return null;
  const tree = any(0);
  if (at < words.length) throw new FilterError("There is a closing parenthesis too many.");
  return tree;
}

function split(text) {
  const words = [];
  TOKEN.lastIndex = 0;
  const end = text.trimEnd().length;
  while (TOKEN.lastIndex < end) {
    const from = TOKEN.lastIndex;
    const found = TOKEN.exec(text);
    if (!found) throw new FilterError(`Cannot read “${text.slice(from).trim().slice(0, 20)}”: is a quotation mark missing?`);
    const [, open, close, operator, quoted, bare] = found;
    if (open) words.push({ open });
    else if (close) words.push({ close });
    else if (operator) words.push({ operator });
    else if (quoted !== undefined) words.push({ word: true, quoted: true, value: quoted.replace(/\\(.)/g, "$1") });
    else words.push({ word: true, value: bare });
  }
  return words;
}

function checked(condition) {
  const { field, operator, value } = condition;
  const kind = kindOf(field);
  if (!kind) {
    throw new FilterError(`“${field}” is no field. There are ${Object.keys(FIELDS).join(", ")}, property.NAME and score.NAME.`);
  }
  if (!OPERATORS[kind].includes(operator)) {
    throw new FilterError(`“${field}” cannot be asked with “${operator}”: ${OPERATORS[kind].join(" ")}.`);
  }
  if ((kind === "number" || kind === "score") && (value.trim() === "" || Number.isNaN(Number(value)))) {
    throw new FilterError(`“${field}” wants a number, not “${value}”.`);
  }
  if (kind === "flag" && !["true", "false"].includes(value.toLowerCase())) {
    throw new FilterError(`“${field}” is true or false.`);
  }
  if (kind === "time" && Number.isNaN(Date.parse(value))) {
    throw new FilterError(`“${value}” is no time: write 2026-11-22 or 2026-11-22T14:00:00Z.`);
  }
  return condition;
}

/** A tree as the API's filter. */
export function compile(tree) {
  for (const operator of ["and", "or"]) {
    if (tree[operator]) {
      return tree[operator].map(compile).reduceRight((right, left) => ({ left, operator, right }));
    }
  }
  const { field, operator, value } = tree;
  const kind = kindOf(field);
  if (field === "body") {
    const both = ["request_body", "response_body"].map((name) => leaf({ [name]: { [WIRE[operator]]: value } }));
    return { left: both[0], operator: operator === "~" ? "or" : "and", right: both[1] };
  }
  if (kind === "property") {
    const key = FIELDS[field]?.key ?? field.slice("property.".length);
    return leaf({ properties: { [key]: { [WIRE[operator]]: value } } });
  }
  if (kind === "score") {
    return leaf({ scores: { [field.slice("score.".length)]: { [WIRE[operator]]: Number(value) } } });
  }
  let wire = value;
  if (kind === "number") wire = Number(value);
  if (kind === "flag") wire = value.toLowerCase() === "true";
  if (kind === "time") wire = new Date(/[Tt]/.test(value) ? value : `${value}T00:00:00Z`).toISOString();
  return leaf({ [FIELDS[field].column]: { [WIRE[operator]]: wire } });
}

const leaf = (inner) => ({ request_response_rmt: inner });

/** A tree as people write it; the inverse of `parse`. */
export function write(tree, inside = "") {
  if (!tree) return "";
  for (const operator of ["and", "or"]) {
    if (tree[operator]) {
      const text = tree[operator].map((part) => write(part, operator)).join(` ${operator} `);
      return inside && inside !== operator ? `(${text})` : text;
    }
  }
  return `${tree.field} ${tree.operator} ${quoted(tree.value)}`;
}

/** A value as it may stand in a filter. */
export function quoted(value) {
  const text = String(value);
  const isPlain = /^[^\s()"=~<>!]+$/.test(text) && !/^(and|or)$/i.test(text);
  return isPlain ? text : `"${text.replace(/[\\"]/g, "\\$&")}"`;
}

/** One more condition on a filter that is written already; the same one twice stays one. */
export function withCondition(text, field, value, operator = "=") {
  const more = `${field} ${operator} ${quoted(value)}`;
  const { tree, error } = parse(text);
  if (error || !tree) return more;
  const parts = tree.and ?? [tree];
  if (parts.some((part) => !part.and && !part.or && write(part) === more)) return write(tree);
  return write({ and: [...parts, { field, operator, value: String(value) }] });
}

/** The API's filter with a range of time around it. */
export function within(filter, range) {
  const from = leaf({ request_created_at: { gte: range.start.toISOString() } });
  const to = leaf({ request_created_at: { lt: range.end.toISOString() } });
  const both = { left: from, operator: "and", right: to };
  return filter === "all" || !filter ? both : { left: both, operator: "and", right: filter };
}
