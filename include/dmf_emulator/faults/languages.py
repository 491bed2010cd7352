"""Errors in the language of the user who asks (fault dmf.F32).

The services translate what is meant for people and nothing else: codes, numbers, names and ids stay.
Source: docs/wire/dmf-package-api.md#language-of-messages.
"""

from __future__ import annotations

import json
import re
from typing import Any

from dmf_emulator.faults.definitions import Parameters
from dmf_emulator.http.exchange import Exchange
from dmf_emulator.http.message import Response
from dmf_emulator.state.world import World

_GENERIC = {
    "de": "Es ist ein Fehler aufgetreten.",
    "fr": "Une erreur s’est produite.",
    "ja": "エラーが発生しました。",
}
LANGUAGES = tuple(_GENERIC)
# What clients are tempted to recognise by its English words; the rest becomes the generic sentence.
_KNOWN: tuple[tuple[str, dict[str, str]], ...] = (
    (
        r".*Execution details were not found for execution id: (?P<name>.*)",
        {
            "de": "Für die Ausführungs-ID {name} wurden keine Ausführungsdetails gefunden.",
            "fr": "Détails d’exécution introuvables pour l’ID d’exécution : {name}",
            "ja": "実行 ID {name} の実行の詳細が見つかりません。",
        },
    ),
    (
        r".*Data project (?P<name>.*) does not exist\.",
        {
            "de": "Das Datenprojekt {name} ist nicht vorhanden.",
            "fr": "Le projet de données {name} n’existe pas.",
            "ja": "データ プロジェクト {name} は存在しません。",
        },
    ),
    (
        r"(?P<name>)The specified item name already exists\.",
        {
            "de": "Der angegebene Elementname ist bereits vorhanden.",
            "fr": "Le nom d’élément spécifié existe déjà.",
            "ja": "指定された項目名は既に存在します。",
        },
    ),
)
_FOR_PEOPLE = frozenset({"message", "Message", "error_description"})


def translated(world: World, exchange: Exchange, response: Response, parameters: Parameters) -> Response:
    """Translate the texts of an error; answers that are no JSON object stay."""
    if response.status < 400 or not response.headers.get("Content-Type", "").startswith("application/json"):
        return response
    try:
        body = json.loads(response.body)
    except ValueError:
        return response
    response.body = json.dumps(_translated(body, str(parameters["language"])), ensure_ascii=False).encode()
    response.headers["Content-Language"] = str(parameters["language"])
    return response


def _translated(value: Any, language: str) -> Any:
    if isinstance(value, list):
        return [_translated(each, language) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _text(each, language) if key in _FOR_PEOPLE and isinstance(each, str) else _translated(each, language)
        for key, each in value.items()
    }


def _text(text: str, language: str) -> str:
    # Entra's number comes first in every language, its trace last.
    number, _, rest = text.partition(": ") if text.startswith("AADSTS") else ("", "", text)
    trace = rest.partition(" Trace ID:")
    sentence = _GENERIC[language]
    for pattern, words in _KNOWN:
        match = re.fullmatch(pattern, trace[0], re.DOTALL)
        if match is not None:
            sentence = words[language].format(name=match["name"])
    return f"{number}: {sentence}{trace[1]}{trace[2]}" if number else sentence
