// The Exports page: reads, refreshes, and draws what the address asks for. It knows nothing of React.
import * as address from "./address.js";
import { h, icon } from "./dom.js";
import { drawHistory, drawNoExport } from "./history.js";
import { drawList, drawLoading, heading } from "./list.js";
import { clock, clockWithSeconds } from "./words.js";

const BUSY_SECONDS = 30;
const CALM_SECONDS = 300;
const RETRY_SECONDS = 20;

/** Draw the page in an element until `unmount` of what is returned is called. */
export function mount(element, options = {}) {
  const page = new Page(element, options);
  page.start();
  return { moved: () => page.moved(), unmount: () => page.stop() };
}

class Page {
  constructor(element, { dagId = null, runId = null, navigate = null, standalone = false }) {
    this.element = element;
    this.dagId = dagId;
    this.runId = runId; // the run whose page this is a tab of, or null
    this.navigate = navigate;
    this.standalone = standalone;
    this.documents = new Map(); // by DAG id; all exports under null
    this.open = new Set(); // exports whose companies are shown
    this.error = null;
    this.timers = [];
    this.stopping = new AbortController();
  }

  get now() {
    return new Date(Date.now() + (this.skew ?? 0));
  }

  /** The DAG that is shown alone, or null. */
  get shown() {
    return this.dagId ?? this.view.export;
  }

  get document() {
    return this.documents.get(this.shown);
  }

  start() {
    this.addStyle();
    this.element.classList.add("exports-page");
    this.view = address.read();
    const until = { signal: this.stopping.signal };
    addEventListener("popstate", () => this.moved(), until);
    addEventListener("local-storage", () => this.draw(), until);
    addEventListener("keydown", (event) => this.key(event), until);
    document.addEventListener("visibilitychange", () => this.wake(), until);
    this.element.addEventListener("click", (event) => this.click(event), until);
    this.width = new ResizeObserver(() => this.resized());
    this.width.observe(this.element);
    this.draw();
    this.load();
  }

  stop() {
    this.stopping.abort();
    this.width.disconnect();
    this.timers.forEach(clearTimeout);
    this.element.replaceChildren();
  }

  addStyle() {
    const href = new URL("page.css", import.meta.url).href;
    if (![...document.styleSheets].some((sheet) => sheet.href === href)) {
      document.head.append(h("link", { rel: "stylesheet", href }));
    }
  }

  /** The address has changed, by the browser's buttons or by Airflow's menu. */
  moved() {
    const before = this.shown;
    this.view = address.read();
    if (this.shown !== before) {
      this.error = null;
      this.element.scrollTop = 0;
      this.load();
    }
    this.draw();
  }

  /** Show something else. `quietly` leaves no entry in the browser's history: for what changes while one types. */
  go(change, { quietly = false } = {}) {
    const before = this.shown;
    this.view = { ...this.view, page: 1, ...change };
    const to = address.write(this.view);
    if (quietly) history.replaceState(history.state, "", to);
    else if (this.navigate) return void this.navigate(address.routed(to));
    else history.pushState(null, "", to);
    if (this.shown !== before) {
      this.element.scrollTop = 0;
      this.load();
    }
    this.draw();
  }

  /** The address of the list, or of one export in it. */
  href(change) {
    if (this.dagId || !this.standalone) {
      const query = change.export ? `?export=${encodeURIComponent(change.export)}` : "";
      return address.airflow(`plugin/exports${query}`);
    }
    return address.write({ ...change });
  }

  click(event) {
    const link = event.target.closest?.("a[href]");
    if (!link || link.target || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    if (link.dataset.export !== undefined && !this.dagId) {
      event.preventDefault();
      this.go(link.dataset.export ? { export: link.dataset.export } : { export: null });
      return;
    }
    const to = address.routed(link.href);
    if (to && this.navigate && !link.hasAttribute("download")) {
      event.preventDefault();
      this.navigate(to);
    }
  }

  key(event) {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.("input, select, textarea, [contenteditable]")) return;
    const search = this.element.querySelector("[data-k=search]");
    if (search) {
      event.preventDefault();
      search.focus();
    }
  }

  async load() {
    const asked = this.shown;
    clearTimeout(this.next);
    try {
      const answer = await fetch(address.api(asked), { cache: "no-cache", credentials: "same-origin", signal: this.stopping.signal });
      if (asked !== this.shown) return;
      if (answer.status === 404) this.documents.set(asked, { missing: true, at: new Date() });
      else if (!answer.ok) throw await failure(answer);
      else await this.keep(asked, answer);
      this.error = null;
    } catch (error) {
      if (error.name === "AbortError" || asked !== this.shown) return;
      this.error = { text: error.message, status: error.status, request: error.request, at: new Date() };
    }
    this.draw();
    this.later(this.error ? RETRY_SECONDS : this.busy() ? BUSY_SECONDS : CALM_SECONDS);
  }

  async keep(asked, answer) {
    const now = Date.parse(answer.headers.get("x-exports-now"));
    if (!Number.isNaN(now)) this.skew = now - Date.now();
    this.documents.set(asked, { ...(await answer.json()), at: new Date() });
  }

