# SPDX-License-Identifier: LGPL-2.1-or-later
"""A camera in front of a terminal: finds the QR code among its lines and reads it, with libzbar."""

import ctypes

ZBAR_QRCODE = 64
SCALE = 3  # pixels for each module

# What each character shows, upper and lower half; light is what a terminal writes.
HALVES = {" ": (False, False), "\u2580": (True, False), "\u2584": (False, True), "\u2588": (True, True)}


def lines_of(screen):
    """The lines that are a code, whatever stands around them."""
    found = [line.rstrip("\r") for line in screen.split("\n")]
    found = [line for line in found if len(line) > 20 and set(line) <= set(HALVES)]
    assert len({len(line) for line in found}) == 1, screen
    return found


def modules_of(lines):
    """Rows of modules: True is light."""
    rows = []
    for line in lines:
        rows += [[HALVES[c][half] for c in line] for half in (0, 1)]
    return rows


def decode(screen):
    """The bytes in the code."""
    rows = modules_of(lines_of(screen))
    pixels = b"".join(bytes(255 * light for light in row for _ in range(SCALE)) * SCALE for row in rows)
    zbar = ctypes.CDLL("libzbar.so.0")
    for name in ("zbar_image_scanner_create", "zbar_image_create", "zbar_image_first_symbol", "zbar_symbol_get_data"):
        getattr(zbar, name).restype = ctypes.c_void_p
    scanner, image = ctypes.c_void_p(zbar.zbar_image_scanner_create()), ctypes.c_void_p(zbar.zbar_image_create())
    zbar.zbar_image_scanner_set_config(scanner, ZBAR_QRCODE, 0, 1)
    zbar.zbar_image_set_format(image, ctypes.c_ulong(int.from_bytes(b"Y800", "little")))
    zbar.zbar_image_set_size(image, SCALE * len(rows[0]), SCALE * len(rows))
    zbar.zbar_image_set_data(image, pixels, ctypes.c_ulong(len(pixels)), None)
    assert zbar.zbar_scan_image(scanner, image) == 1
    symbol = ctypes.c_void_p(zbar.zbar_image_first_symbol(image))
    size = zbar.zbar_symbol_get_data_length(symbol)
    data = ctypes.string_at(zbar.zbar_symbol_get_data(symbol), size)
    zbar.zbar_image_destroy(image)
    zbar.zbar_image_scanner_destroy(scanner)
    return data
