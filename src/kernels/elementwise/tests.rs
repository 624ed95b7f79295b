//! Programs against their values in f64, and against one rounded instruction at a time.

use super::*;
use crate::elementwise::{Binary, Builder, Comparison, Instruction, Program, Unary};
use crate::kernels::Aligned;
use crate::kernels::reference::{Numbers, blocked, plain, ulps};

const SPECIAL: [f32; 26] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    3.0,
    -3.0,
    6.0,
    2.5,
    -2.5,
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::MAX,
    f32::MIN,
    f32::MIN_POSITIVE,
    -f32::MIN_POSITIVE,
    1e-45,
    -1e-45,
    1e-40,
    -1e-40,
    89.0,
    -89.0,
    -104.0,
    1e-20,
    -0.3,
];

fn available() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_available())
}

fn plain_sizes(len: usize) -> Geometry {
    Geometry { layout: Layout::Nchw, sizes: [1, len, 1, 1] }
}

/// A value of an instruction, rounded to f32 from f64.
fn step(instruction: Instruction, of: impl Fn(u8) -> f32, operands: &[f32]) -> f32 {
    let wide = |register: u8| f64::from(of(register));
    match instruction {
        Instruction::Operand(slot) => operands[usize::from(slot)],
        Instruction::Constant(x) => x,
        Instruction::Unary(op, x) => op.of(wide(x)) as f32,
        Instruction::Binary(op, a, b) => op.of(wide(a), wide(b)) as f32,
        Instruction::Clamp { x, min, max } => {
            let x = of(x);
            if x < min {
                min
            } else if x > max {
                max
            } else {
                x
            }
        }
        Instruction::Select { test, left, right, then, otherwise } => {
            of(if test.holds(wide(left), wide(right)) { then } else { otherwise })
        }
    }
}

/// The program's value if each instruction is rounded.
fn rounded(program: &Program, operands: &[f32]) -> f32 {
    let mut values: Vec<f32> = Vec::new();
    for &instruction in program.instructions() {
        let value = step(instruction, |register| values[usize::from(register)], operands);
        values.push(value);
    }
    values[values.len() - 1]
}

/// Whether two floats are the same; zeros may differ in their sign, which a maximum does not define.
fn same(a: f32, b: f32) -> bool {
    a == b || a.is_nan() && b.is_nan()
}

/// Runs a program on full operands, plain.
fn run(isa: Isa, threads: usize, program: &Program, operands: &[Vec<f32>]) -> Vec<f32> {
    let pool = ThreadPool::new(threads).unwrap();
    let views: Vec<Operand<'_>> = operands.iter().map(|operand| Operand::Full(operand)).collect();
    let mut out = vec![7.0; operands[0].len()];
    elementwise(&pool, isa, &Code::new(program), plain_sizes(out.len()), &views, &mut out);
    out
}

/// The largest error of an instruction, in units in the last place.
fn bound(program: &Program) -> f64 {
    match program.instructions().last() {
        Some(Instruction::Unary(Unary::Exp | Unary::Log, _)) => 1.0,
        Some(Instruction::Unary(
            Unary::Expm1 | Unary::Log1p | Unary::Tanh | Unary::Sigmoid | Unary::Erf | Unary::Softplus,
            _,
        )) => 2.0,
        Some(Instruction::Unary(Unary::Neg | Unary::Abs | Unary::Floor | Unary::RoundBf16, _))
        | Some(Instruction::Clamp { .. } | Instruction::Select { .. }) => 0.0,
        _ => 0.5,
    }
}

