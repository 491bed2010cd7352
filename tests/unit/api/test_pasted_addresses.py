"""Sites and drives as people paste them from a browser (abraunegg/onedrive#1005, Azure/Microsoft365R#180,
run-llama/llama_index#13079): understood, or one sentence that says what to write."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scripted import answer, play

from talent_dmf.api.errors import ConfigurationError, DestinationError
from talent_dmf.api.graph.drive import DriveTarget, resolve_drive

HR = "contoso.sharepoint.com:/sites/hr"
WEB = "https://contoso.sharepoint.com"


@pytest.mark.parametrize(
    "pasted",
    [
        HR,
        f"{HR}/",
        f"{HR}:",
        f" {HR} ",
        "contoso.sharepoint.com:sites/hr",
        "contoso.sharepoint.com/sites/hr",
        f"{WEB}/sites/hr",
        f"{WEB}/sites/hr/",
        "http://contoso.sharepoint.com/sites/hr",
        f"{WEB}/sites/hr?web=1",
        f"{WEB}/sites/hr#top",
        f"{WEB}/sites/hr/SitePages/Home.aspx",
        f"{WEB}/sites/hr/SitePages/Forms/ByAuthor.aspx",
        f"{WEB}/sites/hr/_layouts/15/viewlsts.aspx?view=14",
        f"{WEB}/sites/hr/Lists/Payroll/AllItems.aspx",
        f"{WEB}/sites/hr/Shared%20Documents",
        f"{WEB}/sites/hr/Shared%20Documents/Exports/2026",
        f"{WEB}/sites/hr/Shared%20Documents/Forms/AllItems.aspx?viewid=c0d29f4d",
        f"{WEB}/sites/hr/Shared%20Documents/Forms/AllItems.aspx?id=%2Fsites%2Fhr%2FShared%20Documents%2FExports",
        f"{WEB}/:f:/r/sites/hr/Shared%20Documents/Exports?csf=1&web=1&e=aBc123",
        f"{WEB}/:f:/s/hr/EhTokenThatOpensAFolder?e=aBc123",
        f"{WEB}/:f:/g/sites/hr/EhTokenThatOpensAFolder",
        "https://graph.microsoft.com/v1.0/sites/contoso.sharepoint.com:/sites/hr",
    ],
)
def test_the_site_in_an_address(pasted: str) -> None:
    assert DriveTarget(site=pasted).site == HR


@pytest.mark.parametrize(
    ("pasted", "library", "site"),
    [
        (f"{WEB}/", None, "contoso.sharepoint.com"),
        (f"{WEB}/SitePages/Home.aspx", None, "contoso.sharepoint.com"),
        (f"{WEB}/Shared%20Documents/Forms/AllItems.aspx", None, "contoso.sharepoint.com"),
        (f"{WEB}/teams/pay", None, "contoso.sharepoint.com:/teams/pay"),
        (f"{WEB}/:f:/t/pay/EhToken", None, "contoso.sharepoint.com:/teams/pay"),
        (f"{WEB}/sites/HR%20%26%20Pay", None, "contoso.sharepoint.com:/sites/HR & Pay"),
        (f"{WEB}/sites/hr/sub/SitePages/Home.aspx", None, f"{HR}/sub"),
        (f"{WEB}/sites/hr/sub/Shared%20Documents/Forms/AllItems.aspx", None, f"{HR}/sub"),
        (f"{HR}/sub", None, f"{HR}/sub"),
        (f"{WEB}/sites/hr/Payroll/Forms/AllItems.aspx", "Payroll", HR),
        (f"{WEB}/sites/hr/Payroll", "payroll", HR),
        ("contoso.sharepoint.us:/sites/hr", None, "contoso.sharepoint.us:/sites/hr"),
        ("contoso.sharepoint.com,0a1b,2c3d", None, "contoso.sharepoint.com,0a1b,2c3d"),
        ("root", None, "root"),
    ],
)
def test_other_sites(pasted: str, library: str | None, site: str) -> None:
    assert DriveTarget(site=pasted, library=library).site == site


@pytest.mark.parametrize(
    ("pasted", "advice"),
    [
        (f"{WEB}/sites/hr/Payroll/Forms/AllItems.aspx", f"Write {HR}, and `library`"),
        (f"{WEB}/sites/hr/Payroll", f"Write {HR} for the site, with `library`"),
        (f"{WEB}/sites/hr/Freigegebene%20Dokumente", f"or {HR}/Freigegebene Dokumente for a subsite"),
        (f"{WEB}/sites", "Write contoso.sharepoint.com:/sites/name"),
        (f"{WEB}/_layouts/15/sharepoint.aspx", "Write contoso.sharepoint.com:/sites/name"),
        (f"{WEB}/:f:/x/hr/EhToken", "Write contoso.sharepoint.com:/sites/name"),
        (f"{WEB}/:f:/g/EhToken", "Write contoso.sharepoint.com:/sites/name"),
        (f"{WEB}/:f:", "Write contoso.sharepoint.com:/sites/name"),
        (f"{WEB}/sites/hr/../payroll", "Write contoso.sharepoint.com:/sites/name"),
        (f"{WEB}/sites/hr%2F..%2Fpayroll", "Write contoso.sharepoint.com:/sites/name"),
        (f"{WEB}:8443/sites/hr", "Write contoso.sharepoint.com:/sites/name"),
        ("https://", "Write contoso.sharepoint.com:/sites/name"),
        ("/sites/hr", "Write contoso.sharepoint.com:/sites/name"),
        ("https://user@contoso.sharepoint.com/sites/hr", "Write contoso.sharepoint.com:/sites/name"),
        ("https://contoso-admin.sharepoint.com/_layouts/15/online/AdminHome.aspx", "the admin center. Write contoso"),
        ("https://onedrive.live.com/?id=root&cid=1", "Write contoso.sharepoint.com:/sites/name"),
        ("https://1drv.ms/f/s!token", "Write contoso.sharepoint.com:/sites/name"),
        ("https://teams.microsoft.com/l/team/19%3a1/conversations", "Write contoso.sharepoint.com:/sites/name"),
        ("https://contoso-my.sharepoint.com/personal/jo_contoso_com/_layouts/15/onedrive.aspx", "Write `user`"),
        ("contoso-my.sharepoint.com/personal/jo_contoso_com/", "Write `user`"),
        ("https://contoso-my.sharepoint.com/", "Write `user`"),
        (f"{WEB}/:f:/p/jo_contoso_com/EhToken", "Write `user`"),
        ("https://contoso-my.sharepoint.com/:f:/g/personal/jo_contoso_com/EhToken?e=x", "Write `user`"),
    ],
)
def test_what_is_not_certainly_a_site_is_one_sentence(pasted: str, advice: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        DriveTarget(site=pasted)
    assert advice in str(caught.value)
    assert "EhToken" not in str(caught.value)
    assert "?" not in str(caught.value)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("kind", "value", "advice"),
    [
        ("user", "https://contoso-my.sharepoint.com/personal/jo_contoso_com", "jo.doe@contoso.com"),
        ("user", "contoso-my.sharepoint.com", "jo.doe@contoso.com"),
        ("group", "https://teams.microsoft.com/l/team/19%3a1", "object id"),
        ("drive_id", f"{WEB}/sites/hr/Shared%20Documents", "b!"),
    ],
)
def test_an_address_where_none_is_meant_is_one_sentence(kind: str, value: str, advice: str) -> None:
    with pytest.raises(ConfigurationError, match="an address") as caught:
        DriveTarget(**{kind: value})
    assert advice in str(caught.value)


@given(
    st.text()
    | st.lists(st.sampled_from([WEB, "/sites", "/hr", ":", "/:f:", "/r", "?", "#", "..", "/Forms", "@"])).map("".join)
)
def test_whatever_is_pasted_is_a_site_or_a_sentence(pasted: str) -> None:
    with contextlib.suppress(ConfigurationError):
        site = DriveTarget(site=pasted).site
        assert site
        assert not {"\\", "\n"} & set(site)


@pytest.mark.parametrize(("status", "code"), [(400, "invalidRequest"), (404, "itemNotFound"), (404, ""), (400, "")])
def test_a_site_that_is_not_there_is_spelled_for_the_reader(status: int, code: str) -> None:
    refused = answer(status, json={"error": {"code": code, "message": "Invalid hostname for this tenancy"}})
    played = play(resolve_drive(DriveTarget(site="fabrikam.sharepoint.com:/sites/hr")), [refused])
    assert isinstance(played.error, DestinationError)
    assert "contoso.sharepoint.com:/sites/name" in str(played.error)
    assert "Invalid hostname for this tenancy" in str(played.error)
