/* Operators by name: a step of a gated recurrent unit, and what is refused. */
#include <math.h>

#include "acl/acl_op_compiler.h"
#include "check.h"

enum { UNSUPPORTED = 200006, B = 2, I = 3, H = 2, TENSORS = 13 };

/* A tensor in device memory; `values` NULL for one that is written, `count` 0 for a missing one. */
typedef struct {
    aclTensorDesc *desc;
    aclDataBuffer *buffer;
    void *data;
} Tensor;

static Tensor tensor(const float *values, int count, int rank, const int64_t *dims)
{
    Tensor t = {NULL, NULL, NULL};
    size_t bytes = (size_t)count * sizeof(float);
    if (count > 0) {
        OK(aclrtMalloc(&t.data, bytes, ACL_MEM_MALLOC_HUGE_FIRST));
        OK(values ? aclrtMemcpy(t.data, bytes, values, bytes, ACL_MEMCPY_HOST_TO_DEVICE)
                  : aclrtMemset(t.data, bytes, 0xff, bytes));
    }
    t.desc = aclCreateTensorDesc(count > 0 ? ACL_FLOAT : ACL_DT_UNDEFINED, rank, dims, ACL_FORMAT_ND);
    t.buffer = aclCreateDataBuffer(t.data, bytes);
    TRUE(t.desc != NULL && t.buffer != NULL);
    return t;
}

static float sigmoid(float v)
{
    return 1 / (1 + expf(-v));
}

