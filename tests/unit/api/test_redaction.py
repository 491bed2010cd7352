from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talent_dmf.api.redaction import SecretUrl, redact, redact_url

SECRET = "S3cr3tS3cr3t"
HOLES = {
    "query": f"https://b.example/x?sv=1&sig={SECRET}",
    "user info": f"https://user:{SECRET}@host/p",
    "user info with @": f"https://user@corp:{SECRET}@host/p",
    "proxy": f"socks5://user:{SECRET}@proxy:1080",
    "fragment": f"https://host/p#access_token={SECRET}",
    "quoted query value": f"https://host/p?guid='{SECRET}'&x=1",
    "query after a quoted value": f"https://host/p?guid='1'&tempauth={SECRET}",
    "relative": f"Max retries exceeded with url: /x?sv=1&sig={SECRET} (Caused by",
    "percent-encoded": f"u=https%3A%2F%2Fb%3Fsv%3D1%26sig%3D{SECRET}%26se%3D1",
    "html": f"/x?sv=1&amp;sig={SECRET}&amp;se=1",
    ".NET JSON": f"/x?sv=1\\u0026sig={SECRET}\\u0026se=2",
    ".NET JSON, absolute": f'{{"u": "https://b/x?sv=1\\u0026sig={SECRET}"}}',
    "json": f'{{"client_secret": "{SECRET}"}}',
    "json, escaped quote": f'{{"client_secret": "a\\"{SECRET}"}}',
    "json in json": f'{{\\"access_token\\": \\"{SECRET}\\"}}',
    "upload url": f'{{"uploadUrl": "{SECRET}"}}',
    "python repr": f"{{'password': '{SECRET}'}}",
    "form": f"grant_type=x&client_secret={SECRET}&scope=y",
    "camel case": f"clientSecret: {SECRET}",
    "kebab case": f"refresh-token: {SECRET}",
    "connection string": f"AccountName=a;AccountKey={SECRET}==;E=1",
    "bearer": f"sent Bearer {SECRET}",
    "bearer, encoded": f"h=Bearer%20{SECRET}",
    "basic": "Proxy says Basic dXNlcjpTM2NyM3RTM2NyM3Q=",
    "authorization": f"Authorization: Negotiate {SECRET}",
    "authorization in a dict": f"{{'Authorization': 'Bearer {SECRET}'}}",
    "authorization in json in json": f'{{\\"Authorization\\":\\"Bearer {SECRET}\\"}}',
    "jwt": f"got eyJhbGciOi.{SECRET}.{SECRET}",
    "private key": f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----",
    "private key, cut off": f"-----BEGIN PRIVATE KEY-----\n{SECRET}",
    "managed identity": f"X-IDENTITY-HEADER: {SECRET}",
    "S3 key": f"aws_secret_access_key={SECRET}",
    "S3 key, dotted": f"fs.s3a.secret.key={SECRET}",
    "S3 key, camel case": f'{{"secretAccessKey": "{SECRET}"}}',
    "secret key": f"secret_key='{SECRET}'",
    "session token": f"aws_session_token: {SECRET}",
    "session token, camel case": f"sessionToken={SECRET}",
    "shared access key": f"Endpoint=sb://x;SharedAccessKeyName=root;SharedAccessKey={SECRET}=",
    "shared access signature": f"SharedAccessSignature={SECRET}",
    "SAS token": f"{{'sas_token': '{SECRET}'}}",
    "SAS token, camel case": f"sasToken={SECRET}",
    "bytes": f"account_key=b'{SECRET}'",
    "Amazon's signature": f"url: /bucket/k?X-Amz-Signature={SECRET}&X-Amz-Security-Token={SECRET} (Caused by",
    "Amazon's signature, encoded": f"u=%2Fk%3FX-Amz-Signature%3D{SECRET}%26X-Amz-Date%3D1",
    "Amazon's old signature": f"/b/k?AWSAccessKeyId=A&Signature={SECRET}&Expires=1",
    "Amazon's header": f"AWS4-HMAC-SHA256 Credential=AKIA/2026/us/s3, SignedHeaders=host, Signature={SECRET}",
    "Google's signature": f"/b/k?X-Goog-Signature={SECRET}",
    "Azure's header": f"Invalid header value b'SharedKey devstore:{SECRET}=\\n'",
    "Azure's other header": f"sent SharedKeyLite devstore:{SECRET}=",
    "cut off": f"{{'client_secret': 'a {SECRET}",
    "cut off, several lines": f"{{'client_secret': 'a\n{SECRET}",
    "cut off at a backslash": f"{{'client_secret': 'a {SECRET}\\",
    "json, cut off": f'{{"AccountKey": "a, {SECRET}',
    "json in json, cut off": f'{{\\"access_token\\": \\"a, {SECRET}',
}


