/* What each operator means, alone and on arrays; what is refused, and why; explanations. */
#include "tests/unit/engine/filter/helper.h"

TestSuite(pattern, .fini = free_kept);

/* ---- operators ---- */

Test(pattern, exact_values_keep_their_types)
{
    YES("{\"a\":[\"1\"]}", "{\"a\":\"1\"}");
    NO("{\"a\":[\"1\"]}", "{\"a\":1}");
    NO("{\"a\":[1]}", "{\"a\":\"1\"}");
    YES("{\"a\":[\"\"]}", "{\"a\":\"\"}");
    YES("{\"a\":[null]}", "{\"a\":null}");
    NO("{\"a\":[null]}", "{}");
    YES("{\"a\":[true]}", "{\"a\":true}");
    NO("{\"a\":[true]}", "{\"a\":false}");
    NO("{\"a\":[\"true\"]}", "{\"a\":true}");
    YES("{\"a\":[1,\"x\",false]}", "{\"a\":false}");
    YES("{\"a\":[\"x\"],\"b\":[\"y\"]}", "{\"b\":\"y\",\"c\":1,\"a\":\"x\"}");
    NO("{\"a\":[\"x\"],\"b\":[\"y\"]}", "{\"a\":\"x\"}");
    YES("{\"a\":{\"b\":{\"c\":[1]}}}", "{\"a\":{\"b\":{\"c\":1}}}");
    NO("{\"a\":{\"b\":[1]}}", "{\"a.b\":1}");
}

Test(pattern, numbers_are_equal_whatever_their_spelling)
{
    YES("{\"a\":[1]}", "{\"a\":1.0}");
    YES("{\"a\":[1.50]}", "{\"a\":1.5}");
    YES("{\"a\":[100]}", "{\"a\":1E2}");
    YES("{\"a\":[0]}", "{\"a\":-0}");
    YES("{\"a\":[0.0]}", "{\"a\":-0.0}");
    NO("{\"a\":[1]}", "{\"a\":1.0000000000000002}");
    YES("{\"a\":[-9223372036854775808]}", "{\"a\":-9223372036854775808}");
    YES("{\"a\":[18446744073709551615]}", "{\"a\":18446744073709551615}");
    NO("{\"a\":[18446744073709551615]}", "{\"a\":18446744073709551614}");
    NO("{\"a\":[9007199254740993]}", "{\"a\":9007199254740992}");
    NO("{\"a\":[{\"anything-but\":9007199254740993}]}", "{\"a\":9007199254740993}");
    YES("{\"a\":[{\"anything-but\":9007199254740993}]}", "{\"a\":9007199254740992}");
}

Test(pattern, numeric_ranges_are_open_or_closed_as_written)
{
    YES("{\"a\":[{\"numeric\":[\">\",0,\"<=\",5]}]}", "{\"a\":5}");
    NO("{\"a\":[{\"numeric\":[\">\",0,\"<=\",5]}]}", "{\"a\":0}");
    YES("{\"a\":[{\"numeric\":[\">=\",0,\"<\",5]}]}", "{\"a\":0}");
    NO("{\"a\":[{\"numeric\":[\">=\",0,\"<\",5]}]}", "{\"a\":5.0}");
    YES("{\"a\":[{\"numeric\":[\"<\",-1.5]}]}", "{\"a\":-1e300}");
    YES("{\"a\":[{\"numeric\":[\"=\",3.018e2]}]}", "{\"a\":301.8}");
    NO("{\"a\":[{\"numeric\":[\">\",1]}]}", "{\"a\":\"2\"}");
    NO("{\"a\":[{\"numeric\":[\">\",1]}]}", "{\"a\":null}");
}

