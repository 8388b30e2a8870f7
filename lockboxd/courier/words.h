/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a {name} in a letter's text stands for (policy/sentence.h): a field of the request or of the event by the name
 * that it has in their JSON, "end.killed" for one within another; or one of our own, which says more to a person.
 */
#pragma once

#include "lockboxd/courier/letter.h"
#include "policy/sentence.h"

/* How a value is written into the text around it. */
typedef void lb_words_escape(FILE *out, const char *value);

/* As it is, and for HTML: nothing in it is markup, and a line's end is one there, too. */
void lb_words_plain(FILE *out, const char *value);
void lb_words_html(FILE *out, const char *value);

struct lb_words {
    const struct lb_matter *matter;
    const char *link; /* with %i for the request's ID; NULL: none */
    lb_words_escape *escape;
};

/* How many there are of our own. */
#define LB_WORDS_OWN 17

/* Whether there is such a name. */
bool lb_words_know(const char *name);

/* An lb_sentence_value; `userdata` is the struct lb_words. All of a value is safe to show, as by lb_text_clean, but that
 * those of more than one line have line ends. -ENOMEM. */
int lb_words_write(void *userdata, const char *name, bool optional, FILE *out);
