// The plots of one export: at most 60 bars or points, drawn as SVG so that theme and screen readers reach them.
import { h, s } from "./dom.js";
import { bytes, duration, fine, longDay, number, shortDay } from "./words.js";

const HEIGHT = 150;
const LEFT = 58;
const BOTTOM = 20;
const TOP = 8;
const RESULTS = { arrived: "arrived", failed: "failed", empty: "no rows", unknown: "details not recorded", running: "running", queued: "queued" };

/** The three plots, for runs from old to new. */
export function drawPlots(runs, width) {
  const inner = width - 40;
  const small = inner <= 700;
  const middle = inner <= 1090;
  const wide = small || middle ? inner - 28 : inner * (1.5 / 3.5) - 40;
  const narrow = small ? inner - 28 : middle ? inner / 2 - 34 : inner / 3.5 - 36;
  const rows = runs.filter(hasRows).map((run) => run.rows);
  const [low, high] = rows.length ? [Math.min(...rows), Math.max(...rows)] : [0, 0];
  return h("div", { class: "x-plots" },
    figure("Duration per run", `${runs.length} run${runs.length === 1 ? "" : "s"}, oldest first`, legend(), durations(runs, wide)),
    figure("Rows per run", low === high ? "all entities" : "all entities; the axis does not start at 0", null, rows.length ? rowsPlot(runs, narrow, low, high) : nothing("No run has recorded its rows.")),
    figure("Size per run", "of what was saved", null, runs.some((run) => run.size_bytes) ? sizes(runs, narrow) : nothing("No run has recorded its size.")));
}

// A run that failed may have saved some of its companies; that is no number to compare with.
const hasRows = (run) => typeof run.rows === "number" && run.result !== "failed";
const figure = (title, more, extra, plot) => h("figure", {}, h("figcaption", {}, title, h("span", {}, more), extra), plot);
const nothing = (text) => h("p", { class: "x-none" }, text);
const legend = () => h("span", { class: "x-legend" }, ["queue", "export", "transfer"].map((part) => h("span", {}, h("i", { class: `x-key-${part}` }), part)));

/** A number of round steps from `low` to `high`. */
export function ticks(low, high, most = 5) {
  if (!(high > low)) return [low];
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= rough);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-6; value += step) found.push(value);
  return found;
}

function timeTicks(longest) {
  const steps = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400, 172800];
  const step = steps.find((each) => longest / each <= 5) ?? Math.ceil(longest / 5);
  return Array.from({ length: Math.floor(longest / step) + 1 }, (_, index) => index * step);
}

