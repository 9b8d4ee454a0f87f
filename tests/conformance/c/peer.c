/* Two dies of a module: peer access and copies between them. A chip with one die is asked only for its errors. */
#include "check.h"

int main(void)
{
    uint32_t count = 0;
    int32_t can = -1, status = -1;
    uint64_t topology = 0;
    aclrtStream stream = NULL, stream1 = NULL;
    aclrtEvent event = NULL;
    char *a = NULL, *b = NULL, out[64];

    start();
    OK(aclrtGetDeviceCount(&count));
    EXPECT(aclrtDeviceCanAccessPeer(&can, 0, 0), RT_PARAM);
    EXPECT(aclrtDeviceCanAccessPeer(&can, 0, 1000), ACL_ERROR_RT_INVALID_DEVICEID);
    EXPECT(aclrtDeviceCanAccessPeer(NULL, 0, 1), PARAM);
    EXPECT(aclrtDeviceEnablePeerAccess(0, 0), RT_PARAM);
    EXPECT(aclrtDeviceEnablePeerAccess(1000, 0), ACL_ERROR_RT_INVALID_DEVICEID);
    EXPECT(aclrtDevicePeerAccessStatus(0, 1000, &status), RT_PARAM);
    if (count < 2)
        return stop();

    OK(aclrtDeviceCanAccessPeer(&can, 0, 1));
    TRUE(can == 1);
    OK(aclrtGetDevicesTopo(0, 1, &topology));
    TRUE(topology != 0);
    OK(aclrtDevicePeerAccessStatus(0, 1, &status));
    TRUE(status == 0);
    EXPECT(aclrtDeviceDisablePeerAccess(1), RT_PARAM);
    EXPECT(aclrtDeviceEnablePeerAccess(1, 1), RT_PARAM);

    OK(aclrtMalloc((void **)&a, 4096, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMemset(a, 4096, 21, 4096));
    OK(aclrtCreateStream(&stream));
    OK(aclrtCreateEvent(&event));
    OK(aclrtSetDevice(1));
    OK(aclrtMalloc((void **)&b, 4096, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMemset(b, 4096, 0, 4096));
    OK(aclrtCreateStream(&stream1));

    OK(aclrtSetDevice(0));
    OK(aclrtDeviceEnablePeerAccess(1, 0));
    OK(aclrtDevicePeerAccessStatus(0, 1, &status));
    TRUE(status == 1);
    OK(aclrtDevicePeerAccessStatus(1, 0, &status));
    TRUE(status == 0);
    OK(aclrtMemcpyAsync(b, 4096, a, 4096, ACL_MEMCPY_DEVICE_TO_DEVICE, stream));
    OK(aclrtRecordEvent(event, stream));
    OK(aclrtSetDevice(1));
    OK(aclrtStreamWaitEvent(stream1, event));
    OK(aclrtMemcpyAsync(out, 64, b, 64, ACL_MEMCPY_DEVICE_TO_HOST, stream1));
    OK(aclrtSynchronizeStream(stream1));
    TRUE(out[0] == 21 && out[63] == 21);
    OK(aclrtFree(b));
    OK(aclrtSetDevice(0));
    OK(aclrtFree(a));
    OK(aclrtDeviceDisablePeerAccess(1));
    OK(aclrtResetDeviceForce(1));
    return stop();
}
