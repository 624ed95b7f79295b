//! Runs code on strips of vectors.

use super::code::{Action, Code, First, Second, Source, Target};
use super::math;
use crate::elementwise::{Binary, Comparison, Unary};
use crate::kernels::dispatch::Kernel;
use crate::kernels::simd::Simd;

/// Where the vectors of an operand are.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub at: *const f32,
    /// Floats from one vector to the next; 0 if all are the same.
    pub step: usize,
    /// Whether each vector consists of the one float that is found there.
    pub expand: bool,
}

/// Consecutive vectors of a result.
pub(super) struct Piece<'a> {
    pub code: &'a Code,
    /// One for each operand.
    pub operands: &'a [Place],
    /// Number of vectors.
    pub vectors: usize,
    /// Memory for registers, each of `strip` vectors: those of the code, one for each operand to expand, and one to stream from.
    pub registers: *mut f32,
    /// Vectors to process at a time.
    pub strip: usize,
    /// The results; an operand may be there.
    pub out: *mut f32,
    /// A vector of bits to which each result is limited; null for all.
    pub mask: *const f32,
    /// Whether to write past the caches: `out` is then at a multiple of the vector's size.
    pub stream: bool,
}

/// The sources and the target of an operation on a strip.
struct Strip {
    sources: [Place; 4],
    out: *mut f32,
    vectors: usize,
}

impl Kernel for Piece<'_> {
    type Operands = Self;

    #[inline(always)]
    unsafe fn run<S: Simd>(p: &Self) {
        // SAFETY: guaranteed by the caller, for every access below
        unsafe {
            let mut first = 0;
            while first < p.vectors {
                let vectors = p.strip.min(p.vectors - first);
                let out = p.out.add(first * S::LANES);
                let result = if p.stream { p.registers } else { out };
                expand::<S>(p, first, vectors);
                for operation in &p.code.operations {
                    let strip = Strip {
                        sources: operation.sources.map(|source| place::<S>(p, source, first)),
                        out: match operation.target {
                            Target::Register(index) => register::<S>(p, 1 + usize::from(index)),
                            Target::Result => result,
                        },
                        vectors,
                    };
                    execute::<S>(operation.action, &strip);
                }
                finish::<S>(p, result, out, vectors);
                first += vectors;
            }
            if p.stream {
                S::finish_streams();
            }
        }
    }
}

/// The memory of a register; the first one is the one to stream from.
///
/// # Safety
/// As [`Kernel::run`], which holds for all functions of this file.
#[inline(always)]
unsafe fn register<S: Simd>(p: &Piece<'_>, index: usize) -> *mut f32 {
    // SAFETY: guaranteed by the caller
    unsafe { p.registers.add(index * p.strip * S::LANES) }
}

/// Where a source is for a strip that begins at vector `first`.
#[inline(always)]
unsafe fn place<S: Simd>(p: &Piece<'_>, source: Source, first: usize) -> Place {
    // SAFETY: guaranteed by the caller
    unsafe {
        match source {
            Source::Constant(index) => match p.code.constants.get(usize::from(index)) {
                Some(constant) => Place { at: constant.as_ptr(), step: 0, expand: false },
                // not read
                None => Place { at: p.registers, step: 0, expand: false },
            },
            Source::Register(index) => Place { at: register::<S>(p, 1 + usize::from(index)), step: S::LANES, expand: false },
            Source::Operand(slot) => {
                let slot = usize::from(slot);
                let operand = p.operands[slot];
                if operand.expand {
                    let before = p.operands[..slot].iter().filter(|o| o.expand).count();
                    Place { at: register::<S>(p, 1 + p.code.registers + before), step: S::LANES, expand: false }
                } else {
                    Place { at: operand.at.wrapping_add(first * operand.step), ..operand }
                }
            }
        }
    }
}

