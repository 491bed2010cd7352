"""Connections as people write them, as URIs bring them, and as the azure provider stores them."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from airflow.sdk.definitions.connection import Connection
from hypothesis import given
from hypothesis import strategies as st
from requests.utils import select_proxy

from talent_dmf.api.dmf.budget import HUMAN_RESOURCES, Quota
from talent_dmf.api.errors import ConfigurationError
from talent_dmf.hooks.settings import DriveSettings, EnvironmentSettings, drive_settings, environment_settings

HOST = "contoso.operations.dynamics.com"


def environment(host: str | None = HOST, port: int | None = None, **extra: Any) -> EnvironmentSettings:
    facts = {"tenant_id": "t", **extra}
    connection = Connection(
        conn_id="c", conn_type="talent_dmf", host=host, login="c", password="s", port=port, extra=json.dumps(facts)
    )
    return environment_settings(connection)


def drive(host: str | None = None, **extra: Any) -> DriveSettings:
    facts = {"tenant_id": "t", **extra}
    connection = Connection(
        conn_id="c", conn_type="msgraph", host=host, login="c", password="s", extra=json.dumps(facts)
    )
    return drive_settings(connection)


@pytest.mark.parametrize(
    ("host", "port"),
    [
        (f"https://{HOST}", None),
        (f"https://{HOST}:443", None),
        (HOST, 443),
        (f"{HOST}/", None),
        (f" https://{HOST} ", None),
        (f"https://{HOST.upper()}/", None),
        (f"HTTPS://{HOST}", None),
        (f"https://{HOST}/data/", None),
        (f"https://{HOST}/data", None),
        (f"https://{HOST}/data/DataManagementDefinitionGroups", None),
        (f"https://{HOST}/data/DataManagementDefinitionGroups?$top=1", None),
        (f"https://{HOST}/?cmp=USMF&mi=DefaultDashboard", None),
        (f"https://{HOST}?cmp=USMF", None),
        (f"{HOST}/?cmp=USMF&mi=DefaultDashboard&a=b/c", None),
        (f"https://{HOST}/default.htm?cmp=dat", None),
        (f"https://{HOST}/#x", None),
        (f"https://{HOST}/?", None),
        (f"<https://{HOST}>", None),
        (f'"https://{HOST}/"', None),
        (f"\ufeffhttps://{HOST}\u200b", None),
        (f"\u200e{HOST}\r\n", 443),
        (f"https://{HOST}:443/?cmp=USMF", None),
        (f"https://{HOST}:0443/data?$top=1", None),
    ],
)
def test_an_address_means_the_same_however_it_is_written(host, port):
    settings = environment(host, port)
    assert (settings.base_url, settings.identity.scope) == (f"https://{HOST}", f"https://{HOST}/.default")


@pytest.mark.parametrize(
    ("host", "port", "base_url", "scope"),
    [
        (
            "https://x.hr.talent.dynamics.com/namespaces/0A1b",
            None,
            "https://x.hr.talent.dynamics.com/namespaces/0A1b",
            "http://hr.talent.dynamics.com/.default",
        ),
        (
            "https://ax.contoso.local:443/namespaces/AXSF/",
            None,
            "https://ax.contoso.local/namespaces/AXSF",
            "https://ax.contoso.local/.default",
        ),
        (f"https://{HOST}", 8443, f"https://{HOST}:8443", f"https://{HOST}:8443/.default"),
        (f"https://{HOST}:8443", 443, f"https://{HOST}:8443", f"https://{HOST}:8443/.default"),
        ("http://127.0.0.1:80", None, "http://127.0.0.1", "http://127.0.0.1/.default"),
        ("https://[::1]:4431", None, "https://[::1]:4431", "https://[::1]:4431/.default"),
    ],
)
def test_addresses(host, port, base_url, scope):
    settings = environment(host, port)
    assert (settings.base_url, settings.identity.scope) == (base_url, scope)


@pytest.mark.parametrize(
    "host",
    [
        *(
            f"https://{HOST}{tail}"
            for tail in (":abc", ".", ":0", ":99999", "@evil.example/?x", "\\@evil.example?x", ":443@evil.example#x")
        ),
        *(
            "https://",
            "http://",
            "https:",
            "https://[::1",
            f"https://user@{HOST}",
            f"https//{HOST}",
            f"https:/{HOST}",
            f"https://https://{HOST}",
            f"https://{HOST}/../x",
            f"https://{HOST}/a/%2E%2e/b",
            f"https://{HOST} /data",
            f"https://user:pa55@{HOST}",
            "a b",
            "x\ny",
        ),
        *("https://\u200bcontoso.com", "https://cont\u202eoso.com", "ftp://contoso.com", "https://-contoso.com"),
    ],
)
def test_what_is_no_address_is_one_sentence(host):
    with pytest.raises(ConfigurationError, match="host") as caught:
        environment(host)
    assert "pa55" not in str(caught.value)


GUID = "0d6f1c52-7a4b-4e38-9c0e-6b7a6f2d1e11"


@pytest.mark.parametrize(
    ("extra", "tenant_id", "authority"),
    [
        ({"tenant_id": f" {{{GUID}}}\n"}, GUID, "https://login.microsoftonline.com"),
        ({"tenant_id": f"https://login.microsoftonline.com/{GUID}/"}, GUID, "https://login.microsoftonline.com"),
        (
            {"tenant_id": "\u200bcontoso.onmicrosoft.com"},
            "contoso.onmicrosoft.com",
            "https://login.microsoftonline.com",
        ),
        (
            {"tenant_id": "", "authority": f"https://login.microsoftonline.us/{GUID}/v2.0"},
            GUID,
            "https://login.microsoftonline.us",
        ),
        ({"authority": "https://login.microsoftonline.com/t/"}, "t", "https://login.microsoftonline.com"),
        ({"authority": "https://adfs.contoso.com/adfs"}, "t", "https://adfs.contoso.com/adfs"),
    ],
)
def test_tenant_and_token_service_as_a_portal_shows_them(extra: dict[str, Any], tenant_id: str, authority: str) -> None:
    identity = environment(**extra).identity
    assert (identity.tenant_id, identity.authority) == (tenant_id, authority)


@pytest.mark.parametrize("tenant_id", ["a/b", "a?b", "..", "a b", "a\u200bb", "https://evil.example/t", "-t", "a..b"])
def test_what_is_no_tenant_is_one_sentence(tenant_id: str) -> None:
    with pytest.raises(ConfigurationError, match="`tenant_id` must be the tenant's GUID or one of its domains"):
        environment(tenant_id=tenant_id)


@pytest.mark.parametrize(
    ("resource", "scope"),
    [
        (f"https://{HOST}/", f"https://{HOST}/.default"),
        (f"https://{HOST.upper()}", f"https://{HOST}/.default"),
        (HOST, f"https://{HOST}/.default"),
        (f"https://{HOST}/.default", f"https://{HOST}/.default"),
        ("http://hr.talent.dynamics.com/", "http://hr.talent.dynamics.com/.default"),
        ("00000015-0000-0000-c000-000000000000", "00000015-0000-0000-c000-000000000000/.default"),
        ("api://Contoso/", "api://Contoso//.default"),
    ],
)
def test_the_environments_own_audience_is_spelled_as_it_is_accepted(resource: str, scope: str) -> None:
    assert environment(resource=resource).identity.scope == scope


def test_the_audience_of_ad_fs_is_left_as_it_is_written() -> None:
    settings = environment("https://ax.contoso.local", resource="https://AX.contoso.local/")
    assert settings.identity.scope == "https://AX.contoso.local//.default"


@pytest.mark.parametrize(
    ("raw", "verify"),
    [
        *((word, False) for word in (False, 0, "0", "no", "Off", " FALSE ")),
        *((word, True) for word in (True, 1, "1", "yes", "on", "True")),
        *((word, None) for word in (None, "", "None", "null")),
        ("/etc/ssl/contoso.pem\n", "/etc/ssl/contoso.pem"),
    ],
)
def test_verify_as_a_uri_or_a_person_writes_it(raw: Any, verify: Any) -> None:
    assert (
        environment(verify=raw).identity.tls.verify is verify or environment(verify=raw).identity.tls.verify == verify
    )


@pytest.mark.parametrize("raw", [2, -1, [], {}, 0.5])
def test_what_does_not_switch_verification_is_one_sentence(raw: Any) -> None:
    with pytest.raises(ConfigurationError, match="`verify` must be true, false or the path"):
        environment(verify=raw)


@pytest.mark.parametrize(
    "text",
    [
        "{'tenant_id': 't'}",
        '{"tenant_id": "t",}',
        '\ufeff{"tenant_id": "t"}',
        json.dumps('{"tenant_id": "t"}'),
        ' {"tenant_id": "t"}\n',
    ],
)
def test_an_extra_that_is_meant_as_an_object_is_one(text: str) -> None:
    connection = Connection(conn_id="c", conn_type="x", host=HOST, login="c", password="s", extra=text)
    assert environment_settings(connection).identity.tenant_id == "t"


@pytest.mark.parametrize("text", ["tenant_id=t", "null", "[]", '"x"', "5", '{"tenant_id": ', "{1: 2}", "[" * 100_000])
def test_an_extra_that_is_none_is_said_to_be_none(text: str) -> None:
    connection = Connection(conn_id="c", conn_type="x", host=HOST, login="c", password="s", extra=text)
    with pytest.raises(ConfigurationError, match="The extra of connection 'c' is not a JSON object"):
        environment_settings(connection)


def test_what_surrounds_a_secret_in_the_clipboard_is_none_of_it() -> None:
    def identity(**extra: Any) -> Any:
        connection = Connection(
            conn_id="c",
            conn_type="x",
            host=HOST,
            login=f" {{{GUID}}}\u200b\n",
            password="\ufeffs3cr3t \r\n",
            extra=json.dumps({"tenant_id": "t", **extra}),
        )
        return environment_settings(connection).identity

    assert (identity().client_id, identity().client_secret) == (GUID, "s3cr3t")
    by_user = identity(auth_type="Username Password", client_id="{c}")
    assert (by_user.client_id, by_user.password) == ("c", "\ufeffs3cr3t "), "a person's password may have blanks"


@pytest.mark.parametrize(
    ("extra", "base_url", "scope"),
    [
        ({"base_url": "https://graph.microsoft.com/v1.0/me/drive"}, "https://graph.microsoft.com/v1.0", None),
        ({"base_url": "https://graph.microsoft.com/beta/"}, "https://graph.microsoft.com/beta", None),
        ({"scopes": ["https://graph.microsoft.com"]}, "https://graph.microsoft.com/v1.0", None),
        ({"scopes": "https://graph.microsoft.com/.default offline_access"}, "https://graph.microsoft.com/v1.0", None),
        ({"scopes": " , "}, "https://graph.microsoft.com/v1.0", None),
        ({"scopes": ["api://x/Files.Read"]}, "https://graph.microsoft.com/v1.0", "api://x/Files.Read"),
    ],
)
def test_graph_as_its_explorer_and_its_portal_write_it(extra: dict[str, Any], base_url: str, scope: str | None) -> None:
    settings = drive(**extra)
    assert settings.base_url == base_url
    assert settings.identity.scope == (scope or "https://graph.microsoft.com/.default")


@pytest.mark.parametrize(
    "host",
    [
        "https://contoso.crm4.dynamics.com/main.aspx?appid=1",
        "contoso.crm.dynamics.com",
        "https://contoso.api.crm4.dynamics.com",
        "https://lcs.dynamics.com/v2/ProjectOverview/1",
        "https://admin.powerplatform.microsoft.com/environments/1",
        "https://make.powerapps.com/",
        "https://login.microsoftonline.com/t",
    ],
)
def test_a_neighbouring_product_is_one_sentence(host):
    with pytest.raises(ConfigurationError, match=r"Write the address .* https://contoso\.operations\.dynamics\.com"):
        environment(host)


@pytest.mark.parametrize(
    "host",
    ["https://contoso.sharepoint.com/sites/hr", "contoso-my.sharepoint.com", "https://onedrive.live.com/?id=root"],
)
def test_a_drive_is_not_the_host_of_graph(host):
    with pytest.raises(ConfigurationError, match=r"extra `user` .* or `site`"):
        drive(host)


@pytest.mark.parametrize("host", [None, "", "  ", "/"])
def test_a_missing_address_is_one_sentence(host):
    with pytest.raises(ConfigurationError, match="has no host"):
        environment(host)


def test_http_is_for_this_machine_only():
    with pytest.raises(ConfigurationError, match="must start with https://"):
        environment(f"http://{HOST}")


URIS = [
    (f"talent-dmf://cid:s%2Fe%2Bc@{HOST}/?tenant_id=contoso.onmicrosoft.com", "contoso.onmicrosoft.com"),
    (f"talent-dmf://cid:sec@{quote('https://' + HOST, safe='')}/?tenant_id=t", "t"),
    (f"talent-dmf://cid:sec@{HOST}:443/?tenant_id=t", "t"),
    (f"talent-dmf://cid:sec@{HOST}/?tenantId=t&verify=false", "t"),
    (f"talent-dmf://cid:sec@{HOST}/?tenant_id=123", "123"),
]


@pytest.mark.parametrize(("uri", "tenant"), URIS)
def test_a_connection_from_a_uri_means_the_same(uri, tenant):
    settings = environment_settings(Connection.from_uri(uri, "c"))
    assert settings.base_url == f"https://{HOST}"
    assert (settings.identity.tenant_id, settings.identity.scope) == (tenant, f"https://{HOST}/.default")


def test_a_number_of_a_uri_is_the_name_of_a_data_project():
    """Airflow reads the values of a URI as JSON: apache/airflow#55893."""
    uri = f"talent-dmf://cid:sec@{HOST}/?tenant_id=t&data_project=2024"
    assert environment_settings(Connection.from_uri(uri, "c")).data_project == "2024"
    assert environment(data_project=None).data_project == ""


