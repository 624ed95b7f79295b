//! Concatenations whose parts are computed in the result.

use crate::common::{Build, distance, noise};
use proptest::prelude::*;
use resnetc::internal::ir::{Checked, Op, Shape, Value};
use resnetc::internal::kernels::Isa;
use resnetc::internal::plan::{Kernel, Plan, PlanOptions};
use resnetc::internal::runtime::{Model, ParamStore, SessionOptions, interp};

/// Values that are computed from earlier ones, concatenated, used again, and returned, in any order.
fn random(seed: u64) -> (Checked, ParamStore, [usize; 3]) {
    let mut b = Build::new(seed);
    let side = b.rng.one_of(&[3, 4, 8]);
    let channels = b.rng.one_of(&[3, 16]);
    let input = b.input("input", Shape::fixed(&[channels, side, side]));
    let mut values = vec![input];
    for _ in 0..b.rng.range(4, 16) {
        let x = b.rng.one_of(&values);
        let y = match b.rng.range(0, 7) {
            0 | 1 => {
                let (filters, kernel) = (b.rng.one_of(&[5, 8, 16, 32, 48]), b.rng.one_of(&[1, 3]));
                b.conv(x, filters, kernel, 1, 1)
            }
            2 => b.relu(x),
            3 => {
                let n = b.norm(x);
                b.relu(n)
            }
            4 => b.plus(x, x),
            _ => {
                // often the last values, as in a dense block
                let count = b.rng.range(2, 4);
                let last = values.len() - 1;
                let operands: Vec<Value> =
                    (0..count).map(|i| if b.rng.flip() { values[last - i.min(last)] } else { b.rng.one_of(&values) }).collect();
                if operands.iter().map(|&v| b.sizes(v)[0]).sum::<usize>() > 400 {
                    continue;
                }
                b.push(Op::Concat, &operands)
            }
        };
        values.push(y);
    }
    let names = ["a", "b", "c", "d"];
    let last = values[values.len() - 1];
    let mut outputs = vec![("last", last)];
    for name in &names[..b.rng.range(0, 3)] {
        outputs.push((name, b.rng.one_of(&values)));
    }
    let (checked, params) = b.finish(&outputs);
    (checked, params, [channels, side, side])
}

fn available() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_available())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_concatenations_agree_with_the_oracle(seed in any::<u64>(), batch in 1usize..3, threads in 1usize..3) {
        let (checked, params, [c, h, w]) = random(seed >> 1);
        let x = noise(seed, &[batch, c, h, w]);
        let expected = interp::run(&checked.canonical(), &params, &[("input", x.view())]).unwrap();
        let model = Model::new(checked, params).unwrap();
        for isa in available() {
            let mut session = model.session_with(SessionOptions { threads, isa: Some(isa) }).unwrap();
            // the second run finds what the first one left in memory
            for _ in 0..2 {
                let found = session.run(&[("input", x.view())]).unwrap();
                for ((name, found), (_, expected)) in found.iter().zip(expected.iter()) {
                    let off = distance(found, expected);
                    prop_assert!(off < 1e-4, "{isa}, {name}: {off}\n{}", session.last_plan().unwrap());
                }
            }
        }
    }
}

/// A block of a DenseNet: `layers` layers, each of which appends 32 channels.
fn dense(layers: usize) -> Model {
    let mut b = Build::new(3);
    let input = b.input("input", Shape::fixed(&[3, 8, 8]));
    let mut x = b.conv(input, 64, 3, 1, 1);
    for _ in 0..layers {
        let y = b.norm(x);
        let y = b.relu(y);
        let y = b.conv(y, 32, 3, 1, 1);
        x = b.push(Op::Concat, &[x, y]);
    }
    let x = b.norm(x);
    let y = b.head(x, 10);
    let (checked, params) = b.finish(&[("output", y)]);
    Model::new(checked, params).unwrap()
}

fn plan(model: &Model, batch: usize, isa: Isa) -> Plan {
    model.plan(&PlanOptions::new(batch, 2, isa), [None; 2]).unwrap()
}

fn concats(plan: &Plan) -> usize {
    plan.steps.iter().filter(|step| matches!(step.kernel, Kernel::Concat { .. })).count()
}

