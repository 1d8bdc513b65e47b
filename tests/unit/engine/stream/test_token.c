#include <criterion/criterion.h>

#include "engine/stream/token.h"

static struct token plain(void)
{
    struct token token = {.position = {.epoch = 3, .sequence = 123456789}};
    for (uint8_t i = 0; i < sizeof(token.position.store_id.bytes); i++) {
        token.position.store_id.bytes[i] = (uint8_t)(i * 16 + 1);
    }
    return token;
}

static struct token in_snapshot(size_t key_size)
{
    struct token token = plain();
    token.in_snapshot = true;
    token.shard = 2;
    token.key_size = key_size;
    memset(token.key, 'k', key_size);
    return token;
}

static struct bytes text_of(const struct token *token, uint8_t *room)
{
    struct writer out = writer_of(room, TOKEN_TEXT_BYTES_MAX);
    token_write(token, &out);
    cr_assert_not(out.failed);
    return writer_bytes(&out);
}

static void expect_round(const struct token *token)
{
    uint8_t room[TOKEN_TEXT_BYTES_MAX];
    struct token back;
    struct bytes text = text_of(token, room);
    cr_assert_eq(token_read(text, &back), STATUS_OK);
    cr_assert_eq(memcmp(&back, token, sizeof(back)), 0);
}

Test(token, of_a_position_is_the_positions_text)
{
    uint8_t room[TOKEN_TEXT_BYTES_MAX];
    struct token token = plain();
    cr_assert(bytes_equal(text_of(&token, room),
                          BYTES_LITERAL("AQERITFBUWFxgZGhscHR4fEAAAAAAAAAAwAAAAAHW80VwFpZK3L2")));
    expect_round(&token);
}

/* Clients keep these texts: this test changes only together with the version byte. */
Test(token, in_a_snapshot_is_the_one_in_the_format)
{
    uint8_t room[TOKEN_TEXT_BYTES_MAX];
    struct token token = in_snapshot(0);
    memcpy(token.key, "pets\0rex", 8);
    token.key_size = 8;
    struct bytes text = text_of(&token, room);
    cr_assert(bytes_equal(text, BYTES_LITERAL("AgERITFBUWFxgZGhscHR4fEAAAAAAAAAAwAAAAAHW80VAAAAAn"
                                              "BldHMAcmV45j0htZdj")),
              "%.*s", (int)text.size, (const char *)text.data);
}

Test(token, in_a_snapshot_comes_back_whatever_its_key)
{
    for (size_t size = 0; size <= TOKEN_KEY_BYTES_MAX; size++) {
        struct token token = in_snapshot(size);
        expect_round(&token);
    }
}

Test(token, of_a_group_comes_back)
{
    static const uint64_t generations[] = {1, 9, 10, UINT32_MAX, UINT64_MAX};
    for (size_t i = 0; i < sizeof(generations) / sizeof(generations[0]); i++) {
        struct token token = plain();
        token.generation = generations[i];
        expect_round(&token);
    }
}

Test(token, with_any_other_character_is_invalid)
{
    struct token tokens[] = {plain(), in_snapshot(5)};
    for (size_t t = 0; t < sizeof(tokens) / sizeof(tokens[0]); t++) {
        uint8_t room[TOKEN_TEXT_BYTES_MAX];
        struct bytes text = text_of(&tokens[t], room);
        for (size_t at = 0; at < text.size; at++) {
            uint8_t right = room[at];
            for (int other = 0; other < 256; other++) {
                struct token out;
                room[at] = (uint8_t)other;
                cr_assert_eq(token_read(text, &out),
                             (uint8_t)other == right ? STATUS_OK : STATUS_INVALID);
            }
            room[at] = right;
        }
    }
}

Test(token, that_is_cut_or_longer_is_invalid)
{
    struct token tokens[] = {plain(), in_snapshot(0), in_snapshot(TOKEN_KEY_BYTES_MAX)};
    for (size_t t = 0; t < sizeof(tokens) / sizeof(tokens[0]); t++) {
        uint8_t room[TOKEN_TEXT_BYTES_MAX + 1];
        size_t size = text_of(&tokens[t], room).size;
        struct token out;
        for (size_t cut = 0; cut < size; cut++) {
            cr_assert_eq(token_read(bytes_of(room, cut), &out), STATUS_INVALID);
        }
        room[size] = 'A';
        cr_assert_eq(token_read(bytes_of(room, size + 1), &out), STATUS_INVALID);
    }
}

Test(token, with_a_wrong_generation_is_invalid)
{
    static const char *const wrong[] = {"~",
                                        "~0",
                                        "~01",
                                        "~-1",
                                        "~+1",
                                        "~1a",
                                        "~ 1",
                                        "~18446744073709551616",
                                        "~99999999999999999999"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        uint8_t room[TOKEN_TEXT_BYTES_MAX];
        struct token token = plain();
        struct writer out = writer_of(room, sizeof(room));
        token_write(&token, &out);
        writer_text(&out, wrong[i]);
        cr_assert_eq(token_read(writer_bytes(&out), &token), STATUS_INVALID, "%s", wrong[i]);
        cr_assert_eq(token.generation, 0);
    }
}

Test(token, that_is_no_text_of_ours_is_invalid)
{
    struct token out;
    uint8_t long_text[8192];
    memset(long_text, 'A', sizeof(long_text));
    cr_assert_eq(token_read(BYTES_EMPTY, &out), STATUS_INVALID);
    cr_assert_eq(token_read(BYTES_LITERAL("latest"), &out), STATUS_INVALID);
    cr_assert_eq(token_read(bytes_of(long_text, sizeof(long_text)), &out), STATUS_INVALID);
}

Test(token, that_does_not_fit_fails_the_writer)
{
    struct token tokens[] = {plain(), in_snapshot(5), plain()};
    tokens[2].generation = 77;
    for (size_t t = 0; t < sizeof(tokens) / sizeof(tokens[0]); t++) {
        uint8_t room[TOKEN_TEXT_BYTES_MAX];
        size_t size = text_of(&tokens[t], room).size;
        for (size_t less = 0; less < size; less++) {
            struct writer out = writer_of(room, less);
            token_write(&tokens[t], &out);
            cr_assert(out.failed);
        }
    }
}