EXTRAS = [
    *("[1]", '"x"', "nonsense", '{"tenant_id": null}', '{"tenant_id": ["t"]}', '{"tenant_id": true}', "[" * 100_000),
    *(
        json.dumps({"tenant_id": "t", name: value})
        for name, value in [
            *(("verify", value) for value in (0, "no", [], {})),
            *(("proxies", value) for value in (5, [], "5", "['x']", {"https": 5}, {"https": "http://user:pw@"})),
            *(
                ("proxies", value)
                for value in ({"https": "http://p:abc"}, {"https": "http://[::1"}, "{" * 9000, "-" * 9000)
            ),
            *(("auth_type", value) for value in ("ClientSecret", 5, [])),
            *(("scopes", value) for value in ([], ["a", "b"], [5], {"a": 1}, ",", 5)),
            *(("certificate_path", value) for value in (5, [], {})),
            *(("trusted_hosts", value) for value in (5, [5], {"a": 1}, "*", ["*.com"], "http://x", [])),
            *(("authority", value) for value in ("https://[::1", 5, "http://contoso.com", "https://x?y=1", "x y")),
            *(("resource", value) for value in (5, [], True)),
            *(("data_project", value) for value in (5, [], True, {"a": 1})),
            *(("base_url", value) for value in ("https://[::1", 5, [], "graph.microsoft.us")),
            *((name, value) for name in ("user", "site", "group", "drive_id", "library") for value in (5, [], True)),
        ]
    ),
]