#[test]
fn a_dense_block_grows_in_one_buffer() {
    for isa in Isa::ALL {
        let grown = plan(&dense(6), 1, isa);
        assert_eq!(concats(&grown), 0, "{isa}");
        // with several samples, the parts of each are apart
        let copied = plan(&dense(6), 3, isa);
        assert_eq!(concats(&copied), 6, "{isa}");
        assert!(3 * grown.scratch_at <= copied.scratch_at, "{isa}");
    }
}

/// What must be copied: channels that do not fill blocks, what is there twice, inputs and outputs of the network.
#[test]
fn parts_that_cannot_lie_in_the_result_are_copied() {
    let copied = |filters: usize, twice: bool, seen: bool| {
        let mut b = Build::new(3);
        let input = b.input("input", Shape::fixed(&[16, 8, 8]));
        let first = b.conv(input, filters, 3, 1, 1);
        let second = b.conv(input, 32, 3, 1, 1);
        let operands = if twice { [second, second] } else { [first, second] };
        let x = b.push(Op::Concat, &operands);
        let y = b.conv(x, 8, 3, 1, 1);
        let outputs = if seen { vec![("y", y), ("x", x)] } else { vec![("y", y)] };
        let (checked, params) = b.finish(&outputs);
        let plan = plan(&Model::new(checked, params).unwrap(), 1, Isa::Avx512);
        let parts = plan.steps.iter().map(|step| if let Kernel::Concat { parts, .. } = &step.kernel { parts.len() } else { 0 });
        parts.sum::<usize>()
    };
    assert_eq!(copied(32, false, false), 0);
    // the first part fills its last block with the second one's channels
    assert_eq!(copied(40, false, false), 2);
    assert_eq!(copied(32, true, false), 2);
    // blocked first, and then plain as outputs are
    assert_eq!(copied(32, false, true), 0);
}

/// A part that is read after a later step overwrites the result is copied: the sum must not see the ReLU.
#[test]
fn a_part_that_outlives_the_result_is_copied() {
    let mut b = Build::new(5);
    let x = b.input("input", Shape::fixed(&[16, 6, 6]));
    let part = b.conv(x, 32, 3, 1, 1);
    let other = b.conv(x, 32, 3, 1, 1);
    let whole = b.push(Op::Concat, &[part, other]);
    let bent = b.norm(whole);
    let y = b.conv(bent, 32, 3, 1, 1);
    let pooled = b.maxpool(y, 3, 1);
    let sum = b.plus(pooled, part);
    let (checked, params) = b.finish(&[("last", sum)]);
    let input = noise(5, &[1, 16, 6, 6]);
    let expected = interp::run(&checked.canonical(), &params, &[("input", input.view())]).unwrap();
    let model = Model::new(checked, params).unwrap();
    for isa in available() {
        let mut session = model.session_with(SessionOptions { threads: 1, isa: Some(isa) }).unwrap();
        let found = session.run(&[("input", input.view())]).unwrap();
        let off = distance(found.main(), expected.main());
        assert!(off < 1e-4, "{isa}: {off}\n{}", session.last_plan().unwrap());
    }
}

/// A part from long before the result would take the result's room all that time.
#[test]
fn memory_does_not_grow() {
    let arena = |skips: bool| {
        let mut b = Build::new(3);
        let input = b.input("input", Shape::fixed(&[3, 16, 16]));
        let skip = b.conv(input, 16, 3, 1, 1);
        let mut x = b.conv(skip, 256, 3, 1, 1);
        for _ in 0..3 {
            x = b.conv(x, 256, 3, 1, 1);
        }
        let up = b.conv(x, 112, 3, 1, 1);
        let x = if skips { b.push(Op::Concat, &[skip, up]) } else { up };
        let y = b.head(x, 3);
        let (checked, params) = b.finish(&[("y", y)]);
        let plan = plan(&Model::new(checked, params).unwrap(), 1, Isa::Portable);
        (plan.scratch_at, concats(&plan))
    };
    let ((with, concats), (without, _)) = (arena(true), arena(false));
    assert_eq!(with, without + 16 * 16 * 16 * 4);
    assert_eq!(concats, 1);
}
