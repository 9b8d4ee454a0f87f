/* What needs no device: versions, element sizes, float16, data buffers, attributes; and layouts that programs rely on. */
#include "check.h"

int main(void)
{
    char text[ACL_PKG_VERSION_MAX_SIZE];
    int32_t number = 0, major = 0, minor = 0, patch = 0, value = -1;
    aclCANNPackageVersion version;
    const aclCannAttr *attributes = NULL;
    aclDataBuffer *buffer;
    aclrtRunMode mode = ACL_DEVICE;
    size_t count = 0;
    int data = 0;

    TRUE(sizeof(aclrtPhysicalMemProp) == 32 && sizeof(aclrtPtrAttributes) == 28);
    TRUE(sizeof(aclrtMemAccessDesc) == 24 && sizeof(aclrtMemUsageInfo) == 112);
    TRUE(sizeof(aclrtUtilizationInfo) == 24 && sizeof(aclrtStreamConfigHandle) == 32);
    TRUE(ACL_MEMCPY_DEVICE_TO_DEVICE == 3 && ACL_BF16 == 27 && ACL_FORMAT_FRACTAL_NZ == 29);
    TRUE(ACL_ERROR_RT_MEMORY_ALLOCATION == 207001 && ACL_ERROR_FEATURE_UNSUPPORTED == 200006);

    OK(aclInit(NULL));
    OK(aclsysGetVersionStr((char *)"runtime", text));
    TRUE(strchr(text, '.') != NULL);
    OK(aclsysGetVersionNum((char *)"runtime", &number));
    TRUE(number > 0);
    EXPECT(aclsysGetVersionStr((char *)"no such package", text), PARAM);
    EXPECT(aclsysGetVersionStr(NULL, text), PARAM);
    EXPECT(aclsysGetVersionStr((char *)"runtime", NULL), PARAM);
    OK(aclsysGetCANNVersion(ACL_PKG_NAME_CANN, &version));
    TRUE(strcmp(version.version, text) == 0 && atoi(version.majorVersion) > 0);
    EXPECT(aclsysGetCANNVersion((aclCANNPackageName)99, &version), PARAM);
    OK(aclrtGetVersion(&major, &minor, &patch));
    TRUE(major == ACL_MAJOR_VERSION && minor == ACL_MINOR_VERSION && patch == ACL_PATCH_VERSION);
    OK(aclrtGetRunMode(&mode));
    TRUE(mode == ACL_HOST);
    OK(aclrtCheckArchCompatibility(aclrtGetSocName(), &value));
    TRUE(value == 1);
    OK(aclrtCheckArchCompatibility("Ascend310", &value));
    TRUE(value == 0);
    EXPECT(aclrtCheckArchCompatibility(NULL, &value), PARAM);

    TRUE(aclDataTypeSize(ACL_FLOAT) == 4 && aclDataTypeSize(ACL_FLOAT16) == 2 && aclDataTypeSize(ACL_INT8) == 1);
    TRUE(aclDataTypeSize(ACL_BF16) == 2 && aclDataTypeSize(ACL_INT64) == 8 && aclDataTypeSize(ACL_BOOL) == 1);
    TRUE(aclDataTypeSize(ACL_COMPLEX128) == 16 && aclDataTypeSize(ACL_DT_UNDEFINED) == 0);
    TRUE(aclDataTypeSize(ACL_STRING) == 0 && aclDataTypeSize((aclDataType)1234) == 0);
    TRUE(aclFloatToFloat16(1.0f) == 0x3c00 && aclFloatToFloat16(-2.0f) == 0xc000);
    TRUE(aclFloat16ToFloat(0x3c00) == 1.0f && aclFloat16ToFloat(0x0001) > 0 && aclFloat16ToFloat(0x0001) < 1e-7f);
    TRUE(aclFloatToFloat16(1e9f) == 0x7c00);

    buffer = aclCreateDataBuffer(&data, sizeof(data));
    TRUE(buffer != NULL && aclGetDataBufferAddr(buffer) == &data && aclGetDataBufferSizeV2(buffer) == 4);
    OK(aclUpdateDataBuffer(buffer, NULL, 100));
    TRUE(aclGetDataBufferAddr(buffer) == NULL && aclGetDataBufferSize(buffer) == 100);
    OK(aclDestroyDataBuffer(buffer));
    EXPECT(aclDestroyDataBuffer(buffer), HANDLE);
    EXPECT(aclDestroyDataBuffer(NULL), PARAM);
    TRUE(aclGetDataBufferSizeV2(buffer) == 0);
    TRUE(aclrtGetLastError(ACL_RT_THREAD_LEVEL) == HANDLE);
    aclGetRecentErrMsg();

    OK(aclGetCannAttributeList(&attributes, &count));
    TRUE(count >= 2);
    for (size_t i = 0; i < count; i++) {
        OK(aclGetCannAttribute(attributes[i], &value));
        TRUE(value == 0 || value == 1);
    }
    EXPECT(aclGetCannAttribute((aclCannAttr)77, &value), PARAM);
    EXPECT(aclGetCannAttributeList(NULL, &count), PARAM);
    OK(aclFinalize());
    return finish();
}
