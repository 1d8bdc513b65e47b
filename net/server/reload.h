/*
 * reload.h: what SIGHUP does: the running settings and collections take over what can change, and
 * each thing that cannot is said in the log, by name.
 *
 * Owner: the main thread. Of the collections only the times of the cache change; they are atomics
 * that all threads read. Tests: tests/integration/test_server_settings.py.
 */
#ifndef FRESHET_NET_SERVER_RELOAD_H
#define FRESHET_NET_SERVER_RELOAD_H

#include "net/server/config_file.h"
#include "net/server/log.h"
#include "net/server/settings.h"

void reload_settings(struct settings *running, const struct settings *fresh, struct log *log);
void reload_collections(struct config *running, const struct config *fresh, struct log *log);

#endif
