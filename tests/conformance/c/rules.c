/* Rules of functions that no other program looks at. */
#include "check.h"

static int told;

static void on_exception(aclrtExceptionInfo *info)
{
    told += aclrtGetThreadIdFromExceptionInfo(info) != UINT32_MAX;
}

static void numbers_of_devices(void)
{
    struct {
        aclError (*function)(int32_t, int32_t *);
    } all[] = {{aclrtGetLogicDevIdByPhyDevId}, {aclrtGetPhyDevIdByLogicDevId}, {aclrtGetUserDevIdByPhyDevId},
               {aclrtGetPhyDevIdByUserDevId},  {aclrtGetUserDevIdByLogicDevId}, {aclrtGetLogicDevIdByUserDevId}};
    int32_t number = -1;

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        OK(all[i].function(1, &number));
        TRUE(number == 1);
        EXPECT(all[i].function(0, NULL), PARAM);
        EXPECT(all[i].function(-1, &number), ACL_ERROR_RT_INVALID_DEVICEID);
        EXPECT(all[i].function(2, &number), ACL_ERROR_RT_INVALID_DEVICEID);
        TRUE(number == 1);
    }
    OK(aclrtDeviceGetBareTgid(&number));
    TRUE(number > 1);
    EXPECT(aclrtDeviceGetBareTgid(NULL), PARAM);
    OK(aclrtSetTsDevice(ACL_TS_ID_AICORE));
    EXPECT(aclrtSetTsDevice((aclrtTsId)9), PARAM);
}

static void timeouts(void)
{
    uint32_t ms = 0;

    EXPECT(aclrtGetOpExecuteTimeout(NULL), PARAM);
    OK(aclrtGetOpExecuteTimeout(&ms));
    TRUE(ms > 0);
    OK(aclrtSetOpExecuteTimeOutWithMs(5000));
    OK(aclrtGetOpExecuteTimeout(&ms));
    TRUE(ms >= 5000 && ms < 6000);
}

static void exceptions(void)
{
    void *args = NULL;
    uint32_t size = 0;
    aclrtFuncHandle function = NULL;

    EXPECT(aclrtExceptionInfoCallbackRegister(NULL), PARAM);
    EXPECT(aclrtExceptionInfoCallbackUnregister(NULL), PARAM);
    EXPECT(aclrtExceptionInfoCallbackUnregister(on_exception), RT_PARAM);
    OK(aclrtExceptionInfoCallbackRegister(on_exception));
    EXPECT(aclrtExceptionInfoCallbackRegister(on_exception), RT_PARAM);
    OK(aclrtExceptionInfoCallbackUnregister(on_exception));
    EXPECT(aclrtExceptionInfoCallbackUnregister(on_exception), RT_PARAM);
    TRUE(told == 0 && aclrtGetThreadIdFromExceptionInfo(NULL) == UINT32_MAX);
    aclGetRecentErrMsg();
    EXPECT(aclrtGetArgsFromExceptionInfo(NULL, NULL, &size), PARAM);
    EXPECT(aclrtGetArgsFromExceptionInfo(NULL, &args, NULL), PARAM);
    EXPECT(aclrtGetArgsFromExceptionInfo(NULL, &args, &size), NOT_SUPPORTED);
    EXPECT(aclrtGetFuncHandleFromExceptionInfo(NULL, NULL), PARAM);
    EXPECT(aclrtGetFuncHandleFromExceptionInfo(NULL, &function), PARAM);
    EXPECT(aclrtCtxGetFloatOverflowAddr(NULL), PARAM);
    EXPECT(aclrtCtxGetFloatOverflowAddr(&args), NOT_SUPPORTED);
}

/* Whether `function` leaves zeros, and nothing behind them. */
#define OVERFLOW_STATUS(function)                                                                            \
    do {                                                                                                     \
        EXPECT(function(NULL, 64, stream), PARAM);                                                           \
        EXPECT(function(memory, 63, stream), RT_PARAM);                                                      \
        EXPECT(function(memory, 64, (aclrtStream)memory), HANDLE);                                           \
        TRUE(function(&local, 64, stream) != 0);                                                             \
        OK(aclrtMemset(memory, 4096, 7, 128));                                                               \
        OK(function(memory, 64, stream));                                                                    \
        OK(aclrtSynchronizeStream(stream));                                                                  \
        OK(aclrtMemcpy(out, 128, memory, 128, ACL_MEMCPY_DEVICE_TO_HOST));                                   \
        TRUE(out[0] == 0 && out[63] == 0 && out[64] == 7);                                                   \
        aclGetRecentErrMsg();                                                                                \
    } while (0)

static void overflow(aclrtStream stream, char *memory)
{
    char out[128], local[64];

    OVERFLOW_STATUS(aclrtGetOverflowStatus);
    OVERFLOW_STATUS(aclrtGetFloatOverflowStatus);
    OK(aclrtResetOverflowStatus(stream));
    OK(aclrtResetFloatOverflowStatus(stream));
    EXPECT(aclrtResetFloatOverflowStatus((aclrtStream)memory), HANDLE);
}

