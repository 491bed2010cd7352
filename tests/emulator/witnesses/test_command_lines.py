"""curl and aria2c: what people use when they look into a problem by hand, with many ranges at once."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.emulator.wire import UNIT_BYTES, Start, Wire
from tests.emulator.witnesses.npm import unavailable

from dmf_emulator import Settings

SIZE_BYTES = 24 * 1024 * 1024 + 17
SECONDS = 60


def run(wire: Wire, program: str, *arguments: str | Path, folder: Path) -> str:
    path = shutil.which(program)
    if path is None:
        unavailable(f"{program} cannot be tried.", "It is not installed; Debian: apt-get install curl aria2.")
    trust = ["--cacert", wire.emulator.ca_file] if program == "curl" else [f"--ca-certificate={wire.emulator.ca_file}"]
    done = subprocess.run(
        [path, *trust, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def big(start: Start) -> Wire:
    return start(Settings(package_size_bytes=SIZE_BYTES).with_export_seconds(0))


def test_aria2c_fetches_a_package_in_many_ranges(big: Wire, tmp_path: Path) -> None:
    link = big.package_url()
    run(big, "aria2c", "-q", "--no-conf", "-x16", "-s16", "-k1M", "-o", "package.zip", link, folder=tmp_path)
    assert (tmp_path / "package.zip").read_bytes() == big.session.get(link).content
    ranges = {record.range for record in big.records(action="GetBlob") if record.range}
    assert len(ranges) > 4


def test_aria2c_fetches_a_saved_file_in_many_ranges(wire: Wire, tmp_path: Path) -> None:
    data = bytes(range(256)) * 32_768
    saved = wire.graph("PUT", f"{wire.drive}/root:/saved file.bin:/content", data=data).json()
    url = saved["@microsoft.graph.downloadUrl"]
    run(wire, "aria2c", "-q", "--no-conf", "-x8", "-s8", "-k1M", url, folder=tmp_path)
    # Its name is that of Content-Disposition.
    assert (tmp_path / "saved file.bin").read_bytes() == data
    assert len({record.range for record in wire.records(action="download") if record.range}) > 2


def test_curl_goes_on_where_it_has_stopped(big: Wire, tmp_path: Path) -> None:
    link = big.package_url()
    content = big.session.get(link).content
    (tmp_path / "package.zip").write_bytes(content[:5_000_000])
    run(big, "curl", "-sSf", "-C", "-", "-o", "package.zip", link, folder=tmp_path)
    assert (tmp_path / "package.zip").read_bytes() == content
    run(big, "curl", "-sSf", "-r", "100-199", "-o", "part", link, folder=tmp_path)
    assert (tmp_path / "part").read_bytes() == content[100:200]


def test_curl_signs_in_and_uploads_in_ranges(wire: Wire, tmp_path: Path) -> None:
    info = wire.info
    form = {"grant_type": "client_credentials", "client_id": info["client_id"], "client_secret": info["client_secret"],
            "scope": "https://graph.microsoft.com/.default"}  # fmt: skip
    fields = [part for name, value in form.items() for part in ("--data-urlencode", f"{name}={value}")]
    answer = run(wire, "curl", "-sS", *fields, f"{info['authority']}/oauth2/v2.0/token", folder=tmp_path)
    headers = [
        "-H",
        f"Authorization: Bearer {json.loads(answer)['access_token']}",
        "-H",
        "Content-Type: application/json",
    ]
    body = json.dumps({"item": {"@microsoft.graph.conflictBehavior": "fail"}})
    address = f"{info['graph_url']}/v1.0{wire.drive}/root:/from%20curl.bin:/createUploadSession"
    session = json.loads(run(wire, "curl", "-sS", *headers, "-d", body, address, folder=tmp_path))
    data = bytes(range(256)) * (UNIT_BYTES // 256) + b"rest"
    for first, last in ((0, UNIT_BYTES - 1), (UNIT_BYTES, len(data) - 1)):
        (tmp_path / "range").write_bytes(data[first : last + 1])
        content_range = f"Content-Range: bytes {first}-{last}/{len(data)}"
        said = run(wire, "curl", "-sSi", "-T", "range", "-H", content_range, session["uploadUrl"], folder=tmp_path)
    # curl sends `Expect: 100-continue` for large bodies; both heads are printed then.
    assert re.findall(r"^HTTP/1.1 (\d+)", said, re.MULTILINE)[-1] == "201"
    assert (Path(info["user_drive_dir"]) / "from curl.bin").read_bytes() == data