/// A program of each instruction, with its operands.
fn instructions() -> Vec<Program> {
    let select = |test| {
        vec![
            Instruction::Operand(0),
            Instruction::Operand(1),
            Instruction::Operand(2),
            Instruction::Constant(-1.5),
            Instruction::Select { test, left: 0, right: 1, then: 2, otherwise: 3 },
        ]
    };
    let clamp = |min, max| vec![Instruction::Operand(0), Instruction::Clamp { x: 0, min, max }];
    let binary = |op| vec![Instruction::Operand(0), Instruction::Operand(1), Instruction::Binary(op, 0, 1)];
    let mut all: Vec<Vec<Instruction>> = Vec::new();
    all.extend(Unary::ALL.map(|op| vec![Instruction::Operand(0), Instruction::Unary(op, 0)]));
    all.extend(Binary::ALL.map(binary));
    all.extend(Comparison::ALL.map(select));
    all.extend([clamp(0.0, 6.0), clamp(f32::NEG_INFINITY, 1.0), clamp(-0.3, f32::INFINITY), clamp(2.5, 2.5)]);
    all.into_iter().map(|instructions| Program::new(3, instructions).unwrap()).collect()
}

#[test]
fn each_instruction_agrees_with_f64() {
    // all pairs of special values, and as many others; the length is no multiple of any vector's
    let pairs: Vec<[f32; 2]> = SPECIAL.iter().flat_map(|&a| SPECIAL.map(|b| [a, b])).collect();
    let mut operands: Vec<Vec<f32>> = [0, 1].map(|side| pairs.iter().map(|pair| pair[side]).collect()).to_vec();
    let mut n = Numbers::new(1);
    for operand in &mut operands {
        operand.extend(n.take(pairs.len() + 7).iter().map(|x| x * 20.0));
    }
    operands.push(n.take(operands[0].len()));
    for program in instructions() {
        for isa in available() {
            let found = run(isa, 1, &program, &operands);
            for (at, &found) in found.iter().enumerate() {
                let values: Vec<f64> = operands.iter().map(|operand| f64::from(operand[at])).collect();
                let error = ulps(found, program.evaluate(&values));
                assert!(error <= bound(&program), "{program:?} with {isa} of {values:?}: {found:e}, {error} ulp");
            }
        }
    }
}

/// A random program of instructions that are rounded correctly, so that its value is known bit by bit.
fn random(n: &mut Numbers, operands: usize, count: usize) -> Program {
    let mut list: Vec<Instruction> = (0..operands).map(|slot| Instruction::Operand(slot as u8)).collect();
    list.push(Instruction::Constant(0.0));
    while list.len() < count {
        // mostly recent results, so that programs are deep
        let len = list.len();
        let mut register = || (if n.below(3) > 0 { len - 1 - n.below(len.min(6)) } else { n.below(len) }) as u8;
        let [a, b, c, d] = [register(), register(), register(), register()];
        list.push(match n.below(8) {
            0 => Instruction::Constant(n.take(1)[0] * 4.0),
            1 => {
                let ops = [Unary::Neg, Unary::Abs, Unary::Square, Unary::Floor, Unary::Sqrt, Unary::RoundBf16];
                Instruction::Unary(ops[n.below(6)], a)
            }
            2 => Instruction::Clamp { x: a, min: -2.0, max: 3.5 },
            3 => Instruction::Select { test: Comparison::ALL[n.below(6)], left: a, right: b, then: c, otherwise: d },
            // a ReLU, of a sum perhaps
            4 => Instruction::Select {
                test: Comparison::LessEqual,
                left: a,
                right: operands as u8,
                then: operands as u8,
                otherwise: a,
            },
            _ => Instruction::Binary(Binary::ALL[n.below(6)], a, b),
        });
    }
    Program::new(operands, list).unwrap()
}

#[test]
fn programs_equal_their_instructions_one_by_one() {
    let mut n = Numbers::new(2);
    for round in 0..300 {
        let operands = 1 + n.below(4);
        let count = operands + 1 + n.below(if round % 10 == 0 { 250 } else { 20 });
        let program = random(&mut n, operands, count);
        let len = 1 + n.below(150);
        let values: Vec<Vec<f32>> = (0..operands).map(|_| n.take(len).iter().map(|x| x * 4.0).collect()).collect();
        for isa in available() {
            for (at, &found) in run(isa, 1, &program, &values).iter().enumerate() {
                let expected = rounded(&program, &values.iter().map(|operand| operand[at]).collect::<Vec<f32>>());
                assert!(same(found, expected), "round {round} with {isa} at {at}: {found} instead of {expected}\n{program:?}");
            }
        }
    }
}

