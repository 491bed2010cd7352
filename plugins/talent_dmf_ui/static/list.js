// All exports: the headline, the filters, the table.
import * as address from "./address.js";
import { h, icon, outside, s } from "./dom.js";
import { state } from "./page.js";
import { saveAs, toCsv } from "./save.js";
import {
  STATES, age, bytes, change, clockWithSeconds, dayAndClock, duration, exact, list, needsAttention, number, schedule,
  sentence, stateWord, toldLines,
} from "./words.js";

const CHIPS = [
  ["Failed", "failed", ["failed"]],
  ["Late", "late", ["late"]],
  ["Under way", "running", ["running", "queued"]],
  ["Arrived", "arrived", ["arrived", "empty"]],
  ["Unknown", "unknown", ["unknown", "hidden"]],
  ["Paused", "paused", ["paused"]],
  ["Never run", "never", ["never"]],
];
const COLUMNS = [
  ["state", "State", ""], ["name", "Export", ""], ["arrived", "Last arrived", ""], ["rows", "Rows", "x-num"],
  [null, "Last 14 runs", "x-runs"], ["took", "Took", ""], ["file", "File", ""], ["next", "Next run", "x-next"], [null, "", ""],
];
const ROWS_OF_A_PAGE = 100;
const PAGES_FROM = 200;
const END_OF_NAME = "_USMF_2026-11-27.zip".length;
const RESULTS = { arrived: "arrived", success: "succeeded", failed: "failed", empty: "no rows", unknown: "not recorded", running: "running", queued: "queued", late: "late" };

/** The whole list. */
export function drawList(page, known) {
  const all = known.exports;
  if (!all.length) return [headline(all, page), noExports()];
  const chosen = all.filter((item) => matches(item, page.view, page.now));
  const sorted = chosen.toSorted(order(page.view));
  const paged = sorted.length > PAGES_FROM;
  const pages = paged ? Math.ceil(sorted.length / ROWS_OF_A_PAGE) : 1;
  const current = Math.min(page.view.page, pages);
  const rows = paged ? sorted.slice((current - 1) * ROWS_OF_A_PAGE, current * ROWS_OF_A_PAGE) : sorted;
  return [
    headline(all, page, [search(page), tags(page, all), saving(page, sorted)]),
    chips(page, all, known),
    rows.length ? table(page, rows) : noMatch(page, all),
    foot(page, all, sorted, current, pages, known),
  ];
}

/** The page before the first answer: no number, since a zero would be a lie. */
export function drawLoading(page, one = false) {
  const bar = (width) => h("span", { class: "x-sk", style: null, "data-w": width });
  const top = heading("calm", "refresh", "Exports", "Reading the runs…");
  if (one) return [top, h("div", { class: "x-state", "aria-busy": "true" }, bar("wide"), bar("wide"), h("span", { class: "x-sr", role: "status" }, "Loading the export"))];
  const row = () => h("tbody", {}, h("tr", { class: "x-row" },
    h("td", { class: "x-c-state" }, bar("s")), h("td", { class: "x-c-name" }, bar("m")), h("td", { class: "x-c-arrived" }, bar("s")), h("td", { class: "x-c-rows x-num" }, bar("s")),
    h("td", { class: "x-c-runs x-runs" }, bar("m")), h("td", { class: "x-c-took" }, bar("s")), h("td", { class: "x-c-file" }, bar("m")), h("td", { class: "x-c-next x-next" }, bar("s")), h("td", { class: "x-c-acts" })));
  return [top, h("table", { class: "x-table x-list", "aria-busy": "true" }, columns(), h("thead", {}, h("tr", {}, COLUMNS.map(([, title, kind]) => h("th", { scope: "col", class: kind }, title)))), Array.from({ length: 8 }, row)),
    h("span", { class: "x-sr", role: "status" }, "Loading the exports")];
}

/** The head of the page: a mark, a title, and a sentence below it. */
export function heading(tone, mark, title, text, tools = []) {
  return h("div", { class: "x-top" },
    h("div", { class: "x-head" }, h("h1", {}, h("span", { class: "x-mark", "data-tone": tone }, icon(mark)), title), h("div", { class: "x-sub" }, text)),
    tools);
}

