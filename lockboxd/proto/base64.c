/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/proto/base64.h"

#include <errno.h>
#include <stdint.h>

#include "policy/base.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *lb_base64_encode(const void *bytes, size_t n)
{
    const uint8_t *from = bytes;
    char *text = malloc((n + 2) / 3 * 4 + 1), *to = text;

    if (!text)
        return NULL;
    for (; n > 0; from += 3, n = n > 3 ? n - 3 : 0) {
        uint32_t group = (uint32_t)from[0] << 16 | (n > 1 ? (uint32_t)from[1] << 8 : 0) | (n > 2 ? from[2] : 0);

        *to++ = alphabet[group >> 18];
        *to++ = alphabet[group >> 12 & 63];
        *to++ = n > 1 ? alphabet[group >> 6 & 63] : '=';
        *to++ = n > 2 ? alphabet[group & 63] : '=';
    }
    *to = '\0';
    return text;
}

/* One group of four: how many bytes it has, or -EINVAL. Bits that would be lost must be zero, so that each value has
 * one spelling. */
static int decode_group(const char *text, uint8_t *ret)
{
    int n = text[3] != '=' ? 3 : text[2] != '=' ? 2 : 1;
    uint32_t group = 0;

    for (int i = 0; i < 4; i++) {
        const char *at = i <= n ? strchr(alphabet, text[i]) : NULL;

        if (i <= n ? !at || !*at : text[i] != '=')
            return -EINVAL;
        group = group << 6 | (at ? (uint32_t)(at - alphabet) : 0);
    }
    if (group & ((UINT32_C(1) << 8 * (3 - n)) - 1))
        return -EINVAL;
    for (int i = 0; i < n; i++)
        ret[i] = (uint8_t)(group >> (16 - 8 * i));
    return n;
}

int lb_base64_decode(const char *text, void **ret, size_t *ret_n)
{
    size_t size = strlen(text), n = 0;
    LB_FREE uint8_t *bytes = malloc(size / 4 * 3 + 1);

    if (!bytes)
        return -ENOMEM;
    if (size % 4 != 0)
        return -EINVAL;
    for (size_t i = 0; i < size; i += 4) {
        int r = decode_group(text + i, bytes + n);

        if (r < 0 || (r < 3 && i + 4 != size))
            return -EINVAL;
        n += (size_t)r;
    }
    bytes[n] = '\0';
    *ret = LB_TAKE(bytes);
    *ret_n = n;
    return 0;
}
