/*
 * json_parse.cc: json_to_document. RapidJSON reads the grammar and calls a handler that writes
 * MessagePack straight.
 *
 * What RapidJSON leaves to us: a NUL (its streams end there), a low surrogate without its partner,
 * names that occur twice, depth, the digits and the magnitude of numbers, exact places of errors.
 * Its stack never grows: no token is longer than the text, so that one block is enough, on the C
 * stack for texts that are not large.
 */
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#define _Noreturn [[noreturn]]
extern "C" {
#include "protocol/base/assert.h"
#include "protocol/base/limits.h"
#include "protocol/base/utf8.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"
#include "protocol/document/members.h"
}

/* No operator new and delete: the reader gets an allocator, so that it never makes one. */
#define RAPIDJSON_NEW(x)    nullptr
#define RAPIDJSON_DELETE(x) ((void)(x))
#define RAPIDJSON_ASSERT(x) ASSERT_SLOW(x)
/*
 * Its stack begins as a null pointer and asks whether null + size is beyond its end, which clang's
 * sanitizer reports: there, and only for RapidJSON's own functions, that check is off.
 */
#ifdef __clang__
#pragma clang attribute push(__attribute__((no_sanitize("pointer-overflow"))), apply_to = function)
#endif
#include <rapidjson/reader.h>
#ifdef __clang__
#pragma clang attribute pop
#endif

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte of a word is its lowest");

namespace
{

/* Offsets in the output must fit 32 bits, at the three bytes a byte of JSON can become. */
constexpr size_t JSON_BYTES_MAX = size_t{1} << 30;
/* RapidJSON's stack: two words for each open container, and the longest token with its NUL. */
constexpr size_t STACK_FIXED_BYTES = (DOCUMENT_RENDER_DEPTH_MAX + 1) * 2 * sizeof(unsigned) + 64;
constexpr size_t STACK_LOCAL_BYTES = 8192;
/*
 * Containers begin with a head of one byte, and what they hold is moved when it needs a longer one.
 * Each level may be moved once, so in large texts the head takes its full five bytes at once.
 */
constexpr size_t COMPACT_BYTES_MAX = 16384;
constexpr size_t HEAD_FULL_BYTES = 5;
constexpr unsigned FIXED_COUNT_MAX = 15;
/* Stands for a lone surrogate in a string that is read; no UTF-8 has this byte. */
constexpr char SURROGATE_MARK = '\xFF';

constexpr unsigned PARSE_FLAGS = rapidjson::kParseNumbersAsStringsFlag |
                                 rapidjson::kParseValidateEncodingFlag |
                                 rapidjson::kParseIterativeFlag;

/* Hands out one block that is large enough for all that is ever asked. */
class BlockAllocator
{
  public:
    BlockAllocator(void *block, size_t size) : block_(block), size_(size)
    {
    }

    void *Malloc(size_t size)
    {
        ASSERT(size <= size_);
        return block_;
    }

    void *Realloc(void *, size_t, size_t size)
    {
        ASSERT(size <= size_);
        return block_;
    }

    static void Free(void *)
    {
    }

  private:
    void *block_;
    size_t size_;
};

/*
 * RapidJSON's input: reads NUL at the end, and at every NUL; the caller compares Tell with the
 * size.
 */
struct TextStream {
    typedef char Ch;

    const char *at;
    const char *end;
    const char *begin;

    Ch Peek() const
    {
        return RAPIDJSON_LIKELY(at != end) ? *at : '\0';
    }

    Ch Take()
    {
        return RAPIDJSON_LIKELY(at != end) ? *at++ : '\0';
    }

    size_t Tell() const
    {
        return static_cast<size_t>(at - begin);
    }

    /* For parsing in place, which we do not. */
    Ch *Push(size_t)
    {
        return nullptr;
    }

    Ch *PutBegin()
    {
        return nullptr;
    }

    void Put(Ch)
    {
    }

