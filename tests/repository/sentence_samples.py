"""What varies in the sentences, as somebody could see it: an expression of the code, and its value or values."""

from __future__ import annotations

from typing import Any

from tests.unit.scripted import answer

from talent_dmf.api.arguments import choice, duration, flag, moment, number, text
from talent_dmf.api.graph.errors import Refusal
from talent_dmf.api.naming.drive_names import _broken_rule
from talent_dmf.api.package.reference import PackageReference, missing_files
from talent_dmf.destinations.object_storage.errors import _HOPELESS

EXECUTION = "b7c2d1f0-5b0e-4c53-9d0a-3f5d8f8a1c11"
PROJECT = "Export Workers"
FILE = "Exports/workers_USMF.zip"
CONNECTION = "talent_dmf_default"
ERROR = "Read drive: no answer came in time (graph.microsoft.com); try again later."

# The text is that of another sentence, which is read where it is made.
PASSED_ON = frozenset(
    {
        "str(error)",
        "seen.message",
        "taken.message",
        "failure.message",
    }
)

URL = "abfs://exports/hr/workers_USMF.zip"
PATH = "include/exports/workers.yaml"

# What is wrong with an argument, and an argument with which that is wrong.
BROKEN_RULES = {
    words: odd
    for rule in (text(), text(empty=True), flag, choice("a", "b"), number(1, 9, whole=True), duration, moment)
    for odd in (5, "", "a\nb", "x" * 5000)
    if (words := rule(odd))
}

_REFERENCE = PackageReference(EXECUTION, "", "", 1, "", "", without_file=("Workers", "Jobs"))
_MISSING = missing_files(_REFERENCE, [("Workers", 0)])

SAMPLES: dict[str, Any] = {
    # Exports and executions.
    **dict.fromkeys(("execution_id", "self.execution_id", "reference.execution_id", "busy.execution_id"), EXECUTION),
    **dict.fromkeys(("candidate", "before", "other", "options.execution"), EXECUTION),
    **dict.fromkeys(("self.definition_group_id", "request.definition_group_id", "data_project"), PROJECT),
    "legal_entity_id": "US MF",
    "status.value": "Executing",
    "status.value if status else None": "Failed",
    "operation": "ExportToPackage",
    "request.operation": "ExportToPackage",
    "self._operation": "GetExecutionSummaryStatus",
    "error_text(response)": "The data project is locked by another user",
    "str(value)[:100]": "[1, 2, 3]",
    # Places and files.
    **dict.fromkeys(("target.path", "self._target.path", "self.session_target.path", "self._subject", "path"), FILE),
    **dict.fromkeys(("item.name", "file.name", "without_hash"), "workers_USMF.zip"),
    **dict.fromkeys(
        ("self._folder.url(name)", "self._folder.url(file.name)", "folder.url(name)", "self.url(name)"), URL
    ),
    "url": URL,
    "action": "write",
    "drive.name": "Documents",
    "str(target)": "user jo.doe@contoso.com",
    "target.library": "Payroll",
    "target.site or target.group": "contoso.sharepoint.com:/sites/hr",
    "', '.join(sorted((str(raw.get('name')) for raw in drives))) or 'none'": "Archive, Documents",
    "' and '.join(given)": "user and site",
    "item.size_bytes": 6_291_456,
    "seen.size_bytes": 7_340_032,
    "found.size_bytes": 6_291_456,
    "self._folder.size(name)": 6_291_456,
    "response.status": 503,
}

