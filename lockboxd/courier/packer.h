/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `lockboxctl audit pack ID -o FILE`, run beside the loop. */
#pragma once

#include <systemd/sd-event.h>

struct lb_packer;

/* problem NULL: the file is written. Else what the program has said, borrowed. Comes once, from the event loop; it
 * may free the packer. */
typedef void lb_packer_done(void *userdata, const char *problem);

/* Begins. -errno where it cannot be run. */
int lb_packer_new(sd_event *event, const char *program, const char *request, const char *path, lb_packer_done *done,
                  void *userdata, struct lb_packer **ret);

/* Gives up, and ends what still runs. NULL is fine; returns NULL. */
struct lb_packer *lb_packer_free(struct lb_packer *p);
