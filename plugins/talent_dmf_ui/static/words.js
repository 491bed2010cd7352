// Numbers, times and states in words.

export const STATES = {
  failed: { mark: "x", word: "Failed", tone: "failed", order: 0 },
  late: { mark: "clock", word: "Late", tone: "late", order: 1 },
  running: { mark: "pulse", word: "Running", tone: "run", order: 2 },
  queued: { mark: "glass", word: "Queued", tone: "calm", order: 3 },
  arrived: { mark: "ok", word: "Arrived", tone: "ok", order: 4 },
  empty: { mark: "zero", word: "No rows", tone: "ok", order: 4 },
  unknown: { mark: "dash", word: "Unknown", tone: "hollow", order: 4 },
  hidden: { mark: "lock", word: "Not permitted", tone: "hollow", order: 5 },
  paused: { mark: "pause", word: "Paused", tone: "hollow", order: 6 },
  never: { mark: "dash", word: "Never run", tone: "hollow", order: 7 },
};

const STEPS = {
  trigger_export: "Starting the export",
  wait_for_export: "The export in Dynamics 365",
  get_package_url: "Finding the package",
  save_to_onedrive: "Saving the file",
  save_to_storage: "Saving the file",
};

export const needsAttention = (item) => item.state === "failed" || item.state === "late";

/** The word for an export's state; "1 of 3" if some of its companies failed. */
export function stateWord(item) {
  if (item.state === "unknown") return item.run?.state === "success" ? "Succeeded" : "Unknown";
  if (item.state === "failed" && item.run?.companies > 1 && item.run.companies_failed) {
    return `Failed ${item.run.companies_failed} of ${item.run.companies}`;
  }
  return STATES[item.state].word;
}

export const stepWord = (step) => STEPS[step] ?? `Task ${step}`;

// A formatter costs a hundred times what it formats, and a table has some thousand times.
const formatters = new Map();

function formatter(timeZone, locale, options) {
  const name = `${timeZone} ${locale}`;
  if (!formatters.has(name)) formatters.set(name, new Intl.DateTimeFormat(locale, { timeZone, ...options }));
  return formatters.get(name);
}

const zones = new Map();

/** The time zone that is chosen in Airflow, where this browser keeps it. */
export function timeZone() {
  const kept = localStorage.getItem("timezone");
  if (!zones.has(kept)) zones.set(kept, zoneOf(kept));
  return zones.get(kept);
}

function zoneOf(kept) {
  let chosen = kept;
  try {
    chosen = JSON.parse(kept);
  } catch {
    // Kept as it is.
  }
  try {
    return new Intl.DateTimeFormat("en-GB", { timeZone: chosen || undefined }).resolvedOptions().timeZone;
  } catch {
    return "UTC";
  }
}

function parts(moment) {
  const format = formatter(timeZone(), "en-GB", {
    weekday: "short", day: "numeric", month: "short", year: "numeric",
    hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
  });
  return Object.fromEntries(format.formatToParts(moment).map((part) => [part.type, part.value]));
}

const dayNumber = (moment) => {
  const [year, month, day] = formatter(timeZone(), "en-CA", {}).format(moment).split("-");
  return Date.UTC(year, month - 1, day) / 864e5;
};

/** A day as people say it: today, yesterday, tomorrow, Thu 12 Nov. */
export function day(iso, now) {
  const moment = new Date(iso);
  const away = dayNumber(moment) - dayNumber(now);
  if (away === 0) return "today";
  if (away === -1) return "yesterday";
  if (away === 1) return "tomorrow";
  const at = parts(moment);
  const year = Math.abs(away) > 300 ? ` ${at.year}` : "";
  return `${at.weekday} ${at.day} ${at.month}${year}`;
}

export const clock = (iso) => { const at = parts(new Date(iso)); return `${at.hour}:${at.minute}`; };
export const dayAndClock = (iso, now) => `${day(iso, now)} ${clock(iso)}`;
export const shortDay = (iso) => { const at = parts(new Date(iso)); return `${at.day} ${at.month}`; };
export const longDay = (iso) => { const at = parts(new Date(iso)); return `${at.weekday} ${at.day} ${at.month}, ${at.hour}:${at.minute}`; };
export const exact = (iso) => { const at = parts(new Date(iso)); return `${at.weekday} ${at.day} ${at.month} ${at.year} ${at.hour}:${at.minute}:${at.second} ${timeZone()}`; };
export const clockWithSeconds = (moment) => { const at = parts(moment); return `${at.hour}:${at.minute}:${at.second}`; };

