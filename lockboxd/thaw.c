/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/thaw.h"

#include "lockboxd/freezer.h"
#include "lockboxd/log.h"
#include "lockboxd/store.h"
#include "policy/base.h"

static bool keep(void *userdata, const char *id)
{
    struct lb_request *request = NULL;
    bool stays;

    if (!userdata || lb_store_load(userdata, id, &request) < 0)
        return false;
    stays = request->state == LB_STATE_PAUSED || request->state == LB_STATE_ENDING;
    lb_request_free(request);
    return stays;
}

int lb_thaw_main(const char *state_directory, const char *runtime_directory)
{
    struct lb_store *store = NULL;
    int r = lb_store_open(state_directory, true, 0, &store);

    if (r < 0)
        lb_log(LOG_ERR, "Cannot read the log (%s); all that is frozen goes on.", strerror(-r));
    r = lb_freezer_thaw_all(runtime_directory, keep, store);
    if (r < 0)
        lb_log(LOG_ALERT, "Cannot let go on what %s/frozen lists: %s", runtime_directory, strerror(-r));
    lb_store_close(store);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
