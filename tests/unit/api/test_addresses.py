"""Which addresses of a service are called, and which are only refused."""

from __future__ import annotations

import contextlib
from ipaddress import IPv6Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from requests.utils import requote_uri
from urllib3.util import parse_url
from yarl import URL

from talent_dmf.api.addresses import (
    PAGE_HOSTS,
    SHAREPOINT_HOSTS,
    STORAGE_HOSTS,
    AddressRules,
    host_pattern,
    link_for_people,
    parse_address,
    same_list,
)
from talent_dmf.api.errors import ConfigurationError, UntrustedAddressError

ENVIRONMENT = "https://contoso.operations.dynamics.com"
PACKAGES = AddressRules(ENVIRONMENT, STORAGE_HOSTS)
UPLOADS = AddressRules("https://graph.microsoft.com/v1.0", SHAREPOINT_HOSTS)
DEMO = AddressRules("https://127.0.0.1:4431", STORAGE_HOSTS)


@pytest.mark.parametrize(
    "url",
    [
        "https://acct.blob.core.windows.net/temporary-file/%7BGUID%7D/p.zip?sv=2014-02-14&sig=a%2Bb",
        "https://ACCT.Blob.Core.Windows.Net:443/p.zip?sig=1",
        "https://acct.z12.blob.storage.azure.net/p.zip",
        "https://acct.blob.core.usgovcloudapi.net/p.zip",
        "https://contoso.operations.dynamics.com/packages/p.zip",
        " https://acct.blob.core.windows.net/with a blank.zip ",
    ],
)
def test_a_package_lies_in_azure_storage_or_in_the_environment(url):
    assert PACKAGES.check(url, "Look at package").scheme == "https"


@pytest.mark.parametrize(
    "url",
    [
        "http://acct.blob.core.windows.net/p.zip?sig=S3cr3t",
        "http://169.254.169.254/latest/meta-data?sig=S3cr3t",
        "https://169.254.169.254/?sig=S3cr3t",
        "https://blob.core.windows.net/p.zip",
        "https://evilblob.core.windows.net/p.zip",
        "https://acct.blob.core.windows.net.evil.example/p.zip",
        "https://acct.blob.core.windows.net@evil.example/p.zip",
        "https://evil.example@acct.blob.core.windows.net/p.zip",
        "https://evil.example\\@acct.blob.core.windows.net/p.zip",
        "https://acct.blob.core.windows.net\\.evil.example/",
        "https://acct.blob.core.windows.net:22/p.zip",
        "https://acct.blob.core.windows.net:443:22/p.zip",
        "https://acct.blob.core.windows.net:/p.zip",
        "https://acct.blob.core.windows.net:0/p.zip",
        "https://acct.blob.core.windows.net:99999/p.zip",
        "https://acct.blob.core.windows.net:\u0664\u0664\u0663/p.zip",
        "https://acct.blob.core.windows.net./p.zip",
        "https://acct..blob.core.windows.net/p.zip",
        "https://acct.blob.core.windows.net/p.zip#x",
        "https://acct.blob.core.windows.net/p.zip\r\nHost: evil",
        "https://\u0430cct.blob.core.windows.net/p.zip",
        "https://contoso.operations.dynamics.com:8443/p.zip",
        "https://127.0.0.1/p.zip",
        "https://localhost/p.zip",
        "https://[::1]/p.zip",
        "https://[::1",
        "https://[::ffff:127.0.0.1]/",
        "https://2130706433/",
        "https:acct.blob.core.windows.net/p.zip",
        "https:///acct.blob.core.windows.net/p.zip",
        "//acct.blob.core.windows.net/p.zip",
        "file:///etc/passwd",
        "ftp://acct.blob.core.windows.net/p.zip",
        "https://acct.blob.core.windows.net/" + "x" * 20_000,
        "",
    ],
)
def test_every_other_address_is_refused_without_its_query(url):
    with pytest.raises(UntrustedAddressError) as caught:
        PACKAGES.check(url, "Look at package")
    assert "Look at package: " in str(caught.value)
    assert "nothing was sent there" in str(caught.value)
    assert "S3cr3t" not in str(caught.value)