    size_t PutEnd(Ch *)
    {
        return 0;
    }
};

inline bool is_plain(uint8_t byte)
{
    return byte >= 0x20 && byte != '"' && byte != '\\';
}

/*
 * The bytes of a string from `at` that are plain and valid UTF-8; stops before an escape, the
 * quote, or a bad byte.
 */
inline const char *plain_end(const char *at, const char *end)
{
    constexpr uint64_t ones = UINT64_C(0x0101010101010101);
    constexpr uint64_t highs = UINT64_C(0x8080808080808080);
    while (at != end) {
        if (end - at >= 8) {
            uint64_t word;
            memcpy(&word, at, sizeof(word));
            uint64_t quote = word ^ (ones * '"');
            uint64_t backslash = word ^ (ones * '\\');
            /* A byte above 0x7F stops the run as well; it is looked at below. */
            uint64_t stop =
                ((word - ones * 0x20) | (quote - ones) | (backslash - ones) | word) & highs;
            if (stop == 0) {
                at += 8;
                continue;
            }
            /* The lowest mark is exact, those above it may be borrowed. */
            at += __builtin_ctzll(stop) / 8;
        }
        uint8_t byte = static_cast<uint8_t>(*at);
        if (byte < 0x80) {
            if (!is_plain(byte)) {
                return at;
            }
            at++;
            continue;
        }
        size_t size = utf8_sequence_size(reinterpret_cast<const uint8_t *>(at),
                                         static_cast<size_t>(end - at));
        if (size == 0) {
            return at;
        }
        at += size;
    }
    return at;
}

/* UTF-8, validated and copied a run at a time rather than a character. */
struct RunUtf8 : rapidjson::UTF8<> {
    template <typename InputStream, typename OutputStream>
    static bool Validate(InputStream &input, OutputStream &output)
    {
        const char *stop = plain_end(input.at, input.end);
        size_t size = static_cast<size_t>(stop - input.at);
        if (RAPIDJSON_UNLIKELY(size == 0)) {
            return false;
        }
        memcpy(output.Push(static_cast<rapidjson::SizeType>(size)), input.at, size);
        input.at = stop;
        return true;
    }

    /*
     * Only escapes come here. A high surrogate has been joined with its partner; a low one stands
     * alone.
     */
    template <typename OutputStream> static void Encode(OutputStream &output, unsigned codepoint)
    {
        if (RAPIDJSON_UNLIKELY(codepoint >= 0xDC00 && codepoint <= 0xDFFF)) {
            output.Put(SURROGATE_MARK);
            return;
        }
        rapidjson::UTF8<>::Encode(output, codepoint);
    }
};

} // namespace

RAPIDJSON_NAMESPACE_BEGIN

/*
 * Tokens are read from a local copy of the stream; the handler sees the original, which is still at
 * the token's start.
 */
template <> struct StreamTraits<TextStream> {
    enum { copyOptimization = 1 };
};

/* Numbers are ASCII: copied, not decoded and encoded. */
template <> struct Transcoder<UTF8<>, RunUtf8> {
    template <typename InputStream, typename OutputStream>
    static bool Transcode(InputStream &input, OutputStream &output)
    {
        output.Put(input.Take());
        return true;
    }
};

RAPIDJSON_NAMESPACE_END

namespace
{

struct Frame {
    size_t head_at;  /* offset of the container's head in the output */
    size_t names_at; /* the object's first entry in the table of names */
};

/*
 * Receives RapidJSON's events. Each answers false to stop: the failure is then in `status`,
 * `offset` and `reason`.
 */
class Handler
{
  public:
    typedef char Ch;

    Handler(const TextStream &stream, struct writer *out, size_t depth_max, bool has_escapes,
            bool is_compact)
        : status(STATUS_OK), offset(0), reason(""), stream_(stream), out_(out), start_(out->size),
          depth_(0), depth_max_(depth_max), has_escapes_(has_escapes), is_compact_(is_compact)
    {
        members_init(&names_);
    }

    ~Handler()
    {
        members_deinit(&names_);
    }

    Handler(const Handler &) = delete;
    Handler &operator=(const Handler &) = delete;

    bool Null()
    {
        document_write_null(out_);
        return written();
    }

    bool Bool(bool value)
    {
        document_write_bool(out_, value);
        return written();
    }

