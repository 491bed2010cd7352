"""One alert: what happened to which export, in one sentence, and where to look."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from talent_dmf.api.redaction import redact

# Longest sentence in characters: the answer of a service may be part of it.
MAX_SENTENCE = 1500
WORDS = {
    "failed": "failed",
    "late": "is late",
    "empty": "holds no rows",
    "recovered": "works again",
    "catalogue": "has mistakes",
}


@dataclass(frozen=True, slots=True)
class Alert:
    """What a person is told.

    :param event: ``failed``, ``late``, ``empty``, ``recovered`` or ``catalogue``.
    :param export: name of the export; of the catalogue's folder for ``catalogue``.
    :param sentence: what happened, why, and what to do; without secrets.
    :param at: when, ISO 8601.
    :param dag_id: the export's DAG.
    :param run_id: the run.
    :param task_id: the task that decides.
    :param company: company code, if one of several is concerned.
    :param links: addresses to open, by their names.
    """

    event: str
    export: str
    sentence: str
    at: str
    dag_id: str = ""
    run_id: str = ""
    task_id: str = ""
    company: str = ""
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """A heading of a few words, such as the subject of a mail."""
        what = "The catalogue" if self.event == "catalogue" else f"Export {self.export}"
        return f"{what} {WORDS[self.event]}{f' ({self.company})' if self.company else ''}"

    @property
    def text(self) -> str:
        """Everything as plain text: heading, sentence, links."""
        return "\n".join([self.title, self.sentence, *(f"{name}: {url}" for name, url in self.links.items())])

    @property
    def html(self) -> str:
        """Sentence and links for a mail; whatever a service has said is text there and no markup."""
        links = "".join(
            f'<li><a href="{html.escape(url, quote=True)}">{html.escape(name)}</a></li>'
            for name, url in self.links.items()
        )
        words = "<br>".join(html.escape(line) for line in self.sentence.splitlines())
        return f"<p><b>{html.escape(self.title)}</b></p><p>{words}</p><ul>{links}</ul>"

    def fields(self) -> dict[str, Any]:
        """Everything as JSON, for a program."""
        return {
            "event": self.event,
            "export": self.export,
            "title": self.title,
            "sentence": self.sentence,
            "at": self.at,
            "dag_id": self.dag_id or None,
            "run_id": self.run_id or None,
            "task_id": self.task_id or None,
            "legal_entity": self.company or None,
            "links": dict(self.links),
        }


def safe_sentence(text: str) -> str:
    """A text that may leave Airflow: without secrets that are known by their form or to Airflow, and bounded.

    :param text: such as the message of an exception.
    """
    # Imported where it runs: the masker that the task log uses, which knows the passwords of the connections read here.
    from airflow.sdk import log as airflow_log

    mask = getattr(airflow_log, "redact", None)
    masked = str(mask(text)) if mask is not None else text
    found = redact(masked).strip()
    return found if len(found) <= MAX_SENTENCE else f"{found[: MAX_SENTENCE - 1]}…"


def ui_links(dag_id: str, run_id: str, task_id: str = "", map_index: int = -1, try_number: int = 0) -> dict[str, str]:
    """Addresses of a run in Airflow's UI, below ``[api] base_url``; none if that is not set.

    :param dag_id: the DAG.
    :param run_id: the run.
    :param task_id: the task whose log is of interest.
    :param map_index: which of a mapped task's instances; -1 for one that is not mapped.
    :param try_number: which try of it; 0 for the last.
    """
    from airflow.sdk import conf

    base = (conf.get("api", "base_url", fallback="") or "").rstrip("/")
    if not base.startswith(("http://", "https://")):
        return {}
    if not dag_id:
        return {"Exports": f"{base}/plugin/exports"}
    run = f"{base}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"
    links = {"Run": run}
    if task_id:
        mapped = f"/mapped/{map_index}" if map_index >= 0 else ""
        tried = f"?try_number={try_number}" if try_number else ""
        links["Log"] = f"{run}/tasks/{quote(task_id, safe='')}{mapped}{tried}"
    links["Exports"] = f"{base}/plugin/exports?export={quote(dag_id, safe='')}"
    return links
