/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Untrusted text made safe to show, store and mail. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LB_TICKET_MAX 64
#define LB_REASON_MAX 400
#define LB_NOTE_MAX 400
#define LB_NAME_MAX 256

/*
 * A safe copy of `text`: valid UTF-8, trimmed, runs of white space (newlines and tabs too) made one space; control
 * characters (C0, C1, DEL), bidirectional controls, zero-width and other invisible format characters, line and
 * paragraph separators, private use, noncharacters, and invalid bytes each become U+FFFD; cut at a character boundary
 * to at most `max` bytes. NULL on out of memory; NULL text gives "".
 */
char *lb_text_clean(const char *text, size_t max);
#define LB_TEXT_GROWS 3 /* times as long it is at most, where nothing is cut: each byte may become U+FFFD */

/* True if lb_text_clean would change nothing. */
bool lb_text_is_clean(const char *text, size_t max);

/* Finds the first character that lb_text_clean would replace in text[0..size), tabs aside: its place, and its code
 * (LB_UTF8_INVALID for a byte that is not UTF-8). False if there is none. */
bool lb_text_find_bad(const char *text, size_t size, size_t *ret_offset, uint32_t *ret_code);

/* True if a word of the text mixes Latin letters with look-alike scripts (Cyrillic, Greek, Armenian …), is spelled
 * in Cyrillic or Greek letters that all look Latin, or uses fullwidth or mathematical letters: the reader should be
 * told. Lives in confusable.c. */
bool lb_text_is_confusable(const char *text);

/* True if it can be the name of a Unix user or group or of an approver: letters, digits and _.-+$\@, no - first, not
 * a number. The characters of `more` count as letters. */
bool lb_text_is_name(const char *text, const char *more);

/* True if the whole of `text` matches the POSIX extended expression (false for one that does not compile). */
bool lb_text_matches(const char *pattern, const char *text);
