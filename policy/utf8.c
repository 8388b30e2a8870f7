/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/utf8.h"

#include "policy/base.h"

size_t lb_utf8_decode(const char *s, size_t n, uint32_t *ret_code)
{
    static const struct {
        uint8_t mask, lead;
        uint32_t least; /* anything lower is overlong */
    } forms[] = { { 0xE0, 0xC0, 0x80 }, { 0xF0, 0xE0, 0x800 }, { 0xF8, 0xF0, 0x10000 } };
    const uint8_t *bytes = (const uint8_t *)s;

    if (bytes[0] < 0x80) { /* most of them */
        *ret_code = bytes[0];
        return 1;
    }
    *ret_code = LB_UTF8_INVALID;
    for (size_t form = 0; form < LB_ELEMENTS(forms) && form + 2 <= n; form++) {
        uint32_t code = bytes[0] & (uint8_t)~forms[form].mask;

        if ((bytes[0] & forms[form].mask) != forms[form].lead)
            continue;
        for (size_t i = 1; i <= form + 1; i++) {
            if ((bytes[i] & 0xC0) != 0x80)
                return 1;
            code = code << 6 | (bytes[i] & 0x3F);
        }
        if (code < forms[form].least || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
            return 1;
        *ret_code = code;
        return form + 2;
    }
    return 1;
}