#[test]
fn a_product_and_a_sum_are_rounded_twice() {
    let program = Builder::new(3);
    let mut b = program;
    let (x, y, z) = (b.operand(0), b.operand(1), b.operand(2));
    let product = b.binary(Binary::Mul, x, y);
    let sum = b.binary(Binary::Sub, product, z);
    let program = b.finish(sum).unwrap();
    // a fused multiply-add would find the rounding error of the square
    let x = vec![1.000_000_1f32; 33];
    let square = x[0] * x[0];
    for isa in available() {
        assert!(run(isa, 1, &gate_relu(), &[x.clone(), x.clone(), vec![-square; 33]]).iter().all(|&v| v == 0.0));
        assert!(run(isa, 1, &program, &[x.clone(), x.clone(), vec![square; 33]]).iter().all(|&v| v == 0.0));
    }
}

#[test]
fn many_operands_and_many_live_registers_fit() {
    let mut n = Numbers::new(3);
    let sum = Program::sum(MAX_OPERANDS);
    let values: Vec<Vec<f32>> = (0..MAX_OPERANDS).map(|_| n.take(700)).collect();
    // all squares before the first sum
    let mut list: Vec<Instruction> = (0..60).map(Instruction::Operand).collect();
    list.extend((0..60).map(|x| Instruction::Unary(Unary::Square, x)));
    list.push(Instruction::Binary(Binary::Add, 60, 61));
    list.extend((62..120).map(|x| Instruction::Binary(Binary::Add, x + 58, x)));
    let squares = Program::new(60, list).unwrap();
    assert!(Code::new(&squares).registers >= 58, "{}", Code::new(&squares).registers);
    for program in [sum, squares] {
        let values = &values[..program.operands()];
        for isa in available() {
            for (at, &found) in run(isa, 2, &program, values).iter().enumerate() {
                let of = values.iter().map(|operand| operand[at]).collect::<Vec<f32>>();
                assert_eq!(found, rounded(&program, &of), "{isa}");
            }
        }
    }
}

/// The kinds of operands, and the sizes of their values.
const KINDS: usize = 7;

fn shape_of(kind: usize, [n, c, h, w]: [usize; 4]) -> [usize; 4] {
    [[n, c, h, w], [n, c, h, w], [n, c, 1, 1], [n, 1, h, w], [n, 1, 1, 1], [1, c, 1, 1], [1, 1, 1, 1]][kind]
}

fn operand(kind: usize, values: &[f32]) -> Operand<'_> {
    match kind {
        0 => Operand::InPlace,
        1 => Operand::Full(values),
        2 => Operand::Channel(values),
        3 => Operand::Pixel(values),
        4 => Operand::Sample(values),
        5 => Operand::Parameter(values),
        _ => Operand::Shared(values),
    }
}

/// Operands with different weights, so that no two can be confused.
fn weighted(operands: usize) -> Program {
    let mut b = Builder::new(operands);
    let mut sum = b.operand(0);
    for slot in 1..operands {
        let (x, weight) = (b.operand(slot), b.constant(slot as f32 + 0.5));
        let product = b.binary(Binary::Mul, x, weight);
        sum = b.binary(Binary::Sub, sum, product);
    }
    b.finish(sum).unwrap()
}