Test(pattern, text_operators_look_at_strings_only)
{
    YES("{\"a\":[{\"prefix\":\"ab\"}]}", "{\"a\":\"abc\"}");
    YES("{\"a\":[{\"prefix\":\"\"}]}", "{\"a\":\"\"}");
    NO("{\"a\":[{\"prefix\":\"\"}]}", "{\"a\":1}");
    NO("{\"a\":[{\"prefix\":\"abc\"}]}", "{\"a\":\"ab\"}");
    YES("{\"a\":[{\"suffix\":\".jpg\"}]}", "{\"a\":\"x.jpg\"}");
    NO("{\"a\":[{\"suffix\":\".jpg\"}]}", "{\"a\":\"x.JPG\"}");
    YES("{\"a\":[{\"suffix\":{\"equals-ignore-case\":\".Jpg\"}}]}", "{\"a\":\"x.jPG\"}");
    YES("{\"a\":[{\"prefix\":{\"equals-ignore-case\":\"ÄB\"}}]}", "{\"a\":\"äbc\"}");
    YES("{\"a\":[{\"equals-ignore-case\":\"ΣΑΣ\"}]}", "{\"a\":\"σας\"}");
    NO("{\"a\":[{\"equals-ignore-case\":\"ab\"}]}", "{\"a\":\"abc\"}");
}

Test(pattern, a_star_stands_for_anything_and_escapes_for_themselves)
{
    YES("{\"a\":[{\"wildcard\":\"*\"}]}", "{\"a\":\"\"}");
    NO("{\"a\":[{\"wildcard\":\"*\"}]}", "{\"a\":1}");
    YES("{\"a\":[{\"wildcard\":\"a*c\"}]}", "{\"a\":\"ac\"}");
    NO("{\"a\":[{\"wildcard\":\"ab*ba\"}]}", "{\"a\":\"aba\"}");
    YES("{\"a\":[{\"wildcard\":\"*ab*ab\"}]}", "{\"a\":\"abxabab\"}");
    NO("{\"a\":[{\"wildcard\":\"a*b*c\"}]}", "{\"a\":\"acb\"}");
    YES("{\"a\":[{\"wildcard\":\"a\\\\*\"}]}", "{\"a\":\"a*\"}");
    NO("{\"a\":[{\"wildcard\":\"a\\\\*\"}]}", "{\"a\":\"ab\"}");
    YES("{\"a\":[{\"wildcard\":\"a\\\\\\\\*\"}]}", "{\"a\":\"a\\\\b\"}");
}

Test(pattern, anything_but_needs_a_value_that_is_none_of_them)
{
    YES("{\"a\":[{\"anything-but\":\"x\"}]}", "{\"a\":\"y\"}");
    YES("{\"a\":[{\"anything-but\":\"x\"}]}", "{\"a\":null}");
    NO("{\"a\":[{\"anything-but\":\"x\"}]}", "{\"a\":\"x\"}");
    NO("{\"a\":[{\"anything-but\":\"x\"}]}", "{}");
    NO("{\"a\":[{\"anything-but\":\"x\"}]}", "{\"a\":[]}");
    YES("{\"a\":[{\"anything-but\":\"x\"}]}", "{\"a\":[\"x\",\"y\"]}");
    NO("{\"a\":[{\"anything-but\":[1,2]}]}", "{\"a\":2.0}");
    NO("{\"a\":[{\"anything-but\":{\"prefix\":[\"in\",\"er\"]}}]}", "{\"a\":\"error\"}");
    NO("{\"a\":[{\"anything-but\":{\"suffix\":\"r\"}}]}", "{\"a\":\"error\"}");
    NO("{\"a\":[{\"anything-but\":{\"equals-ignore-case\":[\"ERROR\"]}}]}", "{\"a\":\"error\"}");
    NO("{\"a\":[{\"anything-but\":{\"wildcard\":\"e*r\"}}]}", "{\"a\":\"error\"}");
    YES("{\"a\":[{\"anything-but\":{\"wildcard\":[\"e*x\",\"x*\"]}}]}", "{\"a\":\"error\"}");
}

