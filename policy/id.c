/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/id.h"

#include <errno.h>
#include <stdio.h>

#include "policy/base.h"

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/* The character of the alphabet that a person means by c, or 0. No locale: the Turkish i is not ours. */
static char canonical(char c)
{
    if (c >= 'a' && c <= 'z')
        c = (char)(c - 'a' + 'A');
    if (c == 'I' || c == 'L')
        return '1';
    if (c == 'O')
        return '0';
    return c && strchr(alphabet, c) ? c : 0;
}

void lb_id_make(uint64_t bits, char ret[static LB_ID_LEN + 1])
{
    for (int i = LB_ID_LEN - 1; i >= 0; i--, bits >>= 5)
        ret[i] = alphabet[bits & 31];
    ret[LB_ID_LEN] = '\0';
}

int lb_id_parse(const char *text, char ret[static LB_ID_LEN + 1])
{
    char id[LB_ID_LEN + 1] = "";

    if (!text)
        return -EINVAL;
    for (int i = 0; i < LB_ID_LEN; i++, text++) {
        if (i == LB_ID_LEN / 2 && *text == '-')
            text++;
        id[i] = canonical(*text);
        if (!id[i])
            return -EINVAL;
    }
    if (*text)
        return -EINVAL;
    memcpy(ret, id, sizeof(id));
    return 0;
}

const char *lb_id_format(const char *id, char buf[static LB_ID_PRINTED_MAX])
{
    char kept[LB_ID_LEN + 1];

    if (lb_id_parse(id, kept) < 0)
        return strcpy(buf, "");
    snprintf(buf, LB_ID_PRINTED_MAX, "%.4s-%s", kept, kept + LB_ID_LEN / 2);
    return buf;
}