@pytest.mark.parametrize("read", [environment_settings, drive_settings])
@pytest.mark.parametrize("extra", EXTRAS)
def test_an_odd_extra_is_read_or_one_sentence(read, extra):
    host = HOST if read is environment_settings else None
    connection = Connection(conn_id="c", conn_type="x", host=host, login="c", password="s3cr3t", extra=extra)
    sentence = ""
    try:
        read(connection)
    except ConfigurationError as error:
        sentence = str(error)
    assert sentence.count(". ") <= 2
    assert "s3cr3t" not in sentence


TEXTS = ["tenant_id", "proxies", "verify", "scopes", "authority", "base_url", "trusted_hosts", "auth_type"]
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())


@given(
    st.dictionaries(
        st.sampled_from(
            ["tenant_id", "proxies", "verify", "scopes", "authority", "base_url", "trusted_hosts", "auth_type"]
        ),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text()
        | st.lists(st.text())
        | st.dictionaries(st.text(), st.text()),
    ),
    st.text(),
)
def test_no_connection_is_a_crash(extra, host):
    connection: Any = SimpleNamespace(
        conn_id="c", host=host, port=None, login="c", password="s", extra=json.dumps(extra)
    )
    for read in (environment_settings, drive_settings):
        try:
            read(connection)
        except ConfigurationError:
            continue


