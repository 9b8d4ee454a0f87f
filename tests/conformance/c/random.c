/* aclrtRandomNumAsync: distributions, types, parameters in memory, and what it refuses. */
#include <math.h>

#include "check.h"

enum { COUNT = 20000, BYTES = COUNT * 8 };

static void *result, *counter;
static aclrtStream stream;

static void put(aclrtRandomParaInfo *to, const void *value, uint8_t size)
{
    memset(to, 0, sizeof(*to));
    memcpy(to->valueOrAddr, value, size);
    to->size = size;
}

static aclrtRandomNumTaskInfo task(aclDataType type, aclrtRandomNumFuncType function, const void *a, const void *b,
                                   uint8_t size, uint64_t seed, uint64_t count)
{
    aclrtRandomNumTaskInfo info;

    memset(&info, 0, sizeof(info));
    info.dataType = type;
    info.randomNumFuncParaInfo.funcType = function;
    put(&info.randomNumFuncParaInfo.paramInfo.uniformDisInfo.min, a, size);
    put(&info.randomNumFuncParaInfo.paramInfo.uniformDisInfo.max, b, size);
    info.randomResultAddr = result;
    info.randomCounterAddr = counter;
    put(&info.randomSeed, &seed, sizeof(seed));
    put(&info.randomNum, &count, sizeof(count));
    return info;
}

static void run(aclrtRandomNumTaskInfo info, void *host, size_t bytes)
{
    OK(aclrtMemset(result, BYTES, 0xff, BYTES));
    OK(aclrtRandomNumAsync(&info, stream, NULL));
    OK(aclrtSynchronizeStream(stream));
    OK(aclrtMemcpy(host, bytes, result, bytes, ACL_MEMCPY_DEVICE_TO_HOST));
}

static void floats(void)
{
    static float x[COUNT], again[COUNT];
    float low = 2, high = 6;
    double sum = 0, squares = 0;
    aclrtRandomNumTaskInfo info = task(ACL_FLOAT, ACL_RT_RANDOM_NUM_FUNC_TYPE_UNIFORM_DIS, &low, &high, 4, 7, COUNT);

    run(info, x, sizeof(x));
    for (int i = 0; i < COUNT; i++) {
        TRUE(x[i] >= low && x[i] < high);
        sum += x[i];
    }
    TRUE(fabs(sum / COUNT - 4) < 0.05);
    run(info, again, sizeof(again));
    TRUE(memcmp(x, again, sizeof(x)) == 0);
    /* The counter says where the sequence begins, in blocks of four. */
    uint64_t ahead[2] = {1, 0};
    OK(aclrtMemcpy(counter, 16, ahead, 16, ACL_MEMCPY_HOST_TO_DEVICE));
    run(info, again, sizeof(again));
    TRUE(memcmp(x + 4, again, sizeof(x) - 16) == 0);
    OK(aclrtMemset(counter, 16, 0, 16));

    info = task(ACL_FLOAT, ACL_RT_RANDOM_NUM_FUNC_TYPE_NORMAL_DIS, &low, &high, 4, 7, COUNT);
    run(info, x, sizeof(x));
    sum = 0;
    for (int i = 0; i < COUNT; i++) {
        sum += x[i];
        squares += (x[i] - low) * (x[i] - low);
    }
    TRUE(fabs(sum / COUNT - low) < 0.2 && fabs(sqrt(squares / COUNT) - high) < 0.2);
    info = task(ACL_FLOAT, ACL_RT_RANDOM_NUM_FUNC_TYPE_TRUNCATED_NORMAL_DIS, &low, &high, 4, 7, COUNT);
    run(info, x, sizeof(x));
    for (int i = 0; i < COUNT; i++)
        TRUE(fabsf(x[i] - low) <= 2 * high);
}

static void integers(void)
{
    static int32_t narrow[COUNT];
    static uint64_t wide[COUNT];
    static uint16_t half[COUNT];
    int32_t low = -5, high = 5;
    uint64_t from = 1ULL << 63, to = from + 4;
    uint16_t one = 0x3c00, two = 0x4000;
    int seen[10] = {0};

    run(task(ACL_INT32, ACL_RT_RANDOM_NUM_FUNC_TYPE_UNIFORM_DIS, &low, &high, 4, 1, COUNT), narrow, sizeof(narrow));
    for (int i = 0; i < COUNT; i++) {
        TRUE(narrow[i] >= low && narrow[i] < high);
        seen[narrow[i] - low]++;
    }
    for (int i = 0; i < 10; i++)
        TRUE(abs(seen[i] - COUNT / 10) < 250);
    run(task(ACL_UINT64, ACL_RT_RANDOM_NUM_FUNC_TYPE_UNIFORM_DIS, &from, &to, 8, 1, COUNT), wide, sizeof(wide));
    for (int i = 0; i < COUNT; i++)
        TRUE(wide[i] >= from && wide[i] < to);
    run(task(ACL_FLOAT16, ACL_RT_RANDOM_NUM_FUNC_TYPE_UNIFORM_DIS, &one, &two, 2, 1, COUNT), half, sizeof(half));
    for (int i = 0; i < COUNT; i++)
        TRUE(half[i] >= one && half[i] <= two);
}

