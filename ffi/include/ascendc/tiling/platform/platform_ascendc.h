/* What a program asks of the chip before it divides its work. */
#ifndef VINCI_ASCENDC_PLATFORM_H
#define VINCI_ASCENDC_PLATFORM_H

#include <stdint.h>
#include <string.h>

#include "acl/acl.h"

namespace platform_ascendc {

enum class CoreMemType { L0_A = 0, L0_B, L0_C, L1, L2, UB, HBM, FB, BT, RESERVED };
enum class SocVersion { ASCEND910 = 0, ASCEND910B, ASCEND310P, ASCEND310B, ASCEND910_93, ASCEND950, RESERVED_VERSION = 99999 };

class PlatformAscendC {
public:
    uint32_t GetCoreNumAic() const { return number(ACL_DEV_ATTR_CUBE_CORE_NUM, 24); }
    uint32_t GetCoreNumAiv() const { return number(ACL_DEV_ATTR_VECTOR_CORE_NUM, 48); }
    uint32_t GetCoreNum() const { return GetCoreNumAiv(); }
    uint32_t GetCoreNumVector() const { return 0; }
    uint32_t CalcTschBlockDim(uint32_t slices, uint32_t cubes, uint32_t vectors) const
    {
        if (cubes == 0 || vectors == 0 || cubes > vectors) {
            return slices;
        }
        const uint32_t ratio = vectors / cubes;
        return (slices + ratio - 1) / ratio;
    }
    SocVersion GetSocVersion() const
    {
        const char *name = soc();
        if (strstr(name, "950") != nullptr) {
            return SocVersion::ASCEND950;
        }
        return strstr(name, "910_93") != nullptr ? SocVersion::ASCEND910_93 : SocVersion::ASCEND910B;
    }
    /* Bytes of a core's memory. */
    void GetCoreMemSize(const CoreMemType &type, uint64_t &size) const
    {
        const bool later = GetSocVersion() == SocVersion::ASCEND950;
        switch (type) {
            case CoreMemType::L0_A:
            case CoreMemType::L0_B: size = 64 << 10; break;
            case CoreMemType::L0_C: size = later ? 256 << 10 : 128 << 10; break;
            case CoreMemType::L1: size = 512 << 10; break;
            case CoreMemType::UB: size = later ? 248 << 10 : 192 << 10; break;
            case CoreMemType::L2: size = 192 << 20; break;
            case CoreMemType::FB: size = 7 << 10; break;
            case CoreMemType::BT: size = 1 << 10; break;
            default: size = 0; break;
        }
    }
    void GetCoreMemBw(const CoreMemType &type, uint64_t &bytes_per_cycle) const { bytes_per_cycle = type == CoreMemType::L2 ? 110 : 32; }
    /* What Matmul and others keep between the calls of a kernel: nothing here, but programs take it away from a sum. */
    uint32_t GetLibApiWorkSpaceSize() const { return 16 << 20; }
    uint32_t GetResGroupBarrierWorkSpaceSize() const { return 1 << 20; }

private:
    static const char *soc()
    {
        const char *name = aclrtGetSocName();
        return name == nullptr ? "" : name;
    }
    static uint32_t number(aclrtDevAttr what, uint32_t otherwise)
    {
        int64_t value = 0;
        int32_t device = 0;
        if (aclrtGetDevice(&device) != ACL_SUCCESS) {
            device = 0;
        }
        return aclrtGetDeviceInfo(static_cast<uint32_t>(device), what, &value) == ACL_SUCCESS && value > 0 ? static_cast<uint32_t>(value) : otherwise;
    }
};

class PlatformAscendCManager {
public:
    static PlatformAscendC *GetInstance()
    {
        static PlatformAscendC platform;
        return &platform;
    }
    static PlatformAscendC *GetInstance(const char *) { return GetInstance(); }
};

} // namespace platform_ascendc

#endif
