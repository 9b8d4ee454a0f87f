/* Labels, switches and activated streams in model instances. */
#include "check.h"

enum { LABELS = 3, SIZE = 64 };

static aclrtStream persistent(void)
{
    aclrtStream stream = NULL;
    OK(aclrtCreateStreamWithConfig(&stream, 0, ACL_STREAM_PERSISTENT));
    return stream;
}

static void switches_by_label(void)
{
    aclrtLabel labels[LABELS], again = NULL;
    aclrtLabelList list = NULL, other = NULL;
    aclrtStream a = persistent(), plain = NULL;
    aclmdlRI model = NULL;
    unsigned char *x = NULL, found[SIZE];
    uint32_t *index = NULL;

    OK(aclrtMalloc((void **)&x, SIZE, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMalloc((void **)&index, SIZE, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtCreateStream(&plain));
    EXPECT(aclrtCreateLabel(NULL), PARAM);
    for (int i = 0; i < LABELS; i++)
        OK(aclrtCreateLabel(&labels[i]));
    OK(aclrtCreateLabel(&again));
    EXPECT(aclrtCreateLabelList(labels, 0, &list), RT_PARAM);
    EXPECT(aclrtCreateLabelList(labels, 65536, &list), RT_PARAM);
    EXPECT(aclrtCreateLabelList(NULL, LABELS, &list), PARAM);
    EXPECT(aclrtCreateLabelList(labels, LABELS, NULL), PARAM);
    OK(aclrtCreateLabelList(labels, LABELS, &list));
    EXPECT(aclrtSetLabel(labels[0], a), ACL_ERROR_RT_STREAM_MODEL);
    EXPECT(aclrtSwitchLabelByIndex(index, LABELS, list, plain), ACL_ERROR_RT_STREAM_MODEL);

    OK(aclmdlRIBuildBegin(&model, 0));
    OK(aclmdlRIBindStream(model, a, ACL_MODEL_STREAM_FLAG_HEAD));
    OK(aclrtMemsetAsync(x, SIZE, 0, SIZE, a));
    EXPECT(aclrtSwitchLabelByIndex(NULL, LABELS, list, a), PARAM);
    EXPECT(aclrtSwitchLabelByIndex(index, LABELS, NULL, a), PARAM);
    EXPECT(aclrtSwitchLabelByIndex(index, LABELS, labels[0], a), HANDLE);
    EXPECT(aclrtSwitchLabelByIndex(index, LABELS + 1, list, a), RT_PARAM);
    EXPECT(aclrtSwitchLabelByIndex(index, LABELS, list, NULL), PARAM);
    OK(aclrtSwitchLabelByIndex(index, LABELS, list, a));
    for (int i = 0; i < LABELS; i++) {
        OK(aclrtSetLabel(labels[i], a));
        OK(aclrtMemsetAsync(x + i, 1, 1, 1, a));
    }
    EXPECT(aclrtSetLabel(labels[0], a), RT_PARAM);
    EXPECT(aclrtSetLabel(list, a), HANDLE);
    EXPECT(aclrtSetLabel(NULL, a), PARAM);
    OK(aclmdlRIEndTask(model, a));
    OK(aclmdlRIBuildEnd(model, NULL));
    for (uint32_t value = 0; value < 6; value++) {
        uint32_t target = value < LABELS ? value : LABELS - 1;
        OK(aclrtMemcpy(index, 4, &value, 4, ACL_MEMCPY_HOST_TO_DEVICE));
        if (value % 2)
            OK(aclmdlRIExecute(model, 10000));
        else {
            OK(aclmdlRIExecuteAsync(model, plain));
            OK(aclrtSynchronizeStream(plain));
        }
        OK(aclrtMemcpy(found, SIZE, x, SIZE, ACL_MEMCPY_DEVICE_TO_HOST));
        for (uint32_t i = 0; i < LABELS; i++)
            TRUE(found[i] == (i >= target));
    }
    OK(aclmdlRIUnbindStream(model, a));
    OK(aclmdlRIDestroy(model));

    /* A list with a label that is set nowhere does not make a model. */
    OK(aclrtCreateLabelList(&again, 1, &other));
    OK(aclmdlRIBuildBegin(&model, 0));
    OK(aclmdlRIBindStream(model, a, ACL_MODEL_STREAM_FLAG_HEAD));
    OK(aclrtSwitchLabelByIndex(index, 1, other, a));
    OK(aclmdlRIEndTask(model, a));
    EXPECT(aclmdlRIBuildEnd(model, NULL), RT_PARAM);
    OK(aclmdlRIDestroy(model));
    OK(aclrtDestroyLabelList(other));

    OK(aclrtDestroyLabelList(list));
    EXPECT(aclrtDestroyLabelList(list), HANDLE);
    EXPECT(aclrtDestroyLabelList(NULL), PARAM);
    for (int i = 0; i < LABELS; i++)
        OK(aclrtDestroyLabel(labels[i]));
    EXPECT(aclrtDestroyLabel(labels[0]), HANDLE);
    EXPECT(aclrtDestroyLabel(NULL), PARAM);
    EXPECT(aclrtCreateLabelList(labels, LABELS, &list), HANDLE);
    OK(aclrtDestroyLabel(again));
    OK(aclrtDestroyStream(a));
    OK(aclrtDestroyStream(plain));
    OK(aclrtFree(x));
    OK(aclrtFree(index));
}

static void switches_streams(void)
{
    static const struct {
        aclrtCondition condition;
        int less, equal, more;
    } table[] = {
        {ACL_RT_EQUAL, 0, 1, 0}, {ACL_RT_NOT_EQUAL, 1, 0, 1}, {ACL_RT_GREATER, 0, 0, 1},
        {ACL_RT_GREATER_OR_EQUAL, 0, 1, 1}, {ACL_RT_LESS, 1, 0, 0}, {ACL_RT_LESS_OR_EQUAL, 1, 1, 0},
    };
    unsigned char *x = NULL, found[4];
    int64_t *numbers = NULL;
    aclrtStream plain = NULL;

    OK(aclrtMalloc((void **)&x, SIZE, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMalloc((void **)&numbers, SIZE, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtCreateStream(&plain));
    for (size_t t = 0; t < sizeof(table) / sizeof(*table); t++) {
        aclrtStream a = persistent(), b = persistent(), c = persistent();
        aclrtCompareDataType type = t % 2 ? ACL_RT_SWITCH_INT64 : ACL_RT_SWITCH_INT32;
        aclmdlRI model = NULL;

        OK(aclmdlRIBuildBegin(&model, 0));
        OK(aclmdlRIBindStream(model, a, ACL_MODEL_STREAM_FLAG_HEAD));
        OK(aclmdlRIBindStream(model, b, ACL_MODEL_STREAM_FLAG_DEFAULT));
        OK(aclmdlRIBindStream(model, c, ACL_MODEL_STREAM_FLAG_DEFAULT));
        if (t == 0) {
            EXPECT(aclrtActiveStream(plain, a), ACL_ERROR_RT_STREAM_MODEL);
            EXPECT(aclrtActiveStream(c, plain), ACL_ERROR_RT_STREAM_MODEL);
            EXPECT(aclrtActiveStream(NULL, a), PARAM);
            EXPECT(aclrtSwitchStream(NULL, ACL_RT_EQUAL, numbers, type, b, NULL, a), PARAM);
            EXPECT(aclrtSwitchStream(numbers, ACL_RT_EQUAL, NULL, type, b, NULL, a), PARAM);
            EXPECT(aclrtSwitchStream(numbers, ACL_RT_EQUAL, numbers, type, NULL, NULL, a), PARAM);
            EXPECT(aclrtSwitchStream(numbers, ACL_RT_EQUAL, numbers, type, b, c, a), PARAM);
            EXPECT(aclrtSwitchStream(numbers, ACL_RT_EQUAL, numbers, type, plain, NULL, a), ACL_ERROR_RT_STREAM_MODEL);
            EXPECT(aclrtSwitchStream(numbers, (aclrtCondition)6, numbers, type, b, NULL, a), RT_PARAM);
        }
        OK(aclrtMemsetAsync(x, SIZE, 0, SIZE, a));
        OK(aclrtActiveStream(c, a));
        OK(aclrtSwitchStream(numbers, table[t].condition, numbers + 1, type, b, NULL, a));
        OK(aclrtMemsetAsync(x, 1, 1, 1, a));
        OK(aclrtMemsetAsync(x + 1, 1, 1, 1, b));
        OK(aclrtMemsetAsync(x + 2, 1, 1, 1, c));
        OK(aclmdlRIEndTask(model, a));
        OK(aclmdlRIBuildEnd(model, NULL));
        for (int64_t left = -3; left <= -1; left++) {
            int64_t values[2] = {left, -2};
            int taken = left < -2 ? table[t].less : left > -2 ? table[t].more : table[t].equal;
            OK(aclrtMemcpy(numbers, 16, values, 16, ACL_MEMCPY_HOST_TO_DEVICE));
            OK(aclmdlRIExecuteAsync(model, plain));
            OK(aclrtSynchronizeStream(plain));
            OK(aclrtMemcpy(found, 4, x, 4, ACL_MEMCPY_DEVICE_TO_HOST));
            TRUE(found[0] == !taken && found[1] == taken && found[2] == 1);
        }
        OK(aclmdlRIDestroy(model));
        OK(aclrtDestroyStream(a));
        OK(aclrtDestroyStream(b));
        OK(aclrtDestroyStream(c));
    }
    OK(aclrtDestroyStream(plain));
    OK(aclrtFree(x));
    OK(aclrtFree(numbers));
}

int main(void)
{
    start();
    switches_by_label();
    switches_streams();
    return stop();
}
