/* Virtual memory by hand. */
#include "check.h"

int main(void)
{
    aclrtPhysicalMemProp properties, answered;
    aclrtDrvMemHandle first = NULL, second = NULL, retained = NULL;
    aclrtMemAccessDesc access;
    size_t granule = 0, free_before = 0, free_now = 0, total = 0;
    uint64_t flags = 0;
    char *range = NULL, *other = NULL, out[64];

    start();
    memset(&properties, 0, sizeof(properties));
    properties.memAttr = ACL_HBM_MEM_HUGE;
    properties.location.type = ACL_MEM_LOCATION_TYPE_DEVICE;
    OK(aclrtMemGetAllocationGranularity(&properties, ACL_RT_MEM_ALLOC_GRANULARITY_MINIMUM, &granule));
    TRUE(granule > 0 && (granule & (granule - 1)) == 0);
    EXPECT(aclrtMemGetAllocationGranularity(NULL, ACL_RT_MEM_ALLOC_GRANULARITY_MINIMUM, &granule), PARAM);
    EXPECT(aclrtMemGetAllocationGranularity(&properties, ACL_RT_MEM_ALLOC_GRANULARITY_UNDEF, &granule), PARAM);
    granule = granule < ((size_t)2 << 20) ? (size_t)2 << 20 : granule;

    /* More addresses than there is memory: a reservation costs none. */
    OK(aclrtGetMemInfo(ACL_HBM_MEM, &free_before, &total));
    OK(aclrtReserveMemAddress((void **)&other, total / 8 * 9, 0, NULL, 1));
    OK(aclrtReserveMemAddress((void **)&range, 4 * granule, 0, NULL, 1));
    EXPECT(aclrtReserveMemAddress(NULL, granule, 0, NULL, 1), PARAM);
    EXPECT(aclrtReserveMemAddress((void **)&range, 0, 0, NULL, 1), PARAM);
    EXPECT(aclrtReserveMemAddress((void **)&range, granule, 7, NULL, 1), PARAM);
    EXPECT(aclrtMemset(range, granule, 0, granule), RT_PARAM);

    OK(aclrtMallocPhysical(&first, granule, &properties, 0));
    OK(aclrtMallocPhysical(&second, granule, &properties, 0));
    EXPECT(aclrtMallocPhysical(&retained, 0, &properties, 0), PARAM);
    EXPECT(aclrtMallocPhysical(&retained, granule, NULL, 0), PARAM);
    EXPECT(aclrtMallocPhysical(&retained, granule + 1, &properties, 0), RT_PARAM);
    properties.location.id = 1000;
    EXPECT(aclrtMallocPhysical(&retained, granule, &properties, 0), ACL_ERROR_RT_INVALID_DEVICEID);
    properties.location.id = 0;

    OK(aclrtMapMem(range, granule, 0, first, 0));
    OK(aclrtMapMem(range + granule, granule, 0, second, 0));
    EXPECT(aclrtMapMem(range + granule, granule, 0, second, 0), RT_PARAM);
    EXPECT(aclrtMapMem(range + 2 * granule, granule, 1, second, 0), PARAM);
    EXPECT(aclrtMapMem(range + 4 * granule, granule, 0, second, 0), RT_PARAM);
    EXPECT(aclrtMapMem(range + 2 * granule, granule, 0, range, 0), HANDLE);
    EXPECT(aclrtMapMem(NULL, granule, 0, second, 0), PARAM);

    /* One copy over both mappings. */
    OK(aclrtMemset(range, granule * 2, 4, granule * 2));
    OK(aclrtMemcpy(out, 64, range + granule - 32, 64, ACL_MEMCPY_DEVICE_TO_HOST));
    TRUE(out[0] == 4 && out[63] == 4);

    memset(&access, 0, sizeof(access));
    access.flags = ACL_RT_MEM_ACCESS_FLAGS_READWRITE;
    access.location.type = ACL_MEM_LOCATION_TYPE_DEVICE;
    OK(aclrtMemSetAccess(range, granule, &access, 1));
    OK(aclrtMemGetAccess(range, &access.location, &flags));
    TRUE(flags == ACL_RT_MEM_ACCESS_FLAGS_READWRITE);
    EXPECT(aclrtMemSetAccess(range, granule, &access, 0), PARAM);
    EXPECT(aclrtMemSetAccess(range + 2 * granule, granule, &access, 1), RT_PARAM);
    access.flags = (aclrtMemAccessFlags)2;
    EXPECT(aclrtMemSetAccess(range, granule, &access, 1), RT_PARAM);

    memset(&answered, 0, sizeof(answered));
    OK(aclrtMemGetAllocationPropertiesFromHandle(first, &answered));
    TRUE(memcmp(&answered, &properties, sizeof(answered)) == 0);
    OK(aclrtMemRetainAllocationHandle(range, &retained));
    OK(aclrtFreePhysical(retained));

    /* A handle may go before its mapping: the memory stays until it is unmapped. */
    OK(aclrtFreePhysical(first));
    EXPECT(aclrtFreePhysical(first), HANDLE);
    EXPECT(aclrtMapMem(range + 2 * granule, granule, 0, first, 0), HANDLE);
    OK(aclrtMemcpy(out, 64, range, 64, ACL_MEMCPY_DEVICE_TO_HOST));
    TRUE(out[0] == 4);
    EXPECT(aclrtReleaseMemAddress(range), RT_PARAM);
    OK(aclrtUnmapMem(range));
    EXPECT(aclrtUnmapMem(range), RT_PARAM);
    EXPECT(aclrtMemset(range, 64, 4, 64), RT_PARAM);
    OK(aclrtUnmapMem(range + granule));
    OK(aclrtFreePhysical(second));
    OK(aclrtReleaseMemAddress(range));
    EXPECT(aclrtReleaseMemAddress(range), RT_PARAM);
    OK(aclrtReleaseMemAddress(other));
    EXPECT(aclrtReleaseMemAddress(NULL), PARAM);
    EXPECT(aclrtFreePhysical(NULL), PARAM);
    OK(aclrtGetMemInfo(ACL_HBM_MEM, &free_now, &total));
    TRUE(free_now + ((size_t)8 << 20) >= free_before);
    return stop();
}
