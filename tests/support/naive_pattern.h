/*
 * naive_pattern.h: does an event match a pattern? Judged from the definition of the language, as
 * simply as can be, to test engine/filter against. Shares no code with it.
 *
 * An event is its leaves: each value that is neither an object nor an array, with the names on the
 * way to it and, for each array on the way, which element it stands in. A pattern is its
 * alternatives ($or multiplied out), each a list of fields with tests. An alternative matches when
 * for each of its fields there is a leaf at that path that passes one of the tests, such that no
 * two of these leaves stand in different elements of one array. A field may also be met by
 * {"exists":false}: then no leaf is at its path, those not counted that stand in another element
 * than the chosen ones.
 *
 * Owner:   the caller; nothing is kept.
 * Memory:  one block a call. A pattern or an event over its bounds is not judged.
 */
#ifndef FRESHET_TESTS_SUPPORT_NAIVE_PATTERN_H
#define FRESHET_TESTS_SUPPORT_NAIVE_PATTERN_H

#include "protocol/base/bytes.h"

enum naive_verdict { NAIVE_NO, NAIVE_YES, NAIVE_UNJUDGED };

/* Both MessagePack. What the pattern's language has no meaning for never matches: whether it should
 * have been refused is not judged here. */
enum naive_verdict naive_pattern_matches(struct bytes pattern, struct bytes event);

#endif
