/* Callbacks and host functions: their order, their threads, their errors. */
#include <pthread.h>
#include <stdatomic.h>

#include "check.h"

static atomic_int order[8], count, stop_reports;
static pthread_t reporter;

static void note(void *what)
{
    order[count++] = (int)(size_t)what;
    if ((int)(size_t)what >= 10)
        TRUE(pthread_equal(pthread_self(), reporter));
}

static void *process(void *unused)
{
    (void)unused;
    while (!stop_reports)
        aclrtProcessReport(20);
    return NULL;
}

int main(void)
{
    aclrtStream stream = NULL, other = NULL;
    uint64_t *word = NULL, value = 0;
    uint64_t self = (uint64_t)pthread_self();

    start();
    OK(aclrtCreateStream(&stream));
    OK(aclrtCreateStream(&other));
    OK(aclrtMalloc((void **)&word, 8, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMemset(word, 8, 0, 8));

    /* Later work waits for a host function, and the function for earlier work. */
    OK(aclrtValueWait(word, 1, ACL_STREAM_WAIT_VALUE_EQ, stream));
    OK(aclrtLaunchHostFunc(stream, note, (void *)1));
    OK(aclrtValueWrite(word, 2, 0, stream));
    OK(aclrtLaunchHostFunc(stream, note, (void *)2));
    TRUE(count == 0);
    OK(aclrtValueWrite(word, 1, 0, other));
    OK(aclrtSynchronizeStream(stream));
    TRUE(count == 2 && order[0] == 1 && order[1] == 2);
    OK(aclrtMemcpy(&value, 8, word, 8, ACL_MEMCPY_DEVICE_TO_HOST));
    TRUE(value == 2);
    EXPECT(aclrtLaunchHostFunc(stream, NULL, NULL), PARAM);

    /* Callbacks run on the thread that subscribed. */
    EXPECT(aclrtLaunchCallback(note, NULL, ACL_CALLBACK_BLOCK, stream), ACL_ERROR_RT_STREAM_NO_CB_REG);
    EXPECT(aclrtProcessReport(10), ACL_ERROR_RT_THREAD_SUBSCRIBE);
    OK(aclrtSubscribeReport(self, stream));
    EXPECT(aclrtSubscribeReport(self, stream), ACL_ERROR_RT_STREAM_SUBSCRIBE);
    EXPECT(aclrtProcessReport(10), ACL_ERROR_RT_REPORT_TIMEOUT);
    EXPECT(aclrtProcessReport(0), RT_PARAM);
    OK(aclrtUnSubscribeReport(self, stream));
    EXPECT(aclrtUnSubscribeReport(self, stream), ACL_ERROR_RT_THREAD_SUBSCRIBE);

    pthread_create(&reporter, NULL, process, NULL);
    OK(aclrtSubscribeReport((uint64_t)reporter, stream));
    OK(aclrtLaunchCallback(note, (void *)10, ACL_CALLBACK_BLOCK, stream));
    OK(aclrtLaunchCallback(note, (void *)11, ACL_CALLBACK_BLOCK, stream));
    OK(aclrtSynchronizeStream(stream));
    TRUE(count == 4 && order[2] == 10 && order[3] == 11);
    OK(aclrtLaunchCallback(note, (void *)12, ACL_CALLBACK_NO_BLOCK, stream));
    OK(aclrtSynchronizeStream(stream));
    for (int i = 0; i < 1000 && count < 5; i++)
        aclrtSynchronizeStreamWithTimeout(other, 1);
    EXPECT(aclrtLaunchCallback(NULL, NULL, ACL_CALLBACK_BLOCK, stream), PARAM);
    EXPECT(aclrtLaunchCallback(note, NULL, (aclrtCallbackBlockType)5, stream), PARAM);
    OK(aclrtUnSubscribeReport((uint64_t)reporter, stream));
    stop_reports = 1;
    pthread_join(reporter, NULL);
    TRUE(count == 5 && order[4] == 12);

    OK(aclrtSubscribeHostFunc(self, other));
    OK(aclrtLaunchHostFunc(other, note, (void *)3));
    OK(aclrtProcessHostFunc(1000));
    TRUE(count == 6 && order[5] == 3);
    OK(aclrtSynchronizeStream(other));
    OK(aclrtUnSubscribeHostFunc(self, other));
    EXPECT(aclrtProcessHostFunc(10), ACL_ERROR_RT_THREAD_SUBSCRIBE);
    OK(aclrtFree(word));
    return stop();
}