#[test]
fn every_broadcast_in_every_layout() {
    let mut n = Numbers::new(4);
    let pools: Vec<ThreadPool> = (1..=3).map(|threads| ThreadPool::new(threads).unwrap()).collect();
    for round in 0..400 {
        let side = [1, 3, 12, 40][n.below(4)];
        let sizes @ [_, c, h, w] = [1 + n.below(3), 1 + n.below(40), 1 + n.below(side), 1 + n.below(side)];
        let count = 1 + n.below(6);
        let mut kinds: Vec<usize> = (0..count).map(|_| n.below(KINDS)).collect();
        // the output holds one of them at most
        let in_place = kinds.iter().rposition(|&kind| kind == 0);
        kinds.iter_mut().enumerate().for_each(|(slot, kind)| {
            if Some(slot) != in_place {
                *kind = (*kind).max(1)
            }
        });
        let program = weighted(count);
        let code = Code::new(&program);
        let values: Vec<Vec<f32>> = kinds.iter().map(|&kind| n.take(shape_of(kind, sizes).iter().product())).collect();
        let at = |slot: usize, i: usize| {
            let (pixel, map) = (i % (h * w), i / (h * w));
            let [_, cs, hs, ws] = shape_of(kinds[slot], sizes);
            let (sample, channel) = (if kinds[slot] < 5 { map / c } else { 0 }, if cs > 1 { map % c } else { 0 });
            values[slot][(sample * cs + channel) * hs * ws + if hs * ws > 1 { pixel } else { 0 }]
        };
        let len = sizes.iter().product();
        let expected: Vec<f32> =
            (0..len).map(|i| rounded(&program, &(0..count).map(|slot| at(slot, i)).collect::<Vec<f32>>())).collect();
        for isa in available() {
            let lanes = isa.lanes();
            let layouts = if lanes > 1 { vec![Layout::Nchw, Layout::Blocked { lanes }] } else { vec![Layout::Nchw] };
            for layout in layouts {
                // pixels and samples may be in either layout
                let also_blocked = n.below(2) == 0;
                let stored: Vec<Vec<f32>> = kinds
                    .iter()
                    .zip(&values)
                    .map(|(&kind, values)| match layout {
                        Layout::Blocked { lanes } if kind < 3 || kind < 5 && also_blocked => {
                            blocked(values, shape_of(kind, sizes), lanes)
                        }
                        _ => values.clone(),
                    })
                    .collect();
                let operands: Vec<Operand<'_>> = kinds.iter().zip(&stored).map(|(&kind, v)| operand(kind, v)).collect();
                for pool in &pools {
                    let mut out = match in_place {
                        Some(slot) => stored[slot].clone(),
                        None => vec![f32::NAN; layout.len(sizes).unwrap()],
                    };
                    elementwise(pool, isa, &code, Geometry { layout, sizes }, &operands, &mut out);
                    let found = if layout == Layout::Nchw { out.clone() } else { plain(&out, sizes, lanes) };
                    assert_eq!(found, expected, "round {round} {isa} {layout:?} {sizes:?} {kinds:?} {}", pool.threads());
                    // what is left of the blocks is zero
                    let zeros = out.iter().filter(|v| **v == 0.0).count();
                    assert!(zeros >= out.len() - len, "{isa} {sizes:?}");
                }
            }
        }
    }
}

#[test]
fn filler_of_blocks_becomes_zero() {
    let mut b = Builder::new(1);
    let (x, one) = (b.operand(0), b.constant(1.0));
    let quotient = b.binary(Binary::Div, one, x);
    let code = Code::new(&b.finish(quotient).unwrap());
    let pool = ThreadPool::new(2).unwrap();
    for isa in available().filter(|isa| isa.lanes() > 1) {
        let lanes = isa.lanes();
        let (layout, sizes) = (Layout::Blocked { lanes }, [2, 3, 5, 5]);
        let x: Vec<f32> = (0..2 * 25 * lanes).map(|i| if i % lanes < 3 { 4.0 } else { 0.0 }).collect();
        let mut out = vec![f32::NAN; x.len()];
        elementwise(&pool, isa, &code, Geometry { layout, sizes }, &[Operand::Full(&x)], &mut out);
        let expected: Vec<f32> = x.iter().map(|x| x / 16.0).collect();
        assert_eq!(out, expected);
        // and in an epilogue
        let mut strip = x[..7 * lanes].to_vec();
        apply(isa, &code, 3, &mut strip);
        assert_eq!(strip, expected[..7 * lanes]);
    }
}

