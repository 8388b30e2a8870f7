/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/inspect/inspect.h"

#include <inttypes.h>
#include <stdio.h>

#include "policy/base.h"
#include "policy/text.h"

/* A report is one event, so each kind has its share of it, whatever the others fill. */
#define LISTED_MAX 8    /* of a kind */
#define KIND_BYTES 2000 /* of a kind's list, as JSON */
#define NAME_BYTES 160
#define DETAIL_BYTES 160

struct report {
    json_t *changes; /* NULL: out of memory */
    int64_t count;
    const char *kind;
    int64_t of_kind, listed;
    size_t bytes;
};

static void append(struct report *r, const char *name, const char *change, const char *detail)
{
    LB_FREE char *short_name = lb_text_clean(name, NAME_BYTES), *short_detail = lb_text_clean(detail, DETAIL_BYTES);
    json_t *entry = short_name && short_detail ? json_pack("{ssssssss}", "kind", r->kind, "name", short_name, "change",
                                                           change, "detail", short_detail)
                                               : NULL;

    r->bytes += entry ? json_dumpb(entry, NULL, 0, JSON_COMPACT) : 0;
    if (json_array_append_new(r->changes, entry) == 0)
        return;
    json_decref(r->changes);
    r->changes = NULL;
}

static void found(struct report *r, const char *name, const char *change, const char *detail)
{
    r->count++;
    r->of_kind++;
    if (r->listed == LISTED_MAX || (r->listed > 0 && r->bytes >= KIND_BYTES))
        return;
    r->listed++;
    append(r, name, change, detail);
}

/* Both texts, or where they are the same, that it is what is in it that changed. */
static void found_changed(struct report *r, const char *name, const json_t *old, const json_t *new)
{
    const char *was = json_string_value(json_array_get(old, 0)), *is = json_string_value(json_array_get(new, 0));
    LB_FREE char *detail = NULL;

    if (!lb_streq(was, is) && asprintf(&detail, "%s, was: %s", is ? is : "", was ? was : "") < 0)
        detail = NULL;
    found(r, name, "changed", detail ? detail : "contents");
}

static void compare_kind(struct report *r, const json_t *before, const json_t *after)
{
    json_auto_t *names = json_object();
    LB_FREE char *others = NULL;
    const char *name;
    json_t *value;

    json_object_update(names, (json_t *)before);
    json_object_update(names, (json_t *)after);
    json_object_foreach (names, name, value) {
        const json_t *old = json_object_get(before, name), *new = json_object_get(after, name);

        if (!old || !new)
            found(r, name, new ? "added" : "removed", json_string_value(json_array_get(value, 0)));
        else if (!json_equal(old, new))
            found_changed(r, name, old, new);
    }
    if (r->of_kind > r->listed && asprintf(&others, "%" PRId64 " more", r->of_kind - r->listed) > 0)
        append(r, "", "more", others);
}

/* A picture of ours, and not only something that looks like it. */
static bool is_picture(const json_t *p)
{
    return json_integer_value(json_object_get(p, "version")) == 1 && json_is_object(json_object_get(p, "kinds")) &&
           json_is_object(json_object_get(p, "unknown"));
}

/* What could not be looked at is told, and compared as far as it was. */
static void compare(struct report *r, const json_t *before, const json_t *after)
{
    const json_t *old = json_object_get(json_object_get(before, "kinds"), r->kind);
    const json_t *new = json_object_get(json_object_get(after, "kinds"), r->kind);
    const json_t *was_unknown = json_object_get(json_object_get(before, "unknown"), r->kind);
    const json_t *is_unknown = json_object_get(json_object_get(after, "unknown"), r->kind);

    if (was_unknown || is_unknown)
        found(r, "", "unknown", json_string_value(is_unknown ? is_unknown : was_unknown));
    if ((was_unknown && !old) || (is_unknown && !new))
        return;
    compare_kind(r, old, new);
}

json_t *lb_inspect_changes(const json_t *before, const json_t *after)
{
    struct report r = { .changes = json_array() };

    for (const struct lb_kind *k = lb_inspect_kinds; k->name && is_picture(before) && is_picture(after); k++) {
        r.kind = k->name;
        r.of_kind = r.listed = 0;
        r.bytes = 0;
        compare(&r, before, after);
    }
    if (is_picture(before) && is_picture(after) && r.changes)
        return json_pack("{sIso}", "count", (json_int_t)r.count, "changes", r.changes);
    json_decref(r.changes);
    return NULL;
}
