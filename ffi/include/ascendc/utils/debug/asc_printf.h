#ifndef VINCI_ASCENDC_ASC_PRINTF_H
#define VINCI_ASCENDC_ASC_PRINTF_H
#include "../../kernel_operator.h"
#endif