SAMPLES |= {
    # Numbers and checksums.
    "located_yaml: each": "include/exports/workers.yaml, line 2: `data_project` is empty; give the name.",
    "found.quick_xor_hash": "Aj1sW0Jq5q1+Qm6p0dQvQX0kZ2c=",
    "self._folder.sha256(name, self._package.stop.check)": "9f86d081884c7d65",
    "stored": "9f86d081884c7d65",
    "digests.sha256": "60303ae22b998861",
    "whole_hash": "x0kZ2cAj1sW0Jq5q1+Qm6p0dQvQ=",
    "drive.remaining_bytes": 1_048_576,
    **dict.fromkeys(
        ("self.size_bytes", "file.size_bytes", "size_bytes", "len(content)", "source.size_bytes"), 5_242_880
    ),
    "max(0, min(length, self._size - offset))": 65_536,
    "conflicts": 5,
    "timeout_seconds": 600.0,
    "in_words(as_duration(self.busy_timeout))": "1 h",
    "len(names)": 12,
    "self._limit // 1024 ** 2": 16,
    "self.keep_days": 0,
    "package.chunk_bytes": 0,
    "fragment_bytes": 1_000_000,
    "str(ranges)[:200]": "['x-']",
    "match[1]": "7",
    # Connections, hosts, certificates.
    **dict.fromkeys(("self._conn_id", "conn_id", "options.conn_id", "str(channel['conn_id'])"), CONNECTION),
    **dict.fromkeys(
        ("self._identity.authority_host", "identity.authority_host", "self._host"), "login.microsoftonline.com"
    ),
    "self._identity.authority_url": "https://login.microsoftonline.com/contoso.onmicrosoft.com",
    **dict.fromkeys(("settings.host", "host", "url_host", "_host(url)"), "files.contoso.com"),
    "urlsplit(address).hostname": "hooks.contoso.com",
    "scheme": "https",
    "self.verify": "/etc/ssl/contoso.pem",
    "self.certificate_path": "/etc/ssl/private/exports.pem",
    "self.auth_type": "certificate",
    "redact_url(url)": "file://data/exports",
    "text.strip()[:100]": "*",
    # Names of files and folders, and what stands in a package.
    "folder": "Exports/2026",
    **dict.fromkeys(("self._folder", "str(folder)"), "Exports/2026"),
    "name": "workers?.zip",
    "template": "workers_{wrong}.zip",
    "self.name": "workers_USMF.zip.receipt.json",
    **dict.fromkeys(
        ("name[:60]", "path[:60]", "each[:60]"), "workers_of_all_companies_and_all_branches_of_all_companies_an"
    ),
    **dict.fromkeys(("entry.name", "entry.name[:200]", "name[:200]", "named.file_name"), "Workers.xlsx"),
    "entity.name": "Workers",
    **dict.fromkeys(("self._file_name", "wanted"), "Manifest.xml"),
    "', '.join(wrong)": "size_bytes, extracted_at",
    "', '.join(lost)": "'Workers' (97 rows)",
    # Files of the catalogue, and the command line.
    "str(path)": PATH,
    "' and '.join(absent)": "--tenant and --client-id",
    "_ask('Which project (number or name)?', '--project')": PROJECT,
    # The words of services and libraries, and what somebody gave.
    "error": "syntax error: line 1, column 0",
    **dict.fromkeys(("_words(error)", "text"), "ConnectionResetError: Connection reset by peer"),
    **dict.fromkeys(("redact(str(error))", "str(error)"), "No module named 's3fs'"),
    "text[:20]": "rw-r--r--",
    "str(value)": "soon",
    "type(owner).__name__": "TalentDmfToOneDriveOperator",
}