@pytest.mark.parametrize("text", HOLES.values(), ids=HOLES.keys())
def test_no_hole(text):
    shown = redact(text)
    assert SECRET not in shown
    assert "dXNlcjp" not in shown
    assert redact(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "The token was refused; check the connection's password.",
        "Basic validation failed for worker 000213.",
        "Execution details were not found for execution id: airflow-Workers-USMF-0123",
        "See https://env.operations.dynamics.com/?mi=DMFExecution&cmp=USMF&executionId=a-1",
        "Cannot reach https://env.operations.dynamics.com/namespaces/1234",
        "resign=1 design: x",
        "AWSAccessKeyId=AKIA&Expires=1",
        "SharedAccessKeyName=root",
        "The signature was refused: the storage account has shared keys switched off.",
        "SharedKey authorization is not permitted on this storage account.",
    ],
)
def test_what_helps_stays(text):
    assert redact(text) == text


def test_a_navigation_link_with_anything_else_loses_its_query():
    assert redact("https://env/?mi=X&other=1") == "https://env/?***"


@given(st.text(alphabet="abX0/?&=%\\'\" .:@-_{}\n", max_size=200))
def test_redaction_never_fails_and_settles(text):
    redact_url(text)
    assert redact(redact(text)) == redact(redact(redact(text)))


@given(
    st.lists(st.sampled_from(["sig=", "'", '"', "\\", "sas_token", ": ", "x", "&", "b", "\n", "%26", "SharedKey a:"]))
)
def test_what_is_redacted_stays_as_it_is(pieces):
    shown = redact("".join(pieces))
    assert redact(redact(shown)) == redact(shown)


@pytest.mark.parametrize(
    "text",
    [
        "a+" * 20_000,
        "https://" + "a" * 40_000,
        '\\"' * 20_000,
        "-----BEGIN PRIVATE KEY-----" * 300,
        "eyJ" + "a." * 20_000,
        "a_" * 40_000,
        "a-" * 40_000,
        "aB_" * 20_000,
        "x" * 100_000,
        "token" * 20_000,
        "sig='" + "\\" * 60_001,
        'sig=\\"' + "\\" * 60_001,
        'sig=\\"' + '\\\\x"' * 20_000,
        "sig='" * 20_000,
        "sig=\\" * 20_000,
        "SharedKey " + "a" * 60_000,
    ],
)
def test_long_texts_are_no_trap(text):
    assert redact(text) is not None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://u:p@h:1/a/b?c=d#e", "https://h:1/a/b?***"),
        ("https://h/a", "https://h/a"),
        ("/relative?sig=1", "/relative?***"),
        ("data/Set", "data/Set"),
        ("https://[broken/?sig=1", "***"),
    ],
)
def test_urls_lose_what_opens(url, shown):
    assert redact_url(url) == shown


def test_a_secret_url_gives_itself_only_to_who_asks():
    url = SecretUrl(f"https://b/x?sig={SECRET}")
    assert url.reveal().endswith(SECRET)
    assert SECRET not in f"{url} {url!r}"
    assert url == SecretUrl(url.reveal())
    assert url != url.reveal()
    assert len({url, SecretUrl(url.reveal())}) == 1


@pytest.mark.parametrize("serialise", [pickle.dumps, copy.deepcopy])
def test_a_secret_url_is_not_serialised(serialise):
    with pytest.raises(TypeError, match="fetch a new one"):
        serialise(SecretUrl("https://b/x?sig=1"))
