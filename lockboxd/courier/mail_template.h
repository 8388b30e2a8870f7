/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The texts of mails: for each notice a subject, a plain text and an HTML one, with {names} and [brackets]
 * (policy/sentence.h, words.h). Those of a directory replace those that are built in, file by file: "action.txt". An
 * HTML text that is no page by itself is put into that of layout.html, where {body} is.
 */
#pragma once

#include "lockboxd/courier/letter.h"
#include "lockboxd/courier/words.h"
#include "policy/ini.h"

enum lb_mail_part { LB_MAIL_SUBJECT, LB_MAIL_TEXT, LB_MAIL_HTML, LB_MAIL_PART_MAX_ };

struct lb_mail_templates;

/* Reads what is in the directory. Mistakes are noted among the errors with file and line: a name that stands for
 * nothing, a bracket that is not closed, a character that could not be seen, a file for no notice, a layout without
 * {body}; and *ret is left alone then. -ENOMEM. */
int lb_mail_templates_load(const char *directory, struct lb_ini_errors *errors, struct lb_mail_templates **ret);
struct lb_mail_templates *lb_mail_templates_free(struct lb_mail_templates *t); /* NULL is fine; returns NULL */

/* The text; t may be NULL: what is built in. "" only for an HTML part that an empty file has taken away. */
const char *lb_mail_templates_text(const struct lb_mail_templates *t, int notice, enum lb_mail_part part);

/* The text for words->matter with everything filled in, an HTML one within its layout. -ENOMEM; that `out` could be
 * written is the caller's to check. */
int lb_mail_templates_write(const struct lb_mail_templates *t, enum lb_mail_part part, struct lb_words *words,
                            FILE *out);
