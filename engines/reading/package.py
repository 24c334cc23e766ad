"""Documents that are zip archives of XML (Office, OpenDocument, EPUB), opened within limits."""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
import zlib
from urllib.parse import unquote
from xml.etree import ElementTree as ET

from engines.exceptions import InvalidRequestError
from engines.reading.limits import MAX_PARTS, MAX_RATIO, MAX_UNPACKED_BYTES, MIB, SMALL_BYTES

DAMAGED = "It is damaged or not what its name says; open it in its program and save it anew."
ENTITIES = (
    "It declares entities of XML, which no office program writes and which can unfold without end; "
    "save it anew in its program."
)
_ENTITY = re.compile(rb"<\0?!\0?E\0?N\0?T\0?I\0?T\0?Y")
_RELATIONS = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"
_FIRST = "_rels/.rels"
_STRICT = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+)/(\w+)")
_USUAL = rb"http://schemas.openxmlformats.org/\1/2006/\2"
"""The names of strict Office documents, and those of all others, which mean the same."""
_MANIFEST, _LOCKED = "META-INF/manifest.xml", b"encryption-data"
_ENCRYPTED = 0x1
_XML = (".xml", ".rels", ".opf", ".ncx")


class Package:
    """A packed document; whatever is read of it was judged before."""

    def __init__(self, content: bytes) -> None:
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(content))
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
            raise InvalidRequestError(DAMAGED) from error
        self._infos = {info.filename: info for info in self._zip.infolist()}
        self._judge()

    def _judge(self) -> None:
        infos = list(self._infos.values())
        if len(infos) > MAX_PARTS:
            raise InvalidRequestError(
                f"It is packed of {len(infos)} parts, {MAX_PARTS} are allowed; split it."
            )
        if sum(info.file_size for info in infos) > MAX_UNPACKED_BYTES:
            raise InvalidRequestError(
                f"It unpacks to more than {MAX_UNPACKED_BYTES // MIB} MB, which is as much as is "
                "allowed; split it, or save it without its pictures."
            )
        for info in infos:
            if info.flag_bits & _ENCRYPTED:
                raise InvalidRequestError("It is encrypted; save it without a password.")
            if info.file_size > max(SMALL_BYTES, MAX_RATIO * info.compress_size):
                raise InvalidRequestError(
                    f"A part of it would unpack to more than {MAX_RATIO} times its size, which no "
                    "document does."
                )

    def has(self, name: str) -> bool:
        """Whether there is such a part."""
        return name in self._infos

    def names(self) -> list[str]:
        """Return the names of all parts, in their order."""
        return list(self._infos)

    def read(self, name: str) -> bytes:
        """Return a part; InvalidRequestError when it is lacking or damaged."""
        try:
            return self._zip.read(self._infos[name])
        except (
            *(KeyError, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError),
            *(NotImplementedError, ValueError),
        ) as error:
            raise InvalidRequestError(DAMAGED) from error

    def parse(self, name: str) -> ET.Element:
        """Return a part's XML; one that declares entities is refused before it is parsed."""
        return parse_xml(self.read(name))

    def require_plain_xml(self) -> None:
        """Raise InvalidRequestError where any part declares entities: a library will parse them."""
        for name in self._infos:
            if name.endswith(_XML) and _ENTITY.search(self.read(name)):
                raise InvalidRequestError(ENTITIES)

    def require_open(self) -> None:
        """Raise InvalidRequestError for a document of OpenDocument that is encrypted."""
        if self.has(_MANIFEST) and _LOCKED in self.read(_MANIFEST):
            raise InvalidRequestError("It is encrypted; save it without a password.")

    def find_main(self, usual: str) -> str:
        """Return the part in which an Office document begins, which some programs name otherwise than usual."""
        if not self.has(usual) and self.has(_FIRST):
            for relation in self.parse(_FIRST).iter(_RELATIONS):
                if relation.get("Type", "").endswith("/officeDocument"):
                    return resolve_part("", relation.get("Target", ""))
        return usual

    def relations(self, name: str) -> dict[str, str]:
        """Return id → part of what an Office part refers to; what lies outside is left out."""
        folder, _, leaf = name.rpartition("/")
        rels = f"{folder}/_rels/{leaf}.rels" if folder else f"_rels/{leaf}.rels"
        if not self.has(rels):
            return {}
        return {
            relation.get("Id", ""): resolve_part(name, relation.get("Target", ""))
            for relation in self.parse(rels).iter(_RELATIONS)
            if relation.get("TargetMode") != "External"
        }


def parse_xml(content: bytes) -> ET.Element:
    """Return the XML of a document; one that declares entities is refused before it is parsed."""
    if _ENTITY.search(content):
        raise InvalidRequestError(ENTITIES)
    try:
        # Entities are refused above, and no outer one is ever loaded.
        return ET.fromstring(_STRICT.sub(_USUAL, content))  # noqa: S314
    except (ET.ParseError, ValueError, LookupError) as error:
        raise InvalidRequestError(DAMAGED) from error


def resolve_part(name: str, target: str) -> str:
    """Return the part that an address in another part means."""
    path = unquote(target.partition("#")[0])
    joined = path if path.startswith("/") else posixpath.join(posixpath.dirname(name), path)
    return posixpath.normpath(joined).lstrip("/")


def local_name(element: ET.Element) -> str:
    """Return an element's name without its namespace."""
    return element.tag.rpartition("}")[2]
