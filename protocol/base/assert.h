/*
 * assert.h: assertions for our own mistakes, never for input.
 *
 * ASSERT stays on in release: it prints the expression and the place, and aborts. ASSERT_SLOW is
 * for checks of a whole structure; it is compiled only where FRESHET_ASSERT_SLOW is defined
 * (simulation and sanitizer builds). Neither may have a side effect inside.
 */
#ifndef FRESHET_PROTOCOL_BASE_ASSERT_H
#define FRESHET_PROTOCOL_BASE_ASSERT_H

_Noreturn void assert_failed(const char *expression, const char *file, int line);

#define ASSERT(expression)                                                                         \
    (__builtin_expect(!!(expression), 1) ? (void)0 : assert_failed(#expression, __FILE__, __LINE__))

#ifdef FRESHET_ASSERT_SLOW
#define ASSERT_SLOW(expression) ASSERT(expression)
#else
#define ASSERT_SLOW(expression) ((void)0)
#endif

#define UNREACHABLE() assert_failed("unreachable", __FILE__, __LINE__)

#endif