Test(pattern, exists_looks_at_leaves)
{
    YES("{\"a\":[{\"exists\":true}]}", "{\"a\":null}");
    NO("{\"a\":[{\"exists\":true}]}", "{\"a\":{}}");
    NO("{\"a\":[{\"exists\":true}]}", "{\"a\":{\"b\":1}}");
    NO("{\"a\":[{\"exists\":true}]}", "{\"a\":[]}");
    YES("{\"a\":[{\"exists\":false}]}", "{\"a\":{\"b\":1}}");
    YES("{\"a\":[{\"exists\":false}]}", "{\"a\":[[],{}]}");
    YES("{\"a\":{\"b\":[{\"exists\":false}]}}", "{\"a\":1}");
    NO("{\"a\":[{\"exists\":false}]}", "{\"a\":null}");
    YES("{\"a\":[{\"exists\":false},\"x\"]}", "{\"a\":\"x\"}");
    NO("{\"a\":[{\"exists\":false},\"x\"]}", "{\"a\":\"y\"}");
}

Test(pattern, blocks_hold_addresses_of_their_kind)
{
    YES("{\"a\":[{\"cidr\":\"10.0.0.0/8\"}]}", "{\"a\":\"10.255.255.255\"}");
    NO("{\"a\":[{\"cidr\":\"10.0.0.0/8\"}]}", "{\"a\":\"11.0.0.0\"}");
    YES("{\"a\":[{\"cidr\":\"10.1.2.99/24\"}]}", "{\"a\":\"10.1.2.3\"}");
    YES("{\"a\":[{\"cidr\":\"10.1.2.3/32\"}]}", "{\"a\":\"10.1.2.3\"}");
    YES("{\"a\":[{\"cidr\":\"0.0.0.0/0\"}]}", "{\"a\":\"255.255.255.255\"}");
    NO("{\"a\":[{\"cidr\":\"0.0.0.0/0\"}]}", "{\"a\":\"::\"}");
    YES("{\"a\":[{\"cidr\":\"2001:db8::/33\"}]}", "{\"a\":\"2001:DB8:7fff::1\"}");
    NO("{\"a\":[{\"cidr\":\"2001:db8::/33\"}]}", "{\"a\":\"2001:db8:8000::\"}");
    NO("{\"a\":[{\"cidr\":\"10.0.0.0/8\"}]}", "{\"a\":\"10.0.0.01\"}");
    NO("{\"a\":[{\"cidr\":\"10.0.0.0/8\"}]}", "{\"a\":\"10.0.0\"}");
}

/* ---- arrays, $or ---- */

Test(pattern, an_array_matches_by_any_of_its_elements)
{
    YES("{\"a\":[\"x\",\"y\"]}", "{\"a\":[\"z\",\"y\"]}");
    NO("{\"a\":[\"x\"]}", "{\"a\":[\"z\"]}");
    YES("{\"a\":[2]}", "{\"a\":[[1],[[2]]]}");
    YES("{\"changed\":[\"price\"]}", "{\"changed\":[\"stock\",\"price\"]}");
}

Test(pattern, values_of_one_alternative_lie_in_the_same_element)
{
    const char *both = "{\"a\":{\"x\":[1],\"y\":[2]}}";
    YES(both, "{\"a\":[{\"x\":0},{\"x\":1,\"y\":2}]}");
    NO(both, "{\"a\":[{\"x\":1},{\"y\":2}]}");
    NO(both, "{\"a\":[{\"x\":1,\"y\":0},{\"x\":0,\"y\":2}]}");
    /* Arrays at different names are independent. */
    YES("{\"a\":{\"x\":[1]},\"b\":{\"y\":[2]}}", "{\"a\":[{},{\"x\":1}],\"b\":[{\"y\":2}]}");
    YES("{\"a\":{\"x\":[1],\"b\":{\"y\":[2]}}}", "{\"a\":[{\"x\":1,\"b\":[{\"y\":3},{\"y\":2}]}]}");
    NO("{\"a\":{\"x\":[1],\"b\":{\"y\":[2]}}}",
       "{\"a\":[{\"x\":1,\"b\":[{\"y\":3}]},{\"b\":[{\"y\":2}]}]}");
    NO("{\"a\":[1]}", "{\"a\":[{\"a\":1}]}");
}

Test(pattern, an_absent_field_is_looked_for_in_the_chosen_elements)
{
    const char *pattern = "{\"a\":{\"x\":[1],\"y\":[{\"exists\":false}]}}";
    YES(pattern, "{\"a\":[{\"y\":0},{\"x\":1}]}");
    NO(pattern, "{\"a\":[{\"x\":1,\"y\":0},{\"x\":2}]}");
    NO("{\"a\":{\"y\":[{\"exists\":false}]}}", "{\"a\":[{\"y\":0},{\"x\":1}]}");
}

