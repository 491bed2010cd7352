// Elements. Text of others enters the page here, as text; nothing is ever parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";
const PATHS = {
  x: "M18 6 6 18M6 6l12 12",
  ok: "M5 13l4 4L19 7",
  clock: "M12 6v6l4 2M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20",
  pulse: "M3 12h4l3-8 4 16 3-8h4",
  pause: "M8 5v14M16 5v14",
  dash: "M6 12h12",
  glass: "M8 4h8M8 20h8M8 4c0 5 8 5 8 8s-8 3-8 8M16 4c0 5-8 5-8 8s8 3 8 8",
  zero: "M12 5a7 7 0 1 0 0 14 7 7 0 0 0 0-14M6 18 18 6",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14M20 20l-4-4",
  down: "M12 4v11M7 11l5 5 5-5M5 20h14",
  play: "M7 4l12 8-12 8z",
  log: "M4 6h16M4 10h16M4 14h10M4 18h7",
  out: "M14 4h6v6M20 4l-9 9M18 14v5a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V7a1 1 0 0 1 1-1h5",
  right: "M9 6l6 6-6 6",
  warn: "M12 8v5M12 17h.01M10.3 3.9 2 18a2 2 0 0 0 1.7 3h16.6a2 2 0 0 0 1.7-3L13.7 3.9a2 2 0 0 0-3.4 0z",
  refresh: "M20 11A8 8 0 0 0 6 6L3 9M3 4v5h5M4 13a8 8 0 0 0 14 5l3-3M21 20v-5h-5",
  dag: "M5 6h8M5 6v12h5M18 4a2 2 0 1 0 0 4 2 2 0 0 0 0-4M13 16a2 2 0 1 0 0 4 2 2 0 0 0 0-4",
  box: "M3 7l9-4 9 4v10l-9 4-9-4zM3 7l9 4 9-4M12 11v10",
  lock: "M6 11h12v10H6zM8 11V7a4 4 0 0 1 8 0v4",
};

/** An element. `at` are attributes, or listeners where they begin with "on"; `children` elements, texts or nothing. */
export function h(tag, at, ...children) {
  return fill(document.createElement(tag), at, children);
}

/** An element of a drawing. */
export function s(tag, at, ...children) {
  return fill(document.createElementNS(SVG, tag), at, children);
}

function fill(element, at, children) {
  for (const [name, value] of Object.entries(at ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== ""));
  return element;
}

/** A mark; `says` if it says something that no word beside it does. */
export function icon(name, says) {
  const at = says ? { role: "img", "aria-label": says } : { "aria-hidden": "true" };
  return s("svg", { class: "i", viewBox: "0 0 24 24", ...at }, s("path", { d: PATHS[name] }));
}

/** A link to somewhere else, in a new tab; plain text if there is no address that may be followed. */
export function outside(address, ...children) {
  if (typeof address !== "string" || !/^https:\/\//i.test(address)) return h("span", {}, ...children);
  return h("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, ...children, " ", icon("out", "opens in a new tab"));
}
