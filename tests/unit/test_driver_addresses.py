"""Where the drivers send what: no token to another host, and no request where an answer has no business to lead."""

from __future__ import annotations

import pytest
from tests.unit.driving import GET, Tokens
from tests.unit.loopback import serve
from tests.unit.scripted import answer

from talent_dmf.api.addresses import AddressRules, host_pattern
from talent_dmf.api.errors import (
    ConfigurationError,
    ProtocolError,
    UntrustedAddressError,
)
from talent_dmf.api.graph.drive import DriveTarget, list_children, resolve_drive
from talent_dmf.api.steps import Request, Steps, send


@pytest.mark.parametrize("base_url", ["", "ftp://host", "http://", "http://host:port"])
def test_an_address_that_cannot_be_called_is_a_mistake_in_the_connection(runner, base_url):
    with pytest.raises(ConfigurationError, match="not an address that can be called"):
        runner.run(send(GET), base_url)
    assert runner.slept == []


def test_a_signed_url_that_is_none_is_named_without_its_query(runner):
    with pytest.raises(UntrustedAddressError, match="no plain https address") as caught:
        runner.run(send(Request("GET", "https://[broken/p.zip?sig=S3cr3t", operation="read", authorize=False)))
    assert "S3cr3t" not in f"{caught.value} {caught.value.detail}"


def test_a_redirect_is_an_answer(runner):
    with serve([answer(302, location="/elsewhere")]) as server:
        response = runner.run(send(GET), server.url, token=Tokens())
    assert (response.status, response.headers["location"]) == (302, "/elsewhere")
    assert len(server.received) == 1


def test_a_signed_url_gets_no_token(runner):
    tokens = Tokens()
    with serve([answer(200)]) as server:
        request = Request("GET", server.url + "/p.zip?sig=1", operation="read", authorize=False)
        runner.run(send(request), "http://127.0.0.1:1", token=tokens)
    assert "authorization" not in server.received[0].headers
    assert tokens.refused == []


def test_a_token_is_not_given_to_another_host(runner):
    with serve([]) as server, pytest.raises(UntrustedAddressError, match="must not be given the token"):
        runner.run(send(Request("GET", server.url + "/next", operation="Get")), "https://dmf.example", token=Tokens())
    assert server.received == []


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_link_to_this_machine_is_not_followed_if_the_service_is_elsewhere(runner, method):
    with serve([]) as server:
        request = Request(method, server.url + "/up?tempauth=S3cr3t", operation="Upload range", authorize=False)
        with pytest.raises(UntrustedAddressError, match="nothing was sent there"):
            runner.run(send(request), "https://graph.microsoft.com/v1.0", token=Tokens())
    assert server.received == []


def test_a_host_of_the_connection_is_called(runner, server_tls):
    with serve([answer(200)], server_tls) as server:
        rules = AddressRules("https://dmf.example", (host_pattern(server.url),))
        url = f"{server.url}/p.zip?sig=1"
        runner.run(send(Request("GET", url, operation="read", authorize=False)), addresses=rules)
    assert [request.path for request in server.received] == ["/p.zip?sig=1"]


@pytest.mark.parametrize(
    "steps",
    [
        lambda: list_children("b!1", "Exports"),
        lambda: resolve_drive(DriveTarget(site="contoso.sharepoint.com,1,2", library="HR")),
    ],
    ids=["children", "libraries"],
)
def test_the_next_page_of_a_list_on_another_host_gets_no_token(runner, steps):
    """Of SharePoint itself, for which the token is not made: microsoftgraph/msgraph-sdk-dotnet#2316."""
    with serve([]) as elsewhere:
        following = f"{elsewhere.url}/_api/v2.0/drives/b!1/items/1/children?$skiptoken=x"
        page = {"value": [{"id": "1", "name": "Documents"}], "@odata.nextLink": following}
        with serve([answer(json=page)]) as graph, pytest.raises(ProtocolError, match=r"does not belong|another list"):
            runner.run(steps(), f"{graph.url}/v1.0", token=Tokens())
    assert elsewhere.received == []


def test_a_token_goes_along_to_an_absolute_address_of_the_same_host(runner):
    with serve([answer(200)]) as server:
        runner.run(send(Request("GET", server.url + "/next", operation="Get")), server.url, token=Tokens())
    assert "authorization" in server.received[0].headers


def test_no_cookie_is_kept(runner):
    def steps() -> Steps[None]:
        yield from send(GET)
        yield from send(GET)

    with serve([answer(200, set_cookie="session=1; Path=/"), answer(200)]) as server:
        runner.run(steps(), server.url)
    assert "cookie" not in server.received[1].headers
