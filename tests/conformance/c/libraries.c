/* A process with libascendcl.so and libacl_rt.so has one runtime. */
#define _GNU_SOURCE
#include <dlfcn.h>

#include "check.h"

int main(void)
{
    void *one = dlopen("libascendcl.so", RTLD_NOW), *two = dlopen("libacl_rt.so", RTLD_NOW);
    aclError (*get)(int32_t *), (*destroy)(aclrtStream), (*free_memory)(void *);
    const char *(*recent)(void);
    aclrtStream stream = NULL;
    void *memory = NULL;
    int32_t device = -1;

    TRUE(one != NULL && two != NULL);
    if (!one || !two) {
        printf("%s\n", dlerror());
        return finish();
    }
    start();
    *(void **)&get = dlsym(two, "aclrtGetDevice");
    *(void **)&destroy = dlsym(two, "aclrtDestroyStream");
    *(void **)&free_memory = dlsym(one, "aclrtFree");
    *(void **)&recent = dlsym(one, "aclGetRecentErrMsg");
    TRUE(get && destroy && free_memory && recent);
    OK(get(&device));
    TRUE(device == 0);
    OK(aclrtCreateStream(&stream));
    OK(destroy(stream));
    TRUE(destroy(stream) == HANDLE);
    TRUE(recent() != NULL);
    OK(aclrtMalloc(&memory, 100, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(free_memory(memory));
    return stop();
}