#[test]
fn strips_of_any_length_are_computed_in_place() {
    let mut n = Numbers::new(5);
    let program = hardswish();
    let code = Code::new(&program);
    for isa in available() {
        for len in (0..70).chain([511, 512, 513, 5000]) {
            let x: Vec<f32> = n.take(len).iter().map(|x| x * 5.0).collect();
            let mut strip = x.clone();
            apply(isa, &code, usize::MAX, &mut strip);
            assert!(strip.iter().zip(&x).all(|(&found, &x)| same(found, rounded(&program, &[x]))), "{isa} {len}");
        }
    }
}

#[test]
fn results_written_past_the_caches_are_the_same() {
    let mut n = Numbers::new(6);
    let program = random(&mut n, 2, 12);
    let code = Code::new(&program);
    for isa in available().filter(|isa| isa.lanes() > 1) {
        let len = 2000 / isa.lanes() * isa.lanes();
        let x = [n.take(len), n.take(len)];
        let mut out = Aligned::zeroed(len).unwrap();
        let runner = Runner::new(isa, &code);
        let mut memory = Memory::new();
        for (slot, x) in x.iter().enumerate() {
            memory.put(slot, run::Place { at: x.as_ptr(), step: isa.lanes(), expand: false });
        }
        // SAFETY: all slices hold the vectors, and the output begins at a cache line
        unsafe { runner.run(&mut memory, len / isa.lanes(), None, true, out.as_mut_ptr()) };
        assert!((0..len).all(|at| same(out[at], rounded(&program, &[x[0][at], x[1][at]]))), "{isa}");
    }
}

#[test]
fn steps_are_joined_where_they_can_be() {
    use code::{Action, First, Second};
    let actions = |program: &Program| Code::new(program).operations.iter().map(|o| o.action).collect::<Vec<_>>();
    let unary = |op| Program::new(1, vec![Instruction::Operand(0), Instruction::Unary(op, 0)]).unwrap();
    assert_eq!(actions(&Program::relu()), [Action::Relu]);
    assert_eq!(actions(&Program::identity()), [Action::Copy]);
    let sum_relu = Program::relu().compose(0, &Program::sum(3)).unwrap();
    assert_eq!(actions(&sum_relu), [Action::Pair(First::Add, Second::Add), Action::Relu]);
    assert_eq!(actions(&gate_relu()), [Action::MulAddRelu]);
    let sum_clamp = Program::clamp(0.0, 6.0).compose(0, &Program::sum(2)).unwrap();
    assert_eq!(actions(&sum_clamp), [Action::Pair(First::Add, Second::Clamp)]);
    let mish = unary(Unary::Tanh).compose(0, &unary(Unary::Softplus)).unwrap();
    assert_eq!(actions(&mish), [Action::TanhSoftplus]);
    assert_eq!(actions(&gated(&mish)), [Action::TanhSoftplusTimes]);
    assert_eq!(actions(&gated(&Program::sigmoid())), [Action::SigmoidTimes]);
    assert_eq!(actions(&hardswish()), [Action::ClampGate]);
    assert_eq!(actions(&gelu()), [Action::ErfGate]);
    // a register is used again when nothing reads it any more
    assert_eq!(Code::new(&weighted(20)).registers, 3);
}