@pytest.mark.parametrize(
    ("host", "base_url", "scope"),
    [
        (None, None, "https://graph.microsoft.com/.default"),
        ("https://graph.microsoft.us", None, "https://graph.microsoft.us/.default"),
        ("dod-graph.microsoft.us", None, "https://dod-graph.microsoft.us/.default"),
        (None, "https://microsoftgraph.chinacloudapi.cn/v1.0", "https://microsoftgraph.chinacloudapi.cn/.default"),
        (None, "https://graph-proxy.contoso.com", "https://graph.microsoft.com/.default"),
        (None, "https://127.0.0.1:4434", "https://graph.microsoft.com/.default"),
    ],
)
def test_a_national_cloud_wants_its_own_scope(host, base_url, scope):
    assert drive(host, base_url=base_url).identity.scope == scope
    assert drive(host, base_url=base_url, scopes=["https://other/.default"]).identity.scope == "https://other/.default"


PROXY = {"https": "http://proxy:8080"}


@pytest.mark.parametrize("proxies", ['{"https": "http://proxy:8080"}', "{'https': 'http://proxy:8080'}", PROXY, " "])
def test_proxies_as_the_azure_provider_stores_them(proxies):
    assert drive(proxies=proxies).identity.tls.proxies == ({} if proxies == " " else PROXY)


