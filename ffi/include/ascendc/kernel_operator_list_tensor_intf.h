#ifndef VINCI_ASCENDC_LIST_TENSOR_INTF_H
#define VINCI_ASCENDC_LIST_TENSOR_INTF_H
#include "impl/list.h"
#endif
