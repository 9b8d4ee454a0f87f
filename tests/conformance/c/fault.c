/* A device fault stops the stream it happened on and no other; it is told of once, and the stream can go on. */
#include "check.h"

/* What libopapi.so launches through; a kernel with arguments that make no sense is the simplest fault there is. */
int32_t vinci_kernel(const char *name, size_t length, uint64_t *kernel);
int32_t vinci_launch(aclrtStream stream, uint64_t kernel, uint32_t blocks, const void *args, size_t bytes);

static int told;
static uint32_t told_stream, told_device, told_code;

static void on_exception(aclrtExceptionInfo *info)
{
    told++;
    told_stream = aclrtGetStreamIdFromExceptionInfo(info);
    told_device = aclrtGetDeviceIdFromExceptionInfo(info);
    told_code = aclrtGetErrorCodeFromExceptionInfo(info);
}

int main(void)
{
    aclrtStream bad = NULL, good = NULL;
    aclrtEvent event = NULL;
    uint64_t add = 0, nothing = 0;
    uint64_t nonsense[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    int32_t id = -1;
    char *memory = NULL, out[16];
    const char *text;
    int code;

    start();
    OK(aclrtSetExceptionInfoCallback(on_exception));
    OK(aclrtCreateStream(&bad));
    OK(aclrtCreateStream(&good));
    OK(aclrtCreateEvent(&event));
    OK(aclrtMalloc((void **)&memory, 4096, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtStreamGetId(bad, &id));
    OK(vinci_kernel("add", 3, &add));
    EXPECT(vinci_kernel("no such kernel", 14, &nothing), RT_PARAM);
    EXPECT(vinci_launch(bad, 12345, 1, nonsense, 8), RT_PARAM);

    OK(aclrtMemsetAsync(memory, 4096, 1, 4096, good));
    OK(vinci_launch(bad, add, 1, nonsense, sizeof(nonsense)));
    code = aclrtSynchronizeStream(bad);
    TRUE(code == ACL_ERROR_RT_AICORE_EXCEPTION);
    text = aclGetRecentErrMsg();
    TRUE(text && strstr(text, "stream") && strstr(text, "die 0"));
    TRUE(told == 1 && (int32_t)told_stream == id && told_device == 0 && told_code == (uint32_t)code);
    TRUE(aclrtGetTaskIdFromExceptionInfo(NULL) == UINT32_MAX);
    aclGetRecentErrMsg();

    /* It stays in error; the others are not touched. */
    TRUE(aclrtSynchronizeStream(bad) == code);
    TRUE(told == 1);
    aclGetRecentErrMsg();
    for (int i = 0; i < 50; i++)
        OK(aclrtMemsetAsync(memory, 4096, i, 4096, good));
    OK(aclrtRecordEvent(event, good));
    OK(aclrtSynchronizeStream(good));
    OK(aclrtSynchronizeEvent(event));
    OK(aclrtMemcpy(out, 16, memory, 16, ACL_MEMCPY_DEVICE_TO_HOST));
    TRUE(out[0] == 49 && out[15] == 49);

    /* Reset, it works again. */
    OK(aclrtStreamAbort(bad));
    OK(aclrtMemsetAsync(memory, 4096, 77, 4096, bad));
    OK(aclrtSynchronizeStream(bad));
    OK(aclrtMemcpy(out, 16, memory, 16, ACL_MEMCPY_DEVICE_TO_HOST));
    TRUE(out[0] == 77);
    OK(aclrtSetExceptionInfoCallback(NULL));
    OK(vinci_launch(bad, add, 1, nonsense, sizeof(nonsense)));
    TRUE(aclrtSynchronizeStream(bad) != ACL_SUCCESS && told == 1);
    aclGetRecentErrMsg();
    OK(aclrtDestroyStreamForce(bad));
    OK(aclrtDestroyStream(good));
    OK(aclrtFree(memory));
    return stop();
}