/// Makes vectors of the operands that have one float for each.
#[inline(always)]
unsafe fn expand<S: Simd>(p: &Piece<'_>, first: usize, vectors: usize) {
    // SAFETY: guaranteed by the caller
    unsafe {
        for (index, operand) in p.operands.iter().filter(|o| o.expand).enumerate() {
            let to = register::<S>(p, 1 + p.code.registers + index);
            for vector in 0..vectors {
                S::store(to.add(vector * S::LANES), S::splat(*operand.at.add((first + vector) * operand.step)));
            }
        }
    }
}

/// Applies the mask, and moves the results to where they belong.
#[inline(always)]
unsafe fn finish<S: Simd>(p: &Piece<'_>, result: *mut f32, out: *mut f32, vectors: usize) {
    // SAFETY: guaranteed by the caller
    unsafe {
        if !p.mask.is_null() {
            let mask = S::load(p.mask);
            for at in (0..vectors).map(|vector| vector * S::LANES) {
                S::store(result.add(at), S::and(S::load(result.add(at)), mask));
            }
        }
        if p.stream {
            for at in (0..vectors).map(|vector| vector * S::LANES) {
                S::stream(out.add(at), S::load(result.add(at)));
            }
        }
    }
}

/// Stores a function of the first sources, vector by vector. A macro and not a function of a closure, which would not always be
/// inlined and would then lose the instruction set.
macro_rules! each {
    ($s:ident, |$($x:ident),+| $value:expr) => {{
        let [$($x,)+ ..] = $s.sources;
        for vector in 0..$s.vectors {
            $(let $x = S::load($x.at.add(vector * $x.step));)+
            S::store($s.out.add(vector * S::LANES), $value);
        }
    }};
}

/// The same for functions that take less time than the loop around them: several vectors at a time.
macro_rules! quick {
    ($s:ident, |$($x:ident),+| $value:expr) => {{
        const AT_A_TIME: usize = 4;
        let [$($x,)+ ..] = $s.sources;
        let (vectors, out) = ($s.vectors, $s.out);
        let mut first = 0;
        while first + AT_A_TIME <= vectors {
            let mut values = [S::zero(); AT_A_TIME];
            for vector in 0..AT_A_TIME {
                $(let $x = S::load($x.at.add((first + vector) * $x.step));)+
                values[vector] = $value;
            }
            for vector in 0..AT_A_TIME {
                S::store(out.add((first + vector) * S::LANES), values[vector]);
            }
            first += AT_A_TIME;
        }
        for vector in first..vectors {
            $(let $x = S::load($x.at.add(vector * $x.step));)+
            S::store(out.add(vector * S::LANES), $value);
        }
    }};
}

#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "iterators are not always inlined")]
unsafe fn execute<S: Simd>(action: Action, s: &Strip) {
    // SAFETY: guaranteed by the caller
    unsafe {
        match action {
            Action::Copy => quick!(s, |x| x),
            Action::Unary(op) => unary::<S>(op, s),
            Action::Binary(op) => binary::<S>(op, s),
            Action::Clamp => quick!(s, |x, min, max| S::min(max, S::max(min, x))),
            Action::Select(test) => choose::<S>(test, s),
            Action::Relu => quick!(s, |x| S::relu(x)),
            Action::TanhSoftplus => each!(s, |x| math::tanh_softplus::<S>(x)),
            Action::MulAddRelu => quick!(s, |a, b, c| S::relu(S::add(S::mul(a, b), c))),
            Action::Pair(first, second) => pair::<S>(first, second, s),
            Action::SigmoidTimes => each!(s, |a, b| S::mul(math::sigmoid::<S>(a), b)),
            Action::TanhSoftplusTimes => each!(s, |a, b| S::mul(math::tanh_softplus::<S>(a), b)),
            Action::ErfGate => each!(s, |a, b, c, d| S::mul(S::add(a, math::erf::<S>(S::mul(b, c))), d)),
        }
    }
}

