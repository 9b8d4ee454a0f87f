/* Streams: making and ending them, queries, attributes, values in memory, timeouts. */
#include "check.h"

static int created, destroyed;

static void on_state(aclrtStream stream, aclrtStreamState state, void *args)
{
    (void)stream;
    (void)args;
    state == ACL_RT_STREAM_STATE_CREATE_POST ? created++ : destroyed++;
}

int main(void)
{
    aclrtStream a = NULL, b = NULL, event_like = NULL;
    aclrtStreamStatus status = ACL_STREAM_STATUS_RESERVED;
    aclrtStreamConfigHandle *config;
    aclrtStreamAttrValue value;
    uint32_t number = 99, priority = 3;
    size_t flags = ACL_STREAM_FAST_LAUNCH;
    int32_t id = -1, other = -1;
    uint64_t *word = NULL, host = 0;

    OK(aclInit(NULL));
    EXPECT(aclrtCreateStream(&a), NO_CONTEXT);
    OK(aclrtSetDevice(0));
    EXPECT(aclrtCreateStream(NULL), PARAM);
    OK(aclrtRegStreamStateCallback("test", on_state, NULL));
    OK(aclrtCreateStream(&a));
    OK(aclrtCreateStreamWithConfig(&b, 2, ACL_STREAM_FAST_LAUNCH | ACL_STREAM_FAST_SYNC));
    TRUE(created == 2 && a != b);
    OK(aclrtStreamGetPriority(b, &number));
    TRUE(number == 2);
    OK(aclrtStreamGetFlags(b, &number));
    TRUE(number == (ACL_STREAM_FAST_LAUNCH | ACL_STREAM_FAST_SYNC));
    OK(aclrtStreamGetFlags(a, &number));
    TRUE(number == 0);
    OK(aclrtStreamGetId(a, &id));
    OK(aclrtStreamGetId(b, &other));
    TRUE(id != other);
    OK(aclrtStreamGetId(NULL, &other));
    EXPECT(aclrtStreamGetId(a, NULL), PARAM);
    OK(aclrtStreamQuery(a, &status));
    TRUE(status == ACL_STREAM_STATUS_COMPLETE);
    EXPECT(aclrtStreamQuery(a, NULL), PARAM);

    config = aclrtCreateStreamConfigHandle();
    TRUE(config != NULL);
    OK(aclrtSetStreamConfigOpt(config, ACL_RT_STREAM_FLAG, &flags, sizeof(flags)));
    OK(aclrtSetStreamConfigOpt(config, ACL_RT_STREAM_PRIORITY, &priority, sizeof(priority)));
    EXPECT(aclrtSetStreamConfigOpt(config, ACL_RT_STREAM_PRIORITY, &priority, 3), PARAM);
    EXPECT(aclrtSetStreamConfigOpt(config, (aclrtStreamConfigAttr)9, &priority, 4), PARAM);
    EXPECT(aclrtSetStreamConfigOpt(NULL, ACL_RT_STREAM_PRIORITY, &priority, 4), PARAM);
    OK(aclrtCreateStreamV2(&event_like, config));
    OK(aclrtStreamGetPriority(event_like, &number));
    TRUE(number == 3);
    OK(aclrtDestroyStreamConfigHandle(config));
    EXPECT(aclrtDestroyStreamConfigHandle(config), HANDLE);
    OK(aclrtDestroyStreamForce(event_like));

    OK(aclrtSetStreamFailureMode(a, ACL_STOP_ON_FAILURE));
    EXPECT(aclrtSetStreamFailureMode(a, 2), RT_PARAM);
    EXPECT(aclrtSetStreamFailureMode(NULL, 1), PARAM);
    memset(&value, 0, sizeof(value));
    OK(aclrtGetStreamAttribute(a, ACL_STREAM_ATTR_FAILURE_MODE, &value));
    TRUE(value.failureMode == ACL_STOP_ON_FAILURE);
    memset(&value, 0, sizeof(value));
    value.userCustomTag = 42;
    OK(aclrtSetStreamAttribute(a, ACL_STREAM_ATTR_USER_CUSTOM_TAG, &value));
    memset(&value, 0, sizeof(value));
    OK(aclrtGetStreamAttribute(a, ACL_STREAM_ATTR_USER_CUSTOM_TAG, &value));
    TRUE(value.userCustomTag == 42);
    EXPECT(aclrtSetStreamAttribute(a, (aclrtStreamAttr)77, &value), RT_PARAM);
    EXPECT(aclrtGetStreamAttribute(a, ACL_STREAM_ATTR_PRIORITY, NULL), PARAM);
    OK(aclrtSetStreamOverflowSwitch(a, 1));
    OK(aclrtGetStreamOverflowSwitch(a, &number));
    TRUE(number == 1);
    EXPECT(aclrtSetStreamOverflowSwitch(a, 2), RT_PARAM);

    OK(aclrtGetStreamResLimit(a, ACL_RT_DEV_RES_VECTOR_CORE, &number));
    TRUE(number > 2);
    OK(aclrtSetStreamResLimit(a, ACL_RT_DEV_RES_VECTOR_CORE, 2));
    OK(aclrtGetStreamResLimit(a, ACL_RT_DEV_RES_VECTOR_CORE, &number));
    TRUE(number == 2);
    EXPECT(aclrtSetStreamResLimit(a, ACL_RT_DEV_RES_VECTOR_CORE, 100000), RT_PARAM);
    EXPECT(aclrtSetStreamResLimit(a, (aclrtDevResLimitType)5, 1), PARAM);
    OK(aclrtResetStreamResLimit(a));
    OK(aclrtGetStreamResLimit(a, ACL_RT_DEV_RES_VECTOR_CORE, &number));
    TRUE(number > 2);

    /* b goes on when a stores the value. */
    OK(aclrtMalloc((void **)&word, 8, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMemset(word, 8, 0, 8));
    OK(aclrtValueWait(word, 5, ACL_STREAM_WAIT_VALUE_GEQ, b));
    OK(aclrtStreamQuery(b, &status));
    TRUE(status == ACL_STREAM_STATUS_NOT_READY);
    EXPECT(aclrtSynchronizeStreamWithTimeout(b, 30), ACL_ERROR_RT_STREAM_SYNC_TIMEOUT);
    EXPECT(aclrtSynchronizeDeviceWithTimeout(30), ACL_ERROR_RT_STREAM_SYNC_TIMEOUT);
    OK(aclrtValueWrite(word, 7, 0, a));
    OK(aclrtSynchronizeStream(b));
    OK(aclrtMemcpy(&host, 8, word, 8, ACL_MEMCPY_DEVICE_TO_HOST));
    TRUE(host == 7);
    OK(aclrtValueWait(word, 7, ACL_STREAM_WAIT_VALUE_EQ, b));
    OK(aclrtValueWait(word, 2, ACL_STREAM_WAIT_VALUE_AND, b));
    OK(aclrtValueWait(word, 0, ACL_STREAM_WAIT_VALUE_NOR, b));
    OK(aclrtSynchronizeStream(b));
    EXPECT(aclrtValueWait(word, 7, 4, b), RT_PARAM);
    EXPECT(aclrtValueWrite(word, 7, 1, b), RT_PARAM);
    EXPECT(aclrtValueWrite((char *)word + 4, 7, 0, b), ACL_ERROR_RT_ADDR_UNALIGNED);
    EXPECT(aclrtValueWrite(NULL, 7, 0, b), PARAM);
    EXPECT(aclrtValueWrite(&host, 7, 0, b), RT_PARAM);
    EXPECT(aclrtSynchronizeStreamWithTimeout(b, 0), RT_PARAM);

    /* Work that will never run is dropped, and the stream goes on. */
    OK(aclrtValueWait(word, 1000, ACL_STREAM_WAIT_VALUE_GEQ, b));
    OK(aclrtStreamAbort(b));
    OK(aclrtSynchronizeStream(b));
    EXPECT(aclrtStreamAbort(NULL), PARAM);
    OK(aclrtValueWait(word, 1000, ACL_STREAM_WAIT_VALUE_GEQ, b));
    OK(aclrtDeviceTaskAbort(0, 1000));
    OK(aclrtSynchronizeStream(b));
    EXPECT(aclrtDeviceTaskAbort(77, 1000), ACL_ERROR_RT_INVALID_DEVICEID);
    OK(aclrtValueWait(word, 1000, ACL_STREAM_WAIT_VALUE_GEQ, b));
    OK(aclrtDestroyStreamForce(b));
    EXPECT(aclrtSynchronizeStream(b), HANDLE);
    EXPECT(aclrtDestroyStreamForce(b), HANDLE);
    EXPECT(aclrtDestroyStream(NULL), PARAM);
    OK(aclrtDestroyStream(a));
    EXPECT(aclrtDestroyStream(a), HANDLE);
    EXPECT(aclrtSynchronizeStream((aclrtStream)&host), HANDLE);
    TRUE(destroyed == 3);
    OK(aclrtGetStreamAvailableNum(&number));
    TRUE(number > 1000);
    OK(aclrtRegStreamStateCallback("test", NULL, NULL));
    OK(aclrtFree(word));
    return stop();
}