#[test]
fn functions_that_limit_their_operand_are_found() {
    let mut b = Builder::new(1);
    let (x, zero, six) = (b.operand(0), b.constant(0.0), b.constant(6.0));
    let upper = b.select(Comparison::GreaterEqual, x, six, six, x);
    let relu6 = b.select(Comparison::LessEqual, x, zero, zero, upper);
    assert_eq!(Code::new(&b.finish(relu6).unwrap()).as_clamp(), Some([0.0, 6.0]));
    assert_eq!(Code::new(&Program::clamp(-1.0, f32::INFINITY)).as_clamp(), Some([-1.0, f32::INFINITY]));
    let of_a_sum = Program::clamp(0.0, 6.0).compose(0, &Program::sum(2)).unwrap();
    for other in [Program::relu(), Program::sigmoid(), hardswish(), of_a_sum] {
        assert_eq!(Code::new(&other).as_clamp(), None);
    }
}

/// `relu(x * y + z)`.
fn gate_relu() -> Program {
    let mut b = Builder::new(3);
    let (x, y, z) = (b.operand(0), b.operand(1), b.operand(2));
    let product = b.binary(Binary::Mul, x, y);
    let sum = b.binary(Binary::Add, z, product);
    Program::relu().compose(0, &b.finish(sum).unwrap()).unwrap()
}

/// `x * f(x)`.
fn gated(f: &Program) -> Program {
    let mut b = Builder::new(1);
    let x = b.operand(0);
    let value = b.inline(f, &[x]);
    let product = b.binary(Binary::Mul, x, value);
    b.finish(product).unwrap()
}

/// `x * relu6(x + 3) / 6`.
fn hardswish() -> Program {
    let mut b = Builder::new(1);
    let (x, zero, three, six) = (b.operand(0), b.constant(0.0), b.constant(3.0), b.constant(6.0));
    let sum = b.binary(Binary::Add, x, three);
    let upper = b.select(Comparison::GreaterEqual, sum, six, six, sum);
    let relu6 = b.select(Comparison::LessEqual, sum, zero, zero, upper);
    let product = b.binary(Binary::Mul, x, relu6);
    let quotient = b.binary(Binary::Div, product, six);
    b.finish(quotient).unwrap()
}

/// `0.5 * x * (1 + erf(x / sqrt(2)))`.
fn gelu() -> Program {
    let mut b = Builder::new(1);
    let (x, half, one, root) = (b.operand(0), b.constant(0.5), b.constant(1.0), b.constant(std::f32::consts::FRAC_1_SQRT_2));
    let scaled = b.binary(Binary::Mul, x, root);
    let erf = b.unary(Unary::Erf, scaled);
    let sum = b.binary(Binary::Add, one, erf);
    let product = b.binary(Binary::Mul, half, x);
    let result = b.binary(Binary::Mul, product, sum);
    b.finish(result).unwrap()
}

#[test]
fn joined_steps_equal_separate_ones() {
    let mut n = Numbers::new(7);
    let x: Vec<f32> = n.take(5000).iter().map(|x| x * 8.0).chain(SPECIAL).collect();
    for isa in available() {
        let found = run(isa, 1, &hardswish(), std::slice::from_ref(&x));
        assert!(found.iter().zip(&x).all(|(&found, &x)| same(found, rounded(&hardswish(), &[x]))), "{isa}");
    }
}

#[test]
fn gelu_is_within_the_error_of_its_gate() {
    let mut n = Numbers::new(8);
    let x: Vec<f32> = n.take(50_000).iter().map(|x| x * 9.0).chain(SPECIAL).collect();
    for isa in available() {
        for (&x, found) in x.iter().zip(run(isa, 1, &gelu(), std::slice::from_ref(&x))) {
            let half = 0.5 * f64::from(x);
            let exact = half * (1.0 + Unary::Erf.of(f64::from(x * std::f32::consts::FRAC_1_SQRT_2)));
            let error = (f64::from(found) - exact).abs();
            // the gate's, and that of two products
            let most = half.abs() * 1.4e-7 + 2e-7 * exact.abs() + f64::from(f32::MIN_POSITIVE);
            assert!(error <= most || same(found, exact as f32), "{isa}: gelu({x:e}) = {found:e} instead of {exact:e}");
        }
    }
}