Test(pattern, or_is_multiplied_out)
{
    const char *pattern = "{\"s\":[1],\"$or\":[{\"a\":[1]},{\"b\":[1],\"$or\":[{\"c\":[1]},"
                          "{\"d\":{\"e\":[1]}}]}],\"t\":[1]}";
    YES(pattern, "{\"s\":1,\"t\":1,\"a\":1}");
    YES(pattern, "{\"s\":1,\"t\":1,\"b\":1,\"d\":{\"e\":1}}");
    NO(pattern, "{\"s\":1,\"t\":1,\"b\":1}");
    NO(pattern, "{\"s\":1,\"a\":1}");
    YES("{\"d\":{\"$or\":[{\"a\":[1]},{\"b\":[1]}]}}", "{\"d\":{\"b\":1}}");
    /* Where it cannot be meant, it is a name. */
    YES("{\"$or\":[1]}", "{\"$or\":1}");
    YES("{\"$or\":{\"a\":[1]}}", "{\"$or\":{\"a\":1}}");
    YES("{\"$or\":[{\"prefix\":\"a\"},{\"suffix\":\"b\"}]}", "{\"$or\":\"ax\"}");
}

/* ---- refusals ---- */

static void refused(const char *json, enum status expected, const char *words)
{
    struct pattern *pattern;
    struct pattern_problem problem;
    enum status status = pattern_parse(document_of(json), &pattern, &problem);
    cr_expect_eq(status, expected, "%.80s: %s", json, status_name(status));
    cr_expect_null(pattern);
    cr_expect_not_null(strstr(problem.text, words), "%.80s: %s", json, problem.text);
    pattern_destroy(&pattern);
}

Test(pattern, what_is_invalid_is_refused_with_the_field_and_the_reason)
{
    refused("[]", STATUS_INVALID, "the pattern: must be an object");
    refused("{}", STATUS_INVALID, "empty object");
    refused("{\"a\":{\"b\":{}}}", STATUS_INVALID, "a.b: an empty object");
    refused("{\"a\":{\"b\":[]}}", STATUS_INVALID, "a.b: the list is empty");
    refused("{\"a\":\"x\"}", STATUS_INVALID, "a: must be a list");
    refused("{\"a\":[[1]]}", STATUS_INVALID, "a: a value must be");
    refused("{\"a\":[{\"prefxi\":\"x\"}]}", STATUS_INVALID, "\"prefxi\" is no operator");
    refused("{\"a\":[{}]}", STATUS_INVALID, "exactly one operator");
    refused("{\"a\":[{\"prefix\":\"x\",\"suffix\":\"y\"}]}", STATUS_INVALID, "exactly one");
    refused("{\"a\":[{\"prefix\":1}]}", STATUS_INVALID, "prefix needs a string");
    refused("{\"a\":[{\"prefix\":{\"wildcard\":\"x\"}}]}", STATUS_INVALID, "equals-ignore-case");
    refused("{\"a\":[{\"wildcard\":\"a**b\"}]}", STATUS_INVALID, "two stars");
    refused("{\"a\":[{\"wildcard\":\"a\\\\b\"}]}", STATUS_INVALID, "backslash");
    refused("{\"a\":[{\"wildcard\":\"a\\\\\"}]}", STATUS_INVALID, "backslash");
    refused("{\"a\":[{\"exists\":1}]}", STATUS_INVALID, "exists needs true or false");
    refused("{\"a\":[{\"anything-but\":[]}]}", STATUS_INVALID, "empty list");
    refused("{\"a\":[{\"anything-but\":[1,\"x\"]}]}", STATUS_INVALID, "mixed");
    refused("{\"a\":[{\"anything-but\":[\"x\",1]}]}", STATUS_INVALID, "needs a string");
    refused("{\"a\":[{\"anything-but\":true}]}", STATUS_INVALID, "strings or numbers");
    refused("{\"a\":[{\"anything-but\":{\"prefix\":\"\"}}]}", STATUS_INVALID, "empty string");
    refused("{\"a\":[{\"anything-but\":{\"numeric\":[\"<\",1]}}]}", STATUS_INVALID, "cannot hold");
    refused("{\"a\":[{\"numeric\":[]}]}", STATUS_INVALID, "numeric needs");
    refused("{\"a\":[{\"numeric\":[\"<\",1,\">\",0]}]}", STATUS_INVALID, "numeric");
    refused("{\"a\":[{\"numeric\":[\">\",1,\"<\",1]}]}", STATUS_INVALID, "lower bound");
    refused("{\"a\":[{\"numeric\":[\"!=\",1]}]}", STATUS_INVALID, "one of =, <");
    refused("{\"a\":[{\"numeric\":[\"<\",\"1\"]}]}", STATUS_INVALID, "followed by a number");
    refused("{\"a\":[{\"numeric\":[\"=\",1,\"<\",2]}]}", STATUS_INVALID, "begins with >");
    refused("{\"a\":[{\"cidr\":\"10.0.0.0\"}]}", STATUS_INVALID, "ADDRESS/BITS");
    refused("{\"a\":[{\"cidr\":\"10.0.0.0/33\"}]}", STATUS_INVALID, "0 to 32");
    refused("{\"a\":[{\"cidr\":\"::/129\"}]}", STATUS_INVALID, "0 to 128");
    refused("{\"a\":[{\"cidr\":\"x/8\"}]}", STATUS_INVALID, "IPv4 or IPv6");
    refused("{\"a\":[1],\"$or\":[{\"a\":[2]},{\"b\":[1]}]}", STATUS_INVALID,
            "a: the field is named");
    refused("{\"$or\":[{\"a\":{\"prefix\":[1]}},{\"b\":[1]}]}", STATUS_INVALID, "reserved");
    refused("{\"$or\":[{\"a\":[1]}]}", STATUS_INVALID, "$or:");
}

