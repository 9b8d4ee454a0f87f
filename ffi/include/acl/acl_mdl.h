/* Offline models (aclmdl). Vinci loads none, so this holds no more than the base types and the runtime's
 * model instances; the file is here because programs include it. */
#ifndef VINCI_ACL_ACL_MDL_H
#define VINCI_ACL_ACL_MDL_H

#include "acl_base.h"
#include "acl_rt.h"

#endif
