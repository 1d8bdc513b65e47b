/* The table of statuses, assertions, and lists. */
#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

#include "protocol/base/assert.h"
#include "protocol/base/limits.h"
#include "protocol/base/list.h"
#include "protocol/base/status.h"

Test(status, every_member_has_its_name_and_a_text)
{
#define CHECK_MEMBER(name, code, text)                                                             \
    cr_expect_str_eq(status_name(name), #name);                                                    \
    cr_expect_str_eq(status_text(name), text);                                                     \
    cr_expect_gt(strlen(text), 1);
    STATUS_TABLE(CHECK_MEMBER)
#undef CHECK_MEMBER
}

Test(status, wire_codes_never_change)
{
    /* Stored and sent: a code that was given to a meaning stays with it. */
    cr_expect_eq(STATUS_OK, 0);
    cr_expect_eq(STATUS_NOT_FOUND, 1);
    cr_expect_eq(STATUS_INVALID, 2);
    cr_expect_eq(STATUS_TOO_LARGE, 3);
    cr_expect_eq(STATUS_UNPROCESSABLE, 4);
    cr_expect_eq(STATUS_PRECONDITION_FAILED, 5);
    cr_expect_eq(STATUS_NOT_MODIFIED, 6);
    cr_expect_eq(STATUS_CONFLICT, 7);
    cr_expect_eq(STATUS_BUSY, 8);
    cr_expect_eq(STATUS_WOULD_BLOCK, 9);
    cr_expect_eq(STATUS_NO_MEMORY, 10);
    cr_expect_eq(STATUS_IO_ERROR, 11);
    cr_expect_eq(STATUS_DAMAGED, 12);
    cr_expect_eq(STATUS_NOT_ACCEPTED, 13);
    cr_expect_eq(STATUS_OUTCOME_UNKNOWN, 14);
    cr_expect_eq(STATUS_POSITION_EXPIRED, 15);
    cr_expect_eq(STATUS_TIMEOUT, 16);
    cr_expect_eq(STATUS_CLOSED, 17);
    cr_expect_eq(STATUS_DISK_FULL, 18);
    cr_expect_eq(STATUS_LOCKED, 19);
    cr_expect_eq(STATUS_UNSUPPORTED, 20);
}

Test(assertion, a_true_one_does_nothing)
{
    int evaluated = 0;
    ASSERT(++evaluated == 1);
    cr_assert_eq(evaluated, 1);
}

Test(assertion, a_false_one_ends_the_process, .signal = SIGABRT)
{
    ASSERT(1 + 1 == 3);
}

struct item {
    int number;
    struct link link;
    struct queue_link queue_link;
};

static int number_of(struct link *link)
{
    return CONTAINER_OF(link, struct item, link)->number;
}

Test(list, elements_come_in_the_order_of_their_pushing)
{
    struct link head;
    struct item items[3] = {{.number = 1}, {.number = 2}, {.number = 3}};
    link_init(&head);
    cr_expect(list_is_empty(&head));
    cr_expect_null(list_first(&head));
    cr_expect_null(list_pop_front(&head));
    list_push_back(&head, &items[1].link);
    list_push_back(&head, &items[2].link);
    list_push_front(&head, &items[0].link);
    cr_expect_not(list_is_empty(&head));
    for (int expected = 1; expected <= 3; expected++) {
        struct link *link = list_pop_front(&head);
        cr_assert_not_null(link);
        cr_expect_eq(number_of(link), expected);
        cr_expect_not(link_is_linked(link));
    }
    cr_expect(list_is_empty(&head));
}

Test(list, an_element_can_leave_from_anywhere_and_more_than_once)
{
    struct link head;
    struct item items[3] = {{.number = 1}, {.number = 2}, {.number = 3}};
    link_init(&head);
    for (int at = 0; at < 3; at++) {
        list_push_back(&head, &items[at].link);
    }
    link_remove(&items[1].link);
    cr_expect_not(link_is_linked(&items[1].link));
    link_remove(&items[1].link);
    cr_expect_eq(number_of(head.next), 1);
    cr_expect_eq(number_of(head.next->next), 3);
    cr_expect_eq(number_of(head.previous), 3);
    link_remove(&items[2].link);
    link_remove(&items[0].link);
    cr_expect(list_is_empty(&head));
}

Test(list, splicing_moves_all_in_order_and_leaves_an_empty_list)
{
    struct link to;
    struct link from;
    struct item items[4] = {{.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
    link_init(&to);
    link_init(&from);
    list_splice_back(&to, &from);
    cr_expect(list_is_empty(&to));
    list_push_back(&to, &items[0].link);
    for (int at = 1; at < 4; at++) {
        list_push_back(&from, &items[at].link);
    }
    list_splice_back(&to, &from);
    cr_expect(list_is_empty(&from));
    for (int expected = 1; expected <= 4; expected++) {
        cr_expect_eq(number_of(list_pop_front(&to)), expected);
    }
    cr_expect(list_is_empty(&to));
}

Test(queue, first_in_is_first_out_also_after_it_ran_empty)
{
    struct queue queue = {NULL, NULL};
    struct item items[3] = {{.number = 1}, {.number = 2}, {.number = 3}};
    for (int round = 0; round < 2; round++) {
        cr_expect(queue_is_empty(&queue));
        cr_expect_null(queue_pop(&queue));
        queue_push(&queue, &items[0].queue_link);
        queue_push(&queue, &items[1].queue_link);
        cr_expect_eq(queue_pop(&queue), &items[0].queue_link);
        queue_push(&queue, &items[2].queue_link);
        cr_expect_eq(queue_pop(&queue), &items[1].queue_link);
        cr_expect_eq(queue_pop(&queue), &items[2].queue_link);
    }
    cr_expect(queue_is_empty(&queue));
}
