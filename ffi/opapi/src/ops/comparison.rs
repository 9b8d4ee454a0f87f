//! Comparison and logic, element by element.

use super::declare::operators;
use super::elementwise as el;

operators! {
    "eq_tensor" { /// out = self == other.
        aclnnEqTensor(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| el::compare(p, "eq", &a, &b, &o); }
    "ne_tensor" { /// out = self != other.
        aclnnNeTensor(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| el::compare(p, "ne", &a, &b, &o); }
    "lt_tensor" { /// out = self < other.
        aclnnLtTensor(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| el::compare(p, "lt", &a, &b, &o); }
    "le_tensor" { /// out = self <= other.
        aclnnLeTensor(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| el::compare(p, "le", &a, &b, &o); }
    "gt_tensor" { /// out = self > other.
        aclnnGtTensor(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| el::compare(p, "gt", &a, &b, &o); }
    "ge_tensor" { /// out = self >= other.
        aclnnGeTensor(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| el::compare(p, "ge", &a, &b, &o); }
    "eq_scalar" { /// out = self == other.
        aclnnEqScalar(self_: Tensor, other: Number, out: Out) => |p, a, b, o| el::compare_scalar(p, "eq_s", &a, b, &o); }
    "ne_scalar" { /// out = self != other.
        aclnnNeScalar(self_: Tensor, other: Number, out: Out) => |p, a, b, o| el::compare_scalar(p, "ne_s", &a, b, &o); }
    "lt_scalar" { /// out = self < other.
        aclnnLtScalar(self_: Tensor, other: Number, out: Out) => |p, a, b, o| el::compare_scalar(p, "lt_s", &a, b, &o); }
    "le_scalar" { /// out = self <= other.
        aclnnLeScalar(self_: Tensor, other: Number, out: Out) => |p, a, b, o| el::compare_scalar(p, "le_s", &a, b, &o); }
    "gt_scalar" { /// out = self > other.
        aclnnGtScalar(self_: Tensor, other: Number, out: Out) => |p, a, b, o| el::compare_scalar(p, "gt_s", &a, b, &o); }
    "ge_scalar" { /// out = self >= other.
        aclnnGeScalar(self_: Tensor, other: Number, out: Out) => |p, a, b, o| el::compare_scalar(p, "ge_s", &a, b, &o); }
    "logical_and" { /// out = self and other.
        aclnnLogicalAnd(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| el::logical(p, "logical_and", &a, &b, &o); }
    "logical_or" { /// out = self or other.
        aclnnLogicalOr(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| el::logical(p, "logical_or", &a, &b, &o); }
    "logical_xor" { /// out = either self or other.
        aclnnLogicalXor(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| el::logical(p, "logical_xor", &a, &b, &o); }
    "logical_not" { /// out = not self.
        aclnnLogicalNot(self_: Tensor, out: Out) => |p, a, o| el::unary(p, "logical_not", &a, &o); }
}
