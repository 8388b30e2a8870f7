/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Walks over structs that are described as data. */
#include "policy/fields.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/base.h"

static const size_t field_sizes[] = {
    [LB_FIELD_STRING] = sizeof(char *),       [LB_FIELD_INT] = sizeof(int64_t),
    [LB_FIELD_BOOL] = sizeof(bool),           [LB_FIELD_ENUM] = sizeof(int),
    [LB_FIELD_STRINGS] = sizeof(char **),     [LB_FIELD_OBJECT] = 0, /* its members count */
    [LB_FIELD_LIST] = sizeof(struct lb_list),
};

static void list_clear(const struct lb_field *f, struct lb_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        lb_fields_clear(f->fields, (char *)list->items + i * f->size);
    free(list->items);
    *list = (struct lb_list){};
}

void lb_fields_clear(const struct lb_field *table, void *base)
{
    for (const struct lb_field *f = table; f->name; f++) {
        void *member = (char *)base + f->offset;

        if (f->type == LB_FIELD_STRING) {
            free(*(char **)member);
            *(char **)member = NULL;
        } else if (f->type == LB_FIELD_STRINGS) {
            *(char ***)member = lb_strings_free(*(char ***)member);
        } else if (f->type == LB_FIELD_OBJECT) {
            lb_fields_clear(f->fields, member);
        } else if (f->type == LB_FIELD_LIST) {
            list_clear(f, member);
        }
    }
}

static void forget(const struct lb_field *table, void *base)
{
    for (const struct lb_field *f = table; f->name; f++) {
        memset((char *)base + f->offset, 0, field_sizes[f->type]);
        if (f->type == LB_FIELD_OBJECT)
            forget(f->fields, (char *)base + f->offset);
    }
}

static int list_copy(const struct lb_field *f, struct lb_list *to, const struct lb_list *from)
{
    if (from->n == 0)
        return 0;
    to->items = malloc(from->n * f->size);
    if (!to->items)
        return -ENOMEM;
    memcpy(to->items, from->items, from->n * f->size); /* for the members that no row describes */
    for (size_t i = 0; i < from->n; i++)
        forget(f->fields, (char *)to->items + i * f->size);
    to->n = from->n; /* from here on clear() may walk over all of them */
    for (size_t i = 0; i < from->n; i++)
        if (lb_fields_copy(f->fields, (char *)to->items + i * f->size, (const char *)from->items + i * f->size) < 0)
            return -ENOMEM;
    return 0;
}

static int field_copy(const struct lb_field *f, void *to, const void *from)
{
    if (f->type == LB_FIELD_STRING) {
        const char *s = *(char *const *)from;

        return s && !(*(char **)to = strdup(s)) ? -ENOMEM : 0;
    }
    if (f->type == LB_FIELD_STRINGS) {
        char **s = *(char **const *)from;

        return s && !(*(char ***)to = lb_strings_copy(s)) ? -ENOMEM : 0;
    }
    if (f->type == LB_FIELD_OBJECT)
        return lb_fields_copy(f->fields, to, from);
    if (f->type == LB_FIELD_LIST)
        return list_copy(f, to, from);
    memcpy(to, from, field_sizes[f->type]);
    return 0;
}

int lb_fields_copy(const struct lb_field *table, void *to, const void *from)
{
    forget(table, to);
    for (const struct lb_field *f = table; f->name; f++) {
        if (field_copy(f, (char *)to + f->offset, (const char *)from + f->offset) < 0) {
            lb_fields_clear(table, to);
            return -ENOMEM;
        }
    }
    return 0;
}

const struct lb_field *lb_fields_find(const struct lb_field *table, const char *name)
{
    for (const struct lb_field *f = table; f->name; f++)
        if (strcmp(f->name, name) == 0)
            return f;
    return NULL;
}

void *lb_list_append(struct lb_list *list, size_t size)
{
    void *items = reallocarray(list->items, list->n + 1, size);

    if (!items)
        return NULL;
    list->items = items;
    return memset((char *)items + list->n++ * size, 0, size);
}

static size_t strings_length(char *const *strings)
{
    size_t n = 0;

    while (strings && strings[n])
        n++;
    return n;
}

char **lb_strings_free(char **strings)
{
    for (char **s = strings; s && *s; s++)
        free(*s);
    free(strings);
    return NULL;
}

char **lb_strings_copy(char *const *strings)
{
    size_t n = strings_length(strings);
    char **copy = calloc(n + 1, sizeof(*copy));

    for (size_t i = 0; copy && i < n; i++)
        if (!(copy[i] = strdup(strings[i])))
            return lb_strings_free(copy);
    return copy;
}

bool lb_strings_contain(char *const *strings, const char *s)
{
    for (; strings && *strings; strings++)
        if (strcmp(*strings, s) == 0)
            return true;
    return false;
}

int lb_strings_append(char ***strings, const char *s)
{
    size_t n = strings_length(*strings);
    LB_FREE char *copy = strdup(s);
    char **grown;

    if (!copy)
        return -ENOMEM;
    grown = reallocarray(*strings, n + 2, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    grown[n] = LB_TAKE(copy);
    grown[n + 1] = NULL;
    *strings = grown;
    return 0;
}
