/* Types that models and single operators share. */
#ifndef VINCI_ACL_ACL_BASE_MDL_H
#define VINCI_ACL_ACL_BASE_MDL_H

#include "acl_base_rt.h"

#endif
