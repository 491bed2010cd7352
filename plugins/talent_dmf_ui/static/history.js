// One export: its state, its plots, its runs, its failures, its entities and companies.
import * as address from "./address.js";
import { h, icon, outside } from "./dom.js";
import { cutInside, mark } from "./list.js";
import { state } from "./page.js";
import { drawPlots } from "./plots.js";
import {
  STATES, age, bytes, change, clock, day, dayAndClock, duration, exact, fine, longDay, number, schedule, sentence, stepWord, toldLines,
} from "./words.js";

const MONTH = 30 * 864e5;

/** The history of one export. */
export function drawHistory(page, known) {
  const item = known.export;
  const now = page.now;
  const runs = known.runs;
  return [
    page.dagId ? null : h("nav", { class: "x-crumb", "aria-label": "Where this is" }, h("a", { "data-export": "", href: page.href({}), "data-k": "back" }, "Exports"), ` / ${item.name}`),
    top(page, item, known),
    known.stale ? h("div", { class: "x-banner", role: "status" }, icon("warn"), h("b", {}, "No longer in the catalogue."), " Its file in include/exports is gone or cannot be read; what its runs left is shown.") : null,
    answer(item, now, runs),
    facts(item, known, now),
    item.permitted.runs ? null : state("lock", "Not permitted", "You may read this Dag, but not its runs."),
    runs.length ? drawPlots(runs.toReversed(), page.element.clientWidth) : null,
    runs.length ? h("div", { class: "x-two" }, table(item, runs, now, page.runId), h("div", {}, failures(item, known, now), companies(known, now), entities(known))) : null,
    item.permitted.runs && !runs.length ? state("box", "No runs yet", item.paused ? "The Dag is paused: switch it on, or trigger it." : "The first run has not been created.") : null,
  ];
}

/** What the tab shows of a Dag that is no export, or one that may not be read. */
export function drawNoExport(page) {
  const all = h("a", { class: "x-btn", "data-export": page.dagId ? null : "", href: page.href({}), "data-k": "all" }, "All exports");
  if (page.dagId) return state("box", "This Dag is not an export", "The tab shows the history of Dags made from include/exports. Airflow offers it for every Dag.", [all]);
  return state("search", "There is no such export", `“${page.view.export}” is not an export, or you may not read it.`, [all]);
}

function top(page, item, known) {
  const companies = item.companies.length > 4 ? `${item.companies.length} companies` : item.companies.join(", ");
  const entities = known.entities.length ? `${known.entities.length} ${known.entities.length === 1 ? "entity" : "entities"}` : "";
  const last = item.run ?? known.runs[0];
  return h("div", { class: "x-top" },
    page.dagId ? null : h("h1", {}, item.name),
    h("span", { class: "x-sub" }, [item.project, companies, entities].filter(Boolean).join(" · ")), h("span", { class: "x-grow" }),
    last && item.permitted.runs ? h("a", { class: "x-btn", "data-k": "again", href: address.run(item.dag_id, last.run_id), title: "Airflow's page of the run, which has the button" }, icon("play"), "Run, to trigger again") : null,
    page.dagId ? h("a", { class: "x-btn", href: page.href({}), "data-k": "all" }, "All exports") : h("a", { class: "x-btn", href: address.dag(item.dag_id), "data-k": "dag" }, icon("dag"), "Dag"));
}

function answer(item, now, runs) {
  const look = STATES[item.state];
  const run = item.run;
  const [big, more] = said(item, now, runs);
  const told = item.state === "failed" || (item.state === "late" && !item.not_started) ? toldLines(run.told, item.permitted.xcoms || run.told, now) : [];
  const good = item.arrived && run && item.arrived.run_id !== run.run_id ? `last good file: ${dayAndClock(item.arrived.at, now)}, ${number(item.arrived.rows)} rows` : "";
  return h("section", { class: `x-answer x-${item.state}`, "aria-label": "State" },
    h("span", { class: "x-dot x-big-dot", "data-tone": look.tone }, icon(look.mark)),
    h("div", {}, h("p", { class: "x-big" }, big), more ? h("p", {}, more) : null,
      h("p", { class: "x-sub" }, told.map((line, index) => [index ? " · " : "", h("span", { class: line.bad ? "x-bad" : "" }, line.text)]), told.length && good ? " · " : "", good)),
    h("div", { class: "x-actions" },
      run?.task ? h("a", { class: "x-btn", "data-k": "log", href: address.log(item.dag_id, run.run_id, run.task) }, icon("log"), "Log") : null,
      run?.job_url ? h("a", { class: "x-btn", href: run.job_url, target: "_blank", rel: "noopener noreferrer" }, icon("out"), "Job in Dynamics 365") : null));
}

