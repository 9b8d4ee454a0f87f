/* Events: recording, waiting, queries, times, and what each way of making them allows. */
#include "check.h"

int main(void)
{
    aclrtStream a = NULL, b = NULL;
    aclrtEvent event = NULL, start_event = NULL, end = NULL, flagged = NULL, extended = NULL, plain_sync = NULL;
    aclrtEventRecordedStatus recorded = ACL_EVENT_RECORDED_STATUS_COMPLETE;
    aclrtEventWaitStatus waited = ACL_EVENT_WAIT_STATUS_RESERVED;
    aclrtEventStatus status = ACL_EVENT_STATUS_RESERVED;
    uint64_t *word = NULL, before = 0, after = 0;
    uint32_t number = 0;
    float ms = -1;

    OK(aclInit(NULL));
    EXPECT(aclrtCreateEvent(&event), NO_CONTEXT);
    OK(aclrtSetDevice(0));
    EXPECT(aclrtCreateEvent(NULL), PARAM);
    EXPECT(aclrtCreateEventWithFlag(&event, 0), PARAM);
    EXPECT(aclrtCreateEventWithFlag(&event, 0x8000), PARAM);
    EXPECT(aclrtCreateEventExWithFlag(&event, ACL_EVENT_IPC | ACL_EVENT_SYNC), PARAM);
    OK(aclrtCreateStream(&a));
    OK(aclrtCreateStream(&b));
    OK(aclrtCreateEvent(&event));
    OK(aclrtMalloc((void **)&word, 8, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMemset(word, 8, 0, 8));

    /* b waits for a, which waits for the word. */
    OK(aclrtValueWait(word, 1, ACL_STREAM_WAIT_VALUE_EQ, a));
    OK(aclrtRecordEvent(event, a));
    OK(aclrtStreamWaitEvent(b, event));
    OK(aclrtQueryEventStatus(event, &recorded));
    TRUE(recorded == ACL_EVENT_RECORDED_STATUS_NOT_READY);
    OK(aclrtQueryEventWaitStatus(event, &waited));
    TRUE(waited == ACL_EVENT_WAIT_STATUS_NOT_READY);
    EXPECT(aclrtSynchronizeEventWithTimeout(event, 30), ACL_ERROR_RT_EVENT_SYNC_TIMEOUT);
    EXPECT(aclrtSynchronizeStreamWithTimeout(b, 30), ACL_ERROR_RT_STREAM_SYNC_TIMEOUT);
    OK(aclrtValueWrite(word, 1, 0, NULL));
    OK(aclrtSynchronizeStream(b));
    OK(aclrtSynchronizeEvent(event));
    OK(aclrtQueryEventStatus(event, &recorded));
    TRUE(recorded == ACL_EVENT_RECORDED_STATUS_COMPLETE);
    OK(aclrtQueryEvent(event, &status));
    TRUE(status == ACL_EVENT_STATUS_COMPLETE);
    OK(aclrtQueryEventWaitStatus(event, &waited));
    TRUE(waited == ACL_EVENT_WAIT_STATUS_COMPLETE);

    /* Times. */
    OK(aclrtCreateEventWithFlag(&start_event, ACL_EVENT_TIME_LINE));
    OK(aclrtCreateEventWithFlag(&end, ACL_EVENT_TIME_LINE));
    EXPECT(aclrtEventElapsedTime(&ms, start_event, end), ACL_ERROR_RT_EVENT_TIMESTAMP_INVALID);
    OK(aclrtRecordEvent(start_event, a));
    OK(aclrtRecordEvent(end, a));
    OK(aclrtSynchronizeStream(a));
    OK(aclrtEventElapsedTime(&ms, start_event, end));
    TRUE(ms >= 0 && ms < 1000);
    OK(aclrtEventGetTimestamp(start_event, &before));
    OK(aclrtEventGetTimestamp(end, &after));
    TRUE(before <= after && after > 0);
    EXPECT(aclrtEventElapsedTime(NULL, start_event, end), PARAM);
    EXPECT(aclrtEventElapsedTime(&ms, NULL, end), PARAM);
    EXPECT(aclrtEventGetTimestamp(start_event, NULL), PARAM);
    OK(aclrtRecordEvent(end, a));
    OK(aclrtMemset(word, 8, 0, 8));
    OK(aclrtSynchronizeStream(a));
    OK(aclrtRecordEvent(start_event, a));
    OK(aclrtSynchronizeStream(a));
    EXPECT(aclrtEventElapsedTime(&ms, start_event, end), ACL_ERROR_RT_EVENT_TIMESTAMP_REVERSAL);
    EXPECT(aclrtStreamWaitEvent(b, end), RT_PARAM);

    /* Without ACL_EVENT_TIME_LINE there is no time. */
    OK(aclrtCreateEventWithFlag(&plain_sync, ACL_EVENT_SYNC));
    OK(aclrtQueryEventStatus(plain_sync, &recorded));
    TRUE(recorded == ACL_EVENT_RECORDED_STATUS_NOT_READY);
    OK(aclrtRecordEvent(plain_sync, a));
    OK(aclrtSynchronizeStream(a));
    EXPECT(aclrtEventElapsedTime(&ms, plain_sync, end), ACL_ERROR_RT_EVENT_TIMESTAMP_INVALID);

    /* Reset. */
    OK(aclrtCreateEventWithFlag(&flagged, ACL_EVENT_SYNC));
    OK(aclrtRecordEvent(flagged, a));
    OK(aclrtSynchronizeStream(a));
    OK(aclrtResetEvent(flagged, b));
    OK(aclrtQueryEventStatus(flagged, &recorded));
    TRUE(recorded == ACL_EVENT_RECORDED_STATUS_NOT_READY);
    EXPECT(aclrtResetEvent(end, b), RT_PARAM);

    /* Extended events: complete before the first record; not to be reset. */
    OK(aclrtCreateEventExWithFlag(&extended, ACL_EVENT_SYNC | ACL_EVENT_TIME_LINE));
    OK(aclrtQueryEventStatus(extended, &recorded));
    TRUE(recorded == ACL_EVENT_RECORDED_STATUS_COMPLETE);
    OK(aclrtSynchronizeEvent(extended));
    EXPECT(aclrtResetEvent(extended, a), NOT_SUPPORTED);
    EXPECT(aclrtQueryEvent(extended, &status), NOT_SUPPORTED);
    EXPECT(aclrtQueryEventWaitStatus(extended, &waited), NOT_SUPPORTED);
    OK(aclrtStreamWaitEvent(b, extended));
    OK(aclrtRecordEventWithFlag(extended, a, ACL_EVENT_RECORD_DEFAULT));
    OK(aclrtStreamWaitEventWithFlag(b, extended, 0, ACL_EVENT_WAIT_DEFAULT));
    OK(aclrtStreamWaitEventWithTimeout(b, extended, 1000));
    EXPECT(aclrtRecordEventWithFlag(extended, a, 9), RT_PARAM);
    OK(aclrtSynchronizeStream(b));

    /* A stream that waits goes on when the event is destroyed. */
    OK(aclrtMemset(word, 8, 0, 8));
    OK(aclrtValueWait(word, 1, ACL_STREAM_WAIT_VALUE_EQ, a));
    OK(aclrtRecordEvent(event, a));
    OK(aclrtStreamWaitEvent(b, event));
    OK(aclrtDestroyEvent(event));
    OK(aclrtValueWrite(word, 1, 0, NULL));
    OK(aclrtSynchronizeStream(b));

    /* With a limit, a stream that waits for longer fails, and can be reset. */
    OK(aclrtMemset(word, 8, 0, 8));
    OK(aclrtValueWait(word, 1, ACL_STREAM_WAIT_VALUE_EQ, a));
    OK(aclrtRecordEvent(extended, a));
    OK(aclrtStreamWaitEventWithTimeout(b, extended, 50));
    TRUE(aclrtSynchronizeStreamWithTimeout(b, 5000) == ACL_ERROR_RT_AICORE_TIMEOUT);
    aclGetRecentErrMsg();
    OK(aclrtStreamAbort(b));
    OK(aclrtValueWrite(word, 1, 0, NULL));
    OK(aclrtSynchronizeStream(a));
    OK(aclrtSynchronizeStream(b));
    OK(aclrtSetOpWaitTimeout(1));
    OK(aclrtStreamWaitEvent(b, extended));
    OK(aclrtSynchronizeStream(b));
    OK(aclrtSetOpWaitTimeout(0));

    EXPECT(aclrtRecordEvent(event, a), HANDLE);
    EXPECT(aclrtDestroyEvent(event), HANDLE);
    EXPECT(aclrtDestroyEvent(NULL), PARAM);
    EXPECT(aclrtSynchronizeEvent(a), HANDLE);
    EXPECT(aclrtRecordEvent(end, end), HANDLE);
    OK(aclrtGetEventId(end, &number));
    OK(aclrtGetEventAvailNum(&number));
    TRUE(number > 60000);
    OK(aclrtFree(word));
    return stop();
}