function headline(all, page, tools = []) {
  return heading(...said(all, page.now), tools);
}

function said(all, now) {
  if (!all.length) return ["calm", "box", "Exports", "None yet"];
  const names = (state) => all.filter((item) => item.state === state).map((item) => item.name);
  const [failed, late] = [names("failed"), names("late")];
  if (failed.length || late.length) {
    const count = failed.length + late.length;
    const undelivered = all.filter((item) => needsAttention(item) && item.run?.told?.some((each) => !each.delivered)).length;
    const parts = [
      failed.length ? `${list(failed)} failed` : "", late.length ? `${list(late)} ${late.length === 1 ? "is" : "are"} late` : "",
    ].filter(Boolean).join(", ");
    const alerts = undelivered ? `; ${undelivered === 1 ? "one alert" : `${undelivered} alerts`} could not be delivered` : "";
    return [failed.length ? "failed" : "late", "warn", `${number(count)} of ${number(all.length)} exports need${count === 1 ? "s" : ""} attention`, parts + alerts];
  }
  const expected = all.filter((item) => !["paused", "never"].includes(item.state));
  const arrived = expected.filter((item) => ["arrived", "empty"].includes(item.state));
  if (!expected.length) return ["calm", "pause", "No export is under way", `${all.length === 1 ? "It is" : `All ${number(all.length)} are`} paused or ha${all.length === 1 ? "s" : "ve"} never run`];
  const next = all.filter((item) => !item.paused && item.next_run).toSorted((a, b) => a.next_run.localeCompare(b.next_run))[0];
  const odd = all.filter((item) => item.arrived?.unusual).map((item) => item.name);
  const text = [odd.length ? `${list(odd)} ha${odd.length === 1 ? "s" : "ve"} an unusual number of rows` : "", next ? `next: ${next.name} ${dayAndClock(next.next_run, now)}` : ""].filter(Boolean).join("; ");
  if (arrived.length === expected.length) return ["ok", "ok", arrived.length === 1 ? "The export arrived" : `All ${number(arrived.length)} exports arrived`, text];
  const under = expected.filter((item) => ["running", "queued"].includes(item.state)).length;
  const unknown = expected.length - arrived.length - under;
  const rest = [under ? `${number(under)} under way` : "", unknown ? `${number(unknown)} without a record` : "", text].filter(Boolean).join("; ");
  return ["ok", "ok", "No export needs attention", `${number(arrived.length)} of ${number(expected.length)} arrived; ${rest}`];
}

function search(page) {
  return h("label", { class: "x-search" }, icon("search"), h("span", { class: "x-sr" }, "Search exports"),
    h("input", {
      "data-k": "search", type: "search", value: page.view.q, placeholder: "Name, project, company, reason", autocomplete: "off",
      oninput: (event) => page.go({ q: event.target.value }, { quietly: true }),
    }), h("kbd", { class: "x-wide" }, "/"));
}

function tags(page, all) {
  const found = [...new Set(all.flatMap((item) => item.tags))].toSorted();
  if (!found.length) return null;
  return h("select", { class: "x-select x-wide", "data-k": "tag", "aria-label": "Tag", onchange: (event) => page.go({ tag: event.target.value }) },
    h("option", { value: "" }, "All tags"), found.map((tag) => h("option", { value: tag, selected: tag === page.view.tag }, tag)));
}

function saving(page, items) {
  const button = (name, kind, make, mark) => h("button", { class: "x-btn x-wide", "data-k": name, title: `Save what is shown as ${name}`, onclick: () => saveAs(`exports.${name.toLowerCase()}`, kind, make()) }, mark ? icon(mark) : null, name);
  return [
    button("CSV", "text/csv;charset=utf-8", () => toCsv(items, page.now), "down"),
    button("JSON", "application/json", () => JSON.stringify(items, null, 2)),
  ];
}

