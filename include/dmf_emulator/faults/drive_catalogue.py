"""Faults of Graph, upload sessions and downloads, each with the heading that it imitates."""

from __future__ import annotations

from dmf_emulator.dmf.entity_sets import ENTITY_SETS
from dmf_emulator.faults import drive_effects as effects
from dmf_emulator.faults.definitions import Choice, FaultDefinition, Mode
from dmf_emulator.faults.effects import ADDRESS_FORMS, cut, reset_instead, slow

_BOTH = ("graph", "sharepoint")
_RANGES = ("uploadRange",)
_SESSION_CALLS = ("uploadRange", "uploadStatus")
_CREATE = ("createUploadSession",)
_CREATE_AND_RANGES = (*_CREATE, *_RANGES)


def _answer(
    effect: object, origins: tuple[str, ...], actions: tuple[str, ...], times: int | None = 1, **parameters: object
) -> Mode:
    return Mode(stage="answer", origins=origins, actions=actions, answer=effect, times=times, parameters=parameters)  # type: ignore[arg-type]


def _final(effect: object, times: int | None, **parameters: object) -> Mode:
    return Mode(
        stage="answer", origins=("sharepoint",), actions=_RANGES, answer=effect, times=times,  # type: ignore[arg-type]
        final_only=True, parameters=parameters,
    )  # fmt: skip


def _reply(
    effect: object,
    actions: tuple[str, ...] = _RANGES,
    times: int | None = 1,
    *,
    final: bool = False,
    origins: tuple[str, ...] = ("sharepoint",),
    **parameters: object,
) -> Mode:
    return Mode(
        stage="reply", origins=origins, actions=actions, reply=effect, times=times, final_only=final,  # type: ignore[arg-type]
        parameters=parameters,
    )  # fmt: skip


_RETRY = {"retry_after": 1, "form": Choice(("seconds", "date", "none"))}
_ITEM_CALLS = ("getItem", "uploadRange", "putContent", "listChildren")

