/* Dumps: inputs and outputs of operators as files or to a callback, and tensors that a program saves beside what
 * CANN writes of a failed operator. Configured by the "dump" object of the file that aclInit or aclmdlSetDump reads.
 * Link with libascend_dump.so. */
#ifndef VINCI_ACL_ACL_DUMP_H
#define VINCI_ACL_ACL_DUMP_H

#include "acl_base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ACL_DUMP_MAX_FILE_PATH_LENGTH 4096
#define ACL_DUMP_MAX_SHAPE_NUM 25
#define ACL_OP_DUMP_OP_AICORE_ARGS 0x00000001U

/* A piece of a dump file: `bufLen` bytes at `offset`, behind all the others if that is -1. */
typedef struct acldumpChunk {
    char fileName[ACL_DUMP_MAX_FILE_PATH_LENGTH];
    uint32_t bufLen;
    uint32_t isLastChunk;
    int64_t offset;
    int32_t flag;
#if defined(__GNUC__) && defined(__cplusplus)
    __extension__ uint8_t dataBuf[0];
#else
    uint8_t dataBuf[];
#endif
} acldumpChunk;

typedef enum acldumpType {
    AIC_ERR_BRIEF_DUMP = 1,
    AIC_ERR_NORM_DUMP = 2,
    AIC_ERR_DETAIL_DUMP = 3,
    DATA_DUMP = 4,
    OVERFLOW_DUMP = 5
} acldumpType;

typedef enum acldumpTensorType {
    ACL_DUMP_TENSOR_INPUT = 0,
    ACL_DUMP_TENSOR_OUTPUT,
    ACL_DUMP_TENSOR_WORKSPACE
} acldumpTensorType;

typedef enum acldumpTensorAddressType {
    ACL_DUMP_ADDR_PTR = 0,
    ACL_DUMP_ADDR_PTR_PTR,
    ACL_DUMP_ADDR_RAW
} acldumpTensorAddressType;

typedef enum acldumpTensorPlacement {
    ACL_DUMP_PLACEMENT_DEVICE = 0,
    ACL_DUMP_PLACEMENT_HOST,
    ACL_DUMP_PLACEMENT_END
} acldumpTensorPlacement;

typedef struct acldumpTensorInfo {
    acldumpTensorType type;
    size_t tensorSize;
    int32_t format;
    int32_t dataType;
    int64_t *tensorAddr;
    acldumpTensorAddressType addrType;
    acldumpTensorPlacement placement;
    uint32_t argsOffset;
    uint32_t shapeNum;
    uint32_t originShapeNum;
    uint64_t shape[ACL_DUMP_MAX_SHAPE_NUM];
    uint64_t originShape[ACL_DUMP_MAX_SHAPE_NUM];
} acldumpTensorInfo;

/* Dumps go to `messageCallback` instead of to files. `flag` must be 0. */
ACL_FUNC_VISIBILITY aclError acldumpRegCallback(
    int32_t (*const messageCallback)(const acldumpChunk *, int32_t), int32_t flag);
ACL_FUNC_VISIBILITY void acldumpUnregCallback(void);

/* Writes below `path` what each operator was called with: type, attributes, and types and shapes of its tensors; a
 * file for each distinct one. */
ACL_FUNC_VISIBILITY aclError aclopStartDumpArgs(uint32_t dumpType, const char *path);
ACL_FUNC_VISIBILITY aclError aclopStopDumpArgs(uint32_t dumpType);

/* Where dumps of a kind go, as configured; NULL if there are none. Good until the configuration changes. */
ACL_FUNC_VISIBILITY const char *acldumpGetPath(acldumpType dumpType);

/* Writes tensors to <path of acldumpGetExceptionInfoPath><fileName>.custom.<timestamp>. Device memory at raw
 * addresses only; `fileName` is relative and has no "..". */
ACL_FUNC_VISIBILITY aclError acldumpSaveExceptionInfo(
    const char *fileName, const char *userTag, const acldumpTensorInfo *tensors, size_t tensorCount);
/* <dump_path>/extra-info/data-dump/<device>/; ACL_ERROR_DUMP_NOT_RUN unless dumps of failed operators are
 * configured. */
ACL_FUNC_VISIBILITY aclError acldumpGetExceptionInfoPath(char *path, size_t maxLen);

#ifdef __cplusplus
}
#endif

#endif