function chips(page, all, known) {
  const busy = page.busy();
  return h("div", { class: "x-chips", role: "group", "aria-label": "Show only" },
    CHIPS.map(([title, look, states]) => {
      const count = all.filter((item) => states.includes(item.state)).length;
      if (!count && look === "unknown") return null;
      const on = states.every((each) => page.view.states.includes(each));
      const change = () => page.go({ states: on ? page.view.states.filter((each) => !states.includes(each)) : [...page.view.states, ...states] });
      return h("button", { class: `x-chip${count ? "" : " x-zero"}`, "data-k": `chip-${look}`, "aria-pressed": String(on), onclick: change },
        h("span", { class: "x-pill", "data-tone": STATES[look].tone === "hollow" ? "calm" : STATES[look].tone }, icon(STATES[look].mark), number(count)), title);
    }),
    h("span", { class: "x-grow" }),
    h("button", { class: "x-fresh x-wide", "data-k": "refresh", title: "Read again now", onclick: () => page.load() }, icon("refresh"),
      `${clockWithSeconds(known.at)}, ${busy ? "every 30 s while something is under way" : "every 5 min"}`));
}

function matches(item, view, now) {
  if (view.states.length && !view.states.includes(item.state)) return false;
  if (view.tag && !item.tags.includes(view.tag)) return false;
  const text = [item.name, item.project, item.description, ...item.companies, sentence(item, now)].join("\n").toLowerCase();
  return view.q.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

function order(view) {
  const arrivedAt = (item) => item.arrived?.at ?? "";
  const values = {
    state: (item) => STATES[item.state].order,
    name: (item) => item.name,
    arrived: arrivedAt,
    rows: (item) => item.arrived?.rows ?? -1,
    took: (item) => item.last_seconds ?? -1,
    file: (item) => item.arrived?.files[0]?.name ?? "",
    next: (item) => item.next_run ?? "9",
  };
  const value = values[view.sort];
  const up = view.down ? -1 : 1;
  const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b));
  return (a, b) => up * compare(value(a), value(b)) || arrivedAt(b).localeCompare(arrivedAt(a)) || a.name.localeCompare(b.name);
}

const columns = () => h("colgroup", {}, COLUMNS.map((_, index) => h("col", { class: `x-col-${index + 1}` })));

function table(page, rows) {
  const { sort, down } = page.view;
  const head = COLUMNS.map(([key, title, kind]) => {
    if (!key) return h("th", { scope: "col", class: kind }, title || h("span", { class: "x-sr" }, "Links"));
    const on = key === sort;
    return h("th", { scope: "col", class: kind, "aria-sort": on ? (down ? "descending" : "ascending") : null },
      h("button", { "data-k": `sort-${key}`, onclick: () => page.go({ sort: key, down: on ? !down : ["rows", "took", "arrived"].includes(key) }) }, title, on ? (down ? " ↓" : " ↑") : ""));
  });
  return h("table", { class: "x-table x-list" },
    h("caption", { class: "x-sr" }, sort === "state" ? "Exports, those that need attention first" : "Exports"),
    columns(), h("thead", {}, h("tr", {}, head)), rows.map((item) => row(page, item)));
}

function row(page, item) {
  const now = page.now;
  const many = item.companies.length > 1;
  const opened = many && page.open.has(item.dag_id);
  const toggle = many && item.permitted.tasks
    ? h("button", { class: "x-toggle", "data-k": `open-${item.dag_id}`, "aria-expanded": String(opened), "aria-label": `Companies of ${item.name}`, onclick: () => page.companies(item.dag_id) }, icon("right"))
    : null;
  const who = many ? `${item.companies.length} companies` : item.companies[0];
  const why = sentence(item, now);
  return h("tbody", { class: needsAttention(item) ? `x-${item.state}` : "", "data-export-row": item.dag_id },
    h("tr", { class: "x-row" },
      h("td", { class: "x-c-state" }, mark(item.state, stateWord(item))),
      h("td", { class: "x-c-name" }, toggle,
        h("a", { class: "x-name", "data-k": `name-${item.dag_id}`, "data-export": item.dag_id, href: page.href({ export: item.dag_id }), title: item.name }, item.name),
        h("span", { class: "x-m", title: [...item.companies, item.project].filter(Boolean).join(" · ") }, [who, item.project].filter(Boolean).join(" · "))),
      arrivedCell(item, now), rowsCell(item), h("td", { class: "x-c-runs x-runs" }, strip(item)), tookCell(item, now), fileCell(page, item), nextCell(item, now), links(item)),
    why ? h("tr", { class: "x-why" }, h("td", { class: "x-wide" }), h("td", { colspan: 8 }, h("div", {}, h("p", {}, why), told(item, now)))) : null,
    opened ? companies(page, item, now) : null);
}

