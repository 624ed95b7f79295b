//! Runs code on strips of vectors.

use super::super::aligned::LINE;
use super::code::{Action, Code, First, MAX_SOURCES, Second, Source, Target};
use super::math;
use crate::elementwise::{Binary, Comparison, Unary};
use crate::kernels::dispatch::Kernel;
use crate::kernels::simd::Simd;
use crate::kernels::simd::several::Several;

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
    /// Memory for registers, each of `strip` vectors: those of the code, and one for each operand to expand.
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
    sources: [Place; MAX_SOURCES],
    out: *mut f32,
    vectors: usize,
}

impl Kernel for Piece<'_> {
    type Operands = Self;

    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "iterators are not always inlined")]
    unsafe fn run<S: Simd>(p: &Self) {
        // SAFETY: guaranteed by the caller, for every access below
        unsafe {
            let mut first = 0;
            while first < p.vectors {
                let vectors = p.strip.min(p.vectors - first);
                let out = p.out.add(first * S::LANES);
                if p.stream {
                    prefetch::<S>(p, first + vectors);
                }
                expand::<S>(p, first, vectors);
                for operation in &p.code.operations {
                    let mut sources = [Place { at: std::ptr::null(), step: 0, expand: false }; MAX_SOURCES];
                    // not `map`, which is not inlined
                    for index in 0..MAX_SOURCES {
                        sources[index] = place::<S>(p, operation.sources[index], first);
                    }
                    let strip = Strip {
                        sources,
                        out: match operation.target {
                            Target::Register(index) => register::<S>(p, usize::from(index)),
                            Target::Result => out,
                        },
                        vectors,
                    };
                    if p.stream && matches!(operation.target, Target::Result) {
                        execute::<S, true>(operation.action, &strip);
                    } else {
                        execute::<S, false>(operation.action, &strip);
                    }
                }
                finish::<S>(p, out, vectors);
                first += vectors;
            }
            if p.stream {
                S::finish_streams();
            }
        }
    }
}

/// Prefetches the next strip while this one is computed: a processor that is busy with a strip does not look far enough ahead.
#[inline(always)]
unsafe fn prefetch<S: Simd>(p: &Piece<'_>, first: usize) {
    // SAFETY: guaranteed by the caller
    unsafe {
        for operand in p.operands.iter().filter(|operand| operand.step == S::LANES) {
            for at in (0..p.strip * S::LANES).step_by(LINE) {
                S::prefetch(operand.at.wrapping_add(first * S::LANES + at));
            }
        }
    }
}

/// The memory of a register.
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
            Source::Register(index) => Place { at: register::<S>(p, usize::from(index)), step: S::LANES, expand: false },
            Source::Operand(slot) => {
                let slot = usize::from(slot);
                let operand = p.operands[slot];
                if operand.expand {
                    let before = p.operands[..slot].iter().filter(|o| o.expand).count();
                    Place { at: register::<S>(p, p.code.registers + before), step: S::LANES, expand: false }
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
            let to = register::<S>(p, p.code.registers + index);
            for vector in 0..vectors {
                S::store(to.add(vector * S::LANES), S::splat(*operand.at.add((first + vector) * operand.step)));
            }
        }
    }
}

/// Limits the bits of the results.
#[inline(always)]
unsafe fn finish<S: Simd>(p: &Piece<'_>, out: *mut f32, vectors: usize) {
    // SAFETY: guaranteed by the caller
    unsafe {
        if !p.mask.is_null() {
            let mask = S::load(p.mask);
            for at in (0..vectors).map(|vector| vector * S::LANES) {
                S::store(out.add(at), S::and(S::load(out.add(at)), mask));
            }
        }
    }
}

/// Writes a vector of results, past the caches if `STREAM`.
#[inline(always)]
unsafe fn put<S: Simd, const STREAM: bool>(s: &Strip, vector: usize, value: S::V) {
    // SAFETY: guaranteed by the caller
    unsafe {
        let to = s.out.add(vector * S::LANES);
        if STREAM { S::stream(to, value) } else { S::store(to, value) }
    }
}

/// Stores a function of the first sources, vector by vector. A macro and not a function of a closure, which would not always be
/// inlined and would then lose the instruction set.
macro_rules! each {
    ($s:ident, |$($x:ident),+| $value:expr) => {{
        let [$($x,)+ ..] = $s.sources;
        for vector in 0..$s.vectors {
            $(let $x = S::load($x.at.add(vector * $x.step));)+
            put::<S, STREAM>($s, vector, $value);
        }
    }};
}

