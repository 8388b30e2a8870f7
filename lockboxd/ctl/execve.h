/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kernel's audit writes of a program that is started, as a command line that can be read. */
#pragma once

/* From `argc=2 a0="ls" a1=2F746D70` (whatever stands before it) the words, with a blank between them; owned. NULL:
 * there is no such thing in the text, or out of memory. */
char *lb_execve_text(const char *record);
