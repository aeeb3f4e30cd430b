"""File names made safe, content types looked at: what is known of an attachment without keeping it."""

from __future__ import annotations

import re

from mailbox_service.core.display import harmless
from mailbox_service.core.message.charsets import decode
from mailbox_service.core.message.fields import decode_words

FILENAME_CHARS = 120  # below every file system's 255 bytes even with a prefix and in UTF-8's two-byte scripts
_WHOLE_BYTES = 4092  # of the head, so that it is not cut within a character of two or four bytes
HEAD_BYTES = 4096  # of the decoded content; enough for every signature below and to tell text from binary


def words(text: str) -> frozenset[str]:
    """The words of a table written as running text."""
    return frozenset(text.split())


_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,10}$")
_UNSAFE = re.compile(r'[<>:"|?*\\/\x00-\x1f\x7f]+')
# Device names of Windows, with any extension: opening such a file there opens the device.
_RESERVED = re.compile(r"(?:con|prn|aux|nul|clock\$|com[0-9]|lpt[0-9])(?:\.|$)", re.IGNORECASE)

# Offset, bytes, type. The file types met in reports; the first match wins.
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"PK\x05\x06", "application/zip"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (0, b"BZh", "application/x-bzip2"),
    (0, b"\xfd7zXZ\x00", "application/x-xz"),
    (0, b"\x28\xb5\x2f\xfd", "application/zstd"),
    (0, b"\x7fELF", "application/x-elf"),
    (0, b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    (0, b"\xca\xfe\xba\xbe", "application/java-vm"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (0, b"{\\rtf", "application/rtf"),
    (0, b"\x78\x9f\x3e\x22", "application/ms-tnef"),
    (0, b"-----BEGIN PGP MESSAGE-----", "application/pgp-encrypted"),
    (0, b"-----BEGIN PGP SIGNATURE-----", "application/pgp-signature"),
    (0, b"-----BEGIN PGP PUBLIC KEY BLOCK-----", "application/pgp-keys"),
    (0, b"-----BEGIN PGP PRIVATE KEY BLOCK-----", "application/pgp-keys"),
    (0, b"SQLite format 3\x00", "application/vnd.sqlite3"),
    (0, b"\xd4\xc3\xb2\xa1", "application/vnd.tcpdump.pcap"),
    (0, b"\xa1\xb2\xc3\xd4", "application/vnd.tcpdump.pcap"),
    (0, b"\x0a\x0d\x0d\x0a", "application/vnd.tcpdump.pcap"),
    (0, b"\x1a\x45\xdf\xa3", "video/webm"),
    (4, b"ftyp", "video/mp4"),
    (8, b"WEBP", "image/webp"),
    (257, b"ustar", "application/x-tar"),
    (0, b"MZ", "application/vnd.microsoft.portable-executable"),
    (0, b"BM", "image/bmp"),
)
_TEXT_EXTENSIONS = words(
    """
    txt text md markdown rst adoc patch diff log csv tsv json jsonl har xml yaml yml toml ini cfg conf
    properties env html htm xhtml svg css js mjs ts jsx tsx py rb pl pm php php5 phtml sh bash zsh ps1
    bat cmd c h cc cpp cxx hpp cs java kt scala go rs swift m lua sql r jsp asp aspx vue tf gradle
    dockerfile makefile mk asm s http req curl nse yar yara rules bcheck eml tex url vbs ipynb proto
    graphql plist out trace asan stderr stdout asc sig ics vcf
    """
)
_TEXT_TYPES = words(
    """
    application/json application/xml application/javascript application/x-javascript application/x-sh
    application/x-shellscript application/x-python application/x-python-code application/x-perl
    application/x-ruby application/x-httpd-php application/x-php application/sql application/yaml
    application/x-yaml application/toml application/x-patch application/xhtml+xml application/x-csh
    application/x-tcl application/graphql application/ics application/pgp-signature application/pgp-keys
    """
)
_BY_TYPE = {
    "text/plain": "txt",
    "text/html": "html",
    "text/x-patch": "patch",
    "text/x-diff": "diff",
    "text/csv": "csv",
    "text/calendar": "ics",
    "text/markdown": "md",
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/gif": "gif",
    "application/pdf": "pdf",
    "application/zip": "zip",
    "application/json": "json",
    "application/pgp-signature": "asc",
    "application/pgp-keys": "asc",
    "application/pkcs7-signature": "p7s",
    "application/pkcs7-mime": "p7m",
    "message/rfc822": "eml",
}


def safe_filename(raw: str, number: int, content_type: str) -> str:
    """The name an attachment declares, decoded and made harmless; `attachment-<number>.<ext>` when nothing is left."""
    name = harmless(decode_words(raw[: 16 * FILENAME_CHARS])) if raw else ""
    name = name.replace("\\", "/").rstrip("/ ").rpartition("/")[2]
    name = _UNSAFE.sub("_", name).strip().lstrip(".-~ ").rstrip(". ")
    if len(name) > FILENAME_CHARS:
        extension = _EXTENSION.search(name)
        tail = extension[0] if extension else ""
        name = name[: FILENAME_CHARS - len(tail)].rstrip(". ") + tail
    if _RESERVED.match(name):
        name = "_" + name[: FILENAME_CHARS - 1]
    if not name.strip("_ "):
        return f"attachment-{number}.{_BY_TYPE.get(content_type, 'bin')}"
    return name


def sniff(head: bytes) -> str:
    """The media type that the first bytes show, "" when none is recognised. Advice only: anybody can write a header."""
    head = head.lstrip(b"\r\n\t ") if head[:1] in (b"\r", b"\n", b" ", b"\t") and head[:4] != b"\n\r\r\n" else head
    for offset, magic, media_type in _SIGNATURES:
        if head.startswith(magic, offset):
            return media_type
    return ""


def is_text(head: bytes, filename: str, content_type: str) -> bool:
    """Is a part that is not declared as text/* readable all the same, by its name or type and by its bytes?"""
    extension = filename.lower().rpartition(".")[2]
    named = extension in _TEXT_EXTENSIONS or content_type in _TEXT_TYPES or content_type.endswith(("+json", "+xml"))
    return named and looks_like_text(head)


def looks_like_text(head: bytes, charset: str = "") -> bool:
    """No signature of a binary format, no NUL but in UTF-16, hardly any control characters."""
    if sniff(head):
        return False
    text = decode(head[:_WHOLE_BYTES], charset)
    if "\0" in text:
        return False
    odd = sum(1 for c in text if (c < " " and c not in "\t\n\r\f\x1b") or c == "\ufffd")
    return odd <= len(text) // 50
