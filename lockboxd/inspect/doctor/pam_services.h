/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a PAM service is for, by its name: whether it is a way in at all. */
#pragma once

enum lb_service_kind {
    LB_SERVICE_LOGIN,    /* opens sessions; also whatever is not known */
    LB_SERVICE_ELEVATE,  /* makes somebody else of who is in */
    LB_SERVICE_JOB,      /* runs what was left for later */
    LB_SERVICE_FALLBACK, /* for programs without a service of their own */
    LB_SERVICE_NOT_ONE,  /* no way in */
    LB_SERVICE_PART,     /* no service: others include it */
};

/* *ret_why is set for LB_SERVICE_NOT_ONE: why it is none. */
enum lb_service_kind lb_service_kind(const char *name, const char **ret_why);