/** How long ago. */
export function age(iso, now) {
  const seconds = (now - new Date(iso)) / 1000;
  if (seconds < 60) return "just now";
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 2 * 86400) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}

/** A duration for a table: 12 min, 1 h 52 min, 8 s. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "—";
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes / 60} h`;
}

/** A duration to the second: 8 min 12 s. */
export function fine(seconds) {
  if (seconds === null || seconds === undefined) return "—";
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  return duration(seconds);
}

export const number = (value) => (value === null || value === undefined ? "—" : value.toLocaleString("en-US"));

export function bytes(value) {
  if (value === null || value === undefined) return "—";
  if (value < 1000) return `${value} B`;
  for (const [unit, size] of [["kB", 1e3], ["MB", 1e6], ["GB", 1e9]]) {
    if (value < size * 1000 || unit === "GB") return `${(value / size).toFixed(value < size * 100 ? 1 : 0)} ${unit}`;
  }
  return "—";
}

/** The change of rows: "+0.4 %"; nothing if there is nothing to compare with. */
export function change(arrived) {
  const { rows, rows_before: before } = arrived ?? {};
  if (typeof rows !== "number" || typeof before !== "number") return "";
  if (rows === before) return "±0 %";
  if (before === 0) return `+${number(rows)}`;
  const percent = ((rows - before) / before) * 100;
  const size = Math.abs(percent);
  const shown = size >= 10 ? Math.round(size) : size < 0.1 ? "<0.1" : size.toFixed(1);
  return `${percent > 0 ? "+" : "−"}${shown} %`;
}

/** The one sentence: what the run has left, or what can be said without it. */
export function sentence(item, now) {
  const run = item.run;
  if (item.state === "failed") return (run.sentence ?? withoutNote(item, run.task)) + (item.retrying ? " A new run is trying again." : "");
  if (item.state !== "late") return "";
  if (item.not_started) {
    return `Due since ${dayAndClock(item.next_run, now)} and not started. Is the scheduler alive?`;
  }
  return run.sentence ?? `Promised by ${dayAndClock(run.promised_until, now)}, still ${run.state === "queued" ? "queued" : "running"}.`;
}

function withoutNote(item, task) {
  if (!item.permitted.logs) return "The run failed. You may not read its log.";
  if (!task) return "The run failed. No sentence is recorded, and no task of it has failed.";
  const company = task.company && item.companies.length > 1 ? `Company ${task.company}: ` : "";
  const step = stepWord(task.step);
  return `${company}${company ? step[0].toLowerCase() + step.slice(1) : step} failed; its log says why.`;
}

/** Who was told, as lines: { text, bad }. */
export function toldLines(told, permitted, now) {
  if (!permitted) return [{ text: "Told: not permitted" }];
  if (told === null || told === undefined) return [{ text: "Told: not known" }];
  if (!told.length) return [{ text: "Nobody was told", bad: true }];
  const good = told.filter((each) => each.delivered);
  const bad = told.filter((each) => !each.delivered);
  const names = (list) => list.map((each) => (each.channel ? `${each.channel} ${each.target}` : each.target)).join(", ");
  const at = good.find((each) => each.at && !Number.isNaN(Date.parse(each.at)));
  const lines = [];
  if (good.length) lines.push({ text: `Told${at ? ` ${day(at.at, now) === "today" ? clock(at.at) : dayAndClock(at.at, now)}` : ""}: ${names(good)}` });
  if (bad.length) lines.push({ text: `Not told: ${names(bad)}`, bad: true });
  return lines;
}

/** A schedule in words, such as "At 00:00 UTC". */
export function schedule(item) {
  const { words, cron, timezone } = item.schedule;
  if (!words && !cron) return "by hand only";
  return `${words || cron}${timezone ? ` ${timezone}` : ""}`;
}

export function list(names, most = 3) {
  if (names.length <= most) return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
  return `${names.slice(0, most).join(", ")} and ${names.length - most} more`;
}