/** A state: a mark and a word, never a colour alone. */
export function mark(name, word) {
  const look = STATES[name] ?? STATES.unknown;
  const loud = name === "failed" || name === "late";
  return h("span", { class: `x-st${loud ? "" : " x-soft"}`, "data-tone": look.tone }, h("span", { class: "x-dot", "data-tone": look.tone }, icon(look.mark)), word ?? look.word);
}

function told(item, now) {
  if (item.not_started) return null;
  return h("span", { class: "x-told" }, toldLines(item.run?.told, item.permitted.xcoms || item.run?.told, now).map((line) => h("span", { class: line.bad ? "x-bad" : "" }, line.text)));
}

function arrivedCell(item, now) {
  const at = item.arrived?.at;
  if (!item.permitted.files) return h("td", { class: "x-c-arrived" }, h("span", { class: "x-m" }, "not permitted"));
  if (!at && item.state === "unknown" && item.run?.ended_at) {
    return h("td", { class: "x-c-arrived", title: exact(item.run.ended_at) }, dayAndClock(item.run.ended_at, now), h("span", { class: "x-m" }, age(item.run.ended_at, now)));
  }
  if (!at) return h("td", { class: "x-c-arrived" }, "—");
  return h("td", { class: "x-c-arrived", title: exact(at) }, dayAndClock(at, now), h("span", { class: "x-m" }, age(at, now)));
}

const earlier = (item) => item.arrived && item.run && item.arrived.run_id !== item.run.run_id;

function rowsCell(item) {
  const odd = item.arrived?.unusual;
  const title = odd ? `Unusual: the packages before it had ${number(odd[0])} to ${number(odd[1])} rows` : null;
  const rows = item.arrived?.rows;
  return h("td", { class: `x-c-rows x-num${earlier(item) ? " x-last" : ""}` }, number(rows), typeof rows === "number" ? h("span", { class: "x-only-small" }, " rows") : null,
    h("span", { class: `x-m${odd ? " x-odd" : ""}`, title }, odd ? `${item.arrived.rows < odd[0] ? "▼" : "▲"} ` : "", change(item.arrived), odd ? " unusual" : ""));
}

function strip(item) {
  const runs = item.runs.slice(-14);
  const longest = Math.max(1, ...runs.map(([, , seconds]) => seconds ?? 0));
  const counts = {};
  const bars = runs.map(([result, due, seconds], index) => {
    counts[result] = (counts[result] ?? 0) + 1;
    return bar((14 - runs.length + index) * 10, result, seconds ? 6 + (15 * seconds) / longest : 8, due * 1000, seconds);
  });
  const gaps = Array.from({ length: 14 - runs.length }, (_, index) => s("rect", { x: index * 10, y: 25, width: 7, height: 1, class: "x-gap" }));
  const text = runs.length ? `Last ${runs.length} runs: ${Object.entries(counts).map(([result, count]) => `${count} ${RESULTS[result] ?? result}`).join(", ")}` : "No runs";
  return s("svg", { class: "x-strip", viewBox: "0 0 140 27", role: "img", "aria-label": text }, s("title", {}, text), gaps, bars);
}

