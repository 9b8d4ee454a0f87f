/* Devices: numbers, use counts, attributes, limits. */
#include "check.h"

static int states[4];

static void on_state(int32_t device, aclrtDeviceState state, void *args)
{
    (void)device;
    (void)args;
    states[state]++;
}

int main(void)
{
    uint32_t count = 0, limit = 0;
    int32_t device = -1, least = -1, greatest = -1, value = -1, number = -1;
    int64_t cores = 0, vectors = 0, bytes = 0;
    uint64_t interval = 0, actual = 0;
    size_t free_bytes = 0, total = 0;
    aclrtDeviceStatus status = ACL_RT_DEVICE_STATUS_END;
    aclrtUtilizationInfo use;
    aclrtFloatOverflowMode mode = ACL_RT_OVERFLOW_MODE_UNDEF;
    aclrtUuid a, b;
    char bus[64];

    OK(aclInit(NULL));
    OK(aclrtGetDeviceCount(&count));
    TRUE(count >= 1);
    EXPECT(aclrtGetDeviceCount(NULL), PARAM);

    /* Nothing is current yet. */
    EXPECT(aclrtGetDevice(&device), NO_CONTEXT);
    EXPECT(aclrtSynchronizeDevice(), NO_CONTEXT);
    EXPECT(aclrtGetMemInfo(ACL_HBM_MEM, &free_bytes, &total), NO_CONTEXT);
    EXPECT(aclrtSetDevice(-1), ACL_ERROR_RT_INVALID_DEVICEID);
    EXPECT(aclrtSetDevice((int32_t)count), ACL_ERROR_RT_INVALID_DEVICEID);
    EXPECT(aclrtResetDevice(0), NO_CONTEXT);

    /* A device is released with its last use. */
    OK(aclrtRegDeviceStateCallback("test", on_state, NULL));
    EXPECT(aclrtRegDeviceStateCallback("test", on_state, NULL), RT_PARAM);
    OK(aclrtSetDevice(0));
    OK(aclrtSetDevice(0));
    OK(aclrtGetDevice(&device));
    TRUE(device == 0);
    EXPECT(aclrtGetDevice(NULL), PARAM);
    OK(aclrtResetDevice(0));
    OK(aclrtGetDevice(&device));
    OK(aclrtResetDevice(0));
    EXPECT(aclrtGetDevice(&device), NO_CONTEXT);
    EXPECT(aclrtResetDevice(0), NO_CONTEXT);
    OK(aclrtSetDevice(0));
    OK(aclrtSetDevice(0));
    OK(aclrtResetDeviceForce(0));
    EXPECT(aclrtResetDeviceForce(0), NO_CONTEXT);
    TRUE(states[0] == 4 && states[1] == 4 && states[3] == 3);
    OK(aclrtRegDeviceStateCallback("test", NULL, NULL));
    EXPECT(aclrtRegDeviceStateCallback("test", NULL, NULL), RT_PARAM);
    EXPECT(aclrtRegDeviceStateCallback(NULL, on_state, NULL), PARAM);

    OK(aclrtSetDevice((int32_t)count - 1));
    OK(aclrtGetDevice(&device));
    TRUE(device == (int32_t)count - 1);
    OK(aclrtResetDevice((int32_t)count - 1));

    OK(aclrtSetDevice(0));
    TRUE(aclrtGetSocName() != NULL && strncmp(aclrtGetSocName(), "Ascend", 6) == 0);
    OK(aclrtQueryDeviceStatus(0, &status));
    TRUE(status == ACL_RT_DEVICE_STATUS_NORMAL);
    EXPECT(aclrtQueryDeviceStatus(-1, &status), ACL_ERROR_RT_INVALID_DEVICEID);
    EXPECT(aclrtQueryDeviceStatus(0, NULL), PARAM);
    OK(aclrtGetDeviceUtilizationRate(0, &use));
    TRUE(use.cubeUtilization >= 0 && use.cubeUtilization <= 100 && use.memoryUtilization == -1);

    OK(aclrtGetDeviceInfo(0, ACL_DEV_ATTR_AICORE_CORE_NUM, &cores));
    OK(aclrtGetDeviceInfo(0, ACL_DEV_ATTR_VECTOR_CORE_NUM, &vectors));
    OK(aclrtGetDeviceInfo(0, ACL_DEV_ATTR_TOTAL_GLOBAL_MEM_SIZE, &bytes));
    TRUE(cores > 0 && vectors >= cores && bytes >= (int64_t)1 << 30);
    OK(aclGetDeviceCapability(0, ACL_DEVICE_INFO_AI_CORE_NUM, &bytes));
    TRUE(bytes == cores);
    EXPECT(aclGetDeviceCapability(0, (aclDeviceInfo)99, &bytes), PARAM);
    EXPECT(aclrtGetDeviceInfo(0, (aclrtDevAttr)9999, &cores), PARAM);
    EXPECT(aclrtGetDeviceInfo(count, ACL_DEV_ATTR_AICORE_CORE_NUM, &cores), ACL_ERROR_RT_INVALID_DEVICEID);
    EXPECT(aclrtGetDeviceInfo(0, ACL_DEV_ATTR_AICORE_CORE_NUM, NULL), PARAM);
    OK(aclrtGetDeviceCapability(0, ACL_FEATURE_TSCPU_TASK_UPDATE_SUPPORT_AIC_AIV, &value));
    TRUE(value == ACL_DEV_FEATURE_NOT_SUPPORT || value == ACL_DEV_FEATURE_SUPPORT);
    EXPECT(aclrtGetDeviceCapability(0, (aclrtDevFeatureType)2, &value), PARAM);

    OK(aclrtDeviceGetStreamPriorityRange(&least, &greatest));
    TRUE(greatest == 0 && least > greatest);
    EXPECT(aclrtDeviceGetStreamPriorityRange(NULL, &greatest), PARAM);
    OK(aclrtGetMemInfo(ACL_HBM_MEM, &free_bytes, &total));
    TRUE(free_bytes > 0 && free_bytes <= total);
    EXPECT(aclrtGetMemInfo((aclrtMemAttr)1000, &free_bytes, &total), PARAM);

    OK(aclrtGetDeviceResLimit(0, ACL_RT_DEV_RES_CUBE_CORE, &limit));
    TRUE(limit > 1);
    OK(aclrtSetDeviceResLimit(0, ACL_RT_DEV_RES_CUBE_CORE, 1));
    OK(aclrtGetDeviceResLimit(0, ACL_RT_DEV_RES_CUBE_CORE, &limit));
    TRUE(limit == 1);
    OK(aclrtGetResInCurrentThread(ACL_RT_DEV_RES_CUBE_CORE, &limit));
    TRUE(limit == 1);
    EXPECT(aclrtSetDeviceResLimit(0, ACL_RT_DEV_RES_CUBE_CORE, 0), RT_PARAM);
    EXPECT(aclrtSetDeviceResLimit(0, ACL_RT_DEV_RES_CUBE_CORE, 100000), RT_PARAM);
    EXPECT(aclrtSetDeviceResLimit(0, (aclrtDevResLimitType)7, 1), PARAM);
    OK(aclrtResetDeviceResLimit(0));
    OK(aclrtGetDeviceResLimit(0, ACL_RT_DEV_RES_CUBE_CORE, &limit));
    TRUE(limit > 1);

    OK(aclrtGetDeviceSatMode(&mode));
    TRUE(mode == ACL_RT_OVERFLOW_MODE_INFNAN);
    OK(aclrtSetDeviceSatMode(ACL_RT_OVERFLOW_MODE_INFNAN));
    EXPECT(aclrtSetDeviceSatMode(ACL_RT_OVERFLOW_MODE_SATURATION), NOT_SUPPORTED);
    EXPECT(aclrtSetDeviceSatMode(ACL_RT_OVERFLOW_MODE_UNDEF), PARAM);
    OK(aclrtSetOpExecuteTimeOut(5));
    OK(aclrtSetOpExecuteTimeOutV2(547000000, &actual));
    TRUE(actual >= 547000000);
    OK(aclrtGetOpTimeOutInterval(&interval));
    TRUE(interval > 0);
    OK(aclrtSetOpWaitTimeout(10));

    OK(aclrtDeviceGetUuid(0, &a));
    if (count > 1) {
        OK(aclrtDeviceGetUuid(1, &b));
        TRUE(memcmp(&a, &b, sizeof(a)) != 0);
    }
    OK(aclrtDeviceGetPCIBusId(0, bus, sizeof(bus)));
    EXPECT(aclrtDeviceGetPCIBusId(0, bus, 2), PARAM);
    OK(aclrtDeviceGetPCIBusId(0, bus, sizeof(bus)));
    OK(aclrtDeviceGetByPCIBusId(bus, &number));
    TRUE(number == 0);
    EXPECT(aclrtDeviceGetByPCIBusId("none", &number), RT_PARAM);
    OK(aclrtGetPhyDevIdByLogicDevId(0, &number));
    TRUE(number == 0);
    EXPECT(aclrtGetUserDevIdByPhyDevId(77, &number), ACL_ERROR_RT_INVALID_DEVICEID);
    OK(aclrtSynchronizeDevice());
    OK(aclrtSynchronizeDeviceWithTimeout(1000));
    EXPECT(aclrtSynchronizeDeviceWithTimeout(0), RT_PARAM);
    EXPECT(aclrtSynchronizeDeviceWithTimeout(-2), RT_PARAM);
    return stop();
}
