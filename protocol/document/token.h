/*
 * token.h: one step through MessagePack, and where the containers of a document end. For
 * protocol/document, and for the one other walk that runs for every change (engine/filter).
 *
 * A token is a scalar with its payload, or the head of a container. bin, and extensions other than
 * DOCUMENT_EXT_NUMBER, are no tokens: a document has none.
 *
 * Owner:     the function that walks.
 * Memory:    ends: the first ENDS_LOCAL_MAX containers are in place, more take a block.
 * Tests:     through document.h, json.h and merge_patch.h.
 */
#ifndef FRESHET_PROTOCOL_DOCUMENT_TOKEN_H
#define FRESHET_PROTOCOL_DOCUMENT_TOKEN_H

#include "protocol/base/bytes.h"
#include "protocol/base/limits.h"
#include "protocol/document/document.h"

enum token_kind {
    TOKEN_NULL,
    TOKEN_BOOL,
    TOKEN_UNSIGNED, /* integer holds it */
    TOKEN_NEGATIVE, /* integer holds it as two's complement */
    TOKEN_FLOAT,
    TOKEN_NUMBER_TEXT, /* payload is the text */
    TOKEN_STRING,      /* payload is the UTF-8 */
    TOKEN_ARRAY,       /* count elements follow */
    TOKEN_OBJECT,      /* count pairs of name and value follow */
};

struct token {
    enum token_kind kind;
    uint32_t count;
    union {
        bool boolean;
        uint64_t integer;
        double floating;
        struct bytes payload;
    };
};

/* What follows a head byte from 0xC0 to 0xDF. False when no document holds it. */
bool token_next_sized(struct reader *reader, uint8_t head, struct token *token_out);

static inline bool token_next(struct reader *reader, struct token *token_out)
{
    const uint8_t *at = reader_take(reader, 1);
    if (at == NULL) {
        return false;
    }
    uint8_t head = *at;
    if (head < 0x80) {
        token_out->kind = TOKEN_UNSIGNED;
        token_out->integer = head;
        return true;
    }
    if (head < 0xA0) {
        token_out->kind = head < 0x90 ? TOKEN_OBJECT : TOKEN_ARRAY;
        token_out->count = head & 0x0F;
        return true;
    }
    if (head < 0xC0) {
        token_out->kind = TOKEN_STRING;
        token_out->payload = reader_bytes(reader, head & 0x1F);
        return !reader->failed;
    }
    if (head >= 0xE0) {
        token_out->kind = TOKEN_NEGATIVE;
        token_out->integer = (uint64_t)(int64_t)(int8_t)head;
        return true;
    }
    return token_next_sized(reader, head, token_out);
}

/* The values that must follow a container's head before it is whole; 0 for a scalar. */
static inline uint64_t token_children(const struct token *token)
{
    if (token->kind == TOKEN_OBJECT) {
        return 2 * (uint64_t)token->count;
    }
    return token->kind == TOKEN_ARRAY ? token->count : 0;
}

static inline bool token_is_container(const struct token *token)
{
    return token->kind >= TOKEN_ARRAY;
}

/* The text of a number; false for any other token, and for what JSON cannot say. */
bool token_number_text(const struct token *token, struct writer *out);

/* Passes over one whole value, without recursion. */
bool token_skip(struct reader *reader);

/*
 * Where the containers of a document end, so that each is passed over in a step: a walk that skips
 * at every level would otherwise read a deep document once per level. Small containers are not
 * listed; reading them is as fast.
 */
#define ENDS_LOCAL_MAX  32
#define ENDS_WALK_BYTES 64

struct end {
    uint32_t from;
    uint32_t to;
};

struct ends {
    const uint8_t *base;
    struct end *items; /* ascending by from */
    size_t count;
    size_t capacity;
    struct end local[ENDS_LOCAL_MAX];
};

/*
 * INVALID when the bytes are not one whole value of at most DOCUMENT_DEPTH_MAX levels, or
 * NO_MEMORY.
 */
MUST_USE enum status ends_init(struct ends *ends, struct bytes document);
void ends_deinit(struct ends *ends);

/* Passes over the value at the reader, which reads from the document that ends was made for. */
bool ends_skip(const struct ends *ends, struct reader *reader);

/* The same for one member or element; value_out spans it. */
bool ends_next_member(const struct ends *ends, struct document_cursor *cursor,
                      struct bytes *name_out, struct bytes *value_out);
bool ends_next_element(const struct ends *ends, struct document_cursor *cursor,
                       struct bytes *value_out);

#endif
