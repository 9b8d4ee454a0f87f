#ifndef VINCI_ASCENDC_MATMUL_INTF_H
#define VINCI_ASCENDC_MATMUL_INTF_H
#include "../kernel_operator.h"
#include "../impl/matmul.h"
#endif
