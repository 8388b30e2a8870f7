/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One word of a [Match] value, seen from inside: for the list (match.c), the index and the search for shadows. */
#pragma once

#include "policy/match.h"
#include "policy/week.h"

enum lb_pattern_kind {
    LB_PATTERN_LITERAL, /* the word itself */
    LB_PATTERN_STAR,    /* one star and nothing else that is special */
    LB_PATTERN_GLOB,    /* any other glob */
    LB_PATTERN_GROUP,
    LB_PATTERN_LOCAL,
    LB_PATTERN_NETWORK,
    LB_PATTERN_PROOF,
    LB_PATTERN_ANY, /* Key=any */
    LB_PATTERN_WEEK, /* the whole of Time= */
};

struct lb_pattern {
    enum lb_match_key key;
    enum lb_pattern_kind kind;
    const char *word; /* without ! and @; in the list's words */
    bool negated;
    union {
        struct {
            size_t prefix, suffix; /* STAR: bytes around it */
        };
        struct lb_network network;
        unsigned proof;
        struct lb_week *week; /* owned by the list */
    };
};

/* One piece of memory (but for the week): the patterns, then their words, then the text. */
struct lb_pattern_list {
    const char *text;
    bool positive; /* there is a pattern without ! */
    size_t n;
    struct lb_pattern patterns[];
};

/* Reads p->word for p->key: kind and what belongs to it. Mistakes go to at->errors. */
void lb_pattern_read(struct lb_pattern *p, const struct lb_ini_place *at);

/* Whether the pattern itself fits, ! aside. */
bool lb_pattern_fits(const struct lb_pattern *p, const struct lb_subject *subject);

/* True only if whatever fits `narrow` fits `wide`, ! aside. */
bool lb_pattern_covers(const struct lb_pattern *wide, const struct lb_pattern *narrow);

/* What a login must have, at least, for the pattern to fit: bytes by which it can be looked up. */
#define LB_ANCHOR_PIECE_MAX 16
enum lb_anchor_kind {
    LB_ANCHOR_NONE,  /* nothing that could be looked up */
    LB_ANCHOR_WHOLE, /* the value is this */
    LB_ANCHOR_HEAD,  /* … begins with this */
    LB_ANCHOR_TAIL,  /* … ends in this */
    LB_ANCHOR_PIECE, /* … has this somewhere in it; at most LB_ANCHOR_PIECE_MAX bytes */
    LB_ANCHOR_GROUP,
    LB_ANCHOR_NETWORK, /* a struct lb_network */
    LB_ANCHOR_MAX_,
};

struct lb_anchor {
    enum lb_anchor_kind kind;
    const void *bytes; /* borrowed from the pattern */
    size_t n;
};
struct lb_anchor lb_pattern_anchor(const struct lb_pattern *p);
