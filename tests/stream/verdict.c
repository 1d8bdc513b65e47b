#include "tests/stream/verdict.h"

#include <stdio.h>
#include <stdlib.h>

static uint32_t written_value(const struct stream_writer *writers, uint32_t writer_count,
                              uint32_t key)
{
    uint32_t number = key / WRITER_KEYS;
    return number < writer_count ? writers[number].values[key % WRITER_KEYS] : 0;
}

bool verdict_folds(const struct follower *followers, uint32_t count,
                   const struct stream_writer *writers, uint32_t writer_count)
{
    bool good = true;
    for (uint32_t i = 0; i < count; i++) {
        const struct follower *follower = &followers[i];
        if (follower->options.kind == FOLLOW_SNAPSHOT) {
            continue;
        }
        for (uint32_t key = 0; key < KEY_COUNT; key++) {
            uint32_t wanted = written_value(writers, writer_count, key);
            if (follower->values[key] != wanted) {
                fprintf(stderr, "stream: follower %u has %u for key %u, written was %u\n", i,
                        follower->values[key], key, wanted);
                good = false;
                break;
            }
            if (follower->absent_at[key] != 0) {
                fprintf(stderr,
                        "stream: key %u was not found after change %llu, which nothing "
                        "removed\n",
                        key, (unsigned long long)follower->absent_at[key]);
                good = false;
                break;
            }
        }
    }
    return good;
}

bool verdict_records(uint16_t port, const struct stream_writer *writers, uint32_t writer_count)
{
    struct peer peer;
    enum status status = peer_open(port, &peer);
    for (uint32_t key = 0; key < writer_count * WRITER_KEYS && status == STATUS_OK; key++) {
        char request[96];
        int size = snprintf(request, sizeof(request),
                            "GET /pets/" KEY_FORMAT " HTTP/1.1\r\nHost: s\r\n\r\n", key);
        struct peer_answer answer = {.status = 0};
        status = peer_send(&peer, bytes_of(request, (size_t)size));
        status = status == STATUS_OK ? peer_answer(&peer, &answer) : status;
        uint32_t wanted = written_value(writers, writer_count, key);
        char value[32];
        int value_size = snprintf(value, sizeof(value), "\"value\":%u,", wanted);
        bool good = wanted == 0 ? answer.status == 404
                                : answer.status == 200 && memmem(answer.body.data, answer.body.size,
                                                                 value, (size_t)value_size) != NULL;
        if (status == STATUS_OK && !good) {
            fprintf(stderr, "stream: key %u is answered %u %.*s, written was %u\n", key,
                    answer.status, (int)answer.body.size, (const char *)answer.body.data, wanted);
            status = STATUS_INVALID;
        }
    }
    peer_close(&peer);
    return status == STATUS_OK;
}

bool verdict_sequences(const struct follower *followers, uint32_t count)
{
    const struct follower *first = &followers[0];
    for (uint32_t i = 1; i < count; i++) {
        const struct follower *other = &followers[i];
        if (other->options.kind == FOLLOW_SNAPSHOT) {
            continue;
        }
        uint64_t both =
            first->seen_count < other->seen_count ? first->seen_count : other->seen_count;
        for (uint64_t at = 0; at < both; at++) {
            if (memcmp(&first->seen[at], &other->seen[at], sizeof(first->seen[at])) != 0) {
                fprintf(stderr, "stream: change %llu is of sequence %llu to one, %llu to %u\n",
                        (unsigned long long)at, (unsigned long long)first->seen[at].sequence,
                        (unsigned long long)other->seen[at].sequence, i);
                return false;
            }
        }
        if (first->seen_count != other->seen_count) {
            fprintf(stderr, "stream: follower %u saw %llu changes, the first %llu\n", i,
                    (unsigned long long)other->seen_count, (unsigned long long)first->seen_count);
            return false;
        }
    }
    return true;
}

static int by_sequence(const void *a, const void *b)
{
    uint64_t left = ((const struct picture *)a)->sequence;
    uint64_t right = ((const struct picture *)b)->sequence;
    return (left > right) - (left < right);
}

bool verdict_pictures(const struct follower *log, const struct follower *snapshots)
{
    uint32_t *values = calloc(KEY_COUNT, sizeof(values[0]));
    if (values == NULL) {
        return false;
    }
    qsort(snapshots->pictures, snapshots->picture_count, sizeof(struct picture), by_sequence);
    uint64_t at = 0;
    bool good = true;
    for (uint32_t i = 0; i < snapshots->picture_count && good; i++) {
        const struct picture *picture = &snapshots->pictures[i];
        for (; at < log->seen_count && log->seen[at].sequence <= picture->sequence; at++) {
            values[log->seen[at].key] = log->seen[at].value;
        }
        for (uint32_t key = 0; key < KEY_COUNT && good; key++) {
            good = picture->values[key] == values[key];
            if (!good) {
                fprintf(stderr,
                        "stream: %s at sequence %llu has %u for key %u, the changes up "
                        "to there %u\n",
                        picture->at_synced ? "a snapshot" : "the tail behind a snapshot",
                        (unsigned long long)picture->sequence, picture->values[key], key,
                        values[key]);
            }
        }
    }
    free(values);
    return good;
}
