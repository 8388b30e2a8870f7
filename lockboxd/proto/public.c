/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/proto/public.h"

#include "lockboxd/proto/json.h"

json_t *lb_public_request(const struct lb_request *r)
{
    json_t *j = lb_json_pack(lb_request_fields, r, LB_JSON_PUBLIC);

    if (r->script.ended_at && r->script.exit_status == 0)
        json_object_set_new(json_object_get(j, "script"), "exit_status", json_integer(0));
    if (!r->end.reason)
        json_object_del(j, "end");
    if (!r->left_behind.at)
        json_object_del(j, "left_behind");
    if (r->state != LB_STATE_PAUSED)
        json_object_del(j, "paused");
    if (r->terms.quorum > 1)
        json_object_set_new(j, "quorum", json_integer(r->terms.quorum));
    if (r->terms.evidence != LB_EVIDENCE_ANY)
        json_object_set_new(j, "evidence", json_string(lb_evidence_names[r->terms.evidence]));
    if (lb_state_is_waiting(r->state))
        json_object_set_new(j, "stage", json_string(r->state == LB_STATE_REVIEW ? "internal" : "customer"));
    return j;
}
