"""Packages of a few bytes, and a storage in memory to read them from."""

from __future__ import annotations

import io
import zipfile

from talent_dmf.api.package.directory import PackageContents, read_package
from talent_dmf.api.package.download_range import Source
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.api.retrying import RetryPolicy
from talent_dmf.api.steps import ReadPolicy, Request, Response

NAMESPACE = "http://schemas.microsoft.com/dynamics/2015/01/DataManagement"
HEADER = (
    f'<DataManagementPackageHeader xmlns="{NAMESPACE}"><Description/><PackageVersion>2</PackageVersion>'
    "</DataManagementPackageHeader>"
)


def manifest(*entities: tuple[str, str], root: str = "DataManagementPackageManifest") -> str:
    listed = "".join(
        "<DataManagementPackageEntityData><Disable>false</Disable><EntityMapList><EntityMap><EntityField>NAME"
        f"</EntityField></EntityMap></EntityMapList><EntityName>{name}</EntityName><InputFilePath>{file}</InputFilePath>"
        f"<SourceFormat>EXCEL</SourceFormat><TargetEntity>{name}Entity</TargetEntity></DataManagementPackageEntityData>"
        for name, file in entities
    )
    return (
        f'<{root} xmlns="{NAMESPACE}"><DefinitionGroupName>Export &amp; Workers</DefinitionGroupName>'
        f"<PackageEntityList>{listed}</PackageEntityList></{root}>"
    )


ONE = manifest(("Workers", "Workers.xlsx"))


def utf16(text: str) -> bytes:
    return b"\xff\xfe" + text.encode("utf-16-le")


def package(
    files: dict[str, bytes] | None = None,
    *,
    manifest_xml: bytes | None = None,
    header_xml: bytes | None = None,
    comment: bytes = b"",
    zip64: bool = False,
) -> bytes:
    """A package; ``b""`` in the place of an XML file leaves it out."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in ({"Workers.xlsx": b"x" * 5000} if files is None else files).items():
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=zip64) as file:
                file.write(data)
        for name, xml in (
            ("Manifest.xml", utf16(ONE) if manifest_xml is None else manifest_xml),
            ("PackageHeader.xml", utf16(HEADER) if header_xml is None else header_xml),
        ):
            if xml:
                archive.writestr(name, xml)
        archive.comment = comment
    return made.getvalue()


def read(data: bytes, size_bytes: int | None = None) -> tuple[PackageContents, int]:
    """Read a package from memory; the contents, and how many bytes were asked for."""
    source = Source(SecretUrl("https://a.blob.example/p?sig=SECRET"), size_bytes or len(data), '"E"')
    flow = read_package(source)
    asked = 0
    try:
        effect = next(flow)
        while True:
            if isinstance(effect, ReadPolicy):
                effect = flow.send(RetryPolicy(max_attempts=2))
                continue
            assert isinstance(effect, Request)
            assert effect.into is not None
            first, last = (int(number) for number in effect.headers["Range"].removeprefix("bytes=").split("-"))
            part = data[first : last + 1]
            effect.into[: len(part)] = part
            asked += len(part)
            headers = {"content-range": f"bytes {first}-{last}/{len(data)}", "etag": '"E"'}
            effect = flow.send(Response(206, headers, b"", len(part)))
    except StopIteration as stop:
        return stop.value, asked
