/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A search through all that can happen, with what has been seen left out. What the next lines depend on is the line,
 * what the verdict is so far, and what it was where each open substack began (a reset goes back to that).
 */
#include "lockboxd/inspect/doctor/pam_walk.h"

#include <errno.h>

#include "policy/base.h"

#define LEVELS_MAX 16 /* more cannot be read */

/*
 * libpam's impression and status in one. PAM_NEW_AUTHTOK_REQD of account lets in: programs have the password changed
 * then, and ask no more. It does so even as the first of several failures, whose code is what libpam returns.
 */
enum so_far { UNDECIDED, GOOD, EXPIRED, ODD, BAD, BAD_EXPIRED };

struct place {
    size_t at;
    int level; /* of the line before */
    unsigned char so_far, begun[LEVELS_MAX];
};

struct step {
    size_t at;
    int code;
};

struct walk {
    const struct lb_pam_line *lines;
    size_t n;
    enum lb_pam_stage stage;
    struct lb_list *seen;  /* for each line a list of uint64_t */
    struct step *path;     /* as many as lines */
    size_t depth;
    int r;
};

static bool is_ours(const struct lb_pam_line *line)
{
    return lb_pam_line_is(line, LB_PAM_MODULE);
}

/* Whether the line can return this. */
static bool can_return(const struct lb_pam_line *line, int code)
{
    if (code == LB_PAM_INCOMPLETE)
        return false;
    if (!line->module)
        return code == LB_PAM_PERM_DENIED;
    if (is_ours(line)) /* or it is gone */
        return code == LB_PAM_PERM_DENIED || code == LB_PAM_AUTHINFO_UNAVAIL || code == LB_PAM_MODULE_UNKNOWN;
    if (lb_pam_line_is(line, "pam_deny.so"))
        return code == LB_PAM_ACCT_EXPIRED;
    if (lb_pam_line_is(line, "pam_permit.so"))
        return code == LB_PAM_SUCCESS;
    return true;
}

/* True if the place is a new one. */
static bool note(struct walk *w, const struct place *p)
{
    struct lb_list *seen = &w->seen[p->at];
    uint64_t key = p->so_far | (uint64_t)p->level << 3, *new = NULL;

    for (int i = 0; i < LEVELS_MAX; i++)
        key |= (uint64_t)(i <= p->level ? p->begun[i] : 0) << (8 + 3 * i);
    for (size_t i = 0; i < seen->n; i++)
        if (((uint64_t *)seen->items)[i] == key)
            return false;
    new = lb_list_append(seen, sizeof(*new));
    if (new)
        *new = key;
    else
        w->r = -ENOMEM;
    return new;
}

/* The end of this level after a decision. */
static size_t skip_level(const struct walk *w, size_t at)
{
    int level = w->lines[at].level;

    while (at + 1 < w->n && w->lines[at + 1].level >= level)
        at++;
    return at;
}

/* So many lines of this level further; a substack counts as one. False where there are not so many. */
static bool skip_lines(const struct walk *w, size_t *at, int count)
{
    int level = w->lines[*at].level;

    for (; count > 0 && *at + 1 < w->n && w->lines[*at + 1].level >= level; count--)
        do
            ++*at;
        while (*at + 1 < w->n && w->lines[*at + 1].level > level);
    return count == 0;
}

static unsigned char kind_of(int code)
{
    return code == LB_PAM_SUCCESS ? GOOD : code == LB_PAM_NEW_AUTHTOK_REQD ? EXPIRED : ODD;
}

/* The place after this line, if it returns this. */
static struct place next(const struct walk *w, struct place p, int code)
{
    const struct lb_pam_line *line = &w->lines[p.at];
    int action = line->actions[code];

