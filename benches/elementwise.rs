//! Elementwise programs over a map of 256 MB, out of place, against `memcpy` of that map, both on two threads:
//! `cargo bench --bench elementwise`, with `RESNETC_ISA=avx2` for another instruction set.
//!
//! Prints the ratio of each round's times: its median, and the lower and upper quartile.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a benchmark")]

use std::time::Instant;

use resnetc::internal::elementwise::{Binary, Builder, Comparison, Program, Register, Unary};
use resnetc::internal::kernels::elementwise::{Code, Geometry, Operand, elementwise};
use resnetc::internal::kernels::{Aligned, Isa, Layout, ThreadPool};

const THREADS: usize = 2;
const SIZES: [usize; 4] = [1, 64, 1024, 1024];
const ROUNDS: usize = 15;

/// A program of one operand.
fn program(make: impl FnOnce(&mut Builder, Register) -> Register) -> Program {
    let mut builder = Builder::new(1);
    let x = builder.operand(0);
    let result = make(&mut builder, x);
    builder.finish(result).unwrap()
}

/// `x * relu6(x + 3) / 6`.
fn hardswish(b: &mut Builder, x: Register) -> Register {
    let (zero, three, six) = (b.constant(0.0), b.constant(3.0), b.constant(6.0));
    let sum = b.binary(Binary::Add, x, three);
    let upper = b.select(Comparison::GreaterEqual, sum, six, six, sum);
    let relu6 = b.select(Comparison::LessEqual, sum, zero, zero, upper);
    let product = b.binary(Binary::Mul, x, relu6);
    b.binary(Binary::Div, product, six)
}

/// `0.5 * x * (1 + erf(x / sqrt(2)))`.
fn gelu(b: &mut Builder, x: Register) -> Register {
    let (half, one, root) = (b.constant(0.5), b.constant(1.0), b.constant(std::f32::consts::FRAC_1_SQRT_2));
    let scaled = b.binary(Binary::Mul, x, root);
    let erf = b.unary(Unary::Erf, scaled);
    let sum = b.binary(Binary::Add, one, erf);
    let product = b.binary(Binary::Mul, half, x);
    b.binary(Binary::Mul, product, sum)
}

/// `x * tanh(softplus(x))`.
fn mish(b: &mut Builder, x: Register) -> Register {
    let softplus = b.unary(Unary::Softplus, x);
    let tanh = b.unary(Unary::Tanh, softplus);
    b.binary(Binary::Mul, x, tanh)
}

/// `x * sigmoid(x)`.
fn silu(b: &mut Builder, x: Register) -> Register {
    let sigmoid = b.unary(Unary::Sigmoid, x);
    b.binary(Binary::Mul, x, sigmoid)
}

fn main() {
    let isa = Isa::chosen().unwrap();
    let pool = ThreadPool::new(THREADS).unwrap();
    let len = SIZES.iter().product::<usize>();
    let (mut x, mut out) = (Aligned::zeroed(len).unwrap(), Aligned::zeroed(len).unwrap());
    x.iter_mut().enumerate().for_each(|(i, x)| *x = (i * 7919 % 20_011) as f32 / 1500.0 - 6.67);
    out.fill(1.0);
    println!("{isa}, {} MB, {THREADS} threads, time relative to memcpy", (len * size_of::<f32>()) >> 20);
    let programs: Vec<(&str, Program)> = vec![
        ("relu", Program::relu()),
        ("hardswish", program(hardswish)),
        ("silu", program(silu)),
        ("gelu", program(gelu)),
        ("mish", program(mish)),
        ("tanh", program(|b, x| b.unary(Unary::Tanh, x))),
        ("softplus", program(|b, x| b.unary(Unary::Softplus, x))),
        ("log", program(|b, x| b.unary(Unary::Log, x))),
    ];
    for (name, program) in programs {
        let code = Code::new(&program);
        let mut ratios = Vec::new();
        let mut copies = Vec::new();
        for _ in 0..ROUNDS {
            let start = Instant::now();
            pool.pieces(&mut out, len / THREADS, |index, out| out.copy_from_slice(&x[index * (len / THREADS)..][..out.len()]));
            let copy = start.elapsed().as_secs_f64();
            let start = Instant::now();
            elementwise(&pool, isa, &code, Geometry { layout: Layout::Nchw, sizes: SIZES }, &[Operand::Full(&x)], &mut out);
            ratios.push(start.elapsed().as_secs_f64() / copy);
            copies.push(copy);
        }
        ratios.sort_by(f64::total_cmp);
        copies.sort_by(f64::total_cmp);
        let [low, median, high] = [ROUNDS / 4, ROUNDS / 2, ROUNDS * 3 / 4].map(|at| ratios[at]);
        println!("{name:10} {median:.3} ({low:.3} to {high:.3}); memcpy {:.1} ms", 1e3 * copies[ROUNDS / 2]);
    }
}
