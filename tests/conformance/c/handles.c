/* Wild, foreign and destroyed handles in every place that takes one: each is told apart, none is followed. */
#include "check.h"

/* One call of each function that takes a handle, with the same handle in it. */
static void all(void *wild, aclrtStream stream, aclrtEvent event)
{
    aclrtStreamStatus stream_status;
    aclrtEventRecordedStatus recorded;
    aclrtEventWaitStatus waited;
    aclrtEventStatus event_status;
    aclrtStreamAttrValue value;
    aclrtPhysicalMemProp properties;
    aclrtMemPoolAttr attribute = ACL_RT_MEM_POOL_ATTR_USED_MEM_CURRENT;
    uint64_t number = 0;
    uint32_t word = 0;
    int32_t id = 0;
    float ms = 0;
    void *memory = NULL;

    memset(&value, 0, sizeof(value));
    if (wild != stream) {
        EXPECT(aclrtSynchronizeStream(wild), HANDLE);
        EXPECT(aclrtSynchronizeStreamWithTimeout(wild, 5), HANDLE);
        EXPECT(aclrtStreamQuery(wild, &stream_status), HANDLE);
        EXPECT(aclrtStreamGetId(wild, &id), HANDLE);
        EXPECT(aclrtStreamGetPriority(wild, &word), HANDLE);
        EXPECT(aclrtStreamGetFlags(wild, &word), HANDLE);
        EXPECT(aclrtDestroyStream(wild), HANDLE);
        EXPECT(aclrtDestroyStreamForce(wild), HANDLE);
        EXPECT(aclrtStreamAbort(wild), HANDLE);
        EXPECT(aclrtRecordEvent(event, wild), HANDLE);
        EXPECT(aclrtStreamWaitEvent(wild, event), HANDLE);
        EXPECT(aclrtSetStreamFailureMode(wild, 1), HANDLE);
        EXPECT(aclrtSetStreamAttribute(wild, ACL_STREAM_ATTR_USER_CUSTOM_TAG, &value), HANDLE);
        EXPECT(aclrtGetStreamAttribute(wild, ACL_STREAM_ATTR_USER_CUSTOM_TAG, &value), HANDLE);
        EXPECT(aclrtSetStreamOverflowSwitch(wild, 1), HANDLE);
        EXPECT(aclrtGetStreamOverflowSwitch(wild, &word), HANDLE);
        EXPECT(aclrtMemcpyAsync(&number, 8, &number, 8, ACL_MEMCPY_DEFAULT, wild), HANDLE);
        EXPECT(aclrtMemsetAsync(&number, 8, 0, 8, wild), HANDLE);
        EXPECT(aclrtMemcpy2dAsync(&number, 8, &number, 8, 8, 1, ACL_MEMCPY_DEFAULT, wild), HANDLE);
        EXPECT(aclrtLaunchHostFunc(wild, free, NULL), HANDLE);
        EXPECT(aclrtLaunchCallback(free, NULL, ACL_CALLBACK_BLOCK, wild), HANDLE);
        EXPECT(aclrtSubscribeReport(1, wild), HANDLE);
        EXPECT(aclrtUnSubscribeReport(1, wild), HANDLE);
        EXPECT(aclrtAllocatorUnregister(wild), HANDLE);
        EXPECT(aclrtResetOverflowStatus(wild), HANDLE);
        EXPECT(aclrtMemPoolMallocAsync(&memory, 8, NULL, wild), HANDLE);
        EXPECT(aclrtMemPoolFreeAsync(&memory, wild), HANDLE);
        EXPECT(aclmdlRICaptureGetInfo(wild, NULL, NULL), HANDLE);
    }
    if (wild != event) {
        EXPECT(aclrtRecordEvent(wild, stream), HANDLE);
        EXPECT(aclrtStreamWaitEvent(stream, wild), HANDLE);
        EXPECT(aclrtResetEvent(wild, stream), HANDLE);
        EXPECT(aclrtQueryEvent(wild, &event_status), HANDLE);
        EXPECT(aclrtQueryEventStatus(wild, &recorded), HANDLE);
        EXPECT(aclrtQueryEventWaitStatus(wild, &waited), HANDLE);
        EXPECT(aclrtSynchronizeEvent(wild), HANDLE);
        EXPECT(aclrtSynchronizeEventWithTimeout(wild, 5), HANDLE);
        EXPECT(aclrtEventElapsedTime(&ms, wild, event), HANDLE);
        EXPECT(aclrtEventElapsedTime(&ms, event, wild), HANDLE);
        EXPECT(aclrtEventGetTimestamp(wild, &number), HANDLE);
        EXPECT(aclrtGetEventId(wild, &word), HANDLE);
        EXPECT(aclrtDestroyEvent(wild), HANDLE);
    }
    EXPECT(aclrtRecordNotify(wild, stream), HANDLE);
    EXPECT(aclrtWaitAndResetNotify(wild, stream, 0), HANDLE);
    EXPECT(aclrtGetNotifyId(wild, &word), HANDLE);
    EXPECT(aclrtDestroyNotify(wild), HANDLE);
    EXPECT(aclrtSetCurrentContext(wild), HANDLE);
    EXPECT(aclrtDestroyContext(wild), HANDLE);
    EXPECT(aclrtFreePhysical(wild), HANDLE);
    EXPECT(aclrtMapMem((void *)4096, 4096, 0, wild, 0), HANDLE);
    EXPECT(aclrtMemGetAllocationPropertiesFromHandle(wild, &properties), HANDLE);
    EXPECT(aclrtMemPoolDestroy(wild), HANDLE);
    EXPECT(aclrtMemPoolGetAttr(wild, attribute, &number), HANDLE);
    EXPECT(aclrtMemPoolTrimTo(wild, 0), HANDLE);
    EXPECT(aclDestroyDataBuffer(wild), HANDLE);
    EXPECT(aclUpdateDataBuffer(wild, NULL, 0), HANDLE);
    EXPECT(aclrtAllocatorDestroyDesc(wild), HANDLE);
    EXPECT(aclrtAllocatorSetObjToDesc(wild, &word), HANDLE);
    EXPECT(aclrtDestroyStreamConfigHandle(wild), HANDLE);
    EXPECT(aclrtSetStreamConfigOpt(wild, ACL_RT_STREAM_PRIORITY, &word, 4), HANDLE);
}

int main(void)
{
    aclrtStream stream = NULL, dead = NULL;
    aclrtEvent event = NULL;
    int local = 0;

    start();
    OK(aclrtCreateStream(&stream));
    OK(aclrtCreateStream(&dead));
    OK(aclrtCreateEvent(&event));
    OK(aclrtDestroyStream(dead));
    all(dead, stream, event);
    all(stream, stream, event);
    all(event, stream, event);
    all(&local, stream, event);
    all((void *)1, stream, event);
    all((void *)(size_t)-1, stream, event);
    all((void *)0x5602000001ffffffu, stream, event);
    for (int bit = 0; bit < 64; bit++)
        all((void *)((size_t)stream ^ (size_t)1 << bit), stream, event);

    /* The right ones still work. */
    OK(aclrtRecordEvent(event, stream));
    OK(aclrtSynchronizeStream(stream));
    OK(aclrtDestroyEvent(event));
    OK(aclrtDestroyStream(stream));
    return stop();
}