    if (action == LB_PAM_DO_RESET)
        p.so_far = p.begun[line->level];
    else if (action == LB_PAM_DO_BAD || action == LB_PAM_DO_DIE)
        p.so_far = p.so_far >= BAD ? p.so_far : code == LB_PAM_NEW_AUTHTOK_REQD ? BAD_EXPIRED : BAD;
    else if ((action == LB_PAM_DO_OK || action == LB_PAM_DO_DONE) && (p.so_far == UNDECIDED || p.so_far == GOOD))
        p.so_far = kind_of(code);
    else if (action > 0 && !skip_lines(w, &p.at, action))
        p.so_far = BAD;
    if (action == LB_PAM_DO_DIE || (action == LB_PAM_DO_DONE && p.so_far < BAD))
        p.at = skip_level(w, p.at);
    p.level = line->level;
    p.at++;
    return p;
}

/* True once an end in success is found; its path then stands in w->path. */
static bool search(struct walk *w, struct place p)
{
    const struct lb_pam_line *line = NULL;

    if (p.at >= w->n)
        return p.so_far == GOOD || (w->stage == LB_PAM_ACCOUNT && (p.so_far == EXPIRED || p.so_far == BAD_EXPIRED));
    line = &w->lines[p.at];
    if (p.level < line->level)
        p.begun[line->level] = p.so_far;
    if (!note(w, &p))
        return false;
    if (line->marker) {
        p.level = line->level;
        p.at++;
        return search(w, p);
    }
    w->depth++;
    for (int code = 0; code < LB_PAM_CODES; code++) {
        w->path[w->depth - 1] = (struct step){ p.at, code };
        if (can_return(line, code) && search(w, next(w, p, code)))
            return true;
    }
    w->depth--;
    return false;
}

/* Which line of the path is to blame. */
static const struct lb_pam_line *blame(const struct walk *w, size_t ours, enum lb_pam_pass *ret)
{
    const struct lb_pam_line *last = NULL;

    *ret = LB_PAM_AVOIDED;
    for (size_t i = 0; i < w->depth; i++) {
        const struct lb_pam_line *line = &w->lines[w->path[i].at];
        int action = line->actions[w->path[i].code];
        bool fails = action == LB_PAM_DO_BAD || action == LB_PAM_DO_DIE;
        if (fails && w->path[i].code == LB_PAM_NEW_AUTHTOK_REQD && w->stage == LB_PAM_ACCOUNT)
            return line;
        if (is_ours(line)) {
            *ret = LB_PAM_UNHEARD;
            last = line;
            if (!fails)
                return line;
        } else if (*ret == LB_PAM_UNHEARD && action == LB_PAM_DO_RESET) {
            return line;
        } else if (*ret == LB_PAM_AVOIDED && w->path[i].at < ours) {
            last = line;
        }
    }
    return last;
}

static void report(const struct walk *w, bool success, enum lb_pam_pass *ret, const struct lb_pam_line **ret_at)
{
    size_t ours = 0;

    while (ours < w->n && !is_ours(&w->lines[ours]))
        ours++;
    *ret_at = NULL;
    *ret = success ? LB_PAM_ABSENT : LB_PAM_PASSES;
    if (success && ours < w->n)
        *ret_at = blame(w, ours, ret);
}

int lb_pam_walk(const struct lb_list *stack, enum lb_pam_stage stage, enum lb_pam_pass *ret,
                const struct lb_pam_line **ret_at)
{
    struct walk w = { .lines = stack->items, .n = stack->n, .stage = stage };
    bool success = false;

    w.seen = calloc(stack->n + 1, sizeof(*w.seen));
    w.path = calloc(stack->n + 1, sizeof(*w.path));
    if (w.seen && w.path)
        success = search(&w, (struct place){ 0 });
    else
        w.r = -ENOMEM;
    if (w.r == 0)
        report(&w, success, ret, ret_at);
    for (size_t i = 0; w.seen && i < stack->n; i++)
        free(w.seen[i].items);
    free(w.seen);
    free(w.path);
    return w.r;
}
