/* Host memory: pinned, registered, and the addresses that the device uses for it. */
#include "check.h"

int main(void)
{
    char *pinned = NULL, *own, *device = NULL;
    void *mapped = NULL, *again = NULL;
    aclrtHostMemMapCapability capability = ACL_RT_HOST_MEM_MAP_NOT_SUPPORTED;
    aclrtPtrAttributes attributes;
    aclrtStream stream = NULL;
    size_t bytes = 1 << 16;
    int local;

    start();
    EXPECT(aclrtMallocHost(NULL, 10), PARAM);
    EXPECT(aclrtMallocHost((void **)&pinned, 0), PARAM);
    OK(aclrtMallocHost((void **)&pinned, bytes));
    TRUE((size_t)pinned % 64 == 0);
    memset(pinned, 3, bytes);
    OK(aclrtPointerGetAttributes(pinned + 9, &attributes));
    TRUE(attributes.location.type == ACL_MEM_LOCATION_TYPE_HOST);
    OK(aclrtHostGetDevicePointer(pinned, &mapped, 0));

    OK(aclrtCreateStream(&stream));
    OK(aclrtMalloc((void **)&device, bytes, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMemcpyAsync(device, bytes, pinned, bytes, ACL_MEMCPY_HOST_TO_DEVICE, stream));
    OK(aclrtSynchronizeStream(stream));
    /* The device address stands for the same memory. */
    OK(aclrtMemsetAsync(device, bytes, 9, bytes, stream));
    OK(aclrtMemcpyAsync(mapped, bytes, device, bytes, ACL_MEMCPY_DEVICE_TO_DEVICE, stream));
    OK(aclrtSynchronizeStream(stream));
    TRUE(pinned[0] == 9 && pinned[bytes - 1] == 9);

    /* The memory of the program. */
    own = aligned_alloc(4096, bytes);
    memset(own, 1, bytes);
    EXPECT(aclrtHostGetDevicePointer(own, &again, 0), ACL_ERROR_HOST_MEMORY_NOT_REGISTERED);
    OK(aclrtHostRegister(own, bytes, ACL_HOST_REGISTER_MAPPED, &mapped));
    EXPECT(aclrtHostRegister(own, bytes, ACL_HOST_REGISTER_MAPPED, &again),
           ACL_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
    OK(aclrtHostGetDevicePointer(own, &again, 0));
    TRUE(again == mapped);
    OK(aclrtMemcpyAsync(mapped, bytes, device, bytes, ACL_MEMCPY_DEVICE_TO_DEVICE, stream));
    OK(aclrtSynchronizeStream(stream));
    TRUE(own[0] == 9 && own[bytes - 1] == 9);
    OK(aclrtHostUnregister(own));
    EXPECT(aclrtHostUnregister(own), ACL_ERROR_HOST_MEMORY_NOT_REGISTERED);
    OK(aclrtHostRegisterV2(own, bytes, ACL_HOST_REG_MAPPED | ACL_HOST_REG_PINNED));
    EXPECT(aclrtHostRegisterV2(own, bytes, 1), RT_PARAM);
    OK(aclrtHostUnregister(own));
    EXPECT(aclrtHostRegister(own, 0, ACL_HOST_REGISTER_MAPPED, &mapped), PARAM);
    EXPECT(aclrtHostRegister(NULL, bytes, ACL_HOST_REGISTER_MAPPED, &mapped), PARAM);
    EXPECT(aclrtHostRegister(own, bytes, (aclrtHostRegisterType)1, &mapped), PARAM);
    EXPECT(aclrtHostRegister(own, (uint64_t)-1, ACL_HOST_REGISTER_MAPPED, &mapped), RT_PARAM);
    free(own);

    EXPECT(aclrtFreeHost(NULL), PARAM);
    EXPECT(aclrtFreeHost(&local), RT_PARAM);
    EXPECT(aclrtFreeHost(pinned + 64), RT_PARAM);
    OK(aclrtFreeHost(pinned));
    EXPECT(aclrtFreeHost(pinned), RT_PARAM);
    OK(aclrtMallocHostWithCfg((void **)&pinned, bytes, NULL));
    OK(aclrtFreeHostWithDevSync(pinned));
    OK(aclrtHostMemMapCapabilities(0, ACL_RT_HAC_TYPE_SDMA, &capability));
    TRUE(capability == ACL_RT_HOST_MEM_MAP_SUPPORTED);
    EXPECT(aclrtHostMemMapCapabilities(0, (aclrtHacType)50, &capability), RT_PARAM);
    OK(aclrtFree(device));
    return stop();
}
