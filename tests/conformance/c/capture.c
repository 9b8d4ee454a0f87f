/* Capturing streams: what is recorded, what is forbidden meanwhile, and how it ends. */
#include <pthread.h>

#include "check.h"

enum { SIZE = 4096 };

static void *device_memory(void)
{
    void *p = NULL;
    OK(aclrtMalloc(&p, SIZE, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMemset(p, SIZE, 0, SIZE));
    return p;
}

static int first_byte(const void *p)
{
    unsigned char byte = 0;
    OK(aclrtMemcpy(&byte, 1, p, 1, ACL_MEMCPY_DEVICE_TO_HOST));
    return byte;
}

static void records_and_replays(void)
{
    aclrtStream stream = NULL, other = NULL;
    aclmdlRI model = NULL, seen = NULL;
    aclmdlRICaptureStatus status = ACL_MODEL_RI_CAPTURE_STATUS_INVALIDATED;
    void *a = device_memory(), *b = device_memory();

    OK(aclrtCreateStream(&stream));
    OK(aclrtCreateStream(&other));
    OK(aclmdlRICaptureGetInfo(stream, &status, &model));
    TRUE(status == ACL_MODEL_RI_CAPTURE_STATUS_NONE && model == NULL);
    OK(aclmdlRICaptureGetInfo(NULL, NULL, NULL));
    OK(aclmdlRICaptureBegin(stream, ACL_MODEL_RI_CAPTURE_MODE_GLOBAL));
    OK(aclrtMemsetAsync(a, SIZE, 9, SIZE, stream));
    OK(aclrtMemcpyAsync(b, SIZE, a, SIZE, ACL_MEMCPY_DEVICE_TO_DEVICE, stream));
    OK(aclmdlRICaptureGetInfo(stream, &status, &seen));
    TRUE(status == ACL_MODEL_RI_CAPTURE_STATUS_ACTIVE && seen != NULL);
    EXPECT(aclmdlRIExecuteAsync(seen, other), ACL_ERROR_RT_MODEL_CAPTURED);
    EXPECT(aclmdlRIDestroy(seen), ACL_ERROR_RT_MODEL_CAPTURED);
    OK(aclmdlRICaptureEnd(stream, &model));
    TRUE(model == seen);
    TRUE(first_byte(b) == 0);
    for (int i = 0; i < 3; i++) {
        OK(aclmdlRIExecuteAsync(model, i == 1 ? other : stream));
        OK(aclrtSynchronizeStream(i == 1 ? other : stream));
        TRUE(first_byte(b) == 9);
        OK(aclrtMemset(b, SIZE, 0, SIZE));
    }
    OK(aclmdlRIExecuteAsync(model, NULL));
    OK(aclrtSynchronizeStream(NULL));
    TRUE(first_byte(b) == 9);
    EXPECT(aclmdlRIExecute(model, -1), RT_PARAM);
    EXPECT(aclmdlRIExecuteAsync(NULL, stream), PARAM);
    EXPECT(aclmdlRIExecuteAsync(stream, stream), HANDLE);
    EXPECT(aclmdlRIExecuteAsync(model, model), HANDLE);
    OK(aclmdlRIDestroy(model));
    EXPECT(aclmdlRIDestroy(model), HANDLE);
    EXPECT(aclmdlRIExecuteAsync(model, stream), HANDLE);
    OK(aclrtDestroyStream(stream));
    OK(aclrtDestroyStream(other));
    OK(aclrtFree(a));
    OK(aclrtFree(b));
}

/* Nothing of a captured stream can be waited for, and asking spoils nothing. */
static void forbids_waiting(void)
{
    aclrtStream stream = NULL;
    aclrtEvent event = NULL, plain = NULL, line = NULL;
    aclmdlRI model = NULL;
    aclrtStreamStatus status;
    aclrtEventRecordedStatus recorded;
    void *p = device_memory();
    char pageable[64] = {0};

    OK(aclrtCreateStream(&stream));
    OK(aclrtCreateEventExWithFlag(&event, ACL_EVENT_SYNC));
    OK(aclrtCreateEventExWithFlag(&line, ACL_EVENT_TIME_LINE));
    OK(aclrtCreateEventWithFlag(&plain, ACL_EVENT_SYNC));
    OK(aclmdlRICaptureBegin(stream, ACL_MODEL_RI_CAPTURE_MODE_RELAXED));
    EXPECT(aclmdlRICaptureBegin(stream, ACL_MODEL_RI_CAPTURE_MODE_RELAXED), ACL_ERROR_RT_STREAM_CAPTURED);
    EXPECT(aclrtSynchronizeStream(stream), ACL_ERROR_RT_STREAM_CAPTURED);
    EXPECT(aclrtSynchronizeStreamWithTimeout(stream, 10), ACL_ERROR_RT_STREAM_CAPTURED);
    EXPECT(aclrtStreamQuery(stream, &status), ACL_ERROR_RT_STREAM_CAPTURED);
    EXPECT(aclrtDestroyStream(stream), ACL_ERROR_RT_STREAM_CAPTURED);
    EXPECT(aclrtDestroyStreamForce(stream), ACL_ERROR_RT_STREAM_CAPTURED);
    EXPECT(aclrtSynchronizeDevice(), ACL_ERROR_RT_STREAM_CAPTURED);
    OK(aclrtRecordEvent(event, stream));
    EXPECT(aclrtSynchronizeEvent(event), ACL_ERROR_RT_EVENT_CAPTURED);
    EXPECT(aclrtQueryEventStatus(event, &recorded), ACL_ERROR_RT_EVENT_CAPTURED);
    OK(aclrtRecordEvent(line, stream));
    EXPECT(aclrtRecordEvent(plain, stream), NOT_SUPPORTED);
    EXPECT(aclrtStreamWaitEvent(stream, plain), NOT_SUPPORTED);
    EXPECT(aclrtMemcpyAsync(p, SIZE, pageable, 64, ACL_MEMCPY_HOST_TO_DEVICE, stream), RT_PARAM);
    EXPECT(aclrtMemcpyAsync(pageable, 64, p, 64, ACL_MEMCPY_DEVICE_TO_HOST, stream), RT_PARAM);
    OK(aclmdlRICaptureEnd(stream, &model));
    OK(aclrtQueryEventStatus(event, &recorded));
    OK(aclrtSynchronizeStream(stream));
    OK(aclmdlRIDestroy(model));
    OK(aclrtDestroyEvent(event));
    OK(aclrtDestroyEvent(line));
    OK(aclrtDestroyEvent(plain));
    OK(aclrtDestroyStream(stream));
    OK(aclrtFree(p));
}

static void begins_and_ends(void)
{
    aclrtStream a = NULL, b = NULL, own = NULL;
    aclrtEvent fork = NULL, join = NULL;
    aclmdlRI model = NULL;

    OK(aclrtCreateStream(&a));
    OK(aclrtCreateStream(&b));
    OK(aclrtCreateEventExWithFlag(&fork, ACL_EVENT_SYNC));
    OK(aclrtCreateEventExWithFlag(&join, ACL_EVENT_SYNC));
    EXPECT(aclmdlRICaptureBegin(NULL, ACL_MODEL_RI_CAPTURE_MODE_GLOBAL), ACL_ERROR_RT_STREAM_CAPTURE_IMPLICIT);
    OK(aclrtCtxGetCurrentDefaultStream(&own));
    EXPECT(aclmdlRICaptureBegin(own, ACL_MODEL_RI_CAPTURE_MODE_GLOBAL), ACL_ERROR_RT_STREAM_CAPTURE_IMPLICIT);
    EXPECT(aclmdlRICaptureBegin(a, (aclmdlRICaptureMode)3), RT_PARAM);
    EXPECT(aclmdlRICaptureBegin(fork, ACL_MODEL_RI_CAPTURE_MODE_GLOBAL), HANDLE);
    EXPECT(aclmdlRICaptureEnd(a, &model), ACL_ERROR_RT_STREAM_NOT_CAPTURED);
    EXPECT(aclmdlRICaptureEnd(a, NULL), PARAM);

    /* A stream that joined ends with the first, and has to lead back to it. */
    OK(aclmdlRICaptureBegin(a, ACL_MODEL_RI_CAPTURE_MODE_RELAXED));
    OK(aclrtRecordEvent(fork, a));
    EXPECT(aclrtStreamWaitEvent(NULL, fork), ACL_ERROR_RT_STREAM_CAPTURE_IMPLICIT);
    OK(aclrtStreamWaitEvent(b, fork));
    EXPECT(aclmdlRICaptureEnd(b, &model), ACL_ERROR_RT_STREAM_CAPTURE_UNMATCHED);
    OK(aclrtRecordEvent(join, b));
    EXPECT(aclmdlRICaptureEnd(a, &model), ACL_ERROR_RT_STREAM_UNJOINED);
    OK(aclrtSynchronizeStream(a));
    OK(aclrtSynchronizeStream(b));
    OK(aclmdlRICaptureBegin(a, ACL_MODEL_RI_CAPTURE_MODE_RELAXED));
    OK(aclrtRecordEvent(fork, a));
    OK(aclrtStreamWaitEvent(b, fork));
    OK(aclrtRecordEvent(join, b));
    OK(aclrtStreamWaitEvent(a, join));
    OK(aclmdlRICaptureEnd(a, &model));
    OK(aclmdlRIExecuteAsync(model, b));
    OK(aclrtSynchronizeStream(b));
    OK(aclmdlRIDestroy(model));

    /* An event from outside spoils a capture, and so does one of another capture. */
    OK(aclrtRecordEvent(fork, b));
    OK(aclmdlRICaptureBegin(a, ACL_MODEL_RI_CAPTURE_MODE_RELAXED));
    EXPECT(aclrtStreamWaitEvent(a, fork), ACL_ERROR_RT_CAPTURE_DEPENDENCY);
    aclmdlRICaptureStatus status = ACL_MODEL_RI_CAPTURE_STATUS_NONE;
    OK(aclmdlRICaptureGetInfo(a, &status, &model));
    TRUE(status == ACL_MODEL_RI_CAPTURE_STATUS_INVALIDATED);
    EXPECT(aclmdlRICaptureEnd(a, &model), ACL_ERROR_RT_STREAM_CAPTURE_INVALIDATED);
    OK(aclmdlRICaptureBegin(a, ACL_MODEL_RI_CAPTURE_MODE_RELAXED));
    OK(aclmdlRICaptureBegin(b, ACL_MODEL_RI_CAPTURE_MODE_RELAXED));
    OK(aclrtRecordEvent(join, a));
    EXPECT(aclrtStreamWaitEvent(b, join), ACL_ERROR_STREAM_CAPTURE_CONFLICT);
    EXPECT(aclmdlRICaptureEnd(a, &model), ACL_ERROR_RT_STREAM_CAPTURE_INVALIDATED);
    EXPECT(aclmdlRICaptureEnd(b, &model), ACL_ERROR_RT_STREAM_CAPTURE_INVALIDATED);

    OK(aclrtDestroyEvent(fork));
    OK(aclrtDestroyEvent(join));
    OK(aclrtDestroyStream(a));
    OK(aclrtDestroyStream(b));
}

static void *waits_elsewhere(void *argument)
{
    aclmdlRICaptureMode mode = ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL;
    int expected = *(int *)argument;
    void *p = NULL;

    OK(aclrtSetDevice(0));
    OK(aclrtMalloc(&p, SIZE, ACL_MEM_MALLOC_HUGE_FIRST));
    EXPECT(aclrtMemset(p, SIZE, 0, SIZE), expected);
    OK(aclmdlRICaptureThreadExchangeMode(&mode));
    TRUE(mode == ACL_MODEL_RI_CAPTURE_MODE_GLOBAL);
    OK(aclrtMemset(p, SIZE, 0, SIZE));
    OK(aclrtFree(p));
    OK(aclrtResetDevice(0));
    return NULL;
}

static void *ends_elsewhere(void *argument)
{
    aclmdlRI model = NULL;
    OK(aclrtSetDevice(0));
    EXPECT(aclmdlRICaptureEnd(*(aclrtStream *)argument, &model), ACL_ERROR_RT_STREAM_CAPTURE_WRONG_THREAD);
    OK(aclrtResetDevice(0));
    return NULL;
}

static void modes_say_who_may_wait(void)
{
    aclrtStream a = NULL, other = NULL;
    aclmdlRI model = NULL;
    aclmdlRICaptureMode mode = (aclmdlRICaptureMode)3;
    void *p = device_memory();
    char bytes[64] = {0};
    pthread_t thread;

    OK(aclrtCreateStream(&a));
    OK(aclrtCreateStream(&other));
    EXPECT(aclmdlRICaptureThreadExchangeMode(NULL), PARAM);
    EXPECT(aclmdlRICaptureThreadExchangeMode(&mode), RT_PARAM);
    for (int m = ACL_MODEL_RI_CAPTURE_MODE_GLOBAL; m <= ACL_MODEL_RI_CAPTURE_MODE_RELAXED; m++) {
        int relaxed = m == ACL_MODEL_RI_CAPTURE_MODE_RELAXED;
        int here = relaxed ? 0 : ACL_ERROR_RT_CAPTURE_MODE_NOT_SUPPORT;
        int elsewhere = m == ACL_MODEL_RI_CAPTURE_MODE_GLOBAL ? ACL_ERROR_RT_CAPTURE_MODE_NOT_SUPPORT : 0;
        OK(aclmdlRICaptureBegin(a, (aclmdlRICaptureMode)m));
        EXPECT(aclrtMemset(p, SIZE, 1, SIZE), here);
        EXPECT(aclrtMemcpy(p, SIZE, bytes, 64, ACL_MEMCPY_HOST_TO_DEVICE), here);
        EXPECT(aclrtMemcpy2d(p, 64, bytes, 64, 8, 1, ACL_MEMCPY_HOST_TO_DEVICE), here);
        EXPECT(aclrtMemcpyAsync(p, SIZE, bytes, 64, ACL_MEMCPY_HOST_TO_DEVICE, other),
               relaxed ? 0 : ACL_ERROR_RT_CAPTURE_MODE_BLOCK_ASYNC);
        pthread_create(&thread, NULL, waits_elsewhere, &elsewhere);
        pthread_join(thread, NULL);
        mode = ACL_MODEL_RI_CAPTURE_MODE_RELAXED;
        OK(aclmdlRICaptureThreadExchangeMode(&mode));
        TRUE(mode == ACL_MODEL_RI_CAPTURE_MODE_GLOBAL);
        OK(aclrtMemset(p, SIZE, 1, SIZE));
        OK(aclmdlRICaptureThreadExchangeMode(&mode));
        TRUE(mode == ACL_MODEL_RI_CAPTURE_MODE_RELAXED);
        OK(aclmdlRICaptureEnd(a, &model));
        OK(aclmdlRIDestroy(model));
        OK(aclrtMemset(p, SIZE, 1, SIZE));
    }
    OK(aclmdlRICaptureBegin(a, ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL));
    pthread_create(&thread, NULL, ends_elsewhere, &a);
    pthread_join(thread, NULL);
    EXPECT(aclmdlRICaptureEnd(a, &model), ACL_ERROR_RT_STREAM_NOT_CAPTURED);
    OK(aclrtDestroyStream(a));
    OK(aclrtDestroyStream(other));
    OK(aclrtFree(p));
}

/* Events that others outside see, and events that others outside record. */
static void external_events(void)
{
    aclrtStream a = NULL, b = NULL;
    aclrtEvent in = NULL, out = NULL;
    aclmdlRI model = NULL;
    void *x = device_memory(), *y = device_memory();

    OK(aclrtCreateStream(&a));
    OK(aclrtCreateStream(&b));
    OK(aclrtCreateEventExWithFlag(&in, ACL_EVENT_SYNC));
    OK(aclrtCreateEventExWithFlag(&out, ACL_EVENT_SYNC));
    EXPECT(aclrtRecordEventWithFlag(out, a, ACL_EVENT_RECORD_EXTERNAL), ACL_ERROR_RT_STREAM_NOT_CAPTURED);
    EXPECT(aclrtStreamWaitEventWithFlag(a, in, 0, ACL_EVENT_WAIT_EXTERNAL), ACL_ERROR_RT_STREAM_NOT_CAPTURED);
    OK(aclmdlRICaptureBegin(a, ACL_MODEL_RI_CAPTURE_MODE_RELAXED));
    OK(aclrtStreamWaitEventWithFlag(a, in, 0, ACL_EVENT_WAIT_EXTERNAL));
    OK(aclrtMemcpyAsync(y, SIZE, x, SIZE, ACL_MEMCPY_DEVICE_TO_DEVICE, a));
    OK(aclrtRecordEventWithFlag(out, a, ACL_EVENT_RECORD_EXTERNAL));
    OK(aclmdlRICaptureEnd(a, &model));
    for (int i = 1; i < 20; i++) {
        OK(aclrtMemsetAsync(x, SIZE, i, SIZE, b));
        OK(aclrtRecordEvent(in, b));
        OK(aclmdlRIExecuteAsync(model, a));
        OK(aclrtStreamWaitEvent(b, out));
        OK(aclrtSynchronizeStream(b));
        TRUE(first_byte(y) == i);
    }
    OK(aclrtSynchronizeStream(a));
    OK(aclmdlRIDestroy(model));
    OK(aclrtDestroyEvent(in));
    OK(aclrtDestroyEvent(out));
    OK(aclrtDestroyStream(a));
    OK(aclrtDestroyStream(b));
    OK(aclrtFree(x));
    OK(aclrtFree(y));
}

/* Task groups: exchanged while the model waits for an event made for that. */
static void task_groups(void)
{
    aclrtStream a = NULL, b = NULL, updater = NULL;
    aclrtEvent ready = NULL, fork = NULL;
    aclmdlRI model = NULL;
    aclrtTaskGrp group = NULL;
    void *x = device_memory();

    OK(aclrtCreateStream(&a));
    OK(aclrtCreateStream(&b));
    OK(aclrtCreateStream(&updater));
    OK(aclrtCreateEventWithFlag(&ready, ACL_EVENT_EXTERNAL));
    OK(aclrtCreateEventExWithFlag(&fork, ACL_EVENT_SYNC));
    EXPECT(aclmdlRICaptureTaskGrpBegin(a), ACL_ERROR_RT_STREAM_NOT_CAPTURED);
    EXPECT(aclmdlRICaptureTaskGrpEnd(a, &group), ACL_ERROR_RT_STREAM_NOT_CAPTURED);
    OK(aclmdlRICaptureBegin(a, ACL_MODEL_RI_CAPTURE_MODE_RELAXED));
    OK(aclrtRecordEvent(fork, a));
    OK(aclrtStreamWaitEvent(b, fork));
    OK(aclrtRecordEvent(fork, b));
    OK(aclrtStreamWaitEvent(a, fork));
    OK(aclrtStreamWaitEvent(a, ready));
    OK(aclrtResetEvent(ready, a));
    EXPECT(aclmdlRICaptureTaskGrpEnd(a, &group), ACL_ERROR_STREAM_TASK_GROUP_STATUS);
    OK(aclmdlRICaptureTaskGrpBegin(a));
    EXPECT(aclmdlRICaptureTaskGrpBegin(a), ACL_ERROR_STREAM_TASK_GROUP_STATUS);
    EXPECT(aclrtMemsetAsync(x, SIZE, 1, SIZE, b), ACL_ERROR_STREAM_TASK_GROUP_INTR);
    OK(aclrtMemsetAsync(x, SIZE, 1, SIZE, a));
    EXPECT(aclmdlRICaptureTaskGrpEnd(a, NULL), PARAM);
    OK(aclmdlRICaptureTaskGrpEnd(a, &group));
    EXPECT(aclmdlRICaptureTaskUpdateBegin(a, group), ACL_ERROR_RT_STREAM_CAPTURED);
    OK(aclmdlRICaptureEnd(a, &model));

    for (int i = 2; i < 30; i++) {
        OK(aclmdlRIExecuteAsync(model, a));
        EXPECT(aclmdlRIDestroy(model), ACL_ERROR_RT_MODEL_RUNNING);
        OK(aclmdlRICaptureTaskUpdateBegin(updater, group));
        if (i == 2)
            EXPECT(aclmdlRICaptureTaskUpdateBegin(b, group), ACL_ERROR_STREAM_TASK_GROUP_STATUS);
        OK(aclrtMemsetAsync(x, SIZE, i, SIZE, updater));
        OK(aclmdlRICaptureTaskUpdateEnd(updater));
        OK(aclrtRecordEvent(ready, updater));
        OK(aclrtSynchronizeStream(a));
        TRUE(first_byte(x) == i);
    }
    EXPECT(aclmdlRICaptureTaskUpdateEnd(updater), ACL_ERROR_STREAM_TASK_GROUP_STATUS);
    OK(aclmdlRICaptureTaskUpdateBegin(updater, group));
    OK(aclrtValueWrite(x, 1, 0, updater));
    EXPECT(aclmdlRICaptureTaskUpdateEnd(updater), ACL_ERROR_RT_MODEL_UPDATE_FAILED);
    EXPECT(aclmdlRICaptureTaskUpdateBegin(updater, model), HANDLE);
    OK(aclmdlRIDestroy(model));
    EXPECT(aclmdlRICaptureTaskUpdateBegin(updater, group), HANDLE);

    OK(aclmdlRICaptureBegin(a, ACL_MODEL_RI_CAPTURE_MODE_RELAXED));
    OK(aclmdlRICaptureTaskGrpBegin(a));
    EXPECT(aclmdlRICaptureEnd(a, &model), ACL_ERROR_STREAM_TASK_GROUP_STATUS);
    OK(aclrtDestroyEvent(ready));
    OK(aclrtDestroyEvent(fork));
    OK(aclrtDestroyStream(a));
    OK(aclrtDestroyStream(b));
    OK(aclrtDestroyStream(updater));
    OK(aclrtFree(x));
}

/* A context that ends takes its captures and models with it. */
static void contexts_end(void)
{
    aclrtContext context = NULL, before = NULL;
    aclrtStream a = NULL;
    aclmdlRI model = NULL;

    OK(aclrtGetCurrentContext(&before));
    OK(aclrtCreateContext(&context, 0));
    OK(aclrtCreateStream(&a));
    OK(aclmdlRICaptureBegin(a, ACL_MODEL_RI_CAPTURE_MODE_GLOBAL));
    OK(aclmdlRICaptureEnd(a, &model));
    OK(aclrtSetCurrentContext(before));
    EXPECT(aclmdlRIExecuteAsync(model, NULL), ACL_ERROR_RT_MODEL_CONTEXT);
    OK(aclrtSetCurrentContext(context));
    OK(aclmdlRICaptureBegin(a, ACL_MODEL_RI_CAPTURE_MODE_GLOBAL));
    OK(aclrtDestroyContext(context));
    OK(aclrtSetCurrentContext(before));
    EXPECT(aclmdlRIDestroy(model), HANDLE);
    EXPECT(aclrtSynchronizeStream(a), HANDLE);
    void *p = device_memory();
    OK(aclrtFree(p));
}

int main(void)
{
    start();
    records_and_replays();
    forbids_waiting();
    begins_and_ends();
    modes_say_who_may_wait();
    external_events();
    task_groups();
    contexts_end();
    return stop();
}
