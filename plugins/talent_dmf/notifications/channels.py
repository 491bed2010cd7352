"""How an alert leaves Airflow: by mail, into Teams, into Slack, to a web address, by any notifier of Airflow.

A channel is a mapping of JSON values, because Airflow stores it with the deadline of a DAG. It names a connection and
holds no secret: the address of a webhook is one, for whoever knows it can post there.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from talent_dmf.api.errors import ConfigurationError, TransportError
from talent_dmf.api.redaction import redact
from talent_dmf.connection_lookup import looked_up

if TYPE_CHECKING:
    from airflow.sdk.bases.notifier import BaseNotifier

    from talent_dmf.notifications.alert import Alert

Channel: TypeAlias = Mapping[str, Any]

# Seconds to connect and to answer: a task waits for it.
_TIMEOUT_SECONDS = (5.0, 10.0)
_SMTP = "airflow.providers.smtp.notifications.smtp.SmtpNotifier"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
# What stands for the alert in the arguments of a notifier.
PLACEHOLDERS = ("title", "sentence", "text", "html")
# What answers a Teams workflow gives when it has taken a card: 202; Slack and most others answer 200 or 204.
_TAKEN = range(200, 300)


def target_of(channel: Channel) -> str:
    """Where a channel leads, in words for a list of who was told: addressees, or the connection's id.

    :param channel: the channel.
    """
    if channel["form"] == "mail":
        return ", ".join(channel["to"])
    if channel["form"] == "notifier":
        kwargs = channel["kwargs"]
        named = (kwargs.get(key) for key in ("to", "channel", "channels", "slack_conn_id", "conn_id"))
        return str(next((value for value in named if value), str(channel["notifier"]).rpartition(".")[2]))
    return str(channel["conn_id"])


def name_of(channel: Channel) -> str:
    """What a channel is called: ``mail``, ``teams``, ``slack``, ``webhook`` or the notifier's class.

    :param channel: the channel.
    """
    return str(channel["notifier"]).rpartition(".")[2] if channel["form"] == "notifier" else str(channel["form"])


def send(channel: Channel, alert: Alert) -> None:
    """Send an alert; returns when the receiver has taken it.

    :param channel: where to.
    :param alert: what.
    :raises Exception: whatever went wrong; :func:`reason` has the words.
    """
    if channel["form"] in {"mail", "notifier"}:
        notifier = make_notifier(channel, alert)
        # Not called, which would render its arguments as templates: they are data (a project's name, the answer of a
        # service), and a template can read every connection.
        notifier.notify({"alert": alert.fields()})  # type: ignore[typeddict-unknown-key]
    else:
        _post(_address(str(channel["conn_id"])), _BODIES[channel["form"]](alert))


def make_notifier(channel: Channel, alert: Alert) -> BaseNotifier:
    """The notifier of a channel, with its arguments.

    :param channel: of the form ``mail`` or ``notifier``.
    :param alert: what stands for the placeholders in them.
    :raises ConfigurationError: there is no such notifier, or it does not take these arguments.
    """
    if channel["form"] == "mail":
        path = _SMTP
        kwargs = {
            "to": list(channel["to"]),
            "from_email": channel.get("sender"),
            "smtp_conn_id": channel["conn_id"],
            "subject": alert.title,
            "html_content": alert.html,
        }
    else:
        path, kwargs = (
            str(channel["notifier"]),
            {key: _filled(value, alert) for key, value in channel["kwargs"].items()},
        )
    notifier = notifier_class(path)
    try:
        inspect.signature(notifier).bind(**kwargs)
        return notifier(**kwargs)
    except TypeError as error:
        raise ConfigurationError(
            f"The notifier {path} does not take these `kwargs`: {redact(str(error))}; see its documentation."
        ) from None


def notifier_class(path: str) -> type[BaseNotifier]:
    """The class of a notifier.

    :param path: its dotted path.
    :raises ConfigurationError: there is none.
    """
    from airflow.sdk.bases.notifier import BaseNotifier

    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"There is no notifier {path} ({redact(str(error))}); check the path, and whether its provider package is "
            "installed where DAGs are processed and run."
        ) from None
    if not (isinstance(found, type) and issubclass(found, BaseNotifier)):
        raise ConfigurationError(f"{path} is no notifier of Airflow; name a subclass of airflow.sdk.BaseNotifier.")
    return found


def reason(error: BaseException) -> str:
    """Why an alert could not be sent, without secrets.

    :param error: what :func:`send` raised.
    """
    name = type(error).__name__
    if isinstance(error, ConfigurationError | TransportError):
        return error.message.removesuffix(".")
    if isinstance(error, TimeoutError):
        return "the server did not answer in time; check host and port of the connection"
    if isinstance(error, OSError) and not name.startswith("SMTP"):
        words = error.strerror or str(error) or name
        return f"the server cannot be reached ({redact(words)}); check host and port of the connection"
    from talent_dmf.notifications.alert import safe_sentence

    return f"{name}: {' '.join(safe_sentence(str(error)).split())[:300]}".removesuffix(".")


def _filled(value: Any, alert: Alert) -> Any:
    if isinstance(value, str):
        words = {"title": alert.title, "sentence": alert.sentence, "text": alert.text, "html": alert.html}
        # In one pass: a sentence that holds a placeholder itself stays as it is.
        parts = value.split("{")
        return parts[0] + "".join(_part(part, words) for part in parts[1:])
    if isinstance(value, Mapping):
        return {key: _filled(each, alert) for key, each in value.items()}
    return [_filled(each, alert) for each in value] if isinstance(value, list | tuple) else value


def _part(part: str, words: Mapping[str, str]) -> str:
    name, closed, rest = part.partition("}")
    return words[name] + rest if closed and name in words else "{" + part


def _address(conn_id: str) -> str:
    """The address of a webhook, from its connection: the whole of it as password, or its secret end behind the host.

    :raises ConfigurationError: the connection is not there, or has no such address.
    """
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        connection = looked_up(f"connection {conn_id!r}", lambda: Connection.get(conn_id))
    except AirflowNotFoundException:
        raise ConfigurationError(f"the connection {conn_id} does not exist; create it") from None
    host, secret = (connection.host or "").strip(), (connection.password or "").strip()
    address = secret if "://" in secret else f"{host.rstrip('/')}/{secret.lstrip('/')}" if secret else host
    if "://" not in address and address:
        address = f"https://{address}"
    try:
        parts = urlsplit(address)
        usable = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    except ValueError:
        usable = False
    if not usable or not parts.hostname:
        raise ConfigurationError(
            f"the connection {conn_id} holds no https address; paste the whole address of the webhook into its password"
        )
    return address


def _post(address: str, body: Mapping[str, Any]) -> None:
    import requests

    try:
        with requests.post(
            address, json=body, timeout=_TIMEOUT_SECONDS, allow_redirects=False, stream=True
        ) as response:
            status = response.status_code
    except requests.RequestException as error:
        # The message of requests quotes the address, which is the secret.
        why = "did not answer in time" if isinstance(error, requests.Timeout) else "cannot be reached"
        raise TransportError(
            f"{urlsplit(address).hostname} {why} ({type(error).__name__}); check the address in the connection"
        ) from None
    if status not in _TAKEN:
        raise TransportError(
            f"{urlsplit(address).hostname} answered {status}; check the address in the connection, and that the "
            "webhook still exists"
        )


def _teams(alert: Alert) -> dict[str, Any]:
    # A workflow "when a Teams webhook request is received" posts the Adaptive Cards of `attachments`.
    # https://learn.microsoft.com/connectors/teams/#microsoft-teams-webhook
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            {"type": "TextBlock", "text": _plain_markdown(alert.title), "weight": "Bolder", "wrap": True},
            {"type": "TextBlock", "text": _plain_markdown(alert.sentence), "wrap": True},
        ],
        "actions": [{"type": "Action.OpenUrl", "title": name, "url": url} for name, url in alert.links.items()],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _plain_markdown(text: str) -> str:
    # Adaptive Cards read some Markdown, links among it: a service's answer must not become one.
    return "".join(f"\\{each}" if each in "\\*_[]()`#" else each for each in text)


def _slack(alert: Alert) -> dict[str, Any]:
    # https://docs.slack.dev/messaging/formatting-message-text/#escaping
    links = " · ".join(f"<{url}|{_slack_text(name)}>" for name, url in alert.links.items())
    return {"text": "\n".join([f"*{_slack_text(alert.title)}*", _slack_text(alert.sentence), links])}


def _slack_text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _webhook(alert: Alert) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(json.dumps(alert.fields()))
    return fields


_BODIES = {"teams": _teams, "slack": _slack, "webhook": _webhook}
