# SPDX-License-Identifier: LGPL-2.1-or-later
"""Text as an attacker would write it, and how to tell that none of it has come through."""

import unicodedata

# What stands between the two marks is not to reach anybody. \udcXX is the byte XX, which is no UTF-8.
ATTACKS = {
    "colour": "\x1b[31m",
    "clear screen": "\x1b[2J\x1b[H",
    "title": "\x1b]0;root@bank\x07",
    "clipboard": "\x1b]52;c;cm0gLXJmIC8=\x1b\\",
    "answerback": "\x05\x1b[c\x1b[6n",
    "8-bit control sequence": "\x9b31m\x9d0;title\x9c",
    "8-bit control byte": "\udc9b31m",
    "right to left override": "\u202egnp.exe\u202c",
    "isolates": "\u2066admin\u2069",
    "newline": "\r\n*** lockbox: approved",
    "vertical": "\x0b\x0c\x85\u2028\u2029",
    "backspace": "no\x08\x08yes\x7f",
    "zero width": "\u200b\u200c\u200d\ufeff\u2060\u00ad",
    "tags": "\U000e0001\U000e0061\U000e007f",
    "selectors": "\ufe0f\U000e0100",
    "private": "\ue000\U000f0000",
    "invalid": "\udcff\udcfe\udcc0\udcaf",
    "cut off": "\udce2\udc82",
    "surrogate": "\udced\udca0\udc80",
}

# Letters of another alphabet that look like these: nothing is taken away, but who reads is warned.
LOOKALIKES = {"cyrillic": "аdmin", "greek": "rοot", "fullwidth": "ｒｏｏｔ"}

# Line ends and tabs are how a terminal and a table are written; a bell announces a message.
PLAIN = "\r\n\t\a"


def unsafe(text, allowed=""):
    """The characters that no reader should be shown, by their code."""
    return sorted({f"U+{ord(c):04X}" for c in text if c not in allowed and
                   (unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp") or 0xFE00 <= ord(c) <= 0xFE0F)})


def strings(value):
    """All strings of a JSON value, keys as well."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in strings(part)]
    return [text for part in value for text in strings(part)] if isinstance(value, list) else []
