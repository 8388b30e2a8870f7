/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/story.h"

#include <errno.h>

#include "policy/base.h"

struct story {
    char *id;
    struct lb_request *request; /* NULL: it is not to be had */
    uint64_t used;
};

struct lb_stories {
    size_t max;
    struct lb_list all; /* struct story */
    uint64_t clock;
};

struct lb_stories *lb_stories_new(size_t max)
{
    struct lb_stories *s = calloc(1, sizeof(*s));

    if (s)
        s->max = max;
    return s;
}

static void drop(struct lb_stories *s, struct story *story)
{
    struct story *all = s->all.items;

    free(story->id);
    lb_request_free(story->request);
    *story = all[--s->all.n];
}

void lb_stories_forget(struct lb_stories *s)
{
    struct story *all = s->all.items;

    while (s->all.n > 0)
        drop(s, &all[s->all.n - 1]);
}

struct lb_stories *lb_stories_free(struct lb_stories *s)
{
    if (!s)
        return NULL;
    lb_stories_forget(s);
    free(s->all.items);
    free(s);
    return NULL;
}

static struct story *find(struct lb_stories *s, const char *id)
{
    struct story *all = s->all.items;

    for (size_t i = 0; i < s->all.n; i++)
        if (lb_streq(all[i].id, id)) {
            all[i].used = ++s->clock;
            return &all[i];
        }
    return NULL;
}

/* What is closed, and what has been heard of least lately. */
static void make_room(struct lb_stories *s)
{
    struct story *all = s->all.items, *oldest = NULL;

    for (size_t i = s->all.n; i-- > 0;)
        if (all[i].request && !lb_state_is_open(all[i].request->state))
            drop(s, &all[i]);
    for (size_t i = 0; i < s->all.n; i++)
        if (!oldest || all[i].used < oldest->used)
            oldest = &all[i];
    if (s->all.n >= s->max && oldest)
        drop(s, oldest);
}

int lb_stories_put(struct lb_stories *s, const char *id, struct lb_request *request)
{
    struct story *story;

    make_room(s);
    story = lb_list_append(&s->all, sizeof(*story));
    if (!story) {
        lb_request_free(request);
        return -ENOMEM;
    }
    *story = (struct story){ strdup(id), request, ++s->clock };
    return story->id ? 0 : -ENOMEM;
}

int lb_stories_event(struct lb_stories *s, const struct lb_event *e, const struct lb_request **ret)
{
    bool of_request = e->request && e->kind < LB_EVENT_REQUEST_MAX_;
    bool first = of_request && lb_lifecycle_step(LB_STATE_NONE, e->kind).next;
    struct story *story = e->request ? find(s, e->request) : NULL;
    int r = 0;

    if (first && story) /* a log that begins anew */
        drop(s, story);
    if (first)
        r = lb_stories_put(s, e->request, NULL);
    if (first && r == 0)
        story = find(s, e->request);
    if (of_request && !story)
        return r < 0 ? r : -ENOENT;
    if (of_request && (first || story->request))
        r = lb_lifecycle_apply(&story->request, e);
    if (r < 0 && story) { /* of what the log contradicts, or is no good any more, nothing is said */
        drop(s, story);
        story = NULL;
    }
    if (r == -ENOMEM)
        return r;
    *ret = story ? story->request : NULL;
    return 0;
}
