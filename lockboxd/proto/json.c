/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One walk over a table for each direction; what a person's programs see differs only in how time is spelled. */
#include "lockboxd/proto/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "policy/base.h"
#include "policy/deadline.h"

#define DEPTH_MAX 16
#define STRING_MAX 4096
#define TIME_SIZE 64 /* the largest int64_t of microseconds has a year of six digits */

/* --- struct → JSON --- */

/* RFC 3339 in UTC, whole seconds. */
static const char *format_time(int64_t usec, char text[TIME_SIZE])
{
    time_t seconds = usec / LB_USEC_PER_SEC;
    struct tm tm;

    if (!gmtime_r(&seconds, &tm) || strftime(text, TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        return NULL;
    return text;
}

static json_t *pack_int(const struct lb_field *f, int64_t value, unsigned flags)
{
    char text[TIME_SIZE];

    if (!(flags & LB_JSON_PUBLIC) || !(f->flags & (LB_FIELD_TIME | LB_FIELD_SPAN)))
        return json_integer(value);
    if (value == LB_NEVER)
        return json_null();
    return f->flags & LB_FIELD_TIME ? json_string(format_time(value, text)) : json_integer(value / LB_USEC_PER_SEC);
}

static json_t *pack_enum(const struct lb_field *f, int value)
{
    for (int i = 0; f->names[i]; i++)
        if (i == value)
            return json_string(f->names[i]);
    return NULL;
}

static json_t *pack_strings(char *const *strings)
{
    json_t *array = json_array();

    for (; array && strings && *strings; strings++) {
        if (json_array_append_new(array, json_string(*strings)) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *pack_list(const struct lb_field *f, const struct lb_list *list, unsigned flags)
{
    json_t *array = json_array();

    for (size_t i = 0; array && i < list->n; i++) {
        const char *item = (const char *)list->items + i * f->size;

        if (json_array_append_new(array, lb_json_pack(f->fields, item, flags)) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *pack_member(const struct lb_field *f, const void *member, unsigned flags)
{
    switch (f->type) {
    case LB_FIELD_STRING: {
        const char *s = *(char *const *)member;

        return json_string(s ? s : "");
    }
    case LB_FIELD_INT:
        return pack_int(f, *(const int64_t *)member, flags);
    case LB_FIELD_BOOL:
        return json_boolean(*(const bool *)member);
    case LB_FIELD_ENUM:
        return pack_enum(f, *(const int *)member);
    case LB_FIELD_STRINGS:
        return pack_strings(*(char **const *)member);
    case LB_FIELD_OBJECT:
        return lb_json_pack(f->fields, member, flags);
    case LB_FIELD_LIST:
        return pack_list(f, member, flags);
    }
    return NULL;
}

/* Asked of the packed value, so that "nothing" is defined once for all types; false and 0 are nothing too. */
static bool is_nothing(const struct lb_field *f, const void *member, const json_t *value)
{
    switch (f->type) {
    case LB_FIELD_STRING:
        return json_string_length(value) == 0;
    case LB_FIELD_INT: /* an endless time is no time */
        return *(const int64_t *)member == 0 || (f->flags & LB_FIELD_TIME && json_is_null(value));
    case LB_FIELD_BOOL:
        return json_is_false(value);
    case LB_FIELD_ENUM:
        return *(const int *)member == 0;
    case LB_FIELD_STRINGS:
    case LB_FIELD_LIST:
        return json_array_size(value) == 0;
    case LB_FIELD_OBJECT:
        return json_object_size(value) == 0;
    }
    return true;
}

json_t *lb_json_pack(const struct lb_field *table, const void *base, unsigned flags)
{
    json_t *object = json_object();

    for (const struct lb_field *f = table; object && f->name; f++) {
        const void *member = (const char *)base + f->offset;
        json_t *value = pack_member(f, member, flags);

        if (value && !(f->flags & LB_FIELD_ALWAYS) && is_nothing(f, member, value)) {
            json_decref(value);
        } else if (json_object_set_new(object, f->name, value) < 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

/* --- JSON → struct --- */

static int unpack_string(const struct lb_field *f, const json_t *value, unsigned flags, char **ret)
{
    size_t n = json_string_length(value), max = flags & LB_JSON_OURS ? SIZE_MAX : f->max ? f->max : STRING_MAX;

    if (!json_is_string(value) || n > max || strlen(json_string_value(value)) != n)
        return -EINVAL;
    *ret = strdup(json_string_value(value));
    return *ret ? 0 : -ENOMEM;
}

/* Spelled exactly as format_time() does: strptime() alone would take much else. */
static int unpack_time(const char *text, int64_t *ret)
{
    char again[TIME_SIZE];
    struct tm tm = {};

    if (!text || !strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm) ||
        __builtin_mul_overflow(timegm(&tm), LB_USEC_PER_SEC, ret))
        return -EINVAL;
    return lb_streq(format_time(*ret, again), text) ? 0 : -EINVAL;
}

static int unpack_span(const json_t *value, int64_t *ret)
{
    *ret = LB_NEVER;
    if (json_is_null(value))
        return 0;
    return !json_is_integer(value) || __builtin_mul_overflow(json_integer_value(value), LB_USEC_PER_SEC, ret) ? -EINVAL
                                                                                                              : 0;
}

static int unpack_int(const struct lb_field *f, const json_t *value, unsigned flags, int64_t *ret)
{
    int64_t max = f->max ? (int64_t)f->max : INT64_MAX, n = json_integer_value(value);
    int r = json_is_integer(value) ? 0 : -EINVAL;

    if (flags & LB_JSON_PUBLIC && f->flags & LB_FIELD_TIME)
        r = unpack_time(json_string_value(value), &n);
    else if (flags & LB_JSON_PUBLIC && f->flags & LB_FIELD_SPAN)
        r = unpack_span(value, &n);
    if (r < 0 || (n < 0 && !(f->flags & LB_FIELD_SIGNED)) || n > max)
        return -EINVAL;
    *ret = n;
    return 0;
}

static int unpack_enum(const struct lb_field *f, const json_t *value, int *ret)
{
    const char *text = json_string_value(value);

    for (int i = 0; text && f->names[i]; i++) {
        if (*f->names[i] && strcmp(f->names[i], text) == 0) {
            *ret = i;
            return 0;
        }
    }
    return -EINVAL;
}

static int unpack_strings(const struct lb_field *f, const json_t *value, unsigned flags, char ***ret)
{
    size_t n = json_array_size(value);
    int r = 0;

    if (!json_is_array(value))
        return -EINVAL;
    *ret = calloc(n + 1, sizeof(**ret));
    if (!*ret)
        return -ENOMEM;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = unpack_string(f, json_array_get(value, i), flags, &(*ret)[i]);
    return r;
}

static int unpack_list(const struct lb_field *f, const json_t *value, struct lb_list *ret, unsigned flags,
                       const char **ret_name)
{
    size_t n = json_array_size(value);
    int r = 0;

    if (!json_is_array(value))
        return -EINVAL;
    if (n == 0)
        return 0;
    ret->items = calloc(n, f->size);
    if (!ret->items)
        return -ENOMEM;
    for (ret->n = 0; r == 0 && ret->n < n; ret->n++)
        r = lb_json_unpack(f->fields, json_array_get(value, ret->n), (char *)ret->items + ret->n * f->size, flags,
                           ret_name);
    return r;
}

static int unpack_member(const struct lb_field *f, const json_t *value, void *member, unsigned flags,
                         const char **ret_name)
{
    switch (f->type) {
    case LB_FIELD_STRING:
        return unpack_string(f, value, flags, member);
    case LB_FIELD_INT:
        return unpack_int(f, value, flags, member);
    case LB_FIELD_BOOL:
        *(bool *)member = json_is_true(value);
        return json_is_boolean(value) ? 0 : -EINVAL;
    case LB_FIELD_ENUM:
        return unpack_enum(f, value, member);
    case LB_FIELD_STRINGS:
        return unpack_strings(f, value, flags, member);
    case LB_FIELD_OBJECT:
        return lb_json_unpack(f->fields, value, member, flags, ret_name);
    case LB_FIELD_LIST:
        return unpack_list(f, value, member, flags, ret_name);
    }
    return -EINVAL;
}

/* null is "no value" to Varlink, except where never is spelled so. */
static bool is_absent(const struct lb_field *f, const json_t *value, unsigned flags)
{
    return !value || (json_is_null(value) && !(flags & LB_JSON_PUBLIC && f->flags & LB_FIELD_SPAN));
}

static const char *unknown_member(const struct lb_field *table, const json_t *object)
{
    const char *key;
    json_t *value;

    json_object_foreach ((json_t *)object, key, value)
        if (!lb_fields_find(table, key))
            return key;
    return NULL;
}

static int unpack_all(const struct lb_field *table, const json_t *object, void *base, unsigned flags,
                      const char **ret_name)
{
    for (const struct lb_field *f = table; f->name; f++) {
        const json_t *value = json_object_get(object, f->name);
        int r = 0;

        *ret_name = f->name; /* a member inside may put its own name in its place */
        if (!is_absent(f, value, flags))
            r = unpack_member(f, value, (char *)base + f->offset, flags, ret_name);
        else if (f->flags & LB_FIELD_REQUIRED)
            r = -EINVAL;
        if (r < 0)
            return r;
    }
    *ret_name = unknown_member(table, object);
    return *ret_name ? -EINVAL : 0;
}

int lb_json_unpack(const struct lb_field *table, const json_t *object, void *base, unsigned flags,
                   const char **ret_name)
{
    const char *name = "";
    int r = json_is_object(object) ? unpack_all(table, object, base, flags, &name) : -EINVAL;

    if (r < 0)
        lb_fields_clear(table, base);
    if (r < 0 && ret_name && *name)
        *ret_name = name;
    return r;
}

/* --- bytes --- */

/* Measured first: json_dumps() may leave a key out when it cannot grow its buffer, and call that success. */
char *lb_json_canonical(const json_t *value)
{
    static const size_t flags = JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY;
    size_t n = json_dumpb(value, NULL, 0, flags);
    char *text = n > 0 ? malloc(n + 1) : NULL;

    if (!text || json_dumpb(value, text, n, flags) != n) {
        free(text);
        return NULL;
    }
    text[n] = '\0';
    return text;
}

/* jansson recurses for each level, and its own limit is its builder's choice: so depth is known before it begins. */
static bool is_deep(const char *bytes, size_t size)
{
    bool quoted = false;
    int depth = 0;

    for (size_t i = 0; i < size; i++) {
        if (quoted && bytes[i] == '\\')
            i++;
        else if (bytes[i] == '"')
            quoted = !quoted;
        else if (!quoted && (bytes[i] == '[' || bytes[i] == '{') && ++depth > DEPTH_MAX)
            return true;
        else if (!quoted && (bytes[i] == ']' || bytes[i] == '}'))
            depth--;
    }
    return false;
}

json_t *lb_json_load(const char *bytes, size_t size)
{
    json_t *value = is_deep(bytes, size) ? NULL : json_loadb(bytes, size, JSON_REJECT_DUPLICATES, NULL);

    if (!value || json_is_object(value))
        return value;
    json_decref(value);
    return NULL;
}
