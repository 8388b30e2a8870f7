/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lockboxctl doctor. Each check looks at one kind of way into the host and says of each that it finds whether it passes
 * the gate; where it does not, which line is at fault and what mends it.
 */
#pragma once

#include "lockboxd/inspect/doctor/host.h"
#include "policy/fields.h"

enum lb_verdict_of_way {
    LB_WAY_HOLE,    /* somebody who is gated gets in, or gets further, without being asked for */
    LB_WAY_WARNING, /* it passes, but not as it should: nobody gets in, or others are kept out */
    LB_WAY_OK,
};

struct lb_finding {
    char *way;
    int verdict; /* enum lb_verdict_of_way */
    char *text;
    char *file;   /* the line at fault; NULL: none can be named */
    int64_t line; /* 0: the file as a whole */
    char *mend;   /* NULL: nothing to do */
};
extern const struct lb_field lb_finding_fields[];

/* A PAM service, as far as other checks want to know of it. */
struct lb_service {
    char *name;
    bool gated;
    int64_t wait; /* seconds that our account line may wait */
};

struct lb_doctor {
    struct lb_host host;
    const char *sshd;        /* a file with what `sshd -T` prints, instead of asking; NULL: ask */
    char **accounts;         /* those that are gated */
    struct lb_list services; /* struct lb_service; made by lb_doctor_pam */
    struct lb_list units;    /* struct lb_unit; made by lb_doctor_start */
    struct lb_list findings; /* struct lb_finding */
    int r;                   /* -ENOMEM once memory was short: what was found is not all */
};

struct lb_place {
    const char *file; /* NULL: nowhere */
    unsigned line;
};
#define LB_NOWHERE ((struct lb_place){ 0 })

/* Adds a finding. The text may have a second line: what mends it. */
void lb_doctor_find(struct lb_doctor *d, int verdict, const char *way, struct lb_place at, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* True if the way has a finding that is not good. */
bool lb_doctor_has_trouble(const struct lb_doctor *d, const char *way);

/* Keeps -ENOMEM; what else a check could not do is its own to tell. */
void lb_doctor_keep(struct lb_doctor *d, int r);

/* Reads accounts and units of the host. -ENOMEM. */
int lb_doctor_start(struct lb_doctor *d, const char *root);
void lb_doctor_end(struct lb_doctor *d);

/* All checks, in order. -ENOMEM. */
int lb_doctor_examine(struct lb_doctor *d);

/* The worst of all verdicts. */
int lb_doctor_verdict(const struct lb_doctor *d);

/* --- the checks --------------------------------------------------------------------------------------------------- */

void lb_doctor_pam(struct lb_doctor *d);      /* pam_services.c: the services of pam.d */
void lb_doctor_sshd(struct lb_doctor *d);     /* sshd.c: sshd, every instance of it */
void lb_doctor_other_doors(struct lb_doctor *d); /* other_doors.c: what listens without PAM */
void lb_doctor_sudo(struct lb_doctor *d);     /* sudo.c: settings that take the gate out of sudo */
void lb_doctor_console(struct lb_doctor *d);  /* console.c: gettys, root shells, the boot loader */
void lb_doctor_accounts(struct lb_doctor *d); /* accounts.c: what a gated account has besides */
void lb_doctor_lockbox(struct lb_doctor *d);  /* lockbox.c: module, units, policy, approvers */

/* Which service is known by this name; NULL: none. */
const struct lb_service *lb_doctor_service(const struct lb_doctor *d, const char *name);

#define LB_PAM_SETUP LB_LIBEXECDIR "/pam-setup"

/* The sub-command: its own arguments, exit status 0, 1 (a hole, or not done), 2. */
int lb_doctor_main(int argc, char **argv);
