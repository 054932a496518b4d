// The difference of two texts by lines. Pure; see tests/ui.
const LINES_MAX = 3000;

/** [[" "|"-"|"+", line], …]. Beyond some thousand lines in the middle it is no longer the shortest. */
export function diffLines(before, after) {
  const a = before.split("\n");
  const b = after.split("\n");
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let [endA, endB] = [a.length, b.length];
  while (endA > start && endB > start && a[endA - 1] === b[endB - 1]) { endA -= 1; endB -= 1; }
  const middle = shortest(a.slice(start, endA), b.slice(start, endB));
  return [...a.slice(0, start).map((line) => [" ", line]), ...middle, ...a.slice(endA).map((line) => [" ", line])];
}

function shortest(a, b) {
  if (a.length * b.length > LINES_MAX * LINES_MAX) return [...a.map((line) => ["-", line]), ...b.map((line) => ["+", line])];
  const width = b.length + 1;
  const table = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      table[i * width + j] = a[i] === b[j] ? table[(i + 1) * width + j + 1] + 1 : Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
    }
  }
  const found = [];
  let [i, j] = [0, 0];
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) { found.push([" ", a[i]]); i += 1; j += 1; }
    else if (table[(i + 1) * width + j] >= table[i * width + j + 1]) found.push(["-", a[i++]]);
    else found.push(["+", b[j++]]);
  }
  while (i < a.length) found.push(["-", a[i++]]);
  while (j < b.length) found.push(["+", b[j++]]);
  return found;
}