function bar(x, result, height, at, seconds) {
  const title = s("title", {}, `${exact(at)}: ${RESULTS[result] ?? result}${seconds ? `, ${duration(seconds)}` : ""}`);
  if (result === "failed") {
    return s("g", {}, title, s("rect", { x, y: 4, width: 7, height: 22, class: "x-hit" }), s("path", { d: `M${x + 0.5} 17l6 7M${x + 6.5} 17l-6 7`, class: "x-cross" }));
  }
  if (result === "empty" || result === "queued" || result === "unknown") {
    const y = result === "unknown" ? 26 - height : 20.5;
    return s("rect", { x: x + 0.5, y, width: 6, height: 25.5 - y, rx: 1, class: `x-bar-${result}` }, title);
  }
  return s("rect", { x, y: 26 - height, width: 7, height, rx: 1, class: `x-bar-${result}` }, title);
}

function tookCell(item, now) {
  const usually = item.usual_seconds;
  if (!item.permitted.runs) return h("td", { class: "x-c-took" }, h("span", { class: "x-m" }, "not permitted"));
  const run = item.run;
  if (run?.state === "running" && run.started_at) {
    const seconds = Math.max(0, (now - new Date(run.started_at)) / 1000);
    const part = usually ? Math.min(100, Math.round((100 * seconds) / usually)) : null;
    return h("td", { class: "x-c-took" }, duration(seconds), usually ? h("span", { class: "x-m" }, `of usually ${duration(usually)}`) : null,
      part === null ? null : h("progress", { class: "x-progress", max: 100, value: part, "data-tone": item.state === "late" ? "late" : "run", "aria-label": "Time against the usual" }));
  }
  if (run?.state === "queued" && run.queued_at) {
    return h("td", { class: "x-c-took" }, `waits ${duration((now - new Date(run.queued_at)) / 1000)}`);
  }
  if (item.last_seconds === null) return h("td", { class: "x-c-took" }, "—");
  const odd = usually && (item.last_seconds > 1.5 * usually || item.last_seconds < 0.5 * usually || item.state === "failed");
  return h("td", { class: "x-c-took" }, duration(item.last_seconds), odd ? h("span", { class: "x-m" }, `usually ${duration(usually)}`) : null);
}

function fileCell(page, item) {
  const place = { class: `x-c-file${earlier(item) ? " x-last" : ""}` };
  const arrived = item.arrived;
  if (!item.permitted.files) return h("td", place, h("span", { class: "x-m" }, "not permitted"));
  if (item.state === "empty" && (!arrived || earlier(item))) return h("td", place, h("span", { class: "x-m" }, "no file: the export held no rows"));
  if (!arrived) return h("td", place, h("span", { class: "x-m" }, item.state === "unknown" ? "not recorded" : "—"));
  const notes = [bytes(arrived.size_bytes), earlier(item) ? "last good" : ""].filter((each) => each && each !== "—");
  const [first] = arrived.files;
  const several = arrived.files.length > 1;
  const name = several ? `${arrived.files.length} files` : first?.name ?? "not recorded";
  const url = several ? arrived.folder_url : first?.url;
  const more = several && !url ? h("a", { "data-export": item.dag_id, href: page.href({ export: item.dag_id }) }, name) : outside(url, cutInside(name));
  return h("td", place, h("span", { class: "x-file", title: name }, more), h("span", { class: "x-m" }, notes.join(" · ")));
}

/** A name that loses its middle where there is no room: what tells files apart, such as company and date, mostly stands at the end. */
export function cutInside(name) {
  const letters = [...name];
  if (letters.length <= END_OF_NAME) return name;
  return [h("span", { class: "x-start" }, letters.slice(0, -END_OF_NAME).join("")), h("span", { class: "x-end" }, letters.slice(-END_OF_NAME).join(""))];
}

function nextCell(item, now) {
  const cell = (...children) => h("td", { class: "x-c-next x-next", title: schedule(item) }, ...children);
  if (item.paused) return cell("paused", h("span", { class: "x-m" }, schedule(item)));
  if (!item.next_run) return cell("—", h("span", { class: "x-m" }, schedule(item)));
  return cell(dayAndClock(item.next_run, now), h("span", { class: "x-m" }, schedule(item)));
}