static void masks(void)
{
    static uint8_t bits[COUNT / 8 + 1];
    float dropped = 0.25f;
    int ones = 0;

    run(task(ACL_FLOAT, ACL_RT_RANDOM_NUM_FUNC_TYPE_DROPOUT_BITMASK, &dropped, &dropped, 4, 3, COUNT), bits, sizeof(bits));
    for (int i = 0; i < COUNT; i++)
        ones += bits[i / 8] >> i % 8 & 1;
    TRUE(abs(ones - COUNT * 3 / 4) < 300);
    TRUE(bits[COUNT / 8] == 0xff);
}

/* Parameters and seed that lie in device memory are read when the task runs. */
static void parameters_in_memory(void)
{
    static float here[64], there[64];
    float low = 1, high = 2;
    uint64_t seed = 11;
    char *memory = NULL;
    void *at;
    aclrtRandomNumTaskInfo info = task(ACL_FLOAT, ACL_RT_RANDOM_NUM_FUNC_TYPE_UNIFORM_DIS, &low, &high, 4, seed, 64);

    run(info, here, sizeof(here));
    OK(aclrtMalloc((void **)&memory, 64, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMemcpy(memory, 4, &low, 4, ACL_MEMCPY_HOST_TO_DEVICE));
    OK(aclrtMemcpy(memory + 8, 4, &high, 4, ACL_MEMCPY_HOST_TO_DEVICE));
    OK(aclrtMemcpy(memory + 16, 8, &seed, 8, ACL_MEMCPY_HOST_TO_DEVICE));
    at = memory;
    put(&info.randomNumFuncParaInfo.paramInfo.uniformDisInfo.min, &at, 8);
    info.randomNumFuncParaInfo.paramInfo.uniformDisInfo.min.isAddr = 1;
    at = memory + 8;
    put(&info.randomNumFuncParaInfo.paramInfo.uniformDisInfo.max, &at, 8);
    info.randomNumFuncParaInfo.paramInfo.uniformDisInfo.max.isAddr = 1;
    at = memory + 16;
    put(&info.randomSeed, &at, 8);
    info.randomSeed.isAddr = 1;
    run(info, there, sizeof(there));
    TRUE(memcmp(here, there, sizeof(here)) == 0);
    info.randomSeed.isAddr = 2;
    EXPECT(aclrtRandomNumAsync(&info, stream, NULL), PARAM);
    info.randomSeed.isAddr = 0;
    info.randomNum.isAddr = 1;
    EXPECT(aclrtRandomNumAsync(&info, stream, NULL), NOT_SUPPORTED);
    OK(aclrtFree(memory));
}

static void refusals(void)
{
    float low = 1, high = 2;
    aclrtRandomNumTaskInfo right = task(ACL_FLOAT, ACL_RT_RANDOM_NUM_FUNC_TYPE_UNIFORM_DIS, &low, &high, 4, 1, 64), wrong;

    EXPECT(aclrtRandomNumAsync(NULL, stream, NULL), PARAM);
    EXPECT(aclrtRandomNumAsync(&right, stream, counter), RT_PARAM);
    EXPECT(aclrtRandomNumAsync(&right, (aclrtStream)0x1234, NULL), HANDLE);
    wrong = right, wrong.dataType = ACL_INT8;
    EXPECT(aclrtRandomNumAsync(&wrong, stream, NULL), RT_PARAM);
    wrong = right, wrong.dataType = ACL_INT32, wrong.randomNumFuncParaInfo.funcType = ACL_RT_RANDOM_NUM_FUNC_TYPE_NORMAL_DIS;
    EXPECT(aclrtRandomNumAsync(&wrong, stream, NULL), RT_PARAM);
    wrong = right, wrong.randomNumFuncParaInfo.funcType = (aclrtRandomNumFuncType)4;
    EXPECT(aclrtRandomNumAsync(&wrong, stream, NULL), RT_PARAM);
    wrong = right, wrong.randomResultAddr = NULL;
    EXPECT(aclrtRandomNumAsync(&wrong, stream, NULL), PARAM);
    wrong = right, wrong.randomCounterAddr = NULL;
    EXPECT(aclrtRandomNumAsync(&wrong, stream, NULL), PARAM);
    wrong = right, wrong.randomResultAddr = &low;
    EXPECT(aclrtRandomNumAsync(&wrong, stream, NULL), RT_PARAM);
    wrong = right, memset(wrong.randomNum.valueOrAddr, 0, 8);
    EXPECT(aclrtRandomNumAsync(&wrong, stream, NULL), RT_PARAM);
    wrong = right, memset(wrong.randomNum.valueOrAddr, 0xff, 8);
    EXPECT(aclrtRandomNumAsync(&wrong, stream, NULL), RT_PARAM);
    wrong = right, wrong.randomNum.valueOrAddr[3] = 1;
    EXPECT(aclrtRandomNumAsync(&wrong, stream, NULL), RT_PARAM);
}

int main(void)
{
    start();
    OK(aclrtCreateStream(&stream));
    OK(aclrtMalloc(&result, BYTES, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMalloc(&counter, 16, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMemset(counter, 16, 0, 16));
    floats();
    integers();
    masks();
    parameters_in_memory();
    refusals();
    OK(aclrtFree(result));
    OK(aclrtFree(counter));
    OK(aclrtDestroyStream(stream));
    return stop();
}
