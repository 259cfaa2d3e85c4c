//===- FunctionalFunctions.cpp - nonlinear functions, many numbers at a time --===//
//
// Compiled once per instruction set, as FunctionalKernels.cpp is.
//
//===----------------------------------------------------------------------===//

#include "FunctionalFunctions.h"

#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "FunctionalFunctions.cpp"
#include <hwy/foreach_target.h>
// Behind foreach_target.h.
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace wafer {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

#if HWY_NATIVE_FMA && HWY_HAVE_FLOAT64 && !HWY_HAVE_SCALABLE

using D = hn::ScalableTag<double>;
constexpr D d;
constexpr size_t lanes = HWY_LANES(double);

/// Numbers whose double may be one unit of f32 off: the vector functions and the library's are wrong by a few of the last of 29 bits that rounding drops, and
/// this is how near the middle they may be.
constexpr int64_t doubt = 256;

/// `vanishes`: the function is positive, and 0 in f32 where it is small enough.
template <bool vanishes, typename Function> void throughDouble(Opcode opcode, const float *a, float *result, size_t n, Function function) {
  const hn::Rebind<float, D> f;
  const hn::RebindToSigned<D> i;
  auto mask = [](auto integers) { return hn::MaskFromVec(hn::BitCast(d, hn::VecFromMask(hn::RebindToSigned<D>(), integers))); };
  size_t j = 0;
  for (; j + lanes <= n; j += lanes) {
    const auto x = hn::PromoteTo(d, hn::LoadU(f, a + j));
    const auto y = function(x);
    const auto dropped = hn::And(hn::BitCast(i, y), hn::Set(i, (int64_t(1) << 29) - 1));
    const auto fromMiddle = hn::Sub(dropped, hn::Set(i, int64_t(1) << 28));
    const auto isClear = hn::Or(hn::Gt(fromMiddle, hn::Set(i, doubt)), hn::Lt(fromMiddle, hn::Set(i, -doubt)));
    // A NaN that comes out is in no range.
    const auto size = hn::Abs(y);
    auto isSure = hn::And(mask(isClear), hn::And(hn::Gt(size, hn::Set(d, 0x1p-125)), hn::Lt(size, hn::Set(d, 0x1p127))));
    if (vanishes)
      isSure = hn::Or(isSure, hn::Lt(size, hn::Set(d, 0x1p-151)));
    if (hn::AllTrue(d, hn::And(isSure, hn::Eq(x, x))))
      hn::StoreU(hn::DemoteTo(f, y), f, result + j);
    else
      computeFloats(opcode, a + j, nullptr, nullptr, result + j, lanes);
  }
  if (j < n)
    computeFloats(opcode, a + j, nullptr, nullptr, result + j, n - j);
}

bool computeFunctions(Opcode opcode, const float *a, float *result, size_t n) {
  // The vector functions know no numbers that are too large for them. Beyond 150 the result is 0, or 1.
  const auto most = hn::Set(d, 150.0), least = hn::Set(d, -150.0), one = hn::Set(d, 1.0), none = hn::Set(d, std::numeric_limits<double>::quiet_NaN());
  switch (opcode) {
  case Opcode::Exp:
    throughDouble<true>(opcode, a, result, n, [=](auto x) { return hn::Exp(d, hn::Clamp(x, least, most)); });
    return true;
  case Opcode::Tanh:
    throughDouble<false>(opcode, a, result, n, [=](auto x) { return hn::Tanh(d, hn::Clamp(x, least, most)); });
    return true;
  case Opcode::Log:
    throughDouble<false>(opcode, a, result, n, [=](auto x) {
      const auto isPlain = hn::And(hn::Ge(x, hn::Set(d, 0x1p-126)), hn::Lt(x, hn::Set(d, 0x1p128)));
      return hn::IfThenElse(isPlain, hn::Log(d, hn::IfThenElse(isPlain, x, one)), none);
    });
    return true;
  case Opcode::Sigmoid:
    throughDouble<true>(opcode, a, result, n, [=](auto x) { return hn::Div(one, hn::Add(one, hn::Exp(d, hn::Neg(hn::Clamp(x, least, most))))); });
    return true;
  default:
    return false;
  }
}

#else

bool computeFunctions(Opcode, const float *, float *, size_t) { return false; }

#endif

} // namespace HWY_NAMESPACE
} // namespace wafer
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace wafer {

HWY_EXPORT(computeFunctions);

bool computeFunctions(Opcode opcode, const float *a, float *result, size_t n) { return HWY_DYNAMIC_DISPATCH(computeFunctions)(opcode, a, result, n); }

} // namespace wafer
#endif