function links(item) {
  const { run } = item;
  const button = (href, mark, name, out) => h("a", { class: "x-ib", href, title: name, "aria-label": `${name}: ${item.name}`, "data-k": `${mark}-${item.dag_id}`, target: out ? "_blank" : null, rel: out ? "noopener noreferrer" : null }, icon(mark));
  const last = run?.run_id ?? item.last_run_id;
  return h("td", { class: "x-c-acts" }, h("div", { class: "x-acts" },
    run?.task ? button(address.log(item.dag_id, run.run_id, run.task), "log", "Log of the task that decides") : null,
    last && item.permitted.runs ? button(address.run(item.dag_id, last), "play", "Run in Airflow, to trigger it again") : button(address.dag(item.dag_id), "dag", "Dag"),
    run?.job_url ? button(run.job_url, "out", "Job in Dynamics 365", true) : null));
}

function companies(page, item, now) {
  const known = page.documents.get(item.dag_id);
  const line = (text) => h("tr", { class: "x-co" }, h("td"), h("td", { colspan: 8 }, text));
  if (!known) return line("Reading the companies…");
  if (known.unreadable || !known.companies) return line("The companies could not be read. Close and open the row to try again.");
  if (!known.companies.length) return line("No run has left a record of its companies.");
  return known.companies.map((each) => h("tr", { class: "x-co" },
    h("td", { class: "x-c-state" }, mark(each.state)), h("td", { class: "x-c-name" }, h("span", { class: "x-name" }, each.company ?? "—")),
    h("td", { class: "x-c-arrived", title: each.at ? exact(each.at) : null }, each.at ? dayAndClock(each.at, now) : "—"), h("td", { class: "x-c-rows x-num" }, number(each.rows)), h("td", { class: "x-runs" }),
    h("td", { class: "x-c-took" }, duration(each.seconds)), h("td", { class: `x-c-file${each.last_good ? " x-last" : ""}` }, h("span", { class: "x-file", title: each.name }, each.name ? outside(each.url, cutInside(each.name)) : "—")),
    h("td", { class: "x-c-next x-next" }, [each.size_bytes === null ? "" : bytes(each.size_bytes), each.last_good ? "last good" : ""].filter(Boolean).join(" · ")), h("td")));
}

function foot(page, all, sorted, current, pages, known) {
  const go = (to, text) => h("button", { class: "x-btn", "data-k": `page-${text}`, disabled: to < 1 || to > pages, onclick: () => page.go({ page: to }) }, text);
  const limit = known.complete ? "" : `; only the first ${number(all.length)} are read`;
  return h("div", { class: "x-foot" },
    h("span", {}, `${number(sorted.length)} of ${number(all.length)} export${all.length === 1 ? "" : "s"} you may read${limit}`),
    h("span", { class: "x-wide" }, "Rows compare with the package before; “unusual” is more than a tenth outside the range of those before it."),
    pages > 1 ? h("span", { class: "x-pages" }, go(current - 1, "Previous"), ` page ${current} of ${pages} `, go(current + 1, "Next")) : null);
}

function noExports() {
  return state("box", "No exports yet",
    [h("span", {}, "An export is one file in ", h("code", {}, "include/exports"), ". Write this, and it appears here within a minute:"),
      h("pre", {}, "# include/exports/workers.yaml\ndata_project: Export Workers\nlegal_entities: USMF\nschedule: {cron: \"0 0 * * *\", timezone: UTC}\nfolder: Exports/Workers"),
      "You see only exports whose Dag you may read. If you expected some, ask your administrator, or look for import errors on the list of Dags."],
    [h("a", { class: "x-btn", href: address.dagsOfExports() }, icon("dag"), "Dags")]);
}

function noMatch(page, all) {
  const text = page.view.q ? `Nothing matches “${page.view.q}”` : "Nothing matches these filters";
  return state("search", text, `${all.length === 1 ? "One export is" : `${number(all.length)} exports are`} hidden by search and filters.`,
    [h("button", { class: "x-btn", "data-k": "clear", onclick: () => page.go({ states: [], q: "", tag: "" }) }, "Clear search and filters")]);
}
