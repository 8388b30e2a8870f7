/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/thaw.h"

#include <errno.h>

#include "lockboxd/freezer.h"
#include "lockboxd/log.h"
#include "policy/base.h"
#include "policy/id.h"

bool lb_thaw_keeps(void *store, const char *id)
{
    struct lb_request *request = NULL;
    int error = store ? lb_store_load(store, id, &request) : -EIO;
    char printed[LB_ID_PRINTED_MAX];
    bool stays;

    if (error < 0)
        return error != -ENOENT && *lb_id_format(id, printed);
    stays = request->state == LB_STATE_PAUSED || request->state == LB_STATE_ENDING;
    lb_request_free(request);
    return stays;
}

int lb_thaw_main(const char *state_directory, const char *runtime_directory)
{
    struct lb_store *store = NULL;
    int r = lb_store_open(state_directory, true, 0, &store);

    if (r < 0)
        lb_log(LOG_ERR,
               "Cannot read the log (%s); what is frozen of accesses stays so until it can be read, or they end.",
               strerror(-r));
    r = lb_freezer_thaw_all(runtime_directory, lb_thaw_keeps, store);
    if (r < 0)
        lb_log(LOG_ALERT, "Cannot let go on what %s/frozen lists: %s", runtime_directory, strerror(-r));
    lb_store_close(store);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
