// Charts on uPlot, which is loaded with the first of them. Drag to zoom, hover to read, click to go.
import { html, useEffect, useRef, useState } from "../lib/html.js";
import { count, short, time } from "../lib/format.js";
import { colour } from "./theme.js";

let loading = null;

function loadPlot() {
  loading ??= import("uplot").then((module) => module.default, (error) => { loading = null; throw error; });
  return loading;
}

/** What the colours stand for. `series` [{name, color}]. */
export const Legend = ({ series }) => html`<div class="legend">${series.map((one) => html`
  <span key=${one.name} class="cut"><span class="swatch" ref=${(node) => { if (node) node.style.background = `var(--${one.color})`; }} />${one.name}</span>`)}</div>`;

/** Lines or bars over time. `times` are Dates, `series` [{name, values, color: "chart-1", bars,
 *  fill}]; null is a gap. `format` writes a value; `zoom(start, end)` gets what was dragged. */
export function Chart({ times, series, format = String, zoom, label, stacked = false }) {
  const box = useRef(null);
  const plot = useRef(null);
  const zooming = useRef(zoom);
  zooming.current = zoom;
  const [tip, setTip] = useState(null);
  const shape = `${series.map((one) => `${one.name}${one.bars}${one.color}`).join()}${stacked}`;
  const [colours, setColours] = useState(0);
  useEffect(() => {
    const changed = () => setColours((n) => n + 1);
    const media = matchMedia("(prefers-color-scheme: dark)");
    addEventListener("themechange", changed);
    media.addEventListener("change", changed);
    return () => { removeEventListener("themechange", changed); media.removeEventListener("change", changed); };
  }, []);
  const data = dataOf(times, series, stacked);
  const latest = useRef(null);
  latest.current = { times, series };
  useEffect(() => {
    let gone = false;
    let watcher = null;
    loadPlot().then((UPlot) => {
      if (gone) return;
      const hovered = (u) => setTip(u.cursor.idx === null || u.cursor.idx === undefined ? null
        : { at: u.cursor.idx, left: u.cursor.left, right: u.cursor.left > u.over.clientWidth / 2 });
      const selected = (u) => {
        const { left, width } = u.select;
        if (width < 4) return;
        const [from, to] = [u.posToVal(left, "x"), u.posToVal(left + width, "x")];
        u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
        zooming.current?.(new Date(from * 1000), new Date(to * 1000));
      };
      plot.current = new UPlot(
        options(UPlot, { ...sizeOf(box.current), series, stacked, format, hovered, selected, step: stepOf(times, series) }), data, box.current,
      );
      watcher = new ResizeObserver(() => {
        if (box.current?.clientWidth) plot.current?.setSize(sizeOf(box.current));
      });
      watcher.observe(box.current);
    }, () => {});
    return () => {
      gone = true;
      watcher?.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape, colours]);
  useEffect(() => { plot.current?.setData(data); }, [times, series]);
  const summary = `${label}: ${series.map((one) => one.name).join(", ")}, ${times.length} points`;
  return html`<div class="chart" role="img" aria-label=${summary}><div ref=${box} />
    ${tip && html`<div class="tip" ref=${(node) => place(node, tip)}>
      <div class="muted">${time(times[tip.at])}</div>
      ${series.map((one) => html`<div><span class="swatch" ref=${(node) => { if (node) node.style.background = `var(--${one.color})`; }} />${one.name}: ${format(one.values[tip.at])}</div>`)}
    </div>`}</div>`;
}

const sizeOf = (node) => ({ width: node.clientWidth, height: node.parentElement.clientHeight });

function place(node, tip) {
  if (!node) return;
  node.style.top = "6px";
  node.style.left = tip.right ? "" : `${tip.left + 70}px`;
  node.style.right = tip.right ? `calc(100% - ${tip.left + 40}px)` : "";
}

/** Seconds between two points, for charts of bars. */
const stepOf = (times, series) => (series.some((one) => one.bars) && times.length > 1 ? (times[1] - times[0]) / 1000 : 0);

/** Stacked series are sums of themselves and all before; the last is drawn first. */
function dataOf(times, series, stacked) {
  const x = times.map((at) => at.getTime() / 1000);
  if (!stacked) return [x, ...series.map((one) => one.values)];
  const sums = new Array(times.length).fill(0);
  const columns = series.map((one) => one.values.map((value, at) => (sums[at] += value ?? 0)));
  return [x, ...columns.reverse()];
}

// Steps of an axis of things that are counted.
const WHOLE = Array.from({ length: 13 }, (_, n) => 10 ** n).flatMap((one) => [one, 2 * one, 5 * one]);

const DAY_S = 86_400;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const month = new Intl.DateTimeFormat(undefined, { month: "short", year: "numeric" });

/** A tick of the axis of time, as the viewer writes it: the day at midnight, else the time. */
function moment(at_s, step_s) {
  const at = new Date(at_s * 1000);
  if (step_s >= 28 * DAY_S) return month.format(at);
  return step_s >= DAY_S || (at.getHours() === 0 && at.getMinutes() === 0) ? day.format(at) : clock.format(at);
}

/** 2.00 s is 2 s, and 1.50 s is 1.5 s, on an axis. */
const bare = (text) => text.replace(/(\.\d*?)0+(?=\D|$)/, (_, kept) => (kept === "." ? "" : kept));

/** Half a step more at both ends, so that the first and the last bar are whole. */
const padded = (least, most, step) => [least - step / 2, most + step / 2];

function options(UPlot, { width, height, series, stacked, format, hovered, selected, step }) {
  const isWhole = format === short || format === count;
  const muted = colour("muted");
  const line = colour("line");
  const drawn = stacked ? [...series].reverse() : series;
  const axis = { stroke: muted, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
  return {
    width, height, padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: { drag: { x: true, y: false, setScale: false }, points: { size: 6 }, y: false },
    hooks: { setCursor: [hovered], setSelect: [selected] },
    scales: { x: { range: (_, least, most) => padded(least, most, step) }, y: { range: (_, least, most) => [0, most > 0 ? most * 1.05 : 1] } },
    axes: [
      { ...axis, grid: { show: false }, space: 70, size: 26, values: (_, ticks, at, room, step) => ticks.map((tick) => moment(tick, step)) },
      { ...axis, size: 62, space: 34, ...(isWhole ? { incrs: WHOLE } : {}), values: (_, ticks) => ticks.map((tick) => bare(format(tick))) },
    ],
    series: [{}, ...drawn.map((one) => {
      const stroke = colour(one.color);
      return {
        label: one.name, stroke, width: one.bars ? 0 : 1.8, spanGaps: false,
        points: { show: false },
        fill: one.bars ? stroke : one.fill ? `color-mix(in srgb, ${stroke} 14%, transparent)` : undefined,
        paths: one.bars ? UPlot.paths.bars({ size: [0.8, 40], radius: 0.15 }) : undefined,
      };
    })],
  };
}

/** Names with amounts, the largest first: bars that can be clicked. `rows` [{name, value, title}]. */
export function Bars({ rows, format = String, pick, empty = "Nothing in this range." }) {
  const most = Math.max(...rows.map((row) => row.value), 0);
  if (!rows.length) return html`<p class="muted small">${empty}</p>`;
  return html`<div class="bars">${rows.map((row) => html`
    <button type="button" key=${row.name} title=${row.title ?? row.name} disabled=${!pick} onClick=${() => pick?.(row)}>
      <span class="fill" ref=${(node) => { if (node) node.style.width = `${most ? (100 * row.value) / most : 0}%`; }} />
      <span class="name">${row.name}</span><span class="amount num">${format(row.value)}</span></button>`)}</div>`;
}