/// The same for functions that take less time than the loop around them: several vectors at a time.
macro_rules! quick {
    ($s:ident, |$($x:ident),+| $value:expr) => {{
        const AT_A_TIME: usize = 4;
        let [$($x,)+ ..] = $s.sources;
        let vectors = $s.vectors;
        let mut first = 0;
        while first + AT_A_TIME <= vectors {
            let mut values = [S::zero(); AT_A_TIME];
            for vector in 0..AT_A_TIME {
                $(let $x = S::load($x.at.add((first + vector) * $x.step));)+
                values[vector] = $value;
            }
            for vector in 0..AT_A_TIME {
                put::<S, STREAM>($s, first + vector, values[vector]);
            }
            first += AT_A_TIME;
        }
        for vector in first..vectors {
            $(let $x = S::load($x.at.add(vector * $x.step));)+
            put::<S, STREAM>($s, vector, $value);
        }
    }};
}

/// The same for functions that are chains of many operations: several vectors at a time, which do not wait for each other.
macro_rules! chains {
    ($s:ident, |$($x:ident),+| $function:path) => {{
        use $function as function;
        const AT_A_TIME: usize = 4;
        let [$($x,)+ ..] = $s.sources;
        let mut first = 0;
        while first + AT_A_TIME <= $s.vectors {
            $(
                let mut values = [S::zero(); AT_A_TIME];
                for vector in 0..AT_A_TIME {
                    values[vector] = S::load($x.at.add((first + vector) * $x.step));
                }
                let $x = values;
            )+
            let values = function::<Several<S, AT_A_TIME>>($($x),+);
            for vector in 0..AT_A_TIME {
                put::<S, STREAM>($s, first + vector, values[vector]);
            }
            first += AT_A_TIME;
        }
        for vector in first..$s.vectors {
            $(let $x = S::load($x.at.add(vector * $x.step));)+
            put::<S, STREAM>($s, vector, function::<S>($($x),+));
        }
    }};
}

#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "iterators are not always inlined")]
unsafe fn execute<S: Simd, const STREAM: bool>(action: Action, s: &Strip) {
    // SAFETY: guaranteed by the caller
    unsafe {
        match action {
            Action::Copy => quick!(s, |x| x),
            Action::Unary(op) => unary::<S, STREAM>(op, s),
            Action::Binary(op) => binary::<S, STREAM>(op, s),
            Action::Clamp => quick!(s, |x, min, max| S::min(max, S::max(min, x))),
            Action::Select(test) => choose::<S, STREAM>(test, s),
            Action::Relu => quick!(s, |x| S::relu(x)),
            Action::TanhSoftplus => chains!(s, |x| math::tanh_softplus),
            Action::MulAddRelu => quick!(s, |a, b, c| S::relu(S::add(S::mul(a, b), c))),
            Action::Pair(first, second) => pair::<S, STREAM>(first, second, s),
            Action::SigmoidTimes => chains!(s, |a, b| math::sigmoid_times),
            Action::TanhSoftplusTimes => chains!(s, |a, b| math::tanh_softplus_times),
            Action::ErfGate => chains!(s, |a, b, c, d| math::erf_gate),
            Action::ClampGate => chains!(s, |a, b, min, max, c, d| math::clamp_gate),
        }
    }
}

#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "iterators are not always inlined")]
unsafe fn unary<S: Simd, const STREAM: bool>(op: Unary, s: &Strip) {
    // SAFETY: guaranteed by the caller
    unsafe {
        match op {
            Unary::Neg => each!(s, |x| S::neg(x)),
            Unary::Abs => each!(s, |x| S::abs(x)),
            Unary::Square => each!(s, |x| S::mul(x, x)),
            Unary::Sqrt => each!(s, |x| S::sqrt(x)),
            Unary::Exp => chains!(s, |x| math::exp),
            Unary::Expm1 => chains!(s, |x| math::expm1),
            Unary::Log => chains!(s, |x| math::log),
            Unary::Log1p => chains!(s, |x| math::log1p),
            Unary::Tanh => chains!(s, |x| math::tanh),
            Unary::Sigmoid => chains!(s, |x| math::sigmoid),
            Unary::Erf => chains!(s, |x| math::erf),
            Unary::Softplus => chains!(s, |x| math::softplus),
            Unary::Floor => each!(s, |x| S::floor(x)),
            Unary::RoundBf16 => chains!(s, |x| math::round_bf16),
        }
    }
}

#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "iterators are not always inlined")]
unsafe fn binary<S: Simd, const STREAM: bool>(op: Binary, s: &Strip) {
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
unsafe fn pair<S: Simd, const STREAM: bool>(first: First, second: Second, s: &Strip) {
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
unsafe fn choose<S: Simd, const STREAM: bool>(test: Comparison, s: &Strip) {
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