function said(item, now, runs) {
  const run = item.run;
  const at = (iso) => `${day(iso, now)} at ${clock(iso)}`;
  const rows = typeof item.arrived?.rows === "number" ? `, ${number(item.arrived.rows)} rows` : "";
  switch (item.state) {
    case "failed": return [`Failed ${at(run.ended_at ?? run.at)}. ${sentence(item, now)}`, ""];
    case "late": return [`Late. ${sentence(item, now)}`, ""];
    case "running": return [`Running since ${dayAndClock(run.started_at ?? run.at, now)}`, run.promised_until ? `Promised by ${dayAndClock(run.promised_until, now)}.` : ""];
    case "queued": return [`Queued since ${dayAndClock(run.queued_at ?? run.at, now)}`, ""];
    case "arrived": return [`Arrived ${at(item.arrived?.at ?? run.ended_at)}${rows}`, ""];
    case "empty": return [`Ended ${at(run.ended_at ?? run.at)} without rows`, "Nothing has changed since the last incremental export, or the legal entity or a filter of the data project matches nothing."];
    case "unknown": return [run?.ended_at ? `Succeeded ${at(run.ended_at)}; details not recorded` : "Not known", item.permitted.files ? "The run left no record of what it saved: it was made by another version, or its records were deleted." : "You may not read what its runs saved."];
    case "paused": return ["Paused", runs.length ? "" : "It has never run."];
    case "never": return ["Never run", item.next_run ? `The first run is due ${dayAndClock(item.next_run, now)}.` : "It runs only when it is triggered."];
    default: return ["Not permitted", "You may not read the runs of this Dag."];
  }
}

function facts(item, known, now) {
  const seconds = known.runs.filter((run) => run.state === "success" && run.seconds).map((run) => run.seconds).toSorted((a, b) => a - b);
  const usual = seconds.length ? [seconds[Math.floor(seconds.length * 0.1)], seconds[Math.min(seconds.length - 1, Math.ceil(seconds.length * 0.9) - 1)]].map(duration) : [];
  const month = known.runs.filter((run) => now - new Date(run.at) < MONTH && ["success", "failed"].includes(run.state));
  const rowsChange = change(item.arrived);
  const entries = [
    ["Last arrived", item.arrived ? h("span", { title: exact(item.arrived.at) }, dayAndClock(item.arrived.at, now), h("span", { class: "x-sub" }, ` ${age(item.arrived.at, now)}`)) : item.permitted.files ? "—" : "not permitted"],
    ["Rows", h("span", {}, number(item.arrived?.rows), rowsChange ? h("span", { class: item.arrived.unusual ? "x-odd" : "x-sub" }, ` ${rowsChange}${item.arrived.unusual ? " unusual" : ""}`) : null)],
    ["Took, usually", usual.length ? (usual[0] === usual[1] ? usual[0] : `${usual[0]} to ${usual[1]}`) : "—"],
    [`30 days${known.runs.length >= 60 && month.length >= 60 ? ", at most 60 runs" : ""}`, month.length ? `${month.filter((run) => run.state === "success").length} of ${month.length} succeeded` : "no runs"],
    ["Schedule", schedule(item)],
    ["Promised", item.promised_seconds ? `${duration(item.promised_seconds)} after it is queued` : "nothing"],
    ["Next run", item.paused ? "paused" : item.next_run ? dayAndClock(item.next_run, now) : "—"],
    ["Saved in", item.arrived?.folder_url ? outside(item.arrived.folder_url, item.place ?? "folder") : item.place ?? "—"],
  ];
  return h("dl", { class: "x-facts" }, entries.map(([title, value]) => h("div", {}, h("dt", {}, title), h("dd", {}, value))));
}

