"""Faults that show what a client must not believe: addresses, redirects, languages, lists, tokens, packages."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from tests.emulator.wire import UNIT_BYTES, codes

from dmf_emulator import Settings
from dmf_emulator.faults import CATALOGUE
from dmf_emulator.faults.effects import ADDRESS_FORMS

if TYPE_CHECKING:
    from tests.emulator.wire import Start, Wire

CHILDREN = "/root/children"


def details(wire: Wire, **parameters: str) -> Any:
    return wire.entities("DataManagementExecutionJobDetails", **parameters)


def package_of(wire: Wire, execution_id: str) -> tuple[dict[str, int], dict[str, tuple[int, ...]], str]:
    """Return CRC and time of each entry, and the entity tag."""
    link = wire.action("GetExportedPackageUrl", executionId=execution_id).json()["value"]
    return read_package(wire, link)


def read_package(wire: Wire, link: str) -> tuple[dict[str, int], dict[str, tuple[int, ...]], str]:
    answer = wire.session.get(link)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        entries = archive.infolist()
    return (
        {entry.filename: entry.CRC for entry in entries},
        {entry.filename: entry.date_time for entry in entries},
        answer.headers["ETag"],
    )


def uploaded(wire: Wire, name: str = "a.zip") -> Any:
    return wire.graph("PUT", f"{wire.drive}/root:/{name}:/content", data=b"content")


@pytest.mark.parametrize("status", [404, 403, 400, 501])
def test_job_details_may_not_be_there(wire: Wire, status: int) -> None:
    wire.emulator.faults.add("job-details-unavailable", status=status)
    assert details(wire).status_code == status
    assert wire.entities("DataManagementDefinitionGroups").status_code == 200


def test_job_details_of_one_execution_come_late(wire: Wire) -> None:
    wire.emulator.faults.add("late-job-details", match={"execution_id": "late"})
    for execution_id in ("late", "soon"):
        wire.export(executionId=execution_id)
    assert [row["JobId"] for row in details(wire).json()["value"]] == ["soon"]
    wire.emulator.clock.advance(61)
    assert len(details(wire).json()["value"]) == 2


@pytest.mark.parametrize(
    ("mode", "clauses", "status"), [("nodes", 19, 200), ("nodes", 20, 400), ("length", 19, 200), ("length", 200, 404)]
)
def test_long_queries_are_refused(wire: Wire, mode: str, clauses: int, status: int) -> None:
    wire.emulator.faults.add("query-limits", mode=mode)
    expression = " or ".join(f"JobId eq '{number}'" for number in range(clauses))
    assert details(wire, **{"$filter": expression}).status_code == status


@pytest.mark.parametrize("language", ["de", "fr", "ja"])
def test_messages_are_translated_and_codes_are_not(wire: Wire, language: str) -> None:
    plain = wire.action("GetExecutionSummaryStatus", executionId="none such")
    wire.emulator.faults.add("other-language", language=language)
    answer = wire.action("GetExecutionSummaryStatus", executionId="none such")
    assert (answer.status_code, answer.headers["Content-Language"]) == (400, language)
    said = answer.json()["error"]["innererror"]
    assert "none such" in said["message"]
    assert "not found" not in said["message"]
    assert said["type"] == plain.json()["error"]["innererror"]["type"]
    missing = wire.graph("GET", f"{wire.drive}/root:/none.zip")
    assert codes(missing) == ["itemNotFound"]
    assert "could not be found" not in missing.json()["error"]["message"]
    refused = wire.post_token(client_secret="wrong", scope="x/.default")
    assert refused.json()["error_description"].startswith("AADSTS7000215: ")
    assert "Invalid client secret" not in refused.json()["error_description"]


@pytest.mark.parametrize("what", ["same", "other"])
def test_each_link_may_name_a_package_made_anew(wire: Wire, what: str) -> None:
    wire.export(executionId="x")
    wire.emulator.faults.add("package-remade", mode=f"new-copy-{what}-content")
    first_link = wire.action("GetExportedPackageUrl", executionId="x").json()["value"]
    first, second, third = read_package(wire, first_link), package_of(wire, "x"), package_of(wire, "x")
    assert (first[0] == second[0]) is (what == "same")
    assert first[1] != second[1]
    assert first[2] != second[2]
    assert third == second
    assert read_package(wire, first_link) == first


@pytest.mark.parametrize("what", ["same", "other"])
def test_a_package_may_be_made_anew_while_it_is_read(wire: Wire, what: str) -> None:
    wire.export(executionId="x")
    link = wire.action("GetExportedPackageUrl", executionId="x").json()["value"]
    wire.emulator.faults.add("package-remade", mode=f"in-place-{what}-content", after=1)
    first, second = read_package(wire, link), read_package(wire, link)
    assert (first[0] == second[0]) is (what == "same")
    assert (first[1] == second[1], first[2] == second[2]) == (False, False)
    assert wire.session.get(link, headers={"If-Match": first[2]}).status_code == 412


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ({}, ["Resources/Workers/{", "Resources/Workers/{"]),
        ({"attachments": 1, "separator": "\\"}, ["Resources\\Workers\\{"]),
        ({"attachments": 1, "folders": 1}, ["Resources/", "Resources/Workers/", "Resources/Workers/{"]),
    ],
)
def test_entities_may_bring_files_of_their_own(wire: Wire, parameters: dict[str, Any], names: list[str]) -> None:
    wire.emulator.faults.add("more-in-package", **parameters)
    content = wire.session.get(wire.package_url()).content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        # zipfile shows every separator of this system as "/"; the original is kept beside.
        found = [entry.orig_filename for entry in archive.infolist() if entry.orig_filename.startswith("Resources")]
    assert [name[: name.find("{") + 1] if "{" in name else name for name in found] == names


def test_an_entry_may_belong_to_nobody(wire: Wire) -> None:
    wire.emulator.faults.add("more-in-package", mode="stray-entry")
    assert "Notes.txt" in read_package(wire, wire.package_url())[0]


@pytest.mark.parametrize("form", ADDRESS_FORMS)
def test_addresses_may_lead_elsewhere(wire: Wire, form: str) -> None:
    wire.emulator.faults.add("odd-package-link", form=form)
    wire.emulator.faults.add("odd-upload-url", form=form)
    execution_id = wire.export().json()["value"]
    link = wire.action("GetExportedPackageUrl", executionId=execution_id).json()["value"]
    url = wire.open_session().json()["uploadUrl"]
    wire.emulator.faults.clear()
    true_link = wire.action("GetExportedPackageUrl", executionId=execution_id).json()["value"]
    assert true_link.startswith(wire.info["blob_url"])
    for shown, origin in ((link, "blob"), (url, "sharepoint")):
        assert not str(shown).startswith(wire.info[f"{origin}_url"] + "/") or "\r\n" in shown


@pytest.mark.parametrize("form", ["same-page", "other-list", "sharepoint", *ADDRESS_FORMS])
def test_the_next_page_may_be_none(start: Start, form: str) -> None:
    wire = start(Settings(graph_page_items=1, odata_page_size=1).with_export_seconds(0))
    for name in ("a.zip", "b.zip"):
        uploaded(wire, name)
    true_link = wire.graph("GET", wire.drive + CHILDREN).json()["@odata.nextLink"]
    wire.emulator.faults.add("odd-next-link", form=form)
    for answer in (wire.graph("GET", wire.drive + CHILDREN), wire.entities("DataManagementDefinitionGroups")):
        assert answer.json()["value"]
        assert answer.json()["@odata.nextLink"] != true_link


def test_all_lists_come_in_pages(start: Start) -> None:
    libraries = ("Documents", "HR", "Archive")
    wire = start(Settings(graph_page_items=2, libraries=libraries).with_export_seconds(0))
    names = [f"{number}.zip" for number in range(5)]
    for name in names:
        uploaded(wire, name)
    assert seen(wire, f"{wire.drive}{CHILDREN}?$select=name") == names
    assert seen(wire, f"/sites/{wire.info['site_id']}/drives") == sorted(libraries)


def seen(wire: Wire, path: str) -> list[str]:
    answer = wire.graph("GET", path).json()
    found = []
    while True:
        assert len(answer["value"]) <= 2
        found += [each["name"] for each in answer["value"]]
        assert "?" not in path or all(set(each) == {"name"} for each in answer["value"])
        if "@odata.nextLink" not in answer:
            return found
        answer = wire.graph("GET", answer["@odata.nextLink"].partition("/v1.0")[2]).json()


def test_a_deleted_item_hides_none_of_the_next_page(start: Start) -> None:
    wire = start(Settings(graph_page_items=2).with_export_seconds(0))
    for name in ("a.zip", "b.zip", "c.zip"):
        uploaded(wire, name)
    first = wire.graph("GET", wire.drive + CHILDREN).json()
    wire.graph("DELETE", f"{wire.drive}/items/{first['value'][0]['id']}")
    second = wire.graph("GET", first["@odata.nextLink"].partition("/v1.0")[2]).json()
    assert [each["name"] for each in second["value"]] == ["c.zip"]


@pytest.mark.parametrize("query", ["$top=0", "$top=-1", "$top=many", "$skiptoken=%21", "$skiptoken=_w"])
def test_pages_that_are_none_are_refused(wire: Wire, query: str) -> None:
    assert wire.graph("GET", f"{wire.drive}{CHILDREN}?{query}").status_code == 400


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_token_endpoint_may_send_the_secret_elsewhere(wire: Wire, status: int) -> None:
    wire.emulator.faults.add("token-redirect", status=status)
    form = {"grant_type": "client_credentials", "client_id": wire.info["client_id"], "client_secret": "s", "scope": "x"}
    address = f"{wire.info['entra_url']}/{wire.info['tenant_id']}/oauth2/v2.0/token"
    answer = wire.session.post(address, data=form, allow_redirects=False)
    assert answer.status_code == status
    assert answer.headers["Location"].startswith(wire.info["sharepoint_url"])
    wire.session.post(address, data=form)
    (stolen,) = wire.records(origin="sharepoint")
    assert (stolen.method, stolen.declared_bytes > 0) == (("POST", True) if status >= 307 else ("GET", False))


@pytest.mark.parametrize("form", next(fault for fault in CATALOGUE if fault.name == "entra.F2").modes["answer"]
                         .parameters["form"].allowed)  # fmt: skip
def test_token_answers_may_be_odd(wire: Wire, form: str) -> None:
    good = wire.post_token(scope="https://graph.microsoft.com/.default")
    wire.emulator.faults.add("odd-token-answer", form=form)
    answer = wire.post_token(scope="https://graph.microsoft.com/.default")
    try:
        body = json.loads(answer.content)
    except (ValueError, RecursionError):
        return
    wanted = {"access_token", "expires_in"}
    usable = isinstance(body, dict) and wanted <= set(body) and answer.status_code == 200
    assert not usable or body["expires_in"] != good.json()["expires_in"] or len(str(body["access_token"])) < 100


@pytest.mark.parametrize(("status", "body"), [(408, "html"), (503, "json"), (407, "html")])
def test_discovery_fails_once(wire: Wire, status: int, body: str) -> None:
    wire.emulator.faults.add("discovery-trouble", status=status, body=body)
    address = f"{wire.info['authority']}/v2.0/.well-known/openid-configuration"
    answers = [wire.session.get(address) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [status, 200]
    assert body in answers[0].headers["Content-Type"]


@pytest.mark.parametrize(("status", "code"), [(404, "UnknownError"), (403, "accessDenied")])
def test_a_drive_may_be_unreadable_by_its_id(wire: Wire, status: int, code: str) -> None:
    wire.emulator.faults.add("drive-unreadable", status=status)
    refused = wire.graph("GET", wire.drive)
    assert (refused.status_code, codes(refused)) == (status, [code])
    assert wire.graph("GET", f"/users/{wire.info['user_principal_name']}/drive").status_code == 200
    assert uploaded(wire).status_code == 201


@pytest.mark.parametrize("quota", ["missing", "empty", "null", "zero", "text", "negative"])
def test_a_quota_may_say_nothing(wire: Wire, quota: str) -> None:
    plain = wire.graph("GET", wire.drive).json()
    wire.emulator.faults.add("drive-unreadable", mode="quota", quota=quota)
    odd = wire.graph("GET", wire.drive).json()
    assert (odd["id"], odd.get("quota") == plain["quota"]) == (plain["id"], False)


def test_a_replaced_file_may_be_modified_meanwhile(wire: Wire) -> None:
    uploaded(wire)
    wire.emulator.faults.add("resource-modified")
    answers = [uploaded(wire), uploaded(wire)]
    assert [answer.status_code for answer in answers] == [409, 200]
    assert codes(answers[0]) == ["resourceModified"]


@pytest.mark.parametrize(
    ("form", "status", "told"),
    [
        ("locked-403", 403, ["resourceLocked"]),
        ("locked-409", 409, ["resourceLocked"]),
        ("not-allowed", 403, ["notAllowed", "resourceLocked"]),
        ("access-denied-423", 423, ["accessDenied"]),
    ],
)
def test_locks_are_told_in_many_ways(wire: Wire, form: str, status: int, told: list[str]) -> None:
    wire.emulator.faults.add("locked-otherwise", form=form)
    answer = wire.open_session()
    assert (answer.status_code, codes(answer)) == (status, told)
    assert wire.open_session().status_code == 200


@pytest.mark.parametrize(
    ("mode", "shown"),
    [
        ("checked-out", {"publication": {"level": "checkout", "versionId": "0.1"}}),
        ("draft", {"publication": {"level": "draft", "versionId": "0.1"}}),
        ("moved", {}),
        ("malware", {"malware": {"description": "EICAR-Test-File"}}),
        ("processing", {}),
        ("pending", {}),
        ("rewritten", {"size": 7168 + UNIT_BYTES}),
    ],
)
def test_an_item_may_not_be_what_others_see(wire: Wire, mode: str, shown: dict[str, Any]) -> None:
    wire.emulator.faults.add("not-what-others-see", mode=mode)
    url = wire.open_session("a.zip").json()["uploadUrl"]
    saved = wire.put_range(url, bytes(UNIT_BYTES), 0, UNIT_BYTES).json()
    for item in (saved, wire.graph("GET", f"{wire.drive}/root:/a.zip").json()):
        assert {key: item[key] for key in shown} == shown
        assert mode != "processing" or item["file"] == {**item["file"], "hashes": {}, "processingMetadata": True}
        assert mode != "moved" or item["parentReference"]["path"].endswith("/root:/Sorted")
        assert mode != "pending" or "pendingContentUpdate" in item["pendingOperations"]
    wire.emulator.faults.clear()
    plain = wire.graph("GET", f"{wire.drive}/root:/a.zip").json()
    assert plain["size"] == UNIT_BYTES
    assert not {"publication", "malware", "pendingOperations"} & set(plain)


def test_infected_content_is_refused(wire: Wire) -> None:
    item_id = uploaded(wire).json()["id"]
    wire.emulator.faults.add("not-what-others-see", mode="malware-download")
    refused = wire.graph("GET", f"{wire.drive}/items/{item_id}/content")
    assert (refused.status_code, codes(refused)) == (403, ["malwareDetected"])


@pytest.mark.parametrize("status", [301, 303, 307, 308])
def test_any_origin_may_redirect(wire: Wire, status: int) -> None:
    address = f"{wire.info['sharepoint_url']}/elsewhere"
    wire.emulator.faults.add("redirect", match={"origin": "graph"}, status=status, location=address)
    answer = wire.graph("GET", wire.drive, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (status, address)
