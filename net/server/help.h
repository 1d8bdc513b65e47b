/*
 * help.h: the texts of --help, made from the table of settings.
 *
 * Owner: any; writes to out.
 * Tests: tests/integration/test_server_config.py.
 */
#ifndef FRESHET_NET_SERVER_HELP_H
#define FRESHET_NET_SERVER_HELP_H

#include <stdio.h>

void help_serve(FILE *out);
void help_check(FILE *out);
void help_bench(FILE *out);

#endif
