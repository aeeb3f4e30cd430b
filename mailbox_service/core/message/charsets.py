"""Bytes to text: the declared charset where it works, else the most likely one. Total: never raises."""

from __future__ import annotations

import codecs
from functools import lru_cache

# Names found in real mail that Python does not know, or knows as something narrower than what senders mean.
# Windows senders declare iso-8859-1 for cp1252, gb2312 for gbk, ks_c_5601 for cp949 (WHATWG Encoding §4.2).
_ALIASES = {
    "ascii": "cp1252",
    "us-ascii": "cp1252",
    "ansi_x3.4-1968": "cp1252",
    "646": "cp1252",
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "iso_8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "8bit": "utf-8",
    "binary": "utf-8",
    "unknown-8bit": "utf-8",
    "x-unknown": "utf-8",
    "default": "utf-8",
    "default_charset": "utf-8",
    "utf8mb4": "utf-8",
    "utf-8-strict": "utf-8",
    "unicode-1-1-utf-7": "utf-7",
    "iso-8859-8-i": "iso-8859-8",
    "iso-8859-8-e": "iso-8859-8",
    "iso-8859-6-i": "iso-8859-6",
    "windows-874": "cp874",
    "x-windows-949": "cp949",
    "ks_c_5601-1987": "cp949",
    "ks_c_5601": "cp949",
    "euc-kr": "cp949",
    "gb2312": "gb18030",
    "gb_2312-80": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "x-sjis": "cp932",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "sjis": "cp932",
    "windows-31j": "cp932",
    "x-euc-jp": "euc_jp",
    "big5": "cp950",
    "x-big5": "cp950",
    "x-mac-roman": "mac_roman",
    "macintosh": "mac_roman",
    "x-mac-cyrillic": "mac_cyrillic",
    "visual": "iso-8859-8",
    "cp-850": "cp850",
    "win-1251": "cp1251",
}
# Only real text encodings: `punycode` and `idna` take quadratic time, `unicode_escape` is none of a sender's business.
_REFUSED = frozenset({"punycode", "idna", "unicode-escape", "raw-unicode-escape", "undefined", "mbcs", "oem"})
_SAMPLE_BYTES = 64 * 1024  # more of a text does not change a guess about its charset
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# Above this share of undecodable characters the declaration is taken for wrong, not the text for damaged.
_DAMAGE_SHARE = 0.01
_LEAST_CYRILLIC_BYTES = 12  # a guess from fewer letters would turn a few accented Latin letters into Cyrillic


@lru_cache(maxsize=256)
def _codec(declared: str) -> str:
    """The Python codec for a declared charset name, "" when there is none that we want."""
    name = declared.strip(" \t\"'<>;").lower()
    name = _ALIASES.get(name, name)
    if not name or len(name) > 40 or not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
        return ""
    try:
        info = codecs.lookup(name)
    except (LookupError, ValueError, UnicodeError):
        return ""
    if not info._is_text_encoding or info.name.replace("_", "-") in _REFUSED:
        return ""
    return info.name


def decode(data: bytes, declared: str = "") -> str:
    """`data` as text by its declared charset, then UTF-8, then the most likely legacy charset."""
    codec = _codec(declared[:80]) if declared else ""
    if codec and codec not in ("cp1252", "utf-8"):
        try:
            return data.decode(codec)
        except (UnicodeError, ValueError):
            pass
    if data.startswith(_UTF_16):
        return _or_replaced(data, "utf-16")
    try:
        # A declared Latin-1 that is valid UTF-8 is UTF-8 in practice: pairs such as "Ã¼" do not occur in prose.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return _repair(data, codec)
    if not declared and "\x1b$" in text:
        return _or_replaced(data, "iso2022_jp_2")
    return text


def _repair(data: bytes, codec: str) -> str:
    """Text of bytes that are neither clean in the declared charset `codec` nor clean UTF-8."""
    if codec not in ("", "cp1252", "utf-8"):
        text = _or_replaced(data, codec)
        if text.count("\ufffd") <= max(1, int(len(text) * _DAMAGE_SHARE)):
            return text
    text = data.decode("utf-8", "replace")
    damage = text.count("\ufffd")
    # Damaged or cut UTF-8 still has more good sequences than bad ones; Latin-1 has hardly any good one by chance.
    if damage < len(text) - len(text.encode("ascii", "ignore")) - damage or (codec == "utf-8" and damage <= 1):
        return text
    if not codec:
        guess = _cyrillic(data[:_SAMPLE_BYTES])
        if guess:
            return _or_replaced(data, guess)
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _or_replaced(data: bytes, codec: str) -> str:
    try:
        return data.decode(codec, "replace")
    except (UnicodeError, ValueError):
        return data.decode("latin-1")


def _cyrillic(data: bytes) -> str:
    """ "koi8-r" or "cp1251" when the bytes are clearly running Cyrillic text, else ""."""
    high = data.translate(None, bytes(range(128)))
    if len(high) < _LEAST_CYRILLIC_BYTES:
        return ""
    letters = len(high.translate(None, bytes(range(128, 192))))
    latin = sum(1 for b in data if 65 <= b <= 90 or 97 <= b <= 122)
    if letters < 0.95 * len(high) or letters < latin:
        return ""
    # Small letters, the bulk of any prose, stand at C0-DF in KOI8-R and at E0-FF in Windows-1251.
    low = len(high.translate(None, bytes(range(224, 256)))) - (len(high) - letters)
    if low > 3 * (letters - low):
        return "koi8-r"
    return "cp1251" if letters - low > 3 * low else ""
