// Prometheus's text format, as far as a page needs it: the sum of each metric over its labels.
const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(?:[^"}]|"(?:\\.|[^"\\])*")*\})? (\S+)/;

/** Name → the sum of its samples. Free room is of one disk: the least counts, not the sum. */
export function readGauges(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    const [, name, value] = LINE.exec(line) ?? [];
    const number = Number(value);
    if (!name || Number.isNaN(number)) continue;
    const before = found.get(name);
    const together = name.endsWith("_free_bytes") ? Math.min : (a, b) => a + b;
    found.set(name, before === undefined ? number : together(before, number));
  }
  return found;
}