    bool RawNumber(const Ch *text, rapidjson::SizeType size, bool)
    {
        enum status result = document_write_number_text(out_, bytes_of(text, size));
        if (RAPIDJSON_LIKELY(result == STATUS_OK)) {
            return true;
        }
        if (result == STATUS_UNPROCESSABLE) {
            return fail(result, "the number has more than 38 significant digits or is too large");
        }
        return fail(result, result == STATUS_TOO_LARGE ? "the document is too large"
                                                       : "this is not a number");
    }

    bool String(const Ch *text, rapidjson::SizeType size, bool)
    {
        if (RAPIDJSON_UNLIKELY(has_surrogate(text, size))) {
            return fail_surrogate();
        }
        document_write_string(out_, bytes_of(text, size));
        return written();
    }

    bool Key(const Ch *text, rapidjson::SizeType size, bool)
    {
        if (RAPIDJSON_UNLIKELY(has_surrogate(text, size))) {
            return fail_surrogate();
        }
        document_write_string(out_, bytes_of(text, size));
        struct member *name = members_push(&names_);
        if (RAPIDJSON_UNLIKELY(name == nullptr)) {
            return fail(STATUS_NO_MEMORY, "out of memory");
        }
        name->order = short_order(text, size);
        name->name_offset = static_cast<uint32_t>(out_->size - size - start_);
        name->name_size = size;
        name->value_offset = static_cast<uint32_t>(stream_.Tell());
        return written();
    }

    bool StartObject()
    {
        return open();
    }

    bool StartArray()
    {
        return open();
    }

    bool EndObject(rapidjson::SizeType count)
    {
        size_t names_at = frames_[depth_ - 1].names_at;
        const struct member *duplicate = nullptr;
        ASSERT(names_.count - names_at == count);
        enum status result =
            members_find_duplicate(&names_, names_at, out_->data + start_, &duplicate);
        if (RAPIDJSON_UNLIKELY(result != STATUS_OK)) {
            return fail(result, "out of memory");
        }
        if (RAPIDJSON_UNLIKELY(duplicate != nullptr)) {
            fail(STATUS_INVALID, "the object has this name twice");
            offset = duplicate->value_offset;
            return false;
        }
        names_.count = names_at;
        return close(count, 0x80, 0xDF);
    }

    bool EndArray(rapidjson::SizeType count)
    {
        return close(count, 0x90, 0xDD);
    }

    /* For a base class's sake only: with numbers as text RapidJSON never calls these. */
    bool Int(int)
    {
        return false;
    }

    bool Uint(unsigned)
    {
        return false;
    }

    bool Int64(int64_t)
    {
        return false;
    }

    bool Uint64(uint64_t)
    {
        return false;
    }

    bool Double(double)
    {
        return false;
    }

    enum status status;
    size_t offset;
    const char *reason;

  private:
    bool fail(enum status why, const char *text)
    {
        ASSERT(why != STATUS_OK);
        ASSERT(status == STATUS_OK);
        status = why;
        offset = stream_.Tell();
        reason = text;
        return false;
    }

    bool written()
    {
        return RAPIDJSON_LIKELY(!out_->failed) ||
               fail(STATUS_TOO_LARGE, "the document is too large");
    }

    bool has_surrogate(const Ch *text, size_t size) const
    {
        return has_escapes_ && memchr(text, SURROGATE_MARK, size) != nullptr;
    }

    /*
     * The first low surrogate escape in the string that begins here and that has no high one in
     * front.
     */
    bool fail_surrogate()
    {
        fail(STATUS_INVALID, "a surrogate escape stands without its partner");
        for (const char *at = stream_.at + 1; at + 6 <= stream_.end;) {
            if (*at != '\\') {
                at++;
                continue;
            }
            bool is_surrogate = at[1] == 'u' && (at[2] | 0x20) == 'd' && at[3] >= '8';
            if (is_surrogate && (at[3] | 0x20) >= 'c') {
                offset = static_cast<size_t>(at - stream_.begin);
                break;
            }
            at += is_surrogate ? 12 : 2; /* a pair, or any other escape */
        }
        return false;
    }