static void memory_of_other_names(void)
{
    void *memory = NULL;

    EXPECT(aclrtMallocCached(NULL, 64, ACL_MEM_MALLOC_HUGE_FIRST), PARAM);
    EXPECT(aclrtMallocCached(&memory, 0, ACL_MEM_MALLOC_HUGE_FIRST), PARAM);
    OK(aclrtMallocCached(&memory, 64, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtFree(memory));
    EXPECT(aclrtMallocForTaskScheduler(NULL, 64, ACL_MEM_MALLOC_HUGE_FIRST, NULL), PARAM);
    OK(aclrtMallocForTaskScheduler(&memory, 64, ACL_MEM_MALLOC_HUGE_FIRST, NULL));
    OK(aclrtFree(memory));
    TRUE(aclrtFree(memory) != 0);
    aclGetRecentErrMsg();
}

static void copies(aclrtStream stream, char *memory)
{
    void *dsts[2] = {memory, memory + 100}, *srcs[2];
    size_t rooms[2] = {50, 50}, sizes[2] = {50, 50}, indexes[1] = {0}, failed = 0;
    aclrtMemcpyBatchAttr attributes[1];
    char in[100], out[150];

    memset(attributes, 0, sizeof(attributes));
    attributes[0].dstLoc.type = ACL_MEM_LOCATION_TYPE_DEVICE;
    attributes[0].srcLoc.type = ACL_MEM_LOCATION_TYPE_HOST;
    memset(in, 5, sizeof(in));
    srcs[0] = in, srcs[1] = in + 50;
    OK(aclrtMemset(memory, 4096, 0, 4096));
    OK(aclrtMemcpyBatchAsync(dsts, rooms, srcs, sizes, 2, attributes, indexes, 1, &failed, stream));
    OK(aclrtSynchronizeStream(stream));
    OK(aclrtMemcpy(out, 150, memory, 150, ACL_MEMCPY_DEVICE_TO_HOST));
    TRUE(out[49] == 5 && out[50] == 0 && out[100] == 5 && out[149] == 5);
    EXPECT(aclrtMemcpyBatchAsync(dsts, rooms, srcs, sizes, 0, attributes, indexes, 1, &failed, stream), RT_PARAM);
    EXPECT(aclrtMemcpyBatchAsync(NULL, rooms, srcs, sizes, 2, attributes, indexes, 1, &failed, stream), PARAM);
    EXPECT(aclrtMemcpyBatchAsync(dsts, rooms, srcs, sizes, 2, attributes, indexes, 1, &failed,
                                 (aclrtStream)memory), HANDLE);
    rooms[1] = 49;
    TRUE(aclrtMemcpyBatchAsync(dsts, rooms, srcs, sizes, 2, attributes, indexes, 1, &failed, stream) != 0);
    aclGetRecentErrMsg();

    OK(aclrtMemcpyAsyncWithCondition(memory, 4096, in, 100, ACL_MEMCPY_HOST_TO_DEVICE, stream));
    OK(aclrtSynchronizeStream(stream));
    OK(aclrtMemcpy(out, 100, memory, 100, ACL_MEMCPY_DEVICE_TO_HOST));
    TRUE(out[99] == 5);
    TRUE(aclrtMemcpyAsyncWithCondition(memory, 99, in, 100, ACL_MEMCPY_HOST_TO_DEVICE, stream) != 0);
    aclGetRecentErrMsg();
    EXPECT(aclrtMemcpyAsyncWithCondition(NULL, 100, in, 100, ACL_MEMCPY_HOST_TO_DEVICE, stream), PARAM);

    OK(aclrtCmoAsync(memory, 64, ACL_RT_CMO_TYPE_PREFETCH, stream));
    TRUE(aclrtCmoAsync(out, 64, ACL_RT_CMO_TYPE_PREFETCH, stream) != 0);
    aclGetRecentErrMsg();
    EXPECT(aclrtCmoAsync(memory, 64, (aclrtCmoType)9, stream), RT_PARAM);
    EXPECT(aclrtCmoAsync(memory, 64, ACL_RT_CMO_TYPE_PREFETCH, (aclrtStream)memory), HANDLE);
}

int main(void)
{
    aclrtStream stream = NULL;
    char *memory = NULL;

    start();
    OK(aclrtCreateStream(&stream));
    OK(aclrtMalloc((void **)&memory, 4096, ACL_MEM_MALLOC_HUGE_FIRST));
    numbers_of_devices();
    timeouts();
    exceptions();
    overflow(stream, memory);
    memory_of_other_names();
    copies(stream, memory);
    TRUE(aclrtCreateGroupInfo() == NULL);
    aclGetRecentErrMsg();
    /* To stderr, if the log shows it; never anything else. */
    aclAppLog(ACL_INFO, "function", "file", 1, "%s", "text");
    aclAppLog((aclLogLevel)77, NULL, NULL, 0, NULL);
    OK(aclrtDestroyStream(stream));
    OK(aclrtFree(memory));
    return stop();
}