function table(item, runs, now, here) {
  const many = runs.some((run) => run.companies > 1);
  const head = [["State"], ["Run"], ["Queue", "x-num"], ["Export", "x-num"], ["Transfer", "x-num"], ["Rows", "x-num"], ["Size", "x-num"], ["File"], ["Told"]];
  return h("div", { class: "x-scroll" }, h("table", { class: "x-table x-history" }, h("caption", { class: "x-sr" }, "Runs, newest first"),
    h("thead", {}, h("tr", {}, head.map(([title, kind]) => h("th", { scope: "col", class: kind }, title)))),
    runs.map((run) => line(item, run, now, many, run.run_id === here))));
}

function line(item, run, now, many, here) {
  const [first] = run.files;
  const name = run.files.length > 1 ? `${run.files.length} files` : first?.name ?? "—";
  const told = run.state === "failed" ? (run.told === null ? (item.permitted.xcoms ? "not known" : "not permitted") : run.told.length === 1 ? "1 place" : `${run.told.length} places`) : "";
  const count = many && run.companies > 1 && run.state === "failed" ? ` ${run.companies - run.companies_arrived} of ${run.companies}` : "";
  const type = run.type === "scheduled" ? null : h("span", { class: "x-m" }, run.type);
  return h("tbody", { class: run.state === "failed" ? "x-failed" : "", "aria-current": here ? "true" : null },
    h("tr", {},
      h("td", {}, mark(run.result, count ? `Failed${count}` : run.result === "unknown" && run.state === "success" ? "Succeeded" : undefined)),
      h("td", {}, h("a", { href: address.run(item.dag_id, run.run_id), title: run.run_id, "data-k": `run-${run.run_id}` }, longDay(run.at)), type),
      h("td", { class: "x-num x-more" }, fine(run.queue_seconds)), h("td", { class: "x-num x-more" }, fine(run.export_seconds)), h("td", { class: "x-num x-more" }, fine(run.transfer_seconds)),
      h("td", { class: "x-num" }, number(run.rows)), h("td", { class: "x-num x-more" }, bytes(run.size_bytes)),
      h("td", { class: "x-more" }, h("span", { class: "x-file", title: name }, run.files.length === 1 ? outside(first.url, cutInside(name)) : name)), h("td", { class: "x-more" }, told)),
    run.sentence && run.state !== "failed" ? h("tr", { class: "x-note" }, h("td", {}), h("td", { colspan: 8 }, run.sentence)) : null);
}

function failures(item, known, now) {
  const count = known.failed_runs;
  return h("section", { class: "x-card" }, h("h2", {}, "Last failures", h("span", {}, `${count} in the last ${known.runs.length} run${known.runs.length === 1 ? "" : "s"}`)),
    known.failures.length ? h("ul", { class: "x-plain" }, known.failures.map((each) => h("li", {},
      h("b", {}, dayAndClock(each.at, now)), each.company && item.companies.length > 1 ? `, company ${each.company}` : "", each.step ? `, ${stepWord(each.step).replace(/^./, (first) => first.toLowerCase())}` : "", ": ",
      each.sentence ?? (each.task ? "its log says why." : "no sentence is recorded."), " ",
      each.task ? h("a", { href: address.log(item.dag_id, each.run_id, each.task), "data-k": `failure-${each.run_id}` }, "Log") : null))) : h("p", { class: "x-none" }, "None."));
}

function companies(known, now) {
  if (known.companies.length < 2) return null;
  return h("section", { class: "x-card" }, h("h2", {}, "Companies", h("span", {}, "last run")),
    h("ul", { class: "x-plain" }, known.companies.map((each) => h("li", { class: "x-company" }, mark(each.state), h("b", {}, each.company ?? "—"), h("span", { class: "x-grow" }),
      h("span", {}, `${number(each.rows)} rows`, h("span", { class: "x-m" }, [each.at ? dayAndClock(each.at, now) : "", each.last_good ? "last good" : ""].filter(Boolean).join(" · ")))))));
}

function entities(known) {
  return h("section", { class: "x-card" }, h("h2", {}, "Entities", h("span", {}, "last good run")),
    known.entities.length ? h("ul", { class: "x-plain" }, known.entities.map((each) => h("li", { class: "x-company" }, h("span", { class: "x-entity" }, each.name), h("span", { class: "x-grow" }), number(each.rows)))) : h("p", { class: "x-none" }, "Not recorded."));
}