DRIVE_FAULTS: tuple[FaultDefinition, ...] = (
    FaultDefinition(
        "drive.F1", "drive-throttled", "429 with Retry-After (1, 41, 315 were seen), as a date, or without",
        "docs/wire/graph-onedrive.md#throttling",
        {
            "answer": Mode(
                stage="answer", origins=_BOTH, actions=_CREATE_AND_RANGES, answer=effects.throttled, times=1,
                parameters=_RETRY,
            )
        },
    ),
    FaultDefinition(
        "drive.F2", "drive-unavailable", "503 in JSON with Retry-After, in HTML without, or followed by 404",
        "docs/wire/graph-onedrive.md#throttling",
        {
            "json": _answer(effects.unavailable, _BOTH, _CREATE_AND_RANGES, retry_after=30),
            "html": _answer(effects.unavailable_html, _BOTH, _CREATE_AND_RANGES),
            "then-gone": _answer(effects.unavailable_then_gone, ("sharepoint",), _RANGES),
        },
    ),
    FaultDefinition(
        "drive.F3", "drive-server-error",
        "500, 502 or 504 once, or 500 on the last range for ever, or an assembly that fails: nothing is missing then",
        "docs/wire/graph-onedrive.md#answers-to-a-range",
        {
            "once": _answer(effects.server_error, _BOTH, _CREATE_AND_RANGES, status=Choice((500, 502, 504))),
            "final": _final(effects.server_error, None, status=Choice((500, 502, 504))),
            "assembly": Mode(stage="probe", origins=("sharepoint",), actions=_RANGES, times=1, final_only=True),
        },
    ),
    FaultDefinition(
        "drive.F4", "stored-but-failed", "the range is stored, yet answered 503 or with a reset",
        "docs/wire/graph-onedrive.md#partial-ranges",
        {"503": _reply(effects.stored_but_503), "reset": _reply(reset_instead)},
    ),
    FaultDefinition(
        "drive.F5", "reset-mid-range", "reset in the middle of a range: nothing kept, or an unaligned part",
        "docs/wire/graph-onedrive.md#partial-ranges",
        {
            name: Mode(
                stage="probe", origins=("sharepoint",), actions=_RANGES, times=1, parameters={"after_bytes": 100_000}
            )
            for name in ("nothing", "partial")
        },
    ),
    FaultDefinition(
        "drive.F6", "final-answer-lost", "the file is saved, its answer is lost, the session is 404",
        "docs/wire/graph-onedrive.md#lost-final-answer",
        {"reset": _reply(reset_instead, final=True)},
    ),
    FaultDefinition(
        "drive.F7", "session-missing", "404 on the first range, then fine; or for ever",
        "docs/wire/graph-onedrive.md#answers-to-a-range",
        {
            "once": _answer(effects.session_missing, ("sharepoint",), _RANGES),
            "forever": _answer(effects.session_killed, ("sharepoint",), _SESSION_CALLS),
        },
    ),
    FaultDefinition(
        "drive.F8", "upload-token-expired", "the session's token is refused with 401 or 403 from now on",
        "docs/wire/graph-onedrive.md#life-of-a-session",
        {"refused": _answer(effects.token_refused, ("sharepoint",), _SESSION_CALLS, status=Choice((401, 403)))},
    ),
    FaultDefinition(
        "drive.F9", "session-expired", "the session has been idle for 15 minutes",
        "docs/wire/graph-onedrive.md#life-of-a-session",
        {"idle": _answer(effects.idle, ("sharepoint",), _SESSION_CALLS)},
    ),
    FaultDefinition(
        "drive.F10", "stale-session", "a dead client has left a session open for the file",
        "docs/wire/graph-onedrive.md#one-session-for-each-file",
        {
            "open": Mode(
                stage="probe", origins=_BOTH, actions=_CREATE, times=1, parameters={"seconds": 900.0}
            )
        },
    ),
    FaultDefinition(
        "drive.F11", "late-conflict", "409 on the last range: the name was created meanwhile",
        "docs/wire/graph-onedrive.md#late-conflict",
        {"created": Mode(stage="probe", origins=("sharepoint",), actions=_RANGES, times=1, final_only=True)},
    ),
    FaultDefinition(
        "drive.F12", "locked", "423 locked, 409 open in Office, or 412 changed, at create",
        "docs/wire/graph-onedrive.md#one-session-for-each-file",
        {
            "locked": _answer(effects.locked, _BOTH, _CREATE),
            "open-in-office": _answer(effects.open_elsewhere, _BOTH, _CREATE),
            "changed": _answer(effects.changed_meanwhile, _BOTH, _CREATE),
        },
    ),
    FaultDefinition(
        "drive.F13", "no-space", "507 at create or on the last range; 413 for a file too large",
        "docs/wire/graph-onedrive.md#answers-to-a-range",
        {
            "create": _answer(effects.quota, _BOTH, _CREATE, None),
            "final": _final(effects.quota, None),
            "too-large": _answer(effects.too_large, _BOTH, _CREATE_AND_RANGES, None),
        },
    ),
    FaultDefinition(
        "drive.F14", "graph-token-rejected", "401 InvalidAuthenticationToken once",
        "docs/wire/graph-onedrive.md#errors",
        {"answer": _answer(effects.bad_token, ("graph",), _CREATE)},
    ),
    FaultDefinition(
        "drive.F15", "access-denied", "403 accessDenied", "docs/wire/graph-onedrive.md#permissions",
        {"answer": _answer(effects.denied, _BOTH, (), None)},
    ),
    FaultDefinition(
        "drive.F16", "thin-answers", "201 without a body; 202 without ranges or with an empty list",
        "docs/wire/graph-onedrive.md#answers-to-a-range",
        {
            "no-body": _reply(effects.without_body, final=True),
            "no-ranges": _reply(lambda w, e, r, p: effects.other_ranges(None, r), times=None),
            "empty-ranges": _reply(lambda w, e, r, p: effects.other_ranges([], r), times=None),
        },
    ),
    FaultDefinition(
        "drive.F17", "wrong-facts", "the hash is missing for a while or wrong, or the size is wrong",
        "docs/wire/graph-onedrive.md#hashes",
        {
            "missing-hash": Mode(stage="probe", origins=_BOTH, actions=_ITEM_CALLS, times=2),
            "wrong-hash": Mode(stage="probe", origins=_BOTH, actions=_ITEM_CALLS),
            "wrong-size": Mode(stage="probe", origins=_BOTH, actions=_ITEM_CALLS),
        },
    ),
    FaultDefinition(
        "drive.F18", "silent-truncation", "a simple upload is stored cut short and answered as a success",
        "docs/wire/graph-onedrive.md#simple-upload",
        {
            "truncated": Mode(
                stage="probe", origins=_BOTH, actions=("putContent",), times=1, parameters={"keep_bytes": 100}
            )
        },
    ),
    FaultDefinition(
        "drive.F19", "slow", "the answer stalls in the middle, drips, or comes late", "benchmarks/README.md",
        {
            "stall": _reply(
                slow, (), 1, origins=("blob", "graph", "sharepoint"), after_bytes=1000, stall_seconds=3600.0
            ),
            "drip": _reply(slow, (), None, origins=("blob", "graph", "sharepoint"), bytes_per_second=1000),
            "latency": _reply(slow, (), None, origins=("blob", "graph", "sharepoint"), latency_seconds=1.0),
        },
    ),
    FaultDefinition(
        "drive.F20", "blob-trouble",
        "the download ends short, is cut, expires, changes, ignores its range, or is busy", "measured",
        {
            "short-body": _reply(effects.short, ("GetBlob",), 1, origins=("blob",), missing_bytes=1000),
            "cut": _reply(cut, ("GetBlob",), 1, origins=("blob",), after_bytes=1000),
            "expired": _answer(effects.blob_expired, ("blob",), ()),
            "changed": _answer(effects.other_etag, ("blob",), (), None),
            "retagged": _reply(effects.retagged, ("GetBlob", "HeadBlob"), 1, origins=("blob",)),
            "ignores-range": Mode(stage="probe", origins=("blob",), actions=("GetBlob",), times=1),
            "busy": _answer(effects.blob_busy, ("blob",), ()),
        },
    ),
    FaultDefinition(
        "drive.F21", "drive-unreadable", "the drive cannot be read by its id, its items can; or its quota says nothing",
        "docs/wire/graph-onedrive.md#drive-by-its-id",
        {
            "by-id": Mode(
                stage="answer", origins=_BOTH, actions=("getDrive",), applies=effects.by_drive_id,
                answer=effects.drive_unreadable, parameters={"status": Choice((404, 403))},
            ),
            "quota": _reply(
                effects.odd_quota, ("getDrive",), None, origins=_BOTH,
                quota=Choice(("missing", "empty", "null", "zero", "text", "negative")),
            ),
        },
    ),
    FaultDefinition(
        "drive.F22", "resource-modified", "409 resourceModified, also under `replace`; the same request passes later",
        "docs/wire/graph-onedrive.md#modified-meanwhile",
        {"answer": _answer(effects.modified, _BOTH, ("putContent", *_CREATE_AND_RANGES))},
    ),
    FaultDefinition(
        "drive.F23", "locked-otherwise", "a locked file reported by other statuses and codes than 423 resourceLocked",
        "docs/wire/graph-onedrive.md#locked-files",
        {
            "answer": _answer(
                effects.locked_otherwise, _BOTH, ("putContent", *_CREATE_AND_RANGES),
                form=Choice(("locked-403", "locked-409", "not-allowed", "access-denied-423")),
            )
        },
    ),
    FaultDefinition(
        "drive.F24", "odd-upload-url", "the session's address leads elsewhere: another host or scheme, inside, nowhere",
        "hardening",
        {"url": _reply(effects.odd_upload_url, _CREATE, None, origins=_BOTH, form=Choice(ADDRESS_FORMS))},
    ),
    FaultDefinition(
        "drive.F25", "odd-next-link", "the next page of a list is the same again, another list, or on another host",
        "microsoftgraph/msgraph-sdk-dotnet#2316, hardening",
        {
            "link": _reply(
                effects.odd_next_link, ("listChildren", "listDrives", *ENTITY_SETS), None, origins=(*_BOTH, "dmf"),
                form=Choice(("same-page", "other-list", "sharepoint", *ADDRESS_FORMS)),
            )
        },
    ),
    FaultDefinition(
        "drive.F26", "not-what-others-see",
        "the item is checked out or a draft, holds malware, is still processed, or was changed or moved by the library",
        "docs/wire/graph-onedrive.md#state-of-a-file",
        {
            **{
                mode: Mode(stage="probe", origins=_BOTH, actions=_ITEM_CALLS)
                for mode in ("checked-out", "draft", "moved", "malware", "processing", "pending", "rewritten")
            },
            "malware-download": _answer(effects.infected, _BOTH, ("getContent", "download"), None),
        },
    ),
)  # fmt: skip
