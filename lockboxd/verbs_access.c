/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/verbs_access.h"

#include <errno.h>

#include "lockboxd/rights.h"
#include "policy/base.h"

#define ERROR(name) "org.lockbox.Access." name

const struct lb_field lb_access_target_fields[] = {
    { "id", LB_FIELD_STRING, offsetof(struct lb_access_target, id), LB_FIELD_REQUIRED },
    { "note", LB_FIELD_STRING, offsetof(struct lb_access_target, note) },
    { "for", LB_FIELD_INT, offsetof(struct lb_access_target, decision.duration), LB_FIELD_SPAN },
    { "from", LB_FIELD_INT, offsetof(struct lb_access_target, decision.from), LB_FIELD_TIME },
    { "hold", LB_FIELD_BOOL, offsetof(struct lb_access_target, decision.hold) },
    { 0 },
};

int lb_access_read(struct lb_gate *g, const struct lb_person *p, const char *id, const struct lb_request **ret,
                   struct lb_request **ret_owned)
{
    struct lb_live *live = lb_gate_find(g, id);
    const struct lb_request *r = live ? live->request : NULL;

    if (!r && (!g->store || lb_store_load(g->store, id, ret_owned) < 0))
        return -ENOENT;
    *ret = r ? r : *ret_owned;
    if (lb_rights_read(g, p, *ret) > 0)
        return 0;
    *ret_owned = lb_request_free(*ret_owned);
    return -ENOENT;
}

void lb_access_no_such(struct lb_conn *c, const char *id)
{
    lb_call_error(c, ERROR("NoSuchRequest"), json_pack("{ss}", "id", id));
}

void lb_access_unavailable(struct lb_conn *c, int r)
{
    const char *problem = lb_gate_problem(c->server->gate);

    lb_call_refuse(c, ERROR("Unavailable"), problem ? problem : strerror(-r));
}
