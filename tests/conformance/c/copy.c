/* Copies and fills: every direction, rows, batches, bounds, kinds. */
#include "check.h"

enum { BYTES = 100000 };

static unsigned char in[BYTES], out[BYTES];

static void clear(void)
{
    memset(out, 0, sizeof(out));
}

int main(void)
{
    unsigned char *a = NULL, *b = NULL, *pinned = NULL;
    uint32_t words[8];
    void *dsts[3], *srcs[3];
    size_t rooms[3] = {100, 100, 100}, sizes[3] = {100, 50, 100}, indexes[1] = {0}, failed = 7;
    aclrtMemcpyBatchAttr attributes[1];
    aclrtStream stream = NULL;

    for (int i = 0; i < BYTES; i++)
        in[i] = (unsigned char)(i * 31 + i / 256);
    memset(attributes, 0, sizeof(attributes));
    start();
    OK(aclrtCreateStream(&stream));
    OK(aclrtMalloc((void **)&a, BYTES, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMalloc((void **)&b, BYTES, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMallocHost((void **)&pinned, BYTES));

    /* Synchronous, pageable; odd sizes and offsets. */
    OK(aclrtMemcpy(a, BYTES, in, BYTES, ACL_MEMCPY_HOST_TO_DEVICE));
    OK(aclrtMemcpy(b + 3, BYTES - 3, a + 1, 9999, ACL_MEMCPY_DEVICE_TO_DEVICE));
    OK(aclrtMemcpy(out, BYTES, b + 3, 9999, ACL_MEMCPY_DEVICE_TO_HOST));
    TRUE(memcmp(out, in + 1, 9999) == 0);
    OK(aclrtMemcpy(out, BYTES, in, BYTES, ACL_MEMCPY_HOST_TO_HOST));
    TRUE(memcmp(out, in, BYTES) == 0);
    clear();
    OK(aclrtMemcpy(out, BYTES, a, BYTES, ACL_MEMCPY_DEFAULT));
    TRUE(memcmp(out, in, BYTES) == 0);

    /* In a stream, pinned and pageable. */
    memcpy(pinned, in, BYTES);
    OK(aclrtMemsetAsync(b, BYTES, 0, BYTES, stream));
    OK(aclrtMemcpyAsync(b, BYTES, pinned, BYTES, ACL_MEMCPY_HOST_TO_DEVICE, stream));
    OK(aclrtMemcpyAsync(a, BYTES, b, BYTES, ACL_MEMCPY_DEVICE_TO_DEVICE, stream));
    OK(aclrtMemsetAsync(pinned, BYTES, 0, BYTES, stream));
    OK(aclrtMemcpyAsync(pinned, BYTES, a, BYTES, ACL_MEMCPY_DEVICE_TO_HOST, stream));
    OK(aclrtSynchronizeStream(stream));
    TRUE(memcmp(pinned, in, BYTES) == 0);
    clear();
    OK(aclrtMemcpyAsync(out, BYTES, a, BYTES, ACL_MEMCPY_DEVICE_TO_HOST, stream));
    OK(aclrtSynchronizeStream(stream));
    TRUE(memcmp(out, in, BYTES) == 0);
    OK(aclrtMemcpyAsync(a, BYTES, in, 10, ACL_MEMCPY_HOST_TO_DEVICE, NULL));
    OK(aclrtSynchronizeStream(NULL));
    EXPECT(aclrtMemcpyAsync(out, BYTES, in, 10, ACL_MEMCPY_HOST_TO_HOST, stream), NOT_SUPPORTED);

    /* Fills. */
    OK(aclrtMemset(a, BYTES, 0x1ab, 1000));
    OK(aclrtMemcpy(out, BYTES, a, 1001, ACL_MEMCPY_DEVICE_TO_HOST));
    TRUE(out[0] == 0xab && out[999] == 0xab && out[1000] == in[1000]);
    OK(aclrtMemset(pinned, BYTES, 5, 100));
    TRUE(pinned[99] == 5 && pinned[100] == in[100]);
    OK(aclrtMemsetD32(a, BYTES, 0x01020304, 7));
    OK(aclrtMemcpy(words, sizeof(words), a, sizeof(words), ACL_MEMCPY_DEVICE_TO_HOST));
    TRUE(words[0] == 0x01020304 && words[6] == 0x01020304 && words[7] == 0xabababab);
    OK(aclrtMemsetD32Async(a, BYTES, 9, 8, stream));
    OK(aclrtSynchronizeStream(stream));
    EXPECT(aclrtMemsetD32(a + 1, BYTES, 9, 8), ACL_ERROR_RT_ADDR_UNALIGNED);
    EXPECT(aclrtMemsetD32(a, 31, 9, 8), RT_PARAM);

    /* Rows of 10 bytes, 16 apart on the host and 32 apart on the device. */
    OK(aclrtMemset(a, BYTES, 0, 4096));
    OK(aclrtMemcpy2d(a, 32, in, 16, 10, 20, ACL_MEMCPY_HOST_TO_DEVICE));
    clear();
    OK(aclrtMemcpy2dAsync(out, 10, a, 32, 10, 20, ACL_MEMCPY_DEVICE_TO_HOST, stream));
    OK(aclrtSynchronizeStream(stream));
    for (int row = 0; row < 20; row++)
        TRUE(memcmp(out + row * 10, in + row * 16, 10) == 0);
    OK(aclrtMemcpy(out, BYTES, a, 64, ACL_MEMCPY_DEVICE_TO_HOST));
    TRUE(out[10] == 0 && out[31] == 0 && out[32] == in[16]);
    OK(aclrtMemcpy2d(a, 32, in, 16, 0, 20, ACL_MEMCPY_HOST_TO_DEVICE));
    EXPECT(aclrtMemcpy2d(a, 9, in, 16, 10, 20, ACL_MEMCPY_HOST_TO_DEVICE), RT_PARAM);
    EXPECT(aclrtMemcpy2d(a, BYTES, in, 16, 10, 20, ACL_MEMCPY_HOST_TO_DEVICE), RT_PARAM);
    EXPECT(aclrtMemcpy2d(a, (size_t)1 << 62, in, 16, 10, 20, ACL_MEMCPY_HOST_TO_DEVICE), RT_PARAM);
    EXPECT(aclrtMemcpy2d(NULL, 32, in, 16, 10, 20, ACL_MEMCPY_HOST_TO_DEVICE), PARAM);

    /* Batches. */
    OK(aclrtMemcpy(a, BYTES, in, 400, ACL_MEMCPY_HOST_TO_DEVICE));
    clear();
    for (int i = 0; i < 3; i++) {
        dsts[i] = out + i * 100;
        srcs[i] = a + i * 100;
    }
    OK(aclrtMemcpyBatch(dsts, rooms, srcs, sizes, 3, attributes, indexes, 1, &failed));
    TRUE(memcmp(out, in, 150) == 0 && out[150] == 0 && memcmp(out + 200, in + 200, 100) == 0);
    TRUE(failed == SIZE_MAX);
    clear();
    OK(aclrtMemcpyBatchAsyncV2(dsts, rooms, srcs, sizes, 3, attributes, indexes, 1, stream));
    OK(aclrtSynchronizeStream(stream));
    TRUE(memcmp(out, in, 150) == 0 && out[150] == 0 && memcmp(out + 200, in + 200, 100) == 0);
    sizes[1] = 101;
    EXPECT(aclrtMemcpyBatchV2(dsts, rooms, srcs, sizes, 3, attributes, indexes, 1), RT_PARAM);
    EXPECT(aclrtMemcpyBatch(dsts, rooms, srcs, sizes, 3, attributes, indexes, 1, &failed), RT_PARAM);
    TRUE(failed == 1);
    EXPECT(aclrtMemcpyBatch(dsts, rooms, srcs, sizes, 0, attributes, indexes, 1, &failed), RT_PARAM);
    EXPECT(aclrtMemcpyBatch(dsts, rooms, srcs, sizes, 3, attributes, indexes, 0, &failed), RT_PARAM);

    /* What must fail, and must copy nothing. */
    clear();
    EXPECT(aclrtMemcpy(out, 10, a, 11, ACL_MEMCPY_DEVICE_TO_HOST), RT_PARAM);
    EXPECT(aclrtMemcpy(out, BYTES * 2, a, BYTES * 2, ACL_MEMCPY_DEVICE_TO_HOST), RT_PARAM);
    EXPECT(aclrtMemcpy(a, BYTES * 2, in, BYTES * 2, ACL_MEMCPY_HOST_TO_DEVICE), RT_PARAM);
    EXPECT(aclrtMemcpyAsync(a + BYTES - 8, 1024, pinned, 1024, ACL_MEMCPY_HOST_TO_DEVICE, stream), RT_PARAM);
    /* Within the allocator's grain no card would notice. */
    OK(aclrtMemcpyAsync(a + BYTES - 8, 16, pinned, 16, ACL_MEMCPY_HOST_TO_DEVICE, stream));
    EXPECT(aclrtMemset(a, BYTES * 2, 0, BYTES * 2), RT_PARAM);
    EXPECT(aclrtMemset(a, 10, 0, 11), RT_PARAM);
    EXPECT(aclrtMemcpy(NULL, 10, a, 10, ACL_MEMCPY_DEVICE_TO_HOST), PARAM);
    EXPECT(aclrtMemcpy(out, 10, NULL, 10, ACL_MEMCPY_DEVICE_TO_HOST), PARAM);
    EXPECT(aclrtMemset(NULL, 10, 0, 10), PARAM);
    EXPECT(aclrtMemcpy(out, 10, a, 10, (aclrtMemcpyKind)55), PARAM);
    EXPECT(aclrtMemcpy(a, 10, in, 10, ACL_MEMCPY_DEVICE_TO_HOST), RT_PARAM);
    EXPECT(aclrtMemcpy(out, 10, a, 10, ACL_MEMCPY_HOST_TO_DEVICE), RT_PARAM);
    EXPECT(aclrtMemcpyAsync(out, 10, in, 10, ACL_MEMCPY_DEVICE_TO_DEVICE, stream), RT_PARAM);
    TRUE(out[0] == 0);
    OK(aclrtMemcpy(NULL, 0, NULL, 0, ACL_MEMCPY_DEVICE_TO_HOST));
    OK(aclrtSynchronizeStream(stream));

    /* Use after free. */
    OK(aclrtFree(b));
    EXPECT(aclrtMemcpy(out, 10, b, 10, ACL_MEMCPY_DEVICE_TO_HOST), RT_PARAM);
    EXPECT(aclrtMemset(b, 10, 0, 10), RT_PARAM);
    OK(aclrtFree(a));
    OK(aclrtFreeHost(pinned));
    return stop();
}
