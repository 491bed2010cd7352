"""What aiohttp would do by itself, and must not; and that only those who need it pay for it."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest
from tests.unit.loopback import serve
from tests.unit.scripted import answer

from talent_dmf.api.errors import ConfigurationError
from talent_dmf.api.steps import Request, send
from talent_dmf.transport.drivers import AsyncDriver, SyncDriver
from talent_dmf.transport.tls import TlsSettings

pytestmark = pytest.mark.usefixtures("clean_environment")
GET = Request("GET", "data/x", operation="Get")


def sent_by_requests(url: str, request: Request) -> None:
    with SyncDriver(base_url=url) as driver:
        driver.run(send(request))


def sent_by_aiohttp(url: str, request: Request) -> None:
    async def main() -> None:
        async with AsyncDriver(base_url=url) as driver:
            await driver.run(send(request))

    asyncio.run(main())


@pytest.mark.parametrize("through", [sent_by_requests, sent_by_aiohttp], ids=["requests", "aiohttp"])
@pytest.mark.parametrize(
    ("path", "arrives"),
    [
        ("p.zip?sv=1&sig=a%2Bb%2Fc%3D&rscd=x%20y", "/p.zip?sv=1&sig=a%2Bb%2Fc%3D&rscd=x%20y"),
        ("p.zip?sig=a+b/c=", "/p.zip?sig=a+b/c="),
        ("data/Jobs(Id='a%3Ab%2Fc')", "/data/Jobs(Id='a%3Ab%2Fc')"),
        ("data/Jobs?$filter=Name eq 'Ü'", "/data/Jobs?$filter=Name%20eq%20'%C3%9C'"),
    ],
    ids=["signature", "bare signature", "key", "unquoted"],
)
def test_an_address_is_quoted_alike_and_never_twice(through, path, arrives):
    with serve([answer(200)]) as server:
        through(server.url, Request("GET", path, operation="Get", authorize=False))
    assert [got.path for got in server.received] == [arrives]


@pytest.mark.parametrize("through", [sent_by_requests, sent_by_aiohttp], ids=["requests", "aiohttp"])
def test_a_request_without_json_names_no_type(through):
    with serve([answer(200)]) as server:
        through(server.url, Request("PUT", "p", operation="Put", content=b"12345"))
    assert "content-type" not in server.received[0].headers


def test_long_headers_of_sign_in_pages_are_read():
    with serve([answer(200, content_security_policy="x" * 30_000)]) as server:
        sent_by_aiohttp(server.url, GET)
    assert len(server.received) == 1


def test_a_kind_of_proxy_that_aiohttp_does_not_know_is_a_mistake_in_the_connection():
    async def main() -> None:
        settings = TlsSettings(proxies={"http": "socks5://user:pa55word@127.0.0.1:1080"})
        async with AsyncDriver(base_url="http://dmf.example", tls=settings) as driver:
            await driver.run(send(GET))

    with pytest.raises(ConfigurationError, match=r"http and https proxies only.*`proxies`") as caught:
        asyncio.run(main())
    assert "pa55word" not in str(caught.value)


def test_a_driver_that_nobody_closes_is_closed_with_its_loop(caplog):
    kept = []

    async def main(url: str) -> None:
        driver = AsyncDriver(base_url=url)
        kept.append(driver)
        await driver.run(send(GET))

    with serve([answer(200)] * 2) as server, caplog.at_level(logging.DEBUG):
        asyncio.run(main(server.url))
        kept.clear()
        gc.collect()
    assert "Unclosed" not in caplog.text


def test_a_closed_driver_opens_anew():
    async def main(url: str) -> None:
        driver = AsyncDriver(base_url=url)
        for _ in range(2):
            await driver.run(send(GET))
            await driver.aclose()
        await driver.aclose()

    with serve([answer(200)] * 2) as server:
        asyncio.run(main(server.url))
    assert len(server.received) == 2
