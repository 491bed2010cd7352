// Where things are. The page's own address carries what is shown: ?export=…&state=failed,late&q=…&tag=…&sort=rows&dir=desc&page=2

const HERE = new URL("../", import.meta.url);
// Airflow's root, also below the path of a proxy.
const AIRFLOW = new URL("../", HERE);
const part = encodeURIComponent;

export const api = (dagId) => new URL(dagId ? `api/exports/${part(dagId)}` : "api/exports", HERE).href;
export const airflow = (path) => new URL(path, AIRFLOW).href;
export const dag = (dagId) => airflow(`dags/${part(dagId)}`);
export const run = (dagId, runId) => airflow(`dags/${part(dagId)}/runs/${part(runId)}`);
/** Where one signs in and comes back to what is shown. */
export const signIn = () => airflow(`api/v2/auth/login?next=${part(location.href)}`);
export const dagsOfExports = () => airflow("dags?tags=talent-dmf");

/** The log of a task. */
export function log(dagId, runId, task) {
  const mapped = task.map_index >= 0 ? `/mapped/${task.map_index}` : "";
  return `${run(dagId, runId)}/tasks/${part(task.task_id)}${mapped}`;
}

/** The path that Airflow's router knows an address by; null if the address is not Airflow's own. */
export function routed(href) {
  const url = new URL(href, location.href);
  if (url.origin !== AIRFLOW.origin || !url.pathname.startsWith(AIRFLOW.pathname)) return null;
  return `/${url.pathname.slice(AIRFLOW.pathname.length)}${url.search}`;
}

const COLUMNS = ["state", "name", "arrived", "rows", "took", "file", "next"];

/** What the address asks for. */
export function read() {
  const query = new URLSearchParams(location.search);
  const sort = query.get("sort");
  return {
    export: query.get("export") || null,
    states: (query.get("state") || "").split(",").filter(Boolean),
    q: query.get("q") || "",
    tag: query.get("tag") || "",
    sort: COLUMNS.includes(sort) ? sort : "state",
    down: query.get("dir") === "desc",
    page: Math.max(1, parseInt(query.get("page"), 10) || 1),
  };
}

/** The address for what is to be shown; what is as it comes is left out. */
export function write(view) {
  const query = new URLSearchParams();
  if (view.export) query.set("export", view.export);
  if (view.states?.length) query.set("state", view.states.join(","));
  if (view.q) query.set("q", view.q);
  if (view.tag) query.set("tag", view.tag);
  if (view.sort && view.sort !== "state") query.set("sort", view.sort);
  if (view.down) query.set("dir", "desc");
  if (view.page > 1) query.set("page", view.page);
  const text = query.toString();
  return `${location.pathname}${text ? `?${text}` : ""}`;
}
