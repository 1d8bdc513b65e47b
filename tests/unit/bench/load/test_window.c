#include <criterion/criterion.h>

#include "bench/load/window.h"

Test(window, it_has_room_for_its_capacity)
{
    struct window window;
    cr_assert_eq(window_init(&window, 3), STATUS_OK);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert(window_has_room(&window));
        (void)window_send(&window);
    }
    cr_assert_not(window_has_room(&window));
    cr_assert_eq(window_count(&window), 3);
    window_deinit(&window);
}

Test(window, the_oldest_is_the_one_that_was_sent_first)
{
    struct window window;
    cr_assert_eq(window_init(&window, 4), STATUS_OK);
    cr_assert_eq(window_oldest(&window), WINDOW_NONE);
    uint32_t one = window_send(&window);
    uint32_t two = window_send(&window);
    cr_assert_eq(window_oldest(&window), one);
    window_end(&window, one);
    uint32_t three = window_send(&window);
    uint32_t four = window_send(&window);
    static const char *const order = "two, three, four";
    cr_assert_eq(window_oldest(&window), two, "%s", order);
    window_end(&window, two);
    cr_assert_eq(window_oldest(&window), three, "%s", order);
    window_end(&window, three);
    cr_assert_eq(window_oldest(&window), four, "%s", order);
    window_end(&window, four);
    cr_assert_eq(window_oldest(&window), WINDOW_NONE);
    window_deinit(&window);
}

Test(window, answers_may_come_in_any_order)
{
    struct window window;
    cr_assert_eq(window_init(&window, 4), STATUS_OK);
    uint32_t slots[4];
    for (uint32_t i = 0; i < 4; i++) {
        slots[i] = window_send(&window);
    }
    window_end(&window, slots[2]);
    cr_assert_not(window_is_sent(&window, slots[2]));
    cr_assert(window_is_sent(&window, slots[3]));
    cr_assert_not(window_is_sent(&window, 4));
    cr_assert_not(window_is_sent(&window, WINDOW_NONE));
    window_end(&window, slots[0]);
    cr_assert_eq(window_oldest(&window), slots[1]);
    window_end(&window, slots[1]);
    cr_assert_eq(window_oldest(&window), slots[3]);
    window_end(&window, slots[3]);
    cr_assert_eq(window_count(&window), 0);
    window_deinit(&window);
}

Test(window, what_is_owed_keeps_its_slot_and_is_sent_behind_the_others)
{
    struct window window;
    cr_assert_eq(window_init(&window, 2), STATUS_OK);
    uint32_t read = window_send(&window);
    uint32_t other = window_send(&window);
    window.slots[read].key = 77;
    window_owe(&window, read);
    cr_assert_not(window_has_room(&window));
    cr_assert_not(window_is_sent(&window, read));
    cr_assert_eq(window_oldest(&window), other);
    cr_assert_eq(window_send_owed(&window), read);
    cr_assert_eq(window.slots[read].key, 77);
    cr_assert_eq(window_oldest(&window), other);
    window_end(&window, other);
    cr_assert_eq(window_oldest(&window), read);
    window_end(&window, read);
    cr_assert_eq(window_count(&window), 0);
    window_deinit(&window);
}

Test(window, cleared_it_is_as_new)
{
    struct window window;
    cr_assert_eq(window_init(&window, 3), STATUS_OK);
    uint32_t one = window_send(&window);
    (void)window_send(&window);
    window_owe(&window, one);
    window_clear(&window);
    cr_assert_eq(window_count(&window), 0);
    cr_assert_eq(window_oldest(&window), WINDOW_NONE);
    for (uint32_t i = 0; i < 3; i++) {
        (void)window_send(&window);
    }
    cr_assert_eq(window_count(&window), 3);
    window_deinit(&window);
}
