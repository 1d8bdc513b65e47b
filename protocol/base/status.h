/*
 * status.h: the one table of outcomes.
 *
 * Everything fallible returns enum status and is MUST_USE. A wire code never changes its meaning
 * and is never reused; new members go at the end of the table. net/rest maps a status to HTTP in
 * one switch; foreign errors (errno, RocksDB, libcyaml) become one of these at the edge where they
 * arise.
 */
#ifndef FRESHET_PROTOCOL_BASE_STATUS_H
#define FRESHET_PROTOCOL_BASE_STATUS_H

#define MUST_USE __attribute__((warn_unused_result))

/* name, wire code, text in plain words */
#define STATUS_TABLE(X)                                                                            \
    X(STATUS_OK, 0, "ok")                                                                          \
    X(STATUS_NOT_FOUND, 1, "there is no such record")                                              \
    X(STATUS_INVALID, 2, "the input is not valid")                                                 \
    X(STATUS_TOO_LARGE, 3, "the input is over a limit")                                            \
    X(STATUS_UNPROCESSABLE, 4, "the input is well formed but cannot be accepted")                  \
    X(STATUS_PRECONDITION_FAILED, 5, "the record is not in the state the request asks for")        \
    X(STATUS_NOT_MODIFIED, 6, "the record is the one the client already has")                      \
    X(STATUS_CONFLICT, 7, "the request contradicts another one")                                   \
    X(STATUS_BUSY, 8, "a limit is reached; nothing was changed; try again later")                  \
    X(STATUS_WOULD_BLOCK, 9, "the answer is not in memory")                                        \
    X(STATUS_NO_MEMORY, 10, "out of memory")                                                       \
    X(STATUS_IO_ERROR, 11, "the disk or the kernel reported an error")                             \
    X(STATUS_DAMAGED, 12, "stored data does not match its checksum")                               \
    X(STATUS_NOT_ACCEPTED, 13, "the journal takes no writes; nothing was changed")                 \
    X(STATUS_OUTCOME_UNKNOWN, 14, "the write may or may not have been kept")                       \
    X(STATUS_POSITION_EXPIRED, 15, "the position is no longer, or never was, in this journal")     \
    X(STATUS_TIMEOUT, 16, "it took too long")                                                      \
    X(STATUS_CLOSED, 17, "the other side is gone")                                                 \
    X(STATUS_DISK_FULL, 18, "the disk is full")                                                    \
    X(STATUS_LOCKED, 19, "another process uses this data directory")                               \
    X(STATUS_UNSUPPORTED, 20, "this is not supported here")

enum status {
#define STATUS_MEMBER(name, code, text) name = code,
    STATUS_TABLE(STATUS_MEMBER)
#undef STATUS_MEMBER
};

const char *status_name(enum status status); /* "STATUS_OK"; static storage */
const char *status_text(enum status status); /* the text of the table; static storage */

#endif
