/* Model instances that are built on bound streams; names, callbacks, tasks and traces of all of them. */
#include "check.h"

enum { SIZE = 256, PERSISTENT = ACL_STREAM_PERSISTENT };

static int destroyed;

static void at_destroy(void *data)
{
    destroyed += *(int *)data;
}

static int byte_at(const char *p)
{
    unsigned char byte = 0;
    OK(aclrtMemcpy(&byte, 1, p, 1, ACL_MEMCPY_DEVICE_TO_HOST));
    return byte;
}

static char *device_memory(void)
{
    void *p = NULL;
    OK(aclrtMalloc(&p, SIZE, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMemset(p, SIZE, 0, SIZE));
    return p;
}

static aclrtStream persistent(void)
{
    aclrtStream stream = NULL;
    OK(aclrtCreateStreamWithConfig(&stream, 0, PERSISTENT));
    return stream;
}

static void builds(void)
{
    aclrtStream a = persistent(), b = persistent(), plain = NULL;
    aclmdlRI model = NULL, other = NULL;
    aclrtEvent event = NULL, extended = NULL;
    char *x = device_memory(), *y = device_memory();

    OK(aclrtCreateStream(&plain));
    OK(aclrtCreateEventWithFlag(&event, ACL_EVENT_SYNC));
    OK(aclrtCreateEventExWithFlag(&extended, ACL_EVENT_SYNC));
    EXPECT(aclmdlRIBuildBegin(NULL, 0), PARAM);
    EXPECT(aclmdlRIBuildBegin(&model, 1), RT_PARAM);
    OK(aclmdlRIBuildBegin(&model, 0));
    OK(aclmdlRIBuildBegin(&other, 0));
    EXPECT(aclmdlRIBindStream(model, NULL, ACL_MODEL_STREAM_FLAG_HEAD), PARAM);
    EXPECT(aclmdlRIBindStream(model, a, 7), RT_PARAM);
    EXPECT(aclmdlRIBindStream(model, plain, ACL_MODEL_STREAM_FLAG_HEAD), RT_PARAM);
    EXPECT(aclmdlRIBindStream(a, a, ACL_MODEL_STREAM_FLAG_HEAD), HANDLE);
    OK(aclmdlRIBindStream(model, a, ACL_MODEL_STREAM_FLAG_HEAD));
    EXPECT(aclmdlRIBindStream(model, a, ACL_MODEL_STREAM_FLAG_HEAD), RT_PARAM);
    EXPECT(aclmdlRIBindStream(other, a, ACL_MODEL_STREAM_FLAG_HEAD), RT_PARAM);
    EXPECT(aclmdlRIUnbindStream(other, a), ACL_ERROR_RT_STREAM_MODEL);
    EXPECT(aclmdlRIEndTask(model, b), ACL_ERROR_RT_STREAM_MODEL);
    EXPECT(aclmdlRICaptureBegin(a, ACL_MODEL_RI_CAPTURE_MODE_GLOBAL), ACL_ERROR_RT_STREAM_MODEL);
    OK(aclmdlRIBindStream(model, b, ACL_MODEL_STREAM_FLAG_HEAD));

    OK(aclrtMemsetAsync(x, SIZE, 4, SIZE, a));
    EXPECT(aclrtRecordEvent(extended, a), NOT_SUPPORTED);
    OK(aclrtRecordEvent(event, a));
    OK(aclrtStreamWaitEvent(b, event));
    OK(aclrtMemcpyAsync(y, SIZE, x, SIZE, ACL_MEMCPY_DEVICE_TO_DEVICE, b));
    EXPECT(aclmdlRIExecute(model, -1), ACL_ERROR_RT_MODEL_EXECUTE);
    OK(aclmdlRIEndTask(model, b));
    EXPECT(aclmdlRIBuildEnd(model, x), RT_PARAM);
    OK(aclmdlRIBuildEnd(model, NULL));
    TRUE(byte_at(y) == 0);
    EXPECT(aclmdlRIExecute(model, 0), RT_PARAM);
    OK(aclmdlRIExecute(model, -1));
    TRUE(byte_at(y) == 4);
    OK(aclrtMemset(y, SIZE, 0, SIZE));
    EXPECT(aclmdlRIExecuteAsync(model, a), RT_PARAM);
    OK(aclmdlRIExecuteAsync(model, plain));
    OK(aclrtSynchronizeStream(plain));
    TRUE(byte_at(y) == 4);

    OK(aclmdlRIUnbindStream(model, a));
    EXPECT(aclmdlRIUnbindStream(model, a), ACL_ERROR_RT_STREAM_MODEL);
    OK(aclmdlRIUnbindStream(model, b));
    OK(aclmdlRIExecute(model, 10000));
    OK(aclmdlRIDestroy(model));
    OK(aclmdlRIDestroy(other));
    OK(aclrtDestroyEvent(event));
    OK(aclrtDestroyEvent(extended));
    OK(aclrtDestroyStream(a));
    OK(aclrtDestroyStream(b));
    OK(aclrtDestroyStream(plain));
    OK(aclrtFree(x));
    OK(aclrtFree(y));
}

static void aborts(void)
{
    aclrtStream a = persistent(), plain = NULL;
    aclrtNotify notify = NULL;
    aclmdlRI model = NULL, captured = NULL;

    OK(aclrtCreateStream(&plain));
    OK(aclrtCreateNotify(&notify, ACL_NOTIFY_DEFAULT));
    OK(aclmdlRIBuildBegin(&model, 0));
    OK(aclmdlRIBindStream(model, a, ACL_MODEL_STREAM_FLAG_HEAD));
    OK(aclrtWaitAndResetNotify(notify, a, 0));
    OK(aclmdlRIEndTask(model, a));
    OK(aclmdlRIBuildEnd(model, NULL));
    EXPECT(aclmdlRIExecute(model, 30), ACL_ERROR_RT_STREAM_SYNC_TIMEOUT);
    OK(aclmdlRIAbort(model));
    OK(aclmdlRIExecuteAsync(model, plain));
    EXPECT(aclrtSynchronizeStreamWithTimeout(plain, 30), ACL_ERROR_RT_STREAM_SYNC_TIMEOUT);
    EXPECT(aclmdlRIDestroy(model), ACL_ERROR_RT_MODEL_RUNNING);
    OK(aclmdlRIAbort(model));
    OK(aclrtSynchronizeStream(plain));
    OK(aclrtRecordNotify(notify, plain));
    OK(aclmdlRIExecute(model, 10000));
    OK(aclmdlRIDestroy(model));
    OK(aclmdlRICaptureBegin(plain, ACL_MODEL_RI_CAPTURE_MODE_GLOBAL));
    OK(aclmdlRICaptureEnd(plain, &captured));
    EXPECT(aclmdlRIAbort(captured), RT_PARAM);
    EXPECT(aclmdlRIBindStream(captured, a, 0), RT_PARAM);
    EXPECT(aclmdlRIEndTask(captured, a), RT_PARAM);
    EXPECT(aclmdlRIBuildEnd(captured, NULL), RT_PARAM);
    OK(aclmdlRIDestroy(captured));
    OK(aclrtDestroyNotify(notify));
    OK(aclrtDestroyStream(a));
    OK(aclrtDestroyStream(plain));
}

static void names_and_tasks(void)
{
    aclrtStream a = NULL, b = NULL, streams[2];
    aclrtEvent fork = NULL, join = NULL;
    aclmdlRI model = NULL;
    aclmdlRITask tasks[8];
    aclmdlRITaskType type;
    uint32_t count = 0, id = 0;
    int one = 1;
    char name[8], text[64];
    char *x = device_memory();
    FILE *file;

    OK(aclrtCreateStream(&a));
    OK(aclrtCreateStream(&b));
    OK(aclrtCreateEventExWithFlag(&fork, ACL_EVENT_SYNC));
    OK(aclrtCreateEventExWithFlag(&join, ACL_EVENT_SYNC));
    OK(aclmdlRICaptureBegin(a, ACL_MODEL_RI_CAPTURE_MODE_GLOBAL));
    OK(aclrtMemsetAsync(x, SIZE, 1, SIZE / 2, a));
    OK(aclrtRecordEvent(fork, a));
    OK(aclrtStreamWaitEvent(b, fork));
    OK(aclrtValueWrite(x + SIZE - 8, 5, 0, b));
    OK(aclrtRecordEvent(join, b));
    OK(aclrtStreamWaitEvent(a, join));
    OK(aclrtValueWait(x + SIZE - 8, 5, ACL_STREAM_WAIT_VALUE_EQ, a));
    OK(aclmdlRICaptureEnd(a, &model));

    OK(aclmdlRIGetName(model, sizeof(name), name));
    TRUE(strcmp(name, "") == 0);
    EXPECT(aclmdlRIGetName(model, 0, name), RT_PARAM);
    EXPECT(aclmdlRIGetName(model, 8, NULL), PARAM);
    EXPECT(aclmdlRISetName(model, NULL), PARAM);
    OK(aclmdlRISetName(model, "first"));
    OK(aclmdlRISetName(model, "a longer name"));
    OK(aclmdlRIGetName(model, sizeof(name), name));
    TRUE(strcmp(name, "a longe") == 0);
    OK(aclmdlRIGetId(model, &id));
    TRUE(id != 0);

    EXPECT(aclmdlRIGetStreams(model, NULL, NULL), PARAM);
    OK(aclmdlRIGetStreams(model, NULL, &count));
    TRUE(count == 2);
    count = 1;
    EXPECT(aclmdlRIGetStreams(model, streams, &count), ACL_ERROR_RT_INSUFFICIENT_INPUT_ARRAY);
    count = 2;
    OK(aclmdlRIGetStreams(model, streams, &count));
    OK(aclmdlRIGetTasksByStream(streams[0], NULL, &count));
    TRUE(count == 4);
    OK(aclmdlRIGetTasksByStream(streams[0], tasks, &count));
    static const aclmdlRITaskType first[] = {ACL_MODEL_RI_TASK_DEFAULT, ACL_MODEL_RI_TASK_EVENT_RECORD,
                                             ACL_MODEL_RI_TASK_EVENT_WAIT, ACL_MODEL_RI_TASK_VALUE_WAIT};
    for (uint32_t i = 0; i < 4; i++) {
        OK(aclmdlRITaskGetType(tasks[i], &type));
        TRUE(type == first[i]);
        OK(aclmdlRITaskGetSeqId(tasks[i], &id));
        TRUE(id == i);
    }
    EXPECT(aclmdlRITaskGetType(tasks[0], NULL), PARAM);
    EXPECT(aclmdlRITaskGetType(model, &type), HANDLE);
    EXPECT(aclmdlRIGetTasksByStream(a, NULL, &count), HANDLE);

    /* A task that is left out, from the update on. */
    OK(aclmdlRIExecuteAsync(model, a));
    OK(aclrtSynchronizeStream(a));
    TRUE(byte_at(x) == 1);
    OK(aclrtMemset(x, SIZE, 0, SIZE));
    OK(aclmdlRITaskDisable(tasks[0]));
    EXPECT(aclmdlRITaskDisable(tasks[1]), NOT_SUPPORTED);
    OK(aclmdlRIUpdate(model));
    OK(aclmdlRIExecuteAsync(model, a));
    OK(aclrtSynchronizeStream(a));
    TRUE(byte_at(x) == 0 && byte_at(x + SIZE - 8) == 5);

    OK(aclmdlRIDebugPrint(model));
    EXPECT(aclmdlRIDebugJsonPrint(model, NULL, 0), PARAM);
    EXPECT(aclmdlRIDebugJsonPrint(model, "model.json", 2), RT_PARAM);
    EXPECT(aclmdlRIDebugJsonPrint(model, "/nowhere/at/all.json", 0), ACL_ERROR_RT_FILE_OPEN);
    snprintf(text, sizeof(text), "/tmp/vinci-model-%d.json", (int)id);
    OK(aclmdlRIDebugJsonPrint(model, text, ACL_MDLRI_DEBUG_JSON_PRINT_VERBOSE));
    file = fopen(text, "r");
    TRUE(file != NULL && fgetc(file) == '[');
    if (file)
        fclose(file);
    remove(text);

    EXPECT(aclmdlRIDestroyRegisterCallback(model, NULL, &one), PARAM);
    EXPECT(aclmdlRIDestroyUnregisterCallback(model, at_destroy), RT_PARAM);
    OK(aclmdlRIDestroyRegisterCallback(model, at_destroy, &one));
    OK(aclmdlRIDestroyRegisterCallback(model, at_destroy, &one));
    OK(aclmdlRIDestroyUnregisterCallback(model, at_destroy));
    OK(aclmdlRIDestroy(model));
    TRUE(destroyed == 1);
    EXPECT(aclmdlRITaskGetType(tasks[0], &type), HANDLE);
    OK(aclrtDestroyEvent(fork));
    OK(aclrtDestroyEvent(join));
    OK(aclrtDestroyStream(a));
    OK(aclrtDestroyStream(b));
    OK(aclrtFree(x));
}

int main(void)
{
    start();
    builds();
    aborts();
    names_and_tasks();
    return stop();
}
