//! Arithmetic on vectors, whatever they consist of.

/// A vector of f32 and its arithmetic: what functions of numbers need that do not touch memory.
///
/// # Safety
/// For all functions: the processor supports the instruction set of the implementation.
#[allow(clippy::missing_safety_doc, reason = "one contract for all, stated above")]
pub(in crate::internal::kernels) trait Arithmetic: Copy + 'static {
    /// A vector register.
    type V: Copy;
    /// The results of a comparison.
    type Mask: Copy;
    unsafe fn zero() -> Self::V;
    unsafe fn splat(x: f32) -> Self::V;
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, rounded once if the instruction set supports it.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `c - a * b`, rounded likewise.
    unsafe fn fnma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;

    /// `a * b + c`, rounded once even if the instruction set has to take a detour: for what would be lost otherwise.
    #[inline(always)]
    unsafe fn fused(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // SAFETY: guaranteed by the caller
        unsafe { Self::fma(a, b, c) }
    }

    /// `c[0] + c[1] x + c[2] x^2 + ...`, by Horner's rule.
    #[inline(always)]
    unsafe fn polynomial<const N: usize>(x: Self::V, c: &[f32; N]) -> Self::V {
        // SAFETY: guaranteed by the caller
        unsafe {
            let mut sum = Self::splat(c[N - 1]);
            let mut k = N - 1;
            while k > 0 {
                k -= 1;
                sum = Self::fma(sum, x, Self::splat(c[k]));
            }
            sum
        }
    }
    unsafe fn sqrt(a: Self::V) -> Self::V;
    unsafe fn floor(a: Self::V) -> Self::V;
    /// The larger one; `b` if either is NaN, or both are zero.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// The smaller one; `b` likewise.
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;
    /// Per lane, whether `a < b`; false for NaN.
    unsafe fn less(a: Self::V, b: Self::V) -> Self::Mask;
    /// Per lane, whether `a <= b`; false for NaN.
    unsafe fn less_equal(a: Self::V, b: Self::V) -> Self::Mask;
    /// Per lane, whether `a` equals `b`; false for NaN.
    unsafe fn equals(a: Self::V, b: Self::V) -> Self::Mask;
    /// Per lane: `yes` where the comparison holds, else `no`.
    unsafe fn select(mask: Self::Mask, yes: Self::V, no: Self::V) -> Self::V;
    /// `a & b`, bit by bit.
    unsafe fn and(a: Self::V, b: Self::V) -> Self::V;
    /// `a | b`, bit by bit.
    unsafe fn or(a: Self::V, b: Self::V) -> Self::V;
    /// `a ^ b`, bit by bit.
    unsafe fn xor(a: Self::V, b: Self::V) -> Self::V;
    /// The sum of the bits as integers, without overflow.
    unsafe fn int_add(a: Self::V, b: Self::V) -> Self::V;
    /// The difference of the bits as integers, without overflow.
    unsafe fn int_sub(a: Self::V, b: Self::V) -> Self::V;
    /// The bits as integers times 2 to the power `N`.
    unsafe fn shift_left<const N: u32>(a: Self::V) -> Self::V;
    /// The bits as signed integers divided by 2 to the power `N`, rounded down.
    unsafe fn shift_right<const N: u32>(a: Self::V) -> Self::V;

    /// `x * 2^count` for an integer `count` from -252 to 254: rounded once, which matters if it is subnormal.
    #[inline(always)]
    unsafe fn scale(x: Self::V, count: Self::V) -> Self::V {
        // SAFETY: guaranteed by the caller
        unsafe {
            // the integer in the low bits of a float without a fraction; two factors, so that neither overflows
            let round = Self::splat(12_582_912.0);
            let count = Self::int_sub(Self::add(count, round), round);
            let half = Self::shift_right::<1>(count);
            let power = |count| Self::int_add(Self::shift_left::<23>(count), Self::splat(1.0));
            Self::mul(Self::mul(x, power(half)), power(Self::int_sub(count, half)))
        }
    }

    /// A vector of these bits.
    #[inline(always)]
    unsafe fn splat_bits(bits: u32) -> Self::V {
        // SAFETY: guaranteed by the caller
        unsafe { Self::splat(f32::from_bits(bits)) }
    }

    /// The sign bit of `x`, and zeros.
    #[inline(always)]
    unsafe fn sign(x: Self::V) -> Self::V {
        // SAFETY: guaranteed by the caller
        unsafe { Self::and(x, Self::splat_bits(1 << 31)) }
    }

    #[inline(always)]
    unsafe fn abs(x: Self::V) -> Self::V {
        // SAFETY: guaranteed by the caller
        unsafe { Self::and(x, Self::splat_bits(u32::MAX >> 1)) }
    }

    #[inline(always)]
    unsafe fn neg(x: Self::V) -> Self::V {
        // SAFETY: guaranteed by the caller
        unsafe { Self::xor(x, Self::splat_bits(1 << 31)) }
    }

    /// `max(x, 0)`; NaN stays NaN, so that a broken model is noticed.
    #[inline(always)]
    unsafe fn relu(x: Self::V) -> Self::V {
        // SAFETY: guaranteed by the caller
        unsafe { Self::max(Self::zero(), x) }
    }

    /// The same with two chains of half the length, which do not wait for each other: the even powers and the odd ones.
    #[inline(always)]
    unsafe fn polynomial_in_halves<const N: usize>(x: Self::V, c: &[f32; N]) -> Self::V {
        // SAFETY: guaranteed by the caller
        unsafe {
            let square = Self::mul(x, x);
            let mut sums = [Self::splat(c[N - 1]), Self::splat(c[N - 2])];
            let mut k = N - 2;
            while k > 0 {
                k -= 1;
                let half = (N - 1 - k) % 2;
                sums[half] = Self::fma(sums[half], square, Self::splat(c[k]));
            }
            // the last coefficient of the sums is c[0] and c[1]
            let [even, odd] = if N % 2 == 1 { sums } else { [sums[1], sums[0]] };
            Self::fma(odd, x, even)
        }
    }
}