def test_the_sentence_names_the_host_and_the_setting():
    with pytest.raises(UntrustedAddressError, match=r"'files\.contoso\.com:8443' into .*`trusted_hosts`"):
        PACKAGES.check("https://files.contoso.com:8443/p.zip?sig=1", "Look at package")


@pytest.mark.parametrize("host", ["contoso-my.sharepoint.com", "contoso.sharepoint.us", "contoso-my.sharepoint.cn"])
def test_an_upload_goes_to_sharepoint(host):
    UPLOADS.check(f"https://{host}/personal/x/_api/v2.0/uploadSession?guid='1'&path='~tmp'&tempauth=e", "Upload range")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:4433/up", "https://localhost:4434/up", "http://[::1]:80/up", "https://127.0.0.2:1/"]
)
def test_only_a_service_on_this_machine_may_lead_to_this_machine(url):
    DEMO.check(url, "Upload range")
    AddressRules().check(url, "Upload range")
    with pytest.raises(UntrustedAddressError):
        UPLOADS.check(url, "Upload range")


def test_a_service_on_this_machine_may_not_lead_anywhere():
    with pytest.raises(UntrustedAddressError):
        DEMO.check("https://evil.example/up", "Upload range")


def test_an_unreadable_own_address_allows_nothing_on_this_machine():
    with pytest.raises(UntrustedAddressError):
        AddressRules("https://[broken").check("https://127.0.0.1/", "read")


@pytest.mark.parametrize(
    ("text", "pattern", "right", "wrong"),
    [
        ("Files.Contoso.com", "files.contoso.com", "https://files.contoso.com/", "https://x.files.contoso.com/"),
        ("*.contoso.com", "*.contoso.com", "https://a.b.contoso.com/", "https://contoso.com/"),
        ("files.contoso.com:443", "files.contoso.com", "https://files.contoso.com/", "https://files.contoso.com:1/"),
        (
            "files.contoso.com:8443",
            "files.contoso.com:8443",
            "https://files.contoso.com:8443/",
            "https://files.contoso.com/",
        ),
        ("emulator:*", "emulator:*", "https://emulator:4433/", "http://emulator:4433/"),
        ("https://emulator:4433/x?y=1", "emulator:4433", "https://emulator:4433/", "https://emulator:4434/"),
        (" https://files.contoso.com ", "files.contoso.com", "https://files.contoso.com/", "https://contoso.com/"),
        ("https://[fd00::1]:8443", "[fd00::1]:8443", "https://[fd00::1]:8443/", "https://[fd00::2]:8443/"),
        ("[fd00::1]", "[fd00::1]", "https://[fd00::1]/", "https://[fd00::1]:444/"),
        ("10.0.0.5", "10.0.0.5", "https://10.0.0.5/", "https://10.0.0.50/"),
    ],
)
def test_hosts_that_a_person_trusts(text, pattern, right, wrong):
    assert host_pattern(text) == pattern
    rules = AddressRules(ENVIRONMENT, (pattern,))
    rules.check(right, "read")
    with pytest.raises(UntrustedAddressError):
        rules.check(wrong, "read")


@pytest.mark.parametrize(
    "text",
    ["*", "*.com", "", "*.*.com", "http://files.contoso.com", "a b", "x/y", "user@host", "host:port", "*.com:443"],
)
def test_what_would_trust_everybody_or_nobody_is_a_mistake(text):
    with pytest.raises(ConfigurationError, match="names no host"):
        host_pattern(text)


def test_a_token_goes_to_the_service_itself_only():
    UPLOADS.check_own("https://GRAPH.microsoft.com:443/v1.0/next?$skiptoken=x", "list")
    for url in (
        "https://graph.microsoft.us/v1.0/next",
        "http://graph.microsoft.com/v1.0/next",
        "https://[x",
        "https://graph.microsoft.com:444/",
    ):
        with pytest.raises(UntrustedAddressError, match="must not be given the token"):
            UPLOADS.check_own(url, "list")


