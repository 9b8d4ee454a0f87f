/* The whole of AscendCL that Vinci offers. Programs include this one file. */
#ifndef VINCI_ACL_ACL_H
#define VINCI_ACL_ACL_H

#include "acl_rt.h"
#include "acl_op.h"
#include "acl_mdl.h"

#endif