  busy() {
    const items = this.document?.exports ?? (this.document?.export ? [this.document.export] : []);
    return items.some((item) => item.retrying || ["running", "queued", "late"].includes(item.state));
  }

  later(seconds) {
    clearTimeout(this.next);
    this.due = Date.now() + seconds * 1000;
    if (!document.hidden) this.next = setTimeout(() => this.load(), seconds * 1000);
    this.timers = [this.next];
  }

  wake() {
    if (document.hidden) clearTimeout(this.next);
    else if (this.due && Date.now() >= this.due) this.load();
    else if (this.due) this.later((this.due - Date.now()) / 1000);
  }

  /** Show or hide the companies of an export; they are read when they are wanted. */
  async companies(dagId) {
    if (this.open.delete(dagId)) return this.draw();
    this.open.add(dagId);
    this.draw();
    try {
      const answer = await fetch(address.api(dagId), { cache: "no-cache", credentials: "same-origin", signal: this.stopping.signal });
      if (!answer.ok) throw await failure(answer);
      await this.keep(dagId, answer);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.documents.set(dagId, { unreadable: error.message, at: new Date() });
    }
    this.draw();
  }

  resized() {
    const width = this.element.clientWidth;
    if (this.shown && width && width !== this.drawnWidth) this.draw();
  }

  draw() {
    if (this.stopping.signal.aborted) return;
    const focus = remember(this.element);
    this.drawnWidth = this.element.clientWidth;
    let content;
    try {
      content = this.content();
    } catch (error) {
      console.error(error);
      content = [state("warn", "This page cannot be drawn", `${error.message}. Please report it; the exports are not affected.`, [], "alert")];
    }
    this.element.replaceChildren(h("main", { class: `x-main${this.dagId ? " x-tab" : ""}` }, content));
    restore(this.element, focus);
  }

  content() {
    const known = this.document;
    if (this.error && (!known || known.missing)) return this.broken();
    const stale = this.error ? this.stale(known) : null;
    if (this.shown) {
      if (!known) return drawLoading(this, true);
      if (known.missing) return drawNoExport(this);
      return [stale, drawHistory(this, known)];
    }
    if (!known) return drawLoading(this);
    return [stale, drawList(this, known)];
  }

  stale(known) {
    const again = this.error.status === 401
      ? [h("a", { class: "x-link", "data-k": "sign-in", href: address.signIn(), target: "_top" }, "Sign in")]
      : [` Trying again in ${RETRY_SECONDS} s. `, h("button", { class: "x-link", "data-k": "again", onclick: () => this.load() }, "Try now")];
    return h("div", { class: "x-banner", role: "status" },
      icon("warn"), h("b", {}, `Shown as of ${clock(known.at)}.`), ` ${this.said()} `, again);
  }

  said() {
    const { status, text } = this.error;
    if (status === 401) return "You are signed out.";
    return status ? `Airflow answered ${status}.` : `The server did not answer (${text}).`;
  }

  broken() {
    const { status, at, request } = this.error;
    if (status === 401) {
      return [state("lock", "You are signed out", "Sign in again to see the exports.", [h("a", { class: "x-btn x-primary", href: address.signIn(), target: "_top" }, "Sign in")], "alert")];
    }
    return [
      heading("late", "warn", "Exports", "Not known at the moment"),
      state("warn", "The exports could not be read",
        [`${this.said().slice(0, -1)} at ${clockWithSeconds(at)}. The exports themselves are not affected: runs go on, and files arrive. Trying again in ${RETRY_SECONDS} s.`,
          request ? h("p", {}, "For the administrator: the log of the API server names request ", h("code", {}, request), ".") : null],
        [h("button", { class: "x-btn x-primary", "data-k": "again", onclick: () => this.load() }, icon("refresh"), "Try now"),
          h("a", { class: "x-btn", href: address.dagsOfExports() }, icon("dag"), "Dags of the exports")], "alert"),
    ];
  }
}

/** A state of the page in place of a table. */
export function state(mark, title, text, actions = [], role = null) {
  return h("section", { class: "x-state", role }, icon(mark), h("h2", {}, title), h("p", {}, text), h("div", { class: "x-actions" }, actions));
}

async function failure(answer) {
  let said = {};
  try {
    said = await answer.json();
  } catch {
    // Something between the server and us has answered.
  }
  return Object.assign(new Error(`status ${answer.status}`), { status: answer.status, request: typeof said.request === "string" ? said.request : null });
}

function remember(element) {
  const active = document.activeElement;
  if (!active || !element.contains(active)) return null;
  return { key: active.closest("[data-k]")?.dataset.k, from: active.selectionStart, to: active.selectionEnd };
}

function restore(element, focus) {
  if (!focus?.key) return;
  const found = element.querySelector(`[data-k="${CSS.escape(focus.key)}"]`);
  found?.focus({ preventScroll: true });
  if (found && typeof focus.from === "number") found.setSelectionRange(focus.from, focus.to);
}