    /*
     * A cheap order for small objects: the first bytes and the size. RapidJSON's block has room
     * behind every token, so that eight bytes can be read at once.
     */
    static uint64_t short_order(const Ch *text, size_t size)
    {
        uint64_t order;
        memcpy(&order, text, sizeof(order));
        if (size < sizeof(order)) {
            order &= (UINT64_C(1) << (8 * size)) - 1;
        }
        return order + (static_cast<uint64_t>(size) << 56);
    }

    bool open()
    {
        if (RAPIDJSON_UNLIKELY(depth_ == depth_max_)) {
            return fail(STATUS_INVALID, "objects and arrays are nested more than 128 deep");
        }
        frames_[depth_++] = Frame{out_->size, names_.count};
        writer_reserve(out_, is_compact_ ? 1 : HEAD_FULL_BYTES);
        return written();
    }

    /* The short head holds the count itself, the full one has it in the four bytes behind it. */
    bool close(unsigned count, uint8_t head_short, uint8_t head_full)
    {
        ASSERT(depth_ > 0);
        size_t head_at = frames_[--depth_].head_at;
        uint8_t *head = out_->data + head_at;
        if (is_compact_ && count <= FIXED_COUNT_MAX) {
            head[0] = static_cast<uint8_t>(head_short | count);
            return true;
        }
        if (is_compact_) {
            size_t body_size = out_->size - head_at - 1;
            if (writer_reserve(out_, HEAD_FULL_BYTES - 1) == nullptr) {
                return written();
            }
            memmove(head + HEAD_FULL_BYTES, head + 1, body_size);
        }
        head[0] = head_full;
        put_u32(head + 1, count);
        return true;
    }