int main(void)
{
    int64_t x_dims[] = {1, B, I}, w_dims[] = {I, 3 * H}, u_dims[] = {H, 3 * H}, b_dims[] = {3 * H};
    int64_t h_dims[] = {1, B, H}, read = 0;
    float x[B * I], w[I * 3 * H], u[H * 3 * H], b[3 * H], c[3 * H], h[B * H], y[B * H];
    float *all[] = {x, w, u, b, c, h};
    int sizes[] = {B * I, I * 3 * H, H * 3 * H, 3 * H, 3 * H, B * H};
    const aclTensorDesc *descs[TENSORS];
    aclDataBuffer *buffers[TENSORS];
    const aclDataBuffer *inputs[TENSORS];
    Tensor tensors[TENSORS];
    aclrtStream stream = NULL;
    aclopAttr *attr;
    aclmdlRI model = NULL;
    const char *text;

    for (int k = 0, n = 0; k < 6; k++) {
        for (int i = 0; i < sizes[k]; i++) {
            all[k][i] = sinf((float)n++);
        }
    }
    start();
    OK(aclrtCreateStream(&stream));
    tensors[0] = tensor(x, B * I, 3, x_dims);
    tensors[1] = tensor(w, I * 3 * H, 2, w_dims);
    tensors[2] = tensor(u, H * 3 * H, 2, u_dims);
    tensors[3] = tensor(b, 3 * H, 1, b_dims);
    tensors[4] = tensor(c, 3 * H, 1, b_dims);
    tensors[5] = tensor(NULL, 0, 0, NULL);
    tensors[6] = tensor(h, B * H, 3, h_dims);
    for (int k = 7; k < TENSORS; k++) {
        tensors[k] = tensor(NULL, B * H, 3, h_dims);
    }
    for (int k = 0; k < TENSORS; k++) {
        descs[k] = tensors[k].desc;
        inputs[k] = buffers[k] = tensors[k].buffer;
    }
    TRUE(aclGetTensorDescSize(descs[1]) == sizeof w && aclGetTensorDescNumDims(descs[1]) == 2);
    OK(aclGetTensorDescDimV2(descs[1], 1, &read));
    TRUE(read == 3 * H);

    attr = aclopCreateAttr();
    TRUE(attr != NULL);
    OK(aclopSetAttrString(attr, "direction", "UNIDIRECTIONAL"));
    OK(aclopSetAttrString(attr, "gate_order", "rzh"));
    OK(aclopSetAttrInt(attr, "cell_depth", 1));
    OK(aclopSetAttrFloat(attr, "keep_prob", 1));
    OK(aclopSetAttrBool(attr, "reset_after", 1));
    OK(aclopCompileAndExecute("DynamicGRUV2", 7, descs, inputs, 6, descs + 7, buffers + 7, attr, ACL_ENGINE_SYS,
                              ACL_COMPILE_SYS, NULL, stream));
    OK(aclrtSynchronizeStream(stream));
    OK(aclrtMemcpy(y, sizeof y, tensors[7].data, sizeof y, ACL_MEMCPY_DEVICE_TO_HOST));
    for (int row = 0; row < B; row++) {
        for (int k = 0; k < H; k++) {
            float sums[3], inner[3], z, want;
            for (int gate = 0; gate < 3; gate++) {
                int column = gate * H + k;
                sums[gate] = b[column];
                inner[gate] = c[column];
                for (int i = 0; i < I; i++) {
                    sums[gate] += x[row * I + i] * w[i * 3 * H + column];
                }
                for (int i = 0; i < H; i++) {
                    inner[gate] += h[row * H + i] * u[i * 3 * H + column];
                }
            }
            z = sigmoid(sums[1] + inner[1]);
            want = (1 - z) * tanhf(sums[2] + sigmoid(sums[0] + inner[0]) * inner[2]) + z * h[row * H + k];
            TRUE(fabsf(y[row * H + k] - want) < 1e-5f);
        }
    }

    /* What is not known, cannot be, or is not there. */
    EXPECT(aclopCompileAndExecute("NoOperator", 0, NULL, NULL, 0, NULL, NULL, NULL, ACL_ENGINE_SYS, ACL_COMPILE_SYS,
                                  NULL, stream),
           UNSUPPORTED);
    EXPECT(aclopCompileAndExecute("DynamicGRUV2", 7, NULL, inputs, 6, descs + 7, buffers + 7, attr, ACL_ENGINE_SYS,
                                  ACL_COMPILE_SYS, NULL, stream),
           PARAM);
    EXPECT(aclopCompileAndExecute("DynamicGRUV2", 8, descs, inputs, 5, descs + 8, buffers + 8, attr, ACL_ENGINE_SYS,
                                  ACL_COMPILE_SYS, NULL, stream),
           PARAM);
    OK(aclopSetAttrString(attr, "direction", "BIDIRECTIONAL"));
    TRUE(aclopCompileAndExecute("DynamicGRUV2", 7, descs, inputs, 6, descs + 7, buffers + 7, attr, ACL_ENGINE_SYS,
                                ACL_COMPILE_SYS, NULL, stream) == PARAM);
    text = aclGetRecentErrMsg();
    TRUE(text != NULL && strstr(text, "direction") != NULL);
    EXPECT(aclopSetAttrString(attr, NULL, "x"), PARAM);
    OK(aclopSetAttrString(attr, "direction", "UNIDIRECTIONAL"));
    TRUE(aclopCompileAndExecute("DynamicGRUV2", 7, descs, inputs, 6, descs + 7, buffers + 7, attr, ACL_ENGINE_SYS,
                                ACL_COMPILE_SYS, NULL, (aclrtStream)0x1230) != 0);

    /* Dimensions that the program knows, in host memory and with the description. */
    for (int known = 0; known < 2; known++) {
        int64_t order[] = {1, 0}, two = 2, turned[] = {3 * H, I};
        float got[I * 3 * H];
        Tensor to = tensor(NULL, I * 3 * H, 2, turned);
        const aclTensorDesc *from[] = {descs[1], aclCreateTensorDesc(ACL_INT64, 1, &two, ACL_FORMAT_ND)};
        const aclDataBuffer *data[] = {inputs[1], aclCreateDataBuffer(known ? NULL : order, known ? 0 : sizeof order)};
        const aclTensorDesc *into[] = {to.desc};
        aclDataBuffer *out[] = {to.buffer};

        OK(known ? aclSetTensorConst((aclTensorDesc *)from[1], order, sizeof order)
                 : aclSetTensorPlaceMent((aclTensorDesc *)from[1], ACL_MEMTYPE_HOST));
        OK(aclopCompileAndExecute("Transpose", 2, from, data, 1, into, out, NULL, ACL_ENGINE_SYS, ACL_COMPILE_SYS, NULL,
                                  stream));
        OK(aclrtSynchronizeStream(stream));
        OK(aclrtMemcpy(got, sizeof got, to.data, sizeof got, ACL_MEMCPY_DEVICE_TO_HOST));
        for (int i = 0; i < I * 3 * H; i++) {
            TRUE(got[i] == w[i % I * 3 * H + i / I]);
        }
        aclDestroyTensorDesc(from[1]);
        aclDestroyTensorDesc(to.desc);
        OK(aclDestroyDataBuffer(data[1]));
        OK(aclDestroyDataBuffer(to.buffer));
        OK(aclrtFree(to.data));
    }

    /* Not while a graph is captured, which goes on. */
    OK(aclmdlRICaptureBegin(stream, ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL));
    EXPECT(aclopCompileAndExecute("DynamicGRUV2", 7, descs, inputs, 6, descs + 7, buffers + 7, attr, ACL_ENGINE_SYS,
                                  ACL_COMPILE_SYS, NULL, stream),
           PARAM);
    OK(aclmdlRICaptureEnd(stream, &model));
    OK(aclmdlRIDestroy(model));

    aclopDestroyAttr(attr);
    for (int k = 0; k < TENSORS; k++) {
        aclDestroyTensorDesc(tensors[k].desc);
        OK(aclDestroyDataBuffer(tensors[k].buffer));
        if (tensors[k].data) {
            OK(aclrtFree(tensors[k].data));
        }
    }
    /* Gone with their handles. */
    TRUE(aclopCompileAndExecute("DynamicGRUV2", 7, descs, inputs, 6, descs + 7, buffers + 7, NULL, ACL_ENGINE_SYS,
                                ACL_COMPILE_SYS, NULL, stream) != 0);
    OK(aclrtDestroyStream(stream));
    return stop();
}
