#include "../matmul_intf.h"
