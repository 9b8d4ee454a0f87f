/* Copies that add, or keep the larger or smaller. */
#include "check.h"

enum { N = 1000 };

int main(void)
{
    float a[N], b[N], out[N];
    int32_t ia[N], ib[N], iout[N];
    void *x = NULL, *y = NULL;
    aclrtStream stream = NULL;
    int wrong = 0;

    for (int i = 0; i < N; i++) {
        a[i] = (float)i - 500;
        b[i] = 3;
        ia[i] = i * 1000;
        ib[i] = 400000 - i;
    }
    start();
    OK(aclrtCreateStream(&stream));
    OK(aclrtMalloc(&x, sizeof(a), ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMalloc(&y, sizeof(b), ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMemcpy(x, sizeof(a), a, sizeof(a), ACL_MEMCPY_HOST_TO_DEVICE));
    OK(aclrtMemcpy(y, sizeof(b), b, sizeof(b), ACL_MEMCPY_HOST_TO_DEVICE));
    OK(aclrtReduceAsync(x, y, sizeof(a), ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM, ACL_FLOAT, stream, NULL));
    OK(aclrtMemcpyAsync(out, sizeof(out), x, sizeof(out), ACL_MEMCPY_DEVICE_TO_HOST, stream));
    OK(aclrtSynchronizeStream(stream));
    for (int i = 0; i < N; i++)
        wrong += out[i] != a[i] + 3;
    TRUE(wrong == 0);
    OK(aclrtReduceAsync(x, y, sizeof(a), ACL_RT_MEMCPY_SDMA_AUTOMATIC_MAX, ACL_FLOAT, stream, NULL));
    OK(aclrtMemcpyAsync(out, sizeof(out), x, sizeof(out), ACL_MEMCPY_DEVICE_TO_HOST, stream));
    OK(aclrtSynchronizeStream(stream));
    for (int i = 0; i < N; i++)
        wrong += out[i] != (a[i] + 3 > 3 ? a[i] + 3 : 3);
    TRUE(wrong == 0);

    OK(aclrtMemcpy(x, sizeof(ia), ia, sizeof(ia), ACL_MEMCPY_HOST_TO_DEVICE));
    OK(aclrtMemcpy(y, sizeof(ib), ib, sizeof(ib), ACL_MEMCPY_HOST_TO_DEVICE));
    OK(aclrtReduceAsync(x, y, sizeof(ia), ACL_RT_MEMCPY_SDMA_AUTOMATIC_MIN, ACL_INT32, stream, NULL));
    OK(aclrtMemcpyAsync(iout, sizeof(iout), x, sizeof(iout), ACL_MEMCPY_DEVICE_TO_HOST, stream));
    OK(aclrtSynchronizeStream(stream));
    for (int i = 0; i < N; i++)
        wrong += iout[i] != (ia[i] < ib[i] ? ia[i] : ib[i]);
    TRUE(wrong == 0);

    EXPECT(aclrtReduceAsync(x, y, 4, ACL_RT_MEMCPY_SDMA_AUTOMATIC_EQUAL, ACL_FLOAT, stream, NULL), NOT_SUPPORTED);
    EXPECT(aclrtReduceAsync(x, y, 4, (aclrtReduceKind)3, ACL_FLOAT, stream, NULL), PARAM);
    EXPECT(aclrtReduceAsync(x, y, 4, ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM, ACL_STRING, stream, NULL), NOT_SUPPORTED);
    EXPECT(aclrtReduceAsync(x, y, 6, ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM, ACL_FLOAT, stream, NULL), RT_PARAM);
    EXPECT(aclrtReduceAsync(x, y, 0, ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM, ACL_FLOAT, stream, NULL), RT_PARAM);
    EXPECT(aclrtReduceAsync(x, y, sizeof(a) * 2, ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM, ACL_FLOAT, stream, NULL), RT_PARAM);
    EXPECT(aclrtReduceAsync(NULL, y, 4, ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM, ACL_FLOAT, stream, NULL), PARAM);
    EXPECT(aclrtReduceAsync(a, y, 4, ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM, ACL_FLOAT, stream, NULL), RT_PARAM);
    OK(aclrtSynchronizeStream(stream));
    OK(aclrtFree(x));
    OK(aclrtFree(y));
    return stop();
}
