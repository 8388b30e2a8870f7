/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests as the courier keeps them in mind: made of their events, a bounded number, and fetched when one is
 * missing. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lockboxd/courier/story.h"
#include "tests/unit/samples.h"

static struct lb_stories *stories;

static int set_up(void **state)
{
    (void)state;
    stories = lb_stories_new(3);
    return stories ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    stories = lb_stories_free(stories);
    return 0;
}

/* The state after this event, -1 where the request is not to be had, or -errno. */
static int tell(int kind, const char *id)
{
    struct lb_event e = sample_event(kind, HOUR);
    const struct lb_request *request = NULL;
    int r;

    e.request = (char *)id;
    r = lb_stories_event(stories, &e, &request);
    return r < 0 ? r : request ? request->state : -1;
}

static void test_from_begin_to_end(void **state)
{
    (void)state;
    assert_int_equal(tell(LB_EVENT_REQUESTED, "R-1"), LB_STATE_PENDING);
    assert_int_equal(tell(LB_EVENT_REFUSED, NULL), -1);
    assert_int_equal(tell(LB_EVENT_ILLEGAL, "R-1"), LB_STATE_PENDING); /* the gate's own, about it */
    assert_int_equal(tell(LB_EVENT_APPROVED, "R-1"), LB_STATE_APPROVED);
    assert_int_equal(tell(LB_EVENT_WITHDRAWN, "R-1"), LB_STATE_WITHDRAWN);
}

static void test_one_that_is_not_known(void **state)
{
    struct lb_request *request = NULL;
    struct lb_event e = sample_event(LB_EVENT_REQUESTED, 0);

    (void)state;
    assert_int_equal(tell(LB_EVENT_UNDELIVERED, "7F3K-9QXM"), -1); /* not worth a question */
    assert_int_equal(tell(LB_EVENT_DENIED, "7F3K-9QXM"), -ENOENT);
    assert_int_equal(lb_lifecycle_apply(&request, &e), 0);
    assert_int_equal(lb_stories_put(stories, "7F3K-9QXM", request), 0);
    assert_int_equal(tell(LB_EVENT_DENIED, "7F3K-9QXM"), LB_STATE_DENIED);
    assert_int_equal(tell(LB_EVENT_DENIED, "NO-SUCH"), -ENOENT);
    assert_int_equal(lb_stories_put(stories, "NO-SUCH", NULL), 0);
    assert_int_equal(tell(LB_EVENT_DENIED, "NO-SUCH"), -1); /* told without it */
}

static void test_what_does_not_fit(void **state)
{
    (void)state;
    assert_int_equal(tell(LB_EVENT_REQUESTED, "R-1"), LB_STATE_PENDING);
    assert_int_equal(tell(LB_EVENT_RESUMED, "R-1"), -1);
    assert_int_equal(tell(LB_EVENT_DENIED, "R-1"), -ENOENT);
    assert_int_equal(tell(LB_EVENT_REQUESTED, "R-1"), LB_STATE_PENDING); /* another log, the same name */
    assert_int_equal(tell(LB_EVENT_REQUESTED, "R-1"), LB_STATE_PENDING);
}

/* The least lately heard of goes, closed ones before. */
static void test_so_many_and_no_more(void **state)
{
    char id[16];

    (void)state;
    tell(LB_EVENT_REQUESTED, "R-1");
    tell(LB_EVENT_REQUESTED, "R-2");
    tell(LB_EVENT_DENIED, "R-2");
    tell(LB_EVENT_REQUESTED, "R-3");
    tell(LB_EVENT_REQUESTED, "R-4");
    assert_int_equal(tell(LB_EVENT_VOTED, "R-1"), LB_STATE_PENDING);
    assert_int_equal(tell(LB_EVENT_ACKNOWLEDGED, "R-2"), -ENOENT);
    tell(LB_EVENT_REQUESTED, "R-5");
    assert_int_equal(tell(LB_EVENT_VOTED, "R-3"), -ENOENT);
    for (int i = 0; i < 1000; i++) {
        snprintf(id, sizeof(id), "M-%d", i);
        assert_int_equal(tell(LB_EVENT_REQUESTED, id), LB_STATE_PENDING);
    }
    assert_int_equal(tell(LB_EVENT_VOTED, "M-997"), LB_STATE_PENDING);
    assert_int_equal(tell(LB_EVENT_VOTED, "M-996"), -ENOENT);
    lb_stories_forget(stories);
    assert_int_equal(tell(LB_EVENT_VOTED, "M-997"), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_from_begin_to_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_that_is_not_known, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_does_not_fit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_so_many_and_no_more, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