function frame(runs, width, { top, bottom = 0, marks, unit, label, draw, under }) {
  const y = (value) => HEIGHT - BOTTOM - ((HEIGHT - BOTTOM - TOP) * (value - bottom)) / (top - bottom || 1);
  const step = (width - LEFT - 4) / Math.max(runs.length, 1);
  const x = (index) => LEFT + index * step;
  const grid = marks.map((value) => [
    s("line", { class: "x-grid", x1: LEFT, x2: width, y1: y(value), y2: y(value) }),
    s("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, unit(value)),
  ]);
  const bars = runs.map((run, index) => {
    const says = describe(run);
    return s("g", { class: "x-b", tabindex: index === runs.length - 1 ? 0 : -1, role: "listitem", "aria-label": says.join(", "), "data-says": says.join("\n") },
      draw(run, x(index), step, y), s("rect", { class: "x-hit", x: x(index), y: 0, width: step, height: HEIGHT - BOTTOM }));
  });
  const svg = s("svg", { class: "x-plot", viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "list", "aria-label": label },
    grid, under?.(x, step, y), bars, days(runs, x, step));
  return h("div", { class: "x-plot-place" }, svg, tips(svg));
}

function days(runs, x, step) {
  const last = runs.length - 1;
  const every = Math.max(1, Math.ceil(70 / step), Math.ceil(runs.length / 5));
  // The last one ends at the right edge, so the one before it needs more room.
  const shown = runs.map((_, index) => index).filter((index) => index === last || (index % every === 0 && (last - index) * step > 80));
  return shown.map((index) => s("text", { x: x(index) + step / 2, y: HEIGHT - 4, "text-anchor": index === last && last > 0 ? "end" : "middle" }, shortDay(runs[index].at)));
}

function cross(x, step, y) {
  const middle = x + step / 2;
  const half = Math.min(4, Math.max(2, step / 3));
  return s("path", { class: "x-cross", d: `M${middle - half} ${y - half}L${middle + half} ${y + half}M${middle + half} ${y - half}L${middle - half} ${y + half}` });
}

function durations(runs, width) {
  const parts = (run) => [["queue", run.queue_seconds], ["export", run.export_seconds], ["transfer", run.transfer_seconds]];
  const total = (run) => parts(run).reduce((sum, [, value]) => sum + (value ?? 0), 0) || run.seconds || 0;
  const longest = Math.max(1, ...runs.map(total));
  return frame(runs, width, {
    top: longest * 1.08, marks: timeTicks(longest * 1.08), unit: duration, label: `Duration of ${runs.length} runs, split into queue, export and transfer`,
    draw: (run, x, step, y) => {
      let from = 0;
      const known = parts(run).filter(([, value]) => value);
      const drawn = (known.length ? known : run.seconds ? [["whole", run.seconds]] : []).map(([part, value]) => {
        const box = s("rect", { class: `x-part-${part}${run.result === "failed" ? " x-faint" : ""}`, x: x + step * 0.14, width: step * 0.72, y: y(from + value), height: Math.max(0, y(from) - y(from + value) - 0.6) });
        from += value;
        return box;
      });
      return [drawn, run.result === "failed" ? cross(x, step, y(from) - 8) : null];
    },
  });
}

function rowsPlot(runs, width, low, high) {
  const room = (high - low) * 0.1 || Math.max(1, high * 0.1);
  const bottom = Math.max(0, low - room);
  // There is no half row.
  const marks = ticks(bottom, high + room, 4).filter((value) => Math.abs(value - Math.round(value)) < 1e-6);
  return frame(runs, width, {
    top: high + room, bottom, marks, unit: short(high >= 1e6 && marks.length > 1 ? marks[1] - marks[0] : 0), label: `Rows of ${runs.length} runs, from ${number(low)} to ${number(high)}`,
    under: (x, step, y) => s("path", { class: "x-line", d: line(runs, x, step, y) }),
    draw: (run, x, step, y) => hasRows(run) ? s("circle", { class: "x-point", cx: x + step / 2, cy: y(run.rows), r: 2.6 }) : run.result === "failed" ? cross(x, step, HEIGHT - BOTTOM - 6) : null,
  });
}

function line(runs, x, step, y) {
  let path = "";
  let pen = "M";
  runs.forEach((run, index) => {
    if (!hasRows(run)) { pen = "M"; return; }
    path += `${pen}${(x(index) + step / 2).toFixed(1)} ${y(run.rows).toFixed(1)}`;
    pen = "L";
  });
  return path;
}

function sizes(runs, width) {
  const largest = Math.max(1, ...runs.map((run) => run.size_bytes ?? 0));
  return frame(runs, width, {
    top: largest * 1.08, marks: ticks(0, largest * 1.08, 4), unit: (value) => (value ? bytes(value) : "0"), label: `Size of ${runs.length} runs`,
    draw: (run, x, step, y) => run.size_bytes && run.result !== "failed" ? s("rect", { class: "x-part-transfer", x: x + step * 0.14, width: step * 0.72, y: y(run.size_bytes), height: y(0) - y(run.size_bytes) }) : run.result === "failed" ? cross(x, step, y(0) - 6) : null,
  });
}

/** Numbers beside an axis: in millions where they are that far apart. */
function short(step) {
  if (step >= 1e4) return (value) => (value ? `${+(value / 1e6).toFixed(2)} M` : "0");
  return (value) => number(Math.round(value));
}

function describe(run) {
  const lines = [`${longDay(run.at)}: ${RESULTS[run.result] ?? run.result}`];
  if (run.queue_seconds !== null) lines.push(`queue ${fine(run.queue_seconds)}`);
  if (run.export_seconds !== null) lines.push(`export ${fine(run.export_seconds)}`);
  if (run.transfer_seconds !== null) lines.push(`transfer ${fine(run.transfer_seconds)}`);
  if (run.rows !== null || run.size_bytes !== null) lines.push(`${number(run.rows)} rows, ${bytes(run.size_bytes)}`);
  return lines;
}

/** What hover and focus show; arrow keys walk along the plot, Escape closes. */
function tips(svg) {
  const tip = h("div", { class: "x-tip", role: "status", hidden: true });
  const show = (bar) => {
    tip.textContent = bar.dataset.says;
    tip.hidden = false;
    const place = svg.parentElement.getBoundingClientRect();
    const at = bar.querySelector(".x-hit").getBoundingClientRect();
    const left = Math.max(0, Math.min(place.width - tip.offsetWidth, at.left + at.width / 2 - place.left - tip.offsetWidth / 2));
    // Through the object model: a page of its own forbids style attributes.
    tip.style.setProperty("left", `${left}px`);
  };
  const hide = () => { tip.hidden = true; };
  for (const bar of svg.querySelectorAll(".x-b")) {
    bar.addEventListener("pointerenter", () => show(bar));
    bar.addEventListener("focus", () => show(bar));
    bar.addEventListener("pointerleave", hide);
    bar.addEventListener("blur", hide);
  }
  svg.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const bars = [...svg.querySelectorAll(".x-b")];
    const now = bars.indexOf(document.activeElement);
    const next = bars[Math.max(0, Math.min(bars.length - 1, now + step))];
    bars.forEach((bar) => bar.setAttribute("tabindex", bar === next ? "0" : "-1"));
    next.focus();
  });
  return tip;
}
