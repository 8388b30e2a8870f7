/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text in the forms that mail takes: ASCII alone, lines that end in CRLF, at most 76 columns wherever there is a place
 * to break. Nothing that comes in through `text` can end a line or begin another one. Whether `out` could be written is
 * the caller's to check.
 */
#pragma once

#include <stdio.h>

/* A header line, folded. What is not plain becomes encoded words (RFC 2047), none of which splits a character; what is
 * not safe to show is exchanged as by lb_text_clean. -ENOMEM. */
int lb_mime_header(FILE *out, const char *name, const char *text);

/* The same for a mailbox: "Name: phrase <address>". `address` is one (lb_mailbox_is_address); phrase NULL: none. */
int lb_mime_mailbox(FILE *out, const char *name, const char *phrase, const char *address);

/* Part of a Message-ID: letters, digits, _ + - and dots that stand alone; of anything else the bytes in hex behind a =,
 * so that two texts never give the same. Cut where it would be longer than a header line can bear. */
void lb_mime_atom(FILE *out, const char *text);

/* A body as quoted-printable. `text` has its lines ended by \n. A line of it that begins with a dot, or "From ", does
 * not in the result: mail programs mangle those. */
void lb_mime_body(FILE *out, const char *text);
