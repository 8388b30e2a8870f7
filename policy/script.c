/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/script.h"

#include <stdint.h>
#include <string.h>

#include "policy/base.h"
#include "policy/text.h"

const char *lb_script_problem(const char *bytes, size_t n)
{
    const char *end = memchr(bytes, '\n', n);
    size_t blank;

    if (n == 0)
        return "the file is empty";
    if (n > LB_SCRIPT_MAX)
        return "a script has at most 36 KiB";
    if (n < 3 || memcmp(bytes, "#!", 2) != 0)
        return "a script begins with a line such as #!/bin/sh, which says what runs it";
    blank = 2 + strspn(bytes + 2, " \t");
    if (!end || bytes[blank] != '/')
        return "after #! a script has the whole path of what runs it, such as #!/bin/sh";
    return NULL;
}

const char *lb_script_arguments_problem(char *const *arguments)
{
    size_t n = 0, size = 0, offset;
    uint32_t code;

    for (; arguments && arguments[n]; n++) {
        const char *a = arguments[n];

        size += strlen(a);
        if (strpbrk(a, "\t\n\r") || lb_text_find_bad(a, strlen(a), &offset, &code))
            return "an argument has a character in it that cannot be seen";
    }
    return n > LB_SCRIPT_ARGUMENTS_MAX          ? "a script has at most 64 arguments"
           : size > LB_SCRIPT_ARGUMENT_BYTES ? "the arguments have more than 2048 bytes together"
                                             : NULL;
}

char *lb_script_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *name = lb_text_clean(slash ? slash + 1 : path, LB_SCRIPT_NAME_MAX);

    for (char *c = name; c && *c; c++)
        if (!(*c & 0x80) && !strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+", *c))
            *c = '_';
    if (name && (!*name || *name == '.' || *name == '-')) { /* nothing that is an option, hidden, or a folder */
        free(name);
        name = strdup("script");
    }
    return name;
}