SAMPLES |= {
    "response.headers.get('x-ms-error-code', '')": "AuthenticationFailed",
    "looked_for": f"connection {CONNECTION!r}",
    "what": ["Read package", "Upload range"],
    "', '.join(('{' + name + '}' for name in values))": "{project}, {legal_entity}, {interval}",
    "error.strerror": "Permission denied",
    "entry.method": 12,
    "info.compress_type": 12,
    "_tls_reason(error)": "self-signed certificate",
    "target.host": "elsewhere.example",
    "next((os.environ[name] for name in names if os.environ.get(name)), True)": "/etc/ssl/contoso.pem",
    "cls().file": 0o600,
    "least": 0o600,
    "conn_type": "talent_dmf",
    "error.message": [
        "'*' names no host: write files.contoso.com, *.contoso.com or https://files.contoso.com:8443.",
    ],
    "named[1]": "contoso.crm4.dynamics.com",
    "graph_scope(base_url)": "https://graph.microsoft.com/.default",
    "value": -3,
    "_shown(words)": "'https://contoso.sharepoint.com/sites/hr/Payroll'",
    "_shown(text)": "'https://contoso-my.sharepoint.com/personal/jo_contoso_com'",
    "_spelled(host, base)": "contoso.sharepoint.com:/sites/hr",
    "_spelled(host, base + rest[:at])": "contoso.sharepoint.com:/sites/hr",
    "_spelled(host, [*base, *rest])": "contoso.sharepoint.com:/sites/hr/Payroll",
    "rest[0]": "Payroll",
    "rest[at]": "Payroll",
    "pasted_addresses: kind": ["user", "group", "drive_id"],
    "pasted_addresses: wanted": "the name that the user signs in with, such as jo.doe@contoso.com, or the object id",
    "quoted(name)": "'workers?.zip'",
    "drive_names: kind": ["file", "folder"],
    "settings: name": "tenant_id",
    "settings: field": ["host (environment URL)", "extra `authority`"],
    "durations: text": "soon",
    "folder_urls: shown": [" 'exports'", ""],
    "plan: name": ["keep_last", "keep_days"],
    "channels: path": "example.notifiers.Pager",
    "actions: name": "GetExecutionSummaryStatus",
    "init: wanted": "Export Staff",
    "file_names: name": "workers",
    "subject": PROJECT,
    "starting: name": PROJECT,
    "checking: name": PROJECT,
    "drive: name": "workers_USMF.zip.receipt.json",
    "raw.get('status')": "Odd",
    "raw.get('execution_id')": "",
    "raw.get('version')": 9,
    "name[:100]": "EntityName",
    "len(attributes)": 65,
    "', '.join((each.name for each in exporting[:10]))": "Export Workers, Export Jobs",
    "' and '.join(missing)": "`tenant_id` and login (client id)",
    "parts.scheme": "file",
    "len(name.encode())": 300,
    **dict.fromkeys(("len(name)", "len(path)", "len(each)"), 412),
    "mismatch.message": "OneDrive holds 7340032 bytes of 'workers.xlsx', where 5242880 should be.",
    "field": "wrong",
    "named.name": "Workers",
    "certificate.verify_message": "self-signed certificate",
    "type(error).__name__": "ConnectionError",
    "response.status_code": 410,
}

SAMPLES |= {
    "least | least >> 3 & 40": 0o640,
    "len(value)": 300,
    "self._root": "DataManagementPackageManifest",
    "conversion": "r",
    "form": "",
    "redact(report.page_url)": "https://contoso.operations.dynamics.com/?mi=DMFExecution",
    "message.rstrip('. ')": "Field '…' must be filled in",
    "environment": "test",
    "unknown": "there is no include/exports/environments/test.yaml; there is prod",
    "options.slots": 0,
    "options.for_environment": "test",
    "spec.pool": "dynamics",
    "before.pool_slots": 2,
    "spec.pool_slots": 4,
    "shown(Path(before.path))": PATH,
    "shown(Path(spec.path))": "include/exports/jobs.yaml",
    "most_bytes": 67_108_864,
    "last": 7000222,
    "_not_for_export(project)": [
        "It is no export project: name one that was created with Export under Data management.",
        "It makes no package: set 'Generate data package' to Yes in the project.",
    ],
    "_some(missing)": "'XXXX'",
    "_some(sorted(known))": "'DEMF', 'USMF'",
    "self.url()": "abfs://exports/hr",
    "self.protocol": "file",
    "_HOPELESS[error.errno]": list(dict.fromkeys(_HOPELESS.values())),
    "summary(rows)": "1 of 9 checks failed: destination.",
    "_broken_rule(name, folder=folder, at_root=at_root)": sorted(
        {
            _broken_rule(name, folder=True, at_root=True)
            for name in ("", " a", "a?", "~a", "con", "a_vti_b", "a.", "forms")
        }
    ),
    "conn_id.upper()": "TALENT_DMF_DEFAULT",
    "MAX_NAME_CHARACTERS": 255,
    "rule(value)": sorted(BROKEN_RULES),
    "arguments: name": "conflict_behavior",
    "arguments: owner": "TalentDmfHook.find_package",
    "_bracketed(address.host)": "files.contoso.com",
    "address.host": "files.contoso.com",
    "refusal.value": [each.value for each in Refusal],
}

