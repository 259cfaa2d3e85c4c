//===- FunctionalFunctions.cpp - nonlinear functions, many numbers at a time --===//
//
// Compiled once per instruction set, as FunctionalKernels.cpp is.
//
//===----------------------------------------------------------------------===//

#include "FunctionalFunctions.h"

#include <iterator>
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

/// Numbers whose double may be one unit of f32 off: the vector functions and the library's are wrong by some hundreds of the last of 29 bits that rounding drops, and
/// this is how near the middle they may be.
constexpr int64_t doubt = 4096;

/// `vanishes`: the function is positive, and 0 in f32 where it is small enough.
template <bool vanishes, typename Function> void throughDouble(Opcode opcode, const float *a, float *result, size_t n, Function function) {
  const hn::Rebind<float, D> f;
  const hn::RebindToSigned<D> i;
  size_t j = 0;
  for (; j + lanes <= n; j += lanes) {
    const auto x = hn::PromoteTo(d, hn::LoadU(f, a + j));
    const auto y = function(x);
    const auto dropped = hn::And(hn::BitCast(i, y), hn::Set(i, (int64_t(1) << 29) - 1));
    const auto isClear = hn::RebindMask(d, hn::Gt(hn::Abs(hn::Sub(dropped, hn::Set(i, int64_t(1) << 28))), hn::Set(i, doubt)));
    // A NaN that comes out is in no range.
    const auto size = hn::Abs(y);
    auto isSure = hn::And(isClear, hn::And(hn::Gt(size, hn::Set(d, 0x1p-125)), hn::Lt(size, hn::Set(d, 0x1p127))));
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

using V = hn::Vec<D>;

/// 2 to the power of x, and that less 1, both within 2^-43 of themselves; |x| is below 500. Far fewer steps than a function that is right to the last bit.
struct Power {
  explicit HWY_INLINE Power(V x) {
    const hn::RebindToSigned<D> i;
    // The integer next to x comes to lie in the last bits.
    const V shift = hn::Set(d, 0x1.8p52), shifted = hn::Add(x, shift), part = hn::Sub(x, hn::Sub(shifted, shift));
    // (2^part - 1) / part, for parts of up to a half.
    constexpr double terms[] = {0x1.b52538c1d029dp-24, 0x1.63d0c5019c05fp-20, 0x1.ffcca81d492b0p-17, 0x1.4308ace8aea6ep-13, 0x1.5d87fe31283c7p-10,
                                0x1.3b2ab717e9facp-7,  0x1.c6b08d706a2a0p-5,  0x1.ebfbdff823e78p-3,  0x1.62e42fefa39abp-1};
    V sum = hn::Set(d, terms[0]);
    for (size_t k = 1; k < std::size(terms); ++k)
      sum = hn::MulAdd(sum, part, hn::Set(d, terms[k]));
    scale = hn::BitCast(d, hn::Add(hn::BitCast(i, hn::Set(d, 1.0)), hn::ShiftLeft<52>(hn::BitCast(i, shifted))));
    rest = hn::Mul(sum, part);
  }
  HWY_INLINE V value() const { return hn::MulAdd(scale, rest, scale); }
  HWY_INLINE V lessOne() const { return hn::MulAdd(scale, rest, hn::Sub(scale, hn::Set(d, 1.0))); }

  V scale, rest;
};

bool computeFunctions(Opcode opcode, const float *a, float *result, size_t n) {
  // Beyond 150 a result is 0, or 1.
  const auto most = hn::Set(d, 150.0), least = hn::Set(d, -150.0), one = hn::Set(d, 1.0), none = hn::Set(d, std::numeric_limits<double>::quiet_NaN());
  auto power = [=](auto x, double factor) { return Power(hn::Mul(hn::Clamp(x, least, most), hn::Set(d, factor))); };
  constexpr double log2e = 0x1.71547652b82fep0;
  switch (opcode) {
  case Opcode::Exp:
    throughDouble<true>(opcode, a, result, n, [=](auto x) { return power(x, log2e).value(); });
    return true;
  case Opcode::Tanh:
    throughDouble<false>(opcode, a, result, n, [=](auto x) {
      const auto some = power(x, 2 * log2e).lessOne();
      return hn::Div(some, hn::Add(some, hn::Set(d, 2.0)));
    });
    return true;
  case Opcode::Log:
    throughDouble<false>(opcode, a, result, n, [=](auto x) {
      const auto isPlain = hn::And(hn::Ge(x, hn::Set(d, 0x1p-126)), hn::Lt(x, hn::Set(d, 0x1p128)));
      return hn::IfThenElse(isPlain, hn::Log(d, hn::IfThenElse(isPlain, x, one)), none);
    });
    return true;
  case Opcode::Sigmoid:
    throughDouble<true>(opcode, a, result, n, [=](auto x) { return hn::Div(one, hn::Add(one, power(x, -log2e).value())); });
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
