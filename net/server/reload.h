/*
 * reload.h: what SIGHUP does: the running settings and collections take over what can change, and
 * each thing that cannot is said in the log, by name. Rules are put by a start only: here they
 * would undo what was changed over /rules meanwhile.
 *
 * Owner: the main thread. Of the collections only the times of the cache change; they are atomics
 * that all threads read. Tests: tests/integration/test_server_lifecycle.py, test_rules_config.py.
 */
#ifndef FRESHET_NET_SERVER_RELOAD_H
#define FRESHET_NET_SERVER_RELOAD_H

#include "net/server/config_file.h"
#include "net/server/log.h"
#include "net/server/settings.h"

void reload_settings(struct settings *running, const struct settings *fresh, struct log *log);
void reload_collections(struct config *running, const struct config *fresh, struct log *log);
/* Only says which rules a restart would put. */
void reload_rules(const struct config *running, const struct config *fresh, struct log *log);

#endif
