#include "engine/store/store.h"

#include "protocol/base/assert.h"

void store_destroy(struct store **store)
{
    ASSERT(store != NULL);
    if (*store == NULL) {
        return;
    }
    ASSERT((*store)->vtable->destroy != NULL);
    (*store)->vtable->destroy(*store);
    *store = NULL;
}
