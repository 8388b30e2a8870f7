/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/id.h"

#include "policy/base.h"

#define CHARACTERS 8
#define DASH 4 /* stands before this one */

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

void lb_id_make(uint64_t bits, char ret[static LB_ID_PRINTED_MAX])
{
    for (int i = 0; i < CHARACTERS; i++)
        ret[i + (i >= DASH)] = alphabet[bits >> 5 * (CHARACTERS - 1 - i) & 31];
    ret[DASH] = '-';
    ret[CHARACTERS + 1] = '\0';
}

const char *lb_id_format(const char *text, char buf[static LB_ID_PRINTED_MAX])
{
    char id[LB_ID_PRINTED_MAX] = { [DASH] = '-' };

    buf[0] = '\0';
    for (int i = 0; text && i < CHARACTERS; i++, text++) {
        char *c = &id[i + (i >= DASH)];

        if (i == DASH && *text == '-')
            text++;
        *c = canonical(*text);
        if (!*c)
            return buf;
    }
    return text && !*text ? memcpy(buf, id, sizeof(id)) : buf;
}
