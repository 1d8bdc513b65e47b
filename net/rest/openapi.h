/*
 * openapi.h: the text of net/rest/openapi.json, which cmake/embed.cmake turns into an array when it
 * is built.
 */
#ifndef FRESHET_NET_REST_OPENAPI_H
#define FRESHET_NET_REST_OPENAPI_H

#include <stddef.h>
#include <stdint.h>

extern const uint8_t openapi_json[];
extern const size_t openapi_json_size;

#endif