/* n copies of a text with its number in it, between two others. */
static const char *repeat(const char *before, const char *format, int count, const char *after)
{
    size_t room = strlen(before) + strlen(after) + (size_t)count * (strlen(format) + 12) + 1;
    char *text = keep_new(room);
    size_t size = (size_t)snprintf(text, room, "%s", before);
    for (int number = 0; number < count; number++) {
        size += (size_t)snprintf(text + size, room - size, format, number);
        size += (size_t)snprintf(text + size, room - size, number + 1 < count ? "," : "");
    }
    (void)snprintf(text + size, room - size, "%s", after);
    return text;
}

static void accepted(const char *json)
{
    struct pattern *pattern = pattern_of(json);
    cr_expect_gt(pattern_bytes(pattern), 0);
    pattern_destroy(&pattern);
}

Test(pattern, the_budget_is_exact)
{
    accepted(repeat("{", "\"f%d\":[1]", PATTERN_CONDITIONS_MAX, "}"));
    refused(repeat("{", "\"f%d\":[1]", PATTERN_CONDITIONS_MAX + 1, "}"), STATUS_UNPROCESSABLE,
            "more than 256 fields");
    accepted(repeat("{\"a\":[", "%d", PATTERN_TESTS_MAX, "]}"));
    refused(repeat("{\"a\":[", "%d", PATTERN_TESTS_MAX + 1, "]}"), STATUS_UNPROCESSABLE,
            "more than 4096 values");
    accepted(repeat("{\"$or\":[", "{\"a\":[%d]}", PATTERN_ALTERNATIVES_MAX, "]}"));
    refused(repeat("{\"$or\":[", "{\"a\":[%d]}", PATTERN_ALTERNATIVES_MAX + 1, "]}"),
            STATUS_UNPROCESSABLE, "more than 64 alternatives");
    char stars[64] = "{\"a\":[{\"wildcard\":\"*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a\"}]}";
    accepted(stars);
    refused("{\"a\":[{\"wildcard\":\"*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*\"}]}", STATUS_UNPROCESSABLE,
            "more than 16 stars");
}

