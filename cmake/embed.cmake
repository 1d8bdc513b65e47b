# Turns a file into a C array: cmake -D INPUT=… -D OUTPUT=… -D NAME=… -P embed.cmake
file(READ ${INPUT} HEX_DIGITS HEX)
string(LENGTH "${HEX_DIGITS}" HEX_SIZE)
math(EXPR SIZE "${HEX_SIZE} / 2")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," BYTES "${HEX_DIGITS}")
# Sixteen bytes a line, so that a compiler's message stays readable.
string(REGEX REPLACE "((0x..,){16})" "\\1\n    " BYTES "${BYTES}")
file(WRITE ${OUTPUT} "/* Made from ${NAME} by cmake/embed.cmake. */
#include <stddef.h>
#include <stdint.h>

extern const uint8_t ${NAME}[];
extern const size_t ${NAME}_size;
const size_t ${NAME}_size = ${SIZE};
const uint8_t ${NAME}[] = {
    ${BYTES}
};
")
