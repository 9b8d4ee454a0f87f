/* Device memory: allocation, alignment, freeing, what an address belongs to, and a device that is full. */
#include "check.h"

static int compare(const void *a, const void *b)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    return (x > y) - (x < y);
}

int main(void)
{
    enum { MANY = 500 };
    char *many[MANY], *p = NULL, *q = NULL;
    size_t free_before = 0, free_now = 0, total = 0, size = 0;
    uint64_t big = (uint64_t)1 << 50;
    uint32_t result = 9;
    void *base = NULL, *list[2];
    aclrtPtrAttributes attributes;
    aclrtMallocAttribute attribute;
    aclrtMallocConfig config = {&attribute, 1};
    aclrtMemUsageInfo usage;
    int local = 0;

    OK(aclInit(NULL));
    EXPECT(aclrtMalloc((void **)&p, 512, ACL_MEM_MALLOC_HUGE_FIRST), NO_CONTEXT);
    OK(aclrtSetDevice(0));
    OK(aclrtGetMemInfo(ACL_HBM_MEM, &free_before, &total));
    EXPECT(aclrtMalloc(NULL, 512, ACL_MEM_MALLOC_HUGE_FIRST), PARAM);
    EXPECT(aclrtMalloc((void **)&p, 0, ACL_MEM_MALLOC_HUGE_FIRST), PARAM);

    /* No two allocations overlap, whatever their sizes and policies. */
    for (int i = 0; i < MANY; i++) {
        OK(aclrtMalloc((void **)&many[i], 4096, (aclrtMemMallocPolicy)(i % 3)));
        TRUE((size_t)many[i] % 64 == 0);
    }
    qsort(many, MANY, sizeof(*many), compare);
    for (int i = 1; i < MANY; i++)
        TRUE(many[i] - many[i - 1] >= 4096);
    for (int i = 0; i < MANY; i++)
        OK(aclrtFree(many[i]));

    OK(aclrtMallocAlign32((void **)&p, 33, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtFree(p));
    EXPECT(aclrtFree(p), RT_PARAM);
    EXPECT(aclrtFree(NULL), PARAM);
    EXPECT(aclrtFree(&local), RT_PARAM);
    OK(aclrtMalloc((void **)&p, 10000, ACL_MEM_MALLOC_NORMAL_ONLY));
    EXPECT(aclrtFree(p + 64), RT_PARAM);
    OK(aclrtMemFlush(p, 10000));
    OK(aclrtMemInvalidate(p, 10000));
    EXPECT(aclrtMemFlush(&local, 4), RT_PARAM);

    memset(&attributes, 0xff, sizeof(attributes));
    OK(aclrtPointerGetAttributes(p + 5, &attributes));
    TRUE(attributes.location.type == ACL_MEM_LOCATION_TYPE_DEVICE && attributes.location.id == 0);
    OK(aclrtPointerGetAttributes(&local, &attributes));
    TRUE(attributes.location.type == ACL_MEM_LOCATION_TYPE_UNREGISTERED);
    EXPECT(aclrtPointerGetAttributes(NULL, &attributes), PARAM);
    EXPECT(aclrtPointerGetAttributes(p, NULL), PARAM);
    OK(aclrtMemGetAddressRange(p + 100, &base, &size));
    TRUE(base == p && size >= 10000);
    EXPECT(aclrtMemGetAddressRange(&local, &base, &size), RT_PARAM);
    list[0] = p;
    list[1] = p + 64;
    OK(aclrtCheckMemType(list, 2, ACL_RT_MEM_TYPE_DEV, &result, 0));
    TRUE(result == 1);
    list[1] = &local;
    OK(aclrtCheckMemType(list, 2, ACL_RT_MEM_TYPE_DEV, &result, 0));
    TRUE(result == 0);
    EXPECT(aclrtCheckMemType(list, 0, ACL_RT_MEM_TYPE_DEV, &result, 0), RT_PARAM);
    OK(aclrtFreeWithDevSync(p));

    /* A device that is full says so, and goes on. */
    EXPECT(aclrtMalloc((void **)&p, big, ACL_MEM_MALLOC_HUGE_FIRST), ACL_ERROR_RT_MEMORY_ALLOCATION);
    EXPECT(aclrtMalloc((void **)&p, (size_t)-1, ACL_MEM_MALLOC_HUGE_FIRST), ACL_ERROR_RT_MEMORY_ALLOCATION);
    OK(aclrtMalloc((void **)&p, total / 2, ACL_MEM_MALLOC_HUGE_FIRST));
    EXPECT(aclrtMalloc((void **)&q, total / 4 * 3, ACL_MEM_MALLOC_HUGE_FIRST), ACL_ERROR_RT_MEMORY_ALLOCATION);
    OK(aclrtFree(p));
    OK(aclrtMalloc((void **)&p, 1 << 20, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMemset(p, 1 << 20, 1, 1 << 20));
    OK(aclrtFree(p));

    attribute.attr = ACL_RT_MEM_ATTR_MODULE_ID;
    attribute.value.moduleId = 3;
    OK(aclrtMallocWithCfg((void **)&p, 512, ACL_MEM_MALLOC_HUGE_FIRST, &config));
    OK(aclrtFree(p));
    attribute.attr = (aclrtMallocAttrType)99;
    EXPECT(aclrtMallocWithCfg((void **)&p, 512, ACL_MEM_MALLOC_HUGE_FIRST, &config), RT_PARAM);
    OK(aclrtMallocWithCfg((void **)&p, 512, ACL_MEM_MALLOC_HUGE_FIRST, NULL));
    OK(aclrtGetMemUsageInfo(0, &usage, 1, &size));
    TRUE(size == 1 && usage.curMemSize > 0);
    EXPECT(aclrtGetMemUsageInfo(0, &usage, 0, &size), PARAM);
    OK(aclrtFree(p));

    /* What the program forgot goes with the device. */
    OK(aclrtMalloc((void **)&p, 64 << 20, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtResetDevice(0));
    OK(aclrtSetDevice(0));
    EXPECT(aclrtFree(p), RT_PARAM);
    OK(aclrtGetMemInfo(ACL_HBM_MEM, &free_now, &total));
    TRUE(free_now + (16 << 20) >= free_before);
    return stop();
}
