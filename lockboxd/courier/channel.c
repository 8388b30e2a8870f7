/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/channel.h"

#include "lockboxd/courier/export.h"
#include "lockboxd/courier/remote.h"
#include "policy/base.h"

const struct lb_channel *const lb_channels[] = {
    &lb_channel_mail,
    &lb_channel_webhook,
    &lb_channel_remote,
    &lb_channel_export,
    NULL,
};

const struct lb_channel *lb_channel_find(const char *name)
{
    for (const struct lb_channel *const *c = lb_channels; *c; c++)
        if (lb_streq((*c)->name, name))
            return *c;
    return NULL;
}
