// What is shown, as a file.
import { sentence, stateWord } from "./words.js";

const COLUMNS = [
  ["export", (item) => item.name],
  ["dag_id", (item) => item.dag_id],
  ["state", (item) => stateWord(item)],
  ["data_project", (item) => item.project],
  ["legal_entities", (item) => item.companies.join(" ")],
  ["last_arrived", (item) => item.arrived?.at],
  ["rows", (item) => item.arrived?.rows],
  ["rows_before", (item) => item.arrived?.rows_before],
  ["size_bytes", (item) => item.arrived?.size_bytes],
  ["file", (item) => item.arrived?.files.map((file) => file.name).join(" ")],
  ["file_url", (item) => item.arrived?.files.map((file) => file.url).filter(Boolean).join(" ")],
  ["last_run_seconds", (item) => item.last_seconds],
  ["next_run", (item) => item.next_run],
  ["sentence", (item, now) => sentence(item, now)],
  ["told", (item) => item.run?.told?.map((each) => `${each.delivered ? "" : "not "}${each.channel ?? ""} ${each.target}`.trim()).join("; ")],
];

/** The exports as comma-separated values, as RFC 4180 has them. */
export function toCsv(items, now) {
  const lines = [COLUMNS.map(([title]) => title), ...items.map((item) => COLUMNS.map(([, value]) => value(item, now)))];
  return lines.map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
}

// A spreadsheet takes a cell that begins so for a formula and would carry it out.
const FORMULA = /^[=+\-@\t\r]/;

function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const text = FORMULA.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Hand a text to the person as a file. */
export function saveAs(name, kind, text) {
  const url = URL.createObjectURL(new Blob([text], { type: kind }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
