/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/qr.h"

#include <errno.h>
#include <qrencode.h>
#include <stdbool.h>
#include <stdio.h>

#include "policy/base.h"

#define UTF_8 26 /* ECI's number for it */
#define QUIET 4 /* modules around it, by the standard */

/* Light is what the terminal writes; the quiet zone is light, and below its last line there is nothing. */
static bool is_light(const QRcode *code, int x, int y)
{
    if (x < 0 || y < 0 || x >= code->width || y >= code->width)
        return y < code->width + QUIET;
    return !(code->data[y * code->width + x] & 1);
}

static int draw(const QRcode *code, char **ret)
{
    static const char *const cells[2][2] = { { " ", "\u2584" }, { "\u2580", "\u2588" } }; /* [upper][lower] */
    LB_FREE char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    if (!f)
        return -ENOMEM;
    for (int y = -QUIET; y < code->width + QUIET; y += 2) {
        for (int x = -QUIET; x < code->width + QUIET; x++)
            fputs(cells[is_light(code, x, y)][is_light(code, x, y + 1)], f);
        fputc('\n', f);
    }
    if (fclose(f) != 0)
        return -ENOMEM;
    *ret = LB_TAKE(text);
    return 0;
}

/* Readers guess at the letters of a code that does not say that they are UTF-8, and not all of them well. */
static QRcode *encode(const char *text)
{
    QRinput *input = QRinput_new2(0, QR_ECLEVEL_L);
    bool plain = true;
    QRcode *code;
    int r;

    for (const char *c = text; *c; c++)
        plain = plain && (unsigned char)*c < 0x80;
    r = !input ? -1 : plain ? 0 : QRinput_appendECIheader(input, UTF_8);
    if (r == 0)
        r = QRinput_append(input, QR_MODE_8, (int)strlen(text), (const unsigned char *)text);
    code = r == 0 ? QRcode_encodeInput(input) : NULL;
    r = errno; /* freeing may change it */
    QRinput_free(input);
    errno = r;
    return code;
}

int lb_qr_draw(const char *text, char **ret, size_t *ret_columns)
{
    QRcode *code = encode(text);
    int r = code ? draw(code, ret) : errno == ERANGE ? -EFBIG : errno ? -errno : -EINVAL;

    if (r == 0)
        *ret_columns = (size_t)code->width + 2 * QUIET;
    QRcode_free(code);
    return r;
}
