/* Pools: memory in the order of a stream. */
#include "check.h"

int main(void)
{
    aclrtMemPoolProps properties;
    aclrtMemPool pool = NULL, wrong = NULL;
    aclrtStream stream = NULL;
    uint64_t used = 0, reserved = 0, threshold = (uint64_t)-1;
    void *a = NULL, *b = NULL;
    char out = 0;

    start();
    OK(aclrtCreateStream(&stream));
    memset(&properties, 0, sizeof(properties));
    properties.location.type = ACL_MEM_LOCATION_TYPE_DEVICE;
    OK(aclrtMemPoolCreate(&pool, &properties));
    EXPECT(aclrtMemPoolCreate(NULL, &properties), PARAM);
    EXPECT(aclrtMemPoolCreate(&wrong, NULL), PARAM);
    properties.location.id = 1000;
    EXPECT(aclrtMemPoolCreate(&wrong, &properties), ACL_ERROR_RT_INVALID_DEVICEID);
    properties.location.type = ACL_MEM_LOCATION_TYPE_HOST;
    EXPECT(aclrtMemPoolCreate(&wrong, &properties), PARAM);

    OK(aclrtMemPoolSetAttr(pool, ACL_RT_MEM_POOL_ATTR_RELEASE_THRESHOLD, &threshold));
    EXPECT(aclrtMemPoolSetAttr(pool, (aclrtMemPoolAttr)50, &threshold), PARAM);
    OK(aclrtMemPoolMallocAsync(&a, 1 << 20, pool, stream));
    OK(aclrtMemPoolGetAttr(pool, ACL_RT_MEM_POOL_ATTR_USED_MEM_CURRENT, &used));
    TRUE(used >= 1 << 20);
    OK(aclrtMemsetAsync(a, 1 << 20, 6, 1 << 20, stream));
    OK(aclrtMemcpyAsync(&out, 1, a, 1, ACL_MEMCPY_DEVICE_TO_HOST, stream));
    OK(aclrtMemPoolFreeAsync(a, stream));
    OK(aclrtSynchronizeStream(stream));
    TRUE(out == 6);
    EXPECT(aclrtMemPoolFreeAsync(a, stream), RT_PARAM);
    OK(aclrtMemPoolGetAttr(pool, ACL_RT_MEM_POOL_ATTR_USED_MEM_CURRENT, &used));
    TRUE(used == 0);
    /* What was freed in a stream may be given out in it again at once. */
    OK(aclrtMemPoolMallocAsync(&b, 1 << 20, pool, stream));
    TRUE(a == b);
    OK(aclrtMemPoolFreeAsync(b, stream));
    OK(aclrtSynchronizeStream(stream));
    OK(aclrtMemPoolTrimTo(pool, 0));
    OK(aclrtMemPoolGetAttr(pool, ACL_RT_MEM_POOL_ATTR_RESERVED_MEM_CURRENT, &reserved));
    TRUE(reserved == 0);

    OK(aclrtMemPoolMallocAsync(&a, 100, NULL, stream));
    OK(aclrtMemPoolFreeAsync(a, stream));
    EXPECT(aclrtMemPoolMallocAsync(&a, 0, pool, stream), PARAM);
    EXPECT(aclrtMemPoolMallocAsync(NULL, 10, pool, stream), PARAM);
    EXPECT(aclrtMemPoolMallocAsync(&a, (size_t)1 << 50, pool, stream), ACL_ERROR_RT_MEMORY_ALLOCATION);
    EXPECT(aclrtMemPoolMallocAsync(&a, 10, stream, stream), HANDLE);
    EXPECT(aclrtMemPoolFreeAsync(NULL, stream), PARAM);
    OK(aclrtMemPoolDestroy(pool));
    EXPECT(aclrtMemPoolDestroy(pool), HANDLE);
    EXPECT(aclrtMemPoolMallocAsync(&a, 10, pool, stream), HANDLE);
    OK(aclrtDestroyStream(stream));
    return stop();
}