SAMPLES |= {
    "address.port": 8443,
    "value_of: operation": "GetExportedPackageUrl",
    "saying(error_text(response))": (": The batch service is not running", ""),
    "counted(len(names), 'other')": "12 others",
    "counted(before.pool_slots, 'slot')": "2 slots",
    "item_id[:100]": "01ABCDEF",
    # Lines of a log.
    "in_words(timedelta(seconds=self.timeout))": "4 h",
    "exports: spec.name": "workers",
    **dict.fromkeys(("exports: self.export", "lateness: export", "telling: export"), "workers"),
    "folder.url(aside)": f"{URL}.old",
    "folder.url(move.name)": URL,
    "folder.url(move.aside)": f"{URL}.old",
    "notice": [
        f"What the drive's quota leaves is not known: {ERROR}",
        "Whether others see 'workers_USMF.zip' could not be found out (HTTP 503).",
        (
            "'workers_USMF.zip' is a draft in its library: who may not see drafts there sees nothing, or the version "
            "before, until somebody publishes or approves it."
        ),
        "'workers_USMF.zip' is called 'workers_USMF 1.zip' by now: the library or somebody renamed it.",
        "'workers_USMF.zip' is in '/Sorted' by now, not in 'Exports': somebody or a rule moved it.",
    ],
    "_in_words(self._seconds)": ("15 minutes", "30 seconds"),
    "_in_words(ANSWER_SECONDS)": "15 minutes",
    "receipts: reason": "it has 7340032 bytes, and 6291456 were saved",
    "reason(error)": "the server did not answer in time; check host and port of the connection",
    "lateness: sentence": "Export workers: the run of 2026-11-27 has not ended within 2 h; state: running.",
    "exports: WORDS[event]": ["failed", "is late", "holds no rows"],
    "telling: target": "hr-it@contoso.com",
    "telling: name": "mail",
    "alert.title": "Export workers failed",
    "due": "2026-11-27",
    "datetime.now(UTC)": "2026-11-28",
    "missing_files(reference, [(each.entity_name, each.rows) for each in outcomes])": _MISSING,
    "missing_files(replace(reference, without_file=contents.without_file), rows)": _MISSING,
    "talent_dmf: line": "3 x Field '…' must be filled in.",
    "counted(len(left), 'file')": "2 files",
    "counted(item.size_bytes, 'byte')": "6291456 bytes",
    "counted(found.size_bytes, 'byte')": "6291456 bytes",
    "counted(size, 'byte')": "6291456 bytes",
    "left[0]": "Resources/photo.png",
    "saved.written.name": "workers_USMF.zip",
    "scheduler_jobs: name": "Schedule.xml",
    "errors: error.strerror": "No space left on device",
    "unpacking: other": "Positions",
    "file_names: unknown": "wrong",
    "redact(str(error)).rstrip('. ')": "No module named 's3fs'",
}

_BODY = {"error": {"code": "", "message": "The service says why"}}
# One answer of Microsoft Graph for each meaning.
GRAPH_ANSWERS = {
    refusal: answer(status, json={"error": {"code": code, "message": "The service says why."}})
    for refusal, status, code in (
        (Refusal.FULL, 507, "quotaLimitReached"),
        (Refusal.TOO_LARGE, 413, "maxFileSizeExceeded"),
        (Refusal.LOCKED, 423, "resourceLocked"),
        (Refusal.THROTTLED, 429, "activityLimitReached"),
        (Refusal.CHANGED, 409, "resourceModified"),
        (Refusal.OTHER_VERSION, 412, "resourceModified"),
        (Refusal.TAKEN, 409, "nameAlreadyExists"),
        (Refusal.BAD_PATH, 400, "pathIsTooLong"),
        (Refusal.MISSING, 404, "itemNotFound"),
        (Refusal.NO_DRIVE, 404, "resourceNotFound"),
        (Refusal.NO_SITE, 400, "invalidRequest"),
        (Refusal.NOT_ALLOWED, 403, "accessDenied"),
        (Refusal.NOT_SIGNED_IN, 401, "InvalidAuthenticationToken"),
        (Refusal.MALWARE, 403, "malwareDetected"),
        (Refusal.NOT_GRAPH, 302, ""),
        (Refusal.WRONG, 400, "invalidRequest"),
    )
}
OPERATIONS = {Refusal.OTHER_VERSION: "delete", Refusal.NO_DRIVE: "find the drive of", Refusal.NO_SITE: "find the site"}
