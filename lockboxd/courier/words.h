/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a {name} stands for in the texts of mails (policy/sentence.h) and in webhooks' templates (template.h), one list
 * for both: a field of the request or of the event by the name that it has in their JSON, "end.killed" for one within
 * another; or one of our own, which says more to a person.
 */
#pragma once

#include "lockboxd/courier/letter.h"
#include "policy/sentence.h"

/* Into what a value is written. In HTML nothing in it is markup, and a line's end is one there, too. In JSON it is
 * within quotes, and for a program: times are RFC 3339 UTC, and numbers are 0 where there is none, so that they can
 * also stand without quotes. */
enum lb_form { LB_FORM_PLAIN, LB_FORM_HTML, LB_FORM_JSON, LB_FORM_MAX_ };

struct lb_words {
    const struct lb_matter *matter;
    const char *link; /* with %i for the request's ID; NULL: none */
    enum lb_form form;
};

/* How many there are of our own. */
#define LB_WORDS_OWN 20

/* Whether there is such a name, and whether it stands for a number. */
bool lb_words_know(const char *name);
bool lb_words_is_number(const char *name);

/* The name that was meant, for "did you mean"; NULL: none is near. */
const char *lb_words_near(const char *name);

/* An lb_sentence_value; `userdata` is the struct lb_words. All of a value is safe to show, as by lb_text_clean, but
 * that those of more than one line have line ends. -ENOMEM. */
int lb_words_write(void *userdata, const char *name, bool optional, FILE *out);