#[inline(always)]
unsafe fn unary<S: Simd>(op: Unary, s: &Strip) {
    // SAFETY: guaranteed by the caller
    unsafe {
        match op {
            Unary::Neg => each!(s, |x| S::neg(x)),
            Unary::Abs => each!(s, |x| S::abs(x)),
            Unary::Square => each!(s, |x| S::mul(x, x)),
            Unary::Sqrt => each!(s, |x| S::sqrt(x)),
            Unary::Exp => each!(s, |x| math::exp::<S>(x)),
            Unary::Expm1 => each!(s, |x| math::expm1::<S>(x)),
            Unary::Log => each!(s, |x| math::log::<S>(x)),
            Unary::Log1p => each!(s, |x| math::log1p::<S>(x)),
            Unary::Tanh => each!(s, |x| math::tanh::<S>(x)),
            Unary::Sigmoid => each!(s, |x| math::sigmoid::<S>(x)),
            Unary::Erf => each!(s, |x| math::erf::<S>(x)),
            Unary::Softplus => each!(s, |x| math::softplus::<S>(x)),
            Unary::Floor => each!(s, |x| S::floor(x)),
        }
    }
}

#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "iterators are not always inlined")]
unsafe fn binary<S: Simd>(op: Binary, s: &Strip) {
    // SAFETY: guaranteed by the caller
    unsafe {
        match op {
            Binary::Add => quick!(s, |a, b| S::add(a, b)),
            Binary::Sub => quick!(s, |a, b| S::sub(a, b)),
            Binary::Mul => quick!(s, |a, b| S::mul(a, b)),
            Binary::Div => each!(s, |a, b| S::div(a, b)),
            // the second operand is the result if either is NaN
            Binary::Min => each!(s, |a, b| S::select(S::equals(a, a), S::min(a, b), a)),
            Binary::Max => each!(s, |a, b| S::select(S::equals(a, a), S::max(a, b), a)),
        }
    }
}

#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "iterators are not always inlined")]
unsafe fn pair<S: Simd>(first: First, second: Second, s: &Strip) {
    /// Each second operation after a first one.
    macro_rules! then {
        ($first:ident) => {
            match second {
                Second::Add => quick!(s, |a, b, c| S::add(S::$first(a, b), c)),
                Second::Sub => quick!(s, |a, b, c| S::sub(S::$first(a, b), c)),
                Second::Mul => quick!(s, |a, b, c| S::mul(S::$first(a, b), c)),
                Second::Div => quick!(s, |a, b, c| S::div(S::$first(a, b), c)),
                Second::Clamp => quick!(s, |a, b, min, max| S::min(max, S::max(min, S::$first(a, b)))),
                Second::Relu => quick!(s, |a, b| S::relu(S::$first(a, b))),
            }
        };
    }
    // SAFETY: guaranteed by the caller
    unsafe {
        match first {
            First::Add => then!(add),
            First::Sub => then!(sub),
            First::Mul => then!(mul),
        }
    }
}

#[inline(always)]
unsafe fn choose<S: Simd>(test: Comparison, s: &Strip) {
    // SAFETY: guaranteed by the caller
    unsafe {
        match test {
            Comparison::Less => each!(s, |a, b, yes, no| S::select(S::less(a, b), yes, no)),
            Comparison::LessEqual => each!(s, |a, b, yes, no| S::select(S::less_equal(a, b), yes, no)),
            Comparison::Greater => each!(s, |a, b, yes, no| S::select(S::less(b, a), yes, no)),
            Comparison::GreaterEqual => each!(s, |a, b, yes, no| S::select(S::less_equal(b, a), yes, no)),
            Comparison::Equal => each!(s, |a, b, yes, no| S::select(S::equals(a, b), yes, no)),
            Comparison::NotEqual => each!(s, |a, b, yes, no| S::select(S::equals(a, b), no, yes)),
        }
    }
}