static const char *nested(int depth)
{
    char *text = keep_new((size_t)depth * 8 + 16);
    size_t size = 0;
    for (int level = 0; level < depth; level++) {
        size += (size_t)snprintf(text + size, 8, "{\"a\":");
    }
    size += (size_t)snprintf(text + size, 8, "[1]");
    memset(text + size, '}', (size_t)depth);
    text[size + (size_t)depth] = 0;
    return text;
}

Test(pattern, depth_is_bounded)
{
    accepted(nested(PATTERN_DEPTH_MAX));
    refused(nested(PATTERN_DEPTH_MAX + 1), STATUS_UNPROCESSABLE, "deeper than 32 levels");
}

Test(pattern, a_value_may_have_4096_bytes)
{
    char *text = keep_new(PATTERN_VALUE_BYTES_MAX + 32);
    int size = snprintf(text, 32, "{\"a\":[\"");
    memset(text + size, 'x', PATTERN_VALUE_BYTES_MAX);
    memcpy(text + size + PATTERN_VALUE_BYTES_MAX, "\"]}", 4);
    accepted(text);
    memcpy(text + size + PATTERN_VALUE_BYTES_MAX, "x\"]}", 5);
    refused(text, STATUS_UNPROCESSABLE, "over 4096 bytes");
}

/* ---- explanations ---- */

static void explained(const char *pattern_json, const char *event_json, const char *expected)
{
    struct pattern *pattern = pattern_of(pattern_json);
    struct writer path = new_writer(256);
    cr_assert(pattern_explain(pattern, document_of(event_json), &path));
    cr_expect(bytes_equal(writer_bytes(&path), bytes_of_text(expected)), "%.*s, not %s",
              (int)path.size, (const char *)path.data, expected);
    pattern_destroy(&pattern);
}

Test(pattern, an_explanation_names_the_first_field_that_fails)
{
    explained("{\"a\":[1],\"b\":{\"c\":[2],\"d\":[3]}}", "{\"a\":1,\"b\":{\"c\":0}}", "b.c");
    explained("{\"a\":[1],\"b\":[{\"exists\":false}]}", "{\"a\":1,\"b\":null}", "b");
    explained("{\"a\":[1],\"b\":[2]}", "{}", "a");
    /* Of alternatives, that which got furthest. */
    explained("{\"$or\":[{\"a\":[1]},{\"b\":[1],\"c\":[1]}]}", "{\"b\":1}", "c");
    /* Each holds alone, but not in one element. */
    explained("{\"n\":[1],\"a\":{\"x\":[1],\"y\":[2]}}", "{\"n\":1,\"a\":[{\"x\":1},{\"y\":2}]}",
              "a.x");
    struct pattern *pattern = pattern_of("{\"a\":[1]}");
    struct writer path = new_writer(16);
    cr_expect_not(pattern_explain(pattern, document_of("{\"a\":1}"), &path));
    pattern_destroy(&pattern);
}

Test(pattern, a_pattern_knows_the_names_it_begins_with)
{
    struct pattern *pattern =
        pattern_of("{\"$or\":[{\"a\":{\"x\":[1]}},{\"oldImage\":{\"b\":[1]}}]}");
    cr_expect(pattern_mentions(pattern, BYTES_LITERAL("oldImage")));
    cr_expect(pattern_mentions(pattern, BYTES_LITERAL("a")));
    cr_expect_not(pattern_mentions(pattern, BYTES_LITERAL("x")));
    cr_expect_not(pattern_mentions(pattern, BYTES_LITERAL("newImage")));
    pattern_destroy(&pattern);
}

Test(pattern, half_an_event_matches_nothing_and_harms_nobody)
{
    struct pattern *pattern = pattern_of("{\"a\":{\"b\":[1]},\"c\":[{\"exists\":false}]}");
    struct bytes event = document_of("{\"x\":[1,{\"y\":2}],\"a\":[{\"b\":0},{\"b\":1}],\"d\":7}");
    cr_assert(pattern_matches(pattern, event));
    for (size_t size = 0; size < event.size; size++) {
        (void)pattern_matches(pattern, exact_copy(bytes_of(event.data, size)));
    }
    cr_expect_not(pattern_matches(pattern, BYTES_EMPTY));
    pattern_destroy(&pattern);
}