PAGE = "https://contoso.operations.dynamics.com/?mi=DMFExecutionHistory&cmp=USMF"


@pytest.mark.parametrize(
    ("url", "asked", "shown"),
    [
        (PAGE, f"{ENVIRONMENT}/data/x", True),
        (f" {PAGE} ", "https://other.example/data", True),
        ("https://ax.contoso.local/namespaces/AXSF/?mi=x", "https://ax.contoso.local/namespaces/AXSF/data/x", True),
        ("https://ax.contoso.local:8080/x", "https://ax.contoso.local/data/x", True),
        ("https://evil.example/?mi=x", f"{ENVIRONMENT}/data/x", False),
        ("http://contoso.operations.dynamics.com/?mi=x", f"{ENVIRONMENT}/data/x", False),
        ("https://127.0.0.1:5/?mi=x", "https://127.0.0.1:4/data/x", True),
        ("http://127.0.0.1:5/?mi=x", "https://localhost:4/data/x", True),
        ("http://127.0.0.1:5/?mi=x", f"{ENVIRONMENT}/data/x", False),
        ("javascript:alert(1)", f"{ENVIRONMENT}/data/x", False),
        ("https://user@contoso.operations.dynamics.com/", f"{ENVIRONMENT}/data/x", False),
        (None, "", False),
        (5, "", False),
    ],
)
def test_a_link_for_people_leads_to_the_service(url, asked, shown):
    assert link_for_people(url, asked, PAGE_HOSTS) == (url.strip() if shown else None)


def test_a_link_to_a_file_is_https_wherever_it_leads():
    assert link_for_people("https://contoso-my.sharepoint.com/x") == "https://contoso-my.sharepoint.com/x"
    assert link_for_people("https://127.0.0.1:4434/x") == "https://127.0.0.1:4434/x"
    assert link_for_people("http://contoso-my.sharepoint.com/x") is None


@pytest.mark.parametrize(
    ("following", "same"),
    [
        (f"{ENVIRONMENT}/data/Jobs?$skip=10000", True),
        (f"{ENVIRONMENT}:443/DATA/jobs/?$skiptoken=x", True),
        (f"{ENVIRONMENT}/data/%4Aobs?$skip=1", True),
        (f"{ENVIRONMENT}/data/Workers?$skip=1", False),
        ("http://contoso.operations.dynamics.com/data/Jobs?$skip=1", False),
        ("https://contoso.operations.dynamics.com:8443/data/Jobs?$skip=1", False),
        ("https://other.example/data/Jobs?$skip=1", False),
        ("/data/Jobs?$skip=1", False),
    ],
)
def test_a_next_page_belongs_to_its_list(following, same):
    assert same_list(f"{ENVIRONMENT}/data/Jobs?$filter=x", following) is same


@given(st.text(alphabet=st.sampled_from("htps:/\\@#?.[]%0123 abzA-_~\t\n\u0660\u3002\uff0f"), max_size=60))
@example("[0]")
@example("[::0]")
@example("[0:0:0:0:0:0:0:1]:8443")
@example("[1:2:3]")
@example("[::ffff:1.2.3.4]")
def test_the_check_and_the_libraries_mean_the_same_host(text):
    url = f"https://{text}"
    address = parse_address(url)
    if address is not None:
        quoted = requote_uri(url.strip(" "))
        for called in (parse_url(quoted).host, URL(quoted, encoded=True).raw_host):
            host = (called or "").strip("[]").lower()
            assert (IPv6Address(host).compressed if ":" in host else host) == address.host
        assert (parse_url(quoted).port or 443) == address.port
        assert URL(quoted, encoded=True).port == address.port


@given(st.text(max_size=300))
def test_no_text_is_a_crash(text):
    for url in (text, f"https://{text}", f"https://[{text}]/", f"https://a:{text}/"):
        parse_address(url)
        link_for_people(url, url)
        same_list(url, url)
        with contextlib.suppress(ConfigurationError):
            host_pattern(url)
