"""Proxies, of the connection and of the environment, with both drivers."""

from __future__ import annotations

import pytest
from tests.unit.driving import GET, POST
from tests.unit.loopback import free_port, serve
from tests.unit.scripted import answer

from talent_dmf.api.errors import (
    TransportError,
)
from talent_dmf.api.steps import send
from talent_dmf.transport.tls import TlsSettings


def test_a_proxy_of_the_connection_is_used(runner):
    with serve([answer(200, json={"value": 1})]) as proxy:
        response = runner.run(send(GET), "http://dmf.example", tls=TlsSettings(proxies={"http": proxy.url}))
    assert response.json() == {"value": 1}
    assert proxy.received[0].path == "http://dmf.example/data/x"


def test_a_proxy_may_be_named_without_a_scheme(runner):
    with serve([answer(200)]) as proxy:
        settings = TlsSettings(proxies={"http": proxy.url.removeprefix("http://")})
        assert runner.run(send(GET), "http://dmf.example", tls=settings).status == 200


def test_a_proxy_of_the_environment_is_used(runner, clean_environment):
    with serve([answer(200)]) as proxy:
        clean_environment.setenv("HTTP_PROXY", proxy.url)
        assert runner.run(send(GET), "http://dmf.example").status == 200
    assert len(proxy.received) == 1


def test_the_connection_wins_over_the_environment(runner, clean_environment):
    clean_environment.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    with serve([answer(200)]) as proxy:
        settings = TlsSettings(proxies={"http": proxy.url})
        assert runner.run(send(GET), "http://dmf.example", tls=settings).status == 200


def test_no_proxy_is_obeyed(runner, clean_environment):
    clean_environment.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    clean_environment.setenv("NO_PROXY", "127.0.0.1")
    with serve([answer(200)]) as server:
        assert runner.run(send(GET), server.url).status == 200


def test_a_dead_proxy_means_that_nothing_was_sent(runner):
    settings = TlsSettings(proxies={"http": f"http://user:pa55word@127.0.0.1:{free_port()}"})
    with pytest.raises(TransportError) as caught:
        runner.run(send(POST), "http://dmf.example", tls=settings)
    assert not caught.value.sent
    assert "pa55word" not in f"{caught.value} {caught.value.detail} {settings!r}"


def test_a_proxy_that_refuses_the_tunnel_means_that_nothing_was_sent(runner, authority):
    with serve(lambda _: answer(407)) as proxy:
        settings = TlsSettings(verify=str(authority.bundle), proxies={"https": proxy.url})
        with pytest.raises(TransportError, match="the proxy on the way does not work") as caught:
            runner.run(send(POST), "https://dmf.example", tls=settings)
    assert not caught.value.sent