@pytest.mark.parametrize(
    ("no", "url", "direct"),
    [
        ("login.microsoftonline.com,contoso.sharepoint.com", "https://contoso.sharepoint.com/x", True),
        ("login.microsoftonline.com,contoso.sharepoint.com", "https://graph.microsoft.com/v1.0", False),
        ("contoso.com", "https://files.contoso.com:8443/x", True),
        (".contoso.com", "https://files.contoso.com/x", True),
        ("*.contoso.com", "https://files.CONTOSO.com/x", True),
        ("contoso.com", "https://evilcontoso.com/x", False),
        ("*", "https://graph.microsoft.com/v1.0", True),
        ("", "https://graph.microsoft.com/v1.0", False),
    ],
)
def test_what_no_proxy_stands_before(no, url, direct):
    proxies = drive(proxies={**PROXY, "no": no}).identity.tls.proxies_for(url)
    assert (select_proxy(url, proxies) is None) is direct


def test_a_proxy_that_is_no_address_does_not_show_its_password():
    with pytest.raises(ConfigurationError, match=r"extra `proxies`: The proxy for 'https' is no address") as caught:
        drive(proxies={"https": "http://user:pa55w0rd@"})
    assert "pa55w0rd" not in str(caught.value)


def test_a_proxy_of_the_environment_that_is_no_address_is_named(clean_environment):
    clean_environment.setenv("HTTPS_PROXY", "http://user:pa55w0rd@")
    with pytest.raises(ConfigurationError, match="The proxy for 'https' is no address") as caught:
        drive().identity.tls.proxies_for("https://graph.microsoft.com")
    assert "pa55w0rd" not in str(caught.value)


def test_hosts_that_a_deployment_trusts():
    for given_ in ("files.contoso.com, https://emulator:4433", ["files.contoso.com", "https://emulator:4433"]):
        rules = environment(trusted_hosts=given_).addresses
        rules.check("https://files.contoso.com/p.zip", "read")
        rules.check("https://emulator:4433/p.zip", "read")
        rules.check("https://acct.blob.core.windows.net/p.zip", "read")


HR_HOST = "https://aos.rainier.hr.talent.dynamics.com/namespaces/12345678-1234-1234-1234-123456789012"


@pytest.mark.parametrize(
    ("host", "extra", "quota"),
    [
        (HOST, {}, None),
        (HR_HOST, {}, HUMAN_RESOURCES),
        (HR_HOST, {"quota": "none"}, None),
        (HR_HOST, {"quota": "  "}, HUMAN_RESOURCES),
        (HOST, {"quota": "Human_Resources"}, HUMAN_RESOURCES),
        (HR_HOST, {"quota": None}, HUMAN_RESOURCES),
        (HOST, {"quota": {"requests": 100}}, Quota(100, 300.0, 25)),
        # As the form gives it.
        (HOST, {"quota": ' {"requests": 100, "concurrent": 5}'}, Quota(100, 300.0, 5)),
        (HOST, {"quota": "{'requests': 100}"}, Quota(100, 300.0, 25)),
        (HOST, {"quota": {"requests": 6000, "concurrent": 52, "window_seconds": 60}}, Quota(6000, 300.0, 52, 60)),
    ],
)
def test_the_quota_of_an_environment(host, extra, quota):
    assert environment(host, **extra).quota == quota


@pytest.mark.parametrize(
    "quota",
    ["much", "500", "[500]", '{"requests": "500"}', '{"requests": }', "[" * 9_000, 5, [], True, {"requests": 0},
     {"requests": -1}, {"requests": True}, {"requests": "500"}, {"tokens": 5}, {"requests": 1e12},
     {"requests": float("nan")}, {"window_seconds": None}],
)  # fmt: skip
def test_a_quota_that_is_none_is_one_sentence(quota):
    with pytest.raises(ConfigurationError, match="extra `quota` must be human_resources, none, or like"):
        environment(HOST, quota=quota)
