/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/verbs.h"

#include <errno.h>
#include <stdio.h>

#include "lockboxd/interfaces.h"
#include "lockboxd/proto/json.h"
#include "lockboxd/rights.h"
#include "policy/base.h"
#include "policy/id.h"

static const struct lb_verb *const tables[] = {
    lb_verbs_login, lb_verbs_read, lb_verbs_decide, lb_verbs_request, lb_verbs_run, lb_verbs_audit,
    lb_verbs_checkpoint, lb_verbs_undelivered, lb_verbs_service,
};

static const struct lb_verb *find(const char *method)
{
    for (size_t i = 0; i < LB_ELEMENTS(tables); i++)
        for (const struct lb_verb *v = tables[i]; v->method; v++)
            if (strcmp(v->method, method) == 0)
                return v;
    return NULL;
}

static void not_found(struct lb_conn *c, const char *method)
{
    const char *dot = strrchr(method, '.');
    size_t length = dot ? (size_t)(dot - method) : strlen(method);

    for (const struct lb_interface *i = lb_interfaces; i->name; i++)
        if (strlen(i->name) == length && strncmp(i->name, method, length) == 0) {
            lb_call_error(c, "org.varlink.service.MethodNotFound", json_pack("{ss}", "method", method));
            return;
        }
    lb_call_error(c, "org.varlink.service.InterfaceNotFound",
                  json_pack("{ss%}", "interface", method, length));
}

void lb_verbs_dispatch(struct lb_conn *c, const struct lb_varlink_call *call)
{
    static const struct lb_field none[] = { { 0 } };
    const struct lb_verb *v = find(call->method);
    const struct lb_field *fields = v && v->fields ? v->fields : none;
    LB_FREE void *parameters = calloc(1, v && v->size ? v->size : 1);
    const char *wrong = "";
    int r;

    if (!v || call->oneway || !parameters) {
        not_found(c, call->method);
        return;
    }
    if (!(v->doors & c->door)) {
        lb_call_error(c, "org.varlink.service.PermissionDenied", NULL);
        return;
    }
    r = lb_json_unpack(fields, call->parameters, parameters, LB_JSON_PUBLIC, &wrong);
    if (r < 0) {
        lb_call_error(c, "org.varlink.service.InvalidParameter", json_pack("{ss}", "parameter", wrong ? wrong : ""));
        return;
    }
    v->run(c, parameters);
    lb_fields_clear(fields, parameters);
}

bool lb_verbs_person(struct lb_conn *c, struct lb_person *ret)
{
    int r = lb_rights_person(c->server->gate, &c->peer, ret);

    if (r < 0)
        lb_call_refuse(c, "org.lockbox.Access.NotPermitted",
                       r == -EACCES ? "your account has no part in this host's accesses"
                                    : "your account is not known to the host at present");
    return r == 0;
}

char *lb_verbs_id(const char *typed)
{
    char printed[LB_ID_PRINTED_MAX];

    return *lb_id_format(typed, printed) ? strdup(printed) : NULL;
}

/* --- org.varlink.service ------------------------------------------------------------------------------------------ */

static void verb_get_info(struct lb_conn *c, void *parameters)
{
    json_t *names = json_array();

    (void)parameters;
    for (const struct lb_interface *i = lb_interfaces; i->name; i++)
        json_array_append_new(names, json_string(i->name));
    lb_call_reply(c, json_pack("{ss ss ss ss so}", "vendor", "lockbox", "product", "lockboxd", "version", LB_VERSION,
                               "url", "https://varlink.org", "interfaces", names));
}

struct description { char *interface; };
static const struct lb_field description_fields[] = {
    { "interface", LB_FIELD_STRING, offsetof(struct description, interface), LB_FIELD_REQUIRED },
    { 0 },
};

static void verb_get_description(struct lb_conn *c, void *parameters)
{
    const struct description *d = parameters;

    for (const struct lb_interface *i = lb_interfaces; i->name; i++)
        if (strcmp(i->name, d->interface) == 0) {
            lb_call_reply(c, json_pack("{ss}", "description", i->description));
            return;
        }
    lb_call_error(c, "org.varlink.service.InterfaceNotFound", json_pack("{ss}", "interface", d->interface));
}

const struct lb_verb lb_verbs_service[] = {
    { "org.varlink.service.GetInfo", LB_DOOR_LOGIN | LB_DOOR_CONTROL, NULL, 0, verb_get_info },
    { "org.varlink.service.GetInterfaceDescription", LB_DOOR_LOGIN | LB_DOOR_CONTROL, description_fields,
      sizeof(struct description), verb_get_description },
    { 0 },
};
