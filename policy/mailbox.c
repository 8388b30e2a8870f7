/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/mailbox.h"

#include "policy/base.h"
#include "policy/text.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

/* Labels with a dot between each two: nothing before, between or after the dots is empty or begins with a dash. */
static bool is_dotted(const char *s, size_t n, const char *more)
{
    for (size_t label = 0, i = 0; i < n; i++) {
        if (s[i] != '.' && !strchr(LETTERS, s[i]) && !(strchr(more, s[i]) && (label || s[i] != '-')))
            return false;
        label = s[i] == '.' ? 0 : label + 1;
        if (label == 0 && (i == 0 || i == n - 1 || s[i - 1] == '.'))
            return false;
    }
    return n > 0;
}

bool lb_mailbox_is_address(const char *text)
{
    const char *at = strchr(text, '@');

    return at && strlen(text) <= LB_NAME_MAX && is_dotted(text, (size_t)(at - text), "_+-'=&~") &&
           is_dotted(at + 1, strlen(at + 1), "-");
}
