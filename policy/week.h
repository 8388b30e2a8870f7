/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Times of the week: the value of Time=. A small part of what systemd.time(7) takes for weekdays, with ranges of the
 * clock:
 *
 *   value  = window { " " window }         any of those without "!", none of those with it
 *   window = [ "!" ] ( days | times | days " " times )
 *   days   = day [ ".." day ] { "," day [ ".." day ] }         Mon Tue Wed Thu Fri Sat Sun
 *   times  = HH:MM "-" HH:MM { "," HH:MM "-" HH:MM }
 *
 * Days alone are whole days; times alone, as the first window or behind "!", are of every day. The first minute
 * counts, the last does not (18:00 is not in 08:00-18:00). A range that goes over midnight belongs to the day on which
 * it begins.
 */
#pragma once

#include <stdbool.h>

#include "policy/ini.h"

struct lb_week;

extern const char *const lb_week_days[]; /* "Mon" to "Sun", NULL-terminated */

/* Mistakes, also a value that fits no minute, go to at->errors, and then *ret is untouched and the result 0 all the
 * same. -ENOMEM. */
int lb_week_parse(const char *value, const struct lb_ini_place *at, struct lb_week **ret);

/* weekday 0 is Monday; minute is that of the day. A time that is not known (negative) is in no week. */
bool lb_week_contains(const struct lb_week *week, int weekday, int minute);

/* True if each minute of `narrow` is one of `wide`. */
bool lb_week_covers(const struct lb_week *wide, const struct lb_week *narrow);

struct lb_week *lb_week_free(struct lb_week *week); /* NULL is fine; returns NULL */
