/* Single operators by name (aclop). Vinci runs operators through aclnn (see aclnnop/), so this holds no more
 * than the base types; the file is here because programs include it. */
#ifndef VINCI_ACL_ACL_OP_H
#define VINCI_ACL_ACL_OP_H

#include "acl_base.h"
#include "acl_rt.h"

#endif
