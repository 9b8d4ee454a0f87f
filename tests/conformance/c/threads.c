/* Many threads, each with streams, memory and events of its own, and one stream that all share. */
#include <pthread.h>

#include "check.h"

enum { THREADS = 4, ROUNDS = 100, BYTES = 4096 };

static aclrtStream shared;
static aclrtContext context;

static void *work(void *argument)
{
    int number = (int)(size_t)argument, bad = 0;
    unsigned char out[BYTES];

    bad |= aclrtSetCurrentContext(context);
    for (int i = 0; i < ROUNDS; i++) {
        aclrtStream stream;
        aclrtEvent event;
        void *memory;
        bad |= aclrtCreateStream(&stream);
        bad |= aclrtCreateEvent(&event);
        bad |= aclrtMalloc(&memory, BYTES, ACL_MEM_MALLOC_HUGE_FIRST);
        bad |= aclrtMemsetAsync(memory, BYTES, number + i, BYTES, stream);
        bad |= aclrtRecordEvent(event, stream);
        bad |= aclrtStreamWaitEvent(shared, event);
        bad |= aclrtMemcpyAsync(out, BYTES, memory, BYTES, ACL_MEMCPY_DEVICE_TO_HOST, shared);
        bad |= aclrtSynchronizeStream(shared);
        bad |= out[0] != (unsigned char)(number + i) || out[BYTES - 1] != (unsigned char)(number + i);
        bad |= aclrtFree(memory);
        bad |= aclrtDestroyEvent(event);
        bad |= aclrtDestroyStream(stream);
        bad |= aclrtSynchronizeStream(stream) != HANDLE;
    }
    aclGetRecentErrMsg();
    return (void *)(size_t)bad;
}

int main(void)
{
    pthread_t threads[THREADS];

    start();
    OK(aclrtGetCurrentContext(&context));
    OK(aclrtCreateStream(&shared));
    for (size_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, work, (void *)i);
    for (int i = 0; i < THREADS; i++) {
        void *bad = NULL;
        pthread_join(threads[i], &bad);
        TRUE(bad == NULL);
    }
    OK(aclrtDestroyStream(shared));
    return stop();
}