    const TextStream &stream_;
    struct writer *out_;
    size_t start_; /* the writer's size when we began */
    size_t depth_;
    const size_t depth_max_;
    bool has_escapes_;
    bool is_compact_;
    struct members
        names_; /* of all open objects; value_offset is the place of the name in the text */
    Frame frames_[DOCUMENT_RENDER_DEPTH_MAX];
};

/* RapidJSON's reasons in our words. */
const char *reason_of(rapidjson::ParseErrorCode code)
{
    switch (code) {
    case rapidjson::kParseErrorDocumentEmpty:
        return "there is no value";
    case rapidjson::kParseErrorDocumentRootNotSingular:
        return "something follows the value";
    case rapidjson::kParseErrorValueInvalid:
        return "a value is expected here";
    case rapidjson::kParseErrorObjectMissName:
        return "a member's name in quotes is expected here";
    case rapidjson::kParseErrorObjectMissColon:
        return "a colon is expected after a member's name";
    case rapidjson::kParseErrorObjectMissCommaOrCurlyBracket:
        return "a comma or } is expected after a member";
    case rapidjson::kParseErrorArrayMissCommaOrSquareBracket:
        return "a comma or ] is expected after an element";
    case rapidjson::kParseErrorStringUnicodeEscapeInvalidHex:
        return "four hexadecimal digits are expected after \\u";
    case rapidjson::kParseErrorStringUnicodeSurrogateInvalid:
        return "a surrogate escape stands without its partner";
    case rapidjson::kParseErrorStringEscapeInvalid:
        return "this must be escaped in a string, or is no escape";
    case rapidjson::kParseErrorStringMissQuotationMark:
        return "the string does not end";
    case rapidjson::kParseErrorStringInvalidEncoding:
        return "this is not UTF-8";
    case rapidjson::kParseErrorNumberTooBig:
        return "the number is too large";
    case rapidjson::kParseErrorNumberMissFraction:
        return "a digit is expected after the decimal point";
    case rapidjson::kParseErrorNumberMissExponent:
        return "a digit is expected in the exponent";
    case rapidjson::kParseErrorNone:
    case rapidjson::kParseErrorTermination:
    case rapidjson::kParseErrorUnspecificSyntaxError:
        break;
    }
    return "this is not JSON";
}

enum status refuse(struct bytes json, enum status status, size_t offset, const char *reason,
                   struct json_error *error_out)
{
    ASSERT(status != STATUS_OK);
    ASSERT(offset <= json.size);
    if (error_out == nullptr) {
        return status;
    }
    uint32_t line = 1;
    size_t line_at = 0;
    for (size_t at = 0; at < offset; at++) {
        if (json.data[at] == '\n') {
            line++;
            line_at = at + 1;
        }
    }
    error_out->offset = offset;
    error_out->line = line;
    error_out->column = static_cast<uint32_t>(offset - line_at + 1);
    error_out->status = status;
    snprintf(error_out->text, sizeof(error_out->text), "%s", reason);
    return status;
}

enum status parse(struct bytes json, size_t depth_max, struct writer *out, void *block,
                  size_t block_size, struct json_error *error_out)
{
    const char *text = reinterpret_cast<const char *>(json.data);
    TextStream stream{text, text + json.size, text};
    bool has_escapes = memchr(text, '\\', json.size) != nullptr;
    BlockAllocator allocator(block, block_size);
    rapidjson::GenericReader<RunUtf8, RunUtf8, BlockAllocator> reader(&allocator, block_size);
    Handler handler(stream, out, depth_max, has_escapes, json.size <= COMPACT_BYTES_MAX);

    rapidjson::ParseResult result = reader.Parse<PARSE_FLAGS>(stream, handler);
    if (RAPIDJSON_UNLIKELY(handler.status != STATUS_OK)) {
        return refuse(json, handler.status, handler.offset, handler.reason, error_out);
    }
    if (RAPIDJSON_UNLIKELY(result.IsError())) {
        bool is_too_big = result.Code() == rapidjson::kParseErrorNumberTooBig;
        return refuse(json, is_too_big ? STATUS_UNPROCESSABLE : STATUS_INVALID, result.Offset(),
                      reason_of(result.Code()), error_out);
    }
    if (RAPIDJSON_UNLIKELY(stream.Tell() != json.size)) {
        return refuse(json, STATUS_INVALID, stream.Tell(), "a NUL follows the value", error_out);
    }
    return STATUS_OK;
}

enum status parse_within(struct bytes json, size_t depth_max, struct writer *document_out,
                         struct json_error *error_out)
{
    if (json.size == 0) {
        return refuse(json, STATUS_INVALID, 0, "there is no value", error_out);
    }
    if (json.size > JSON_BYTES_MAX) {
        return refuse(json, STATUS_TOO_LARGE, 0, "the text is too large", error_out);
    }
    size_t block_size = json.size + STACK_FIXED_BYTES;
    if (block_size <= STACK_LOCAL_BYTES) {
        alignas(16) char block[STACK_LOCAL_BYTES];
        return parse(json, depth_max, document_out, block, sizeof(block), error_out);
    }
    void *block = malloc(block_size);
    if (block == nullptr) {
        return refuse(json, STATUS_NO_MEMORY, 0, "out of memory", error_out);
    }
    enum status status = parse(json, depth_max, document_out, block, block_size, error_out);
    free(block);
    return status;
}

} // namespace

extern "C" enum status json_to_document(struct bytes json, struct writer *document_out,
                                        struct json_error *error_out)
{
    return parse_within(json, DOCUMENT_DEPTH_MAX, document_out, error_out);
}

extern "C" enum status json_rendered_to_document(struct bytes json, struct writer *document_out)
{
    return parse_within(json, DOCUMENT_RENDER_DEPTH_MAX, document_out, nullptr);
}

extern "C" enum status json_rendered_read(struct bytes json, uint8_t **memory_out,
                                          struct bytes *document_out)
{
    *memory_out = nullptr;
    *document_out = BYTES_EMPTY;
    if (json.size > JSON_BYTES_MAX) {
        return STATUS_TOO_LARGE;
    }
    size_t capacity = json.size * (DOCUMENT_BYTES_MAX / DOCUMENT_JSON_BYTES_MAX) + 64;
    uint8_t *memory = static_cast<uint8_t *>(malloc(capacity));
    if (memory == nullptr) {
        return STATUS_NO_MEMORY;
    }
    struct writer document = writer_of(memory, capacity);
    enum status status = json_rendered_to_document(json, &document);
    if (status != STATUS_OK) {
        free(memory);
        return status;
    }
    *memory_out = memory;
    *document_out = writer_bytes(&document);
    return STATUS_OK;
}
