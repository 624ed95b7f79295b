//! Many runs: no growth of memory, and the same bits to the end.

use crate::common::{Build, noise, resnet};
use resnetc::internal::driver::Frontend;
use resnetc::internal::ir::Shape;
use resnetc::internal::runtime::{Model, SessionOptions};

/// Pages in memory, in KiB; `None` where the system does not tell.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find(|l| l.starts_with("VmRSS:"))?.split_whitespace().nth(1)?.parse().ok()
}

/// KiB in memory after a tenth of the runs, and after all.
fn soak(model: &Model, size: usize, runs: usize) -> Option<[u64; 2]> {
    let mut session = model.session_with(SessionOptions { threads: 2, ..SessionOptions::default() }).unwrap();
    let x = noise(1, &[1, 3, size, size]);
    let bits = |session: &mut resnetc::internal::runtime::Session| -> Vec<u32> {
        session.run(&[("input", x.view())]).unwrap().main().iter().map(|v| v.to_bits()).collect()
    };
    let expected = bits(&mut session);
    let mut before = None;
    for run in 1..runs {
        assert_eq!(bits(&mut session), expected, "run {run}");
        if run == runs / 10 {
            before = resident();
        }
    }
    let [before, after] = [before?, resident()?];
    assert!(after <= before + 2048, "{before} KiB after a tenth of the runs, {after} KiB after all");
    Some([before, after])
}

#[test]
fn ten_thousand_runs_take_no_more_memory() {
    // small, for many runs; the vector that each yields is not, so that a single one kept by each would show
    let mut b = Build::new(1);
    let x = b.input("input", Shape::fixed(&[3, 16, 16]));
    let x = b.conv(x, 16, 3, 1, 1);
    let x = b.block(x, 16, 1, false, 1);
    let x = b.block(x, 32, 2, false, 1);
    let y = b.head(x, 1000);
    let (checked, params) = b.finish(&[("output", y)]);
    soak(&Model::new(checked, params).unwrap(), 16, 10_000);
}

#[test]
#[allow(clippy::print_stdout, reason = "a measurement")]
#[ignore = "two minutes: cargo test --release --test runtime soak:: -- --ignored --nocapture"]
fn ten_thousand_runs_of_resnet18() {
    let options = resnetc::internal::driver::CompileOptions {
        network: Some("resnet18".into()),
        weights: resnetc::internal::driver::Weights::Init(1),
        ..resnetc::internal::driver::CompileOptions::default()
    };
    let found = soak(&Frontend::open("models/resnet.resnet".as_ref()).unwrap().model(&options).unwrap(), 224, 10_000);
    println!("KiB in memory after a tenth of the runs, and after all: {found:?}");
}

/// Three batches in turn, in two sessions of one model on two threads at once: each run gives the bits that it gives alone.
#[test]
fn sessions_side_by_side_and_batches_in_turn_give_the_same_bits() {
    let (checked, params) = resnet([1, 1, 1, 1], false, 32);
    let model = Model::new(checked, params).unwrap();
    let inputs: Vec<_> = [1, 3, 2].into_iter().map(|batch| noise(batch as u64, &[batch, 3, 32, 32])).collect();
    let options = SessionOptions { threads: 2, ..SessionOptions::default() };
    let alone: Vec<_> = inputs
        .iter()
        .map(|x| model.session_with(options).unwrap().run(&[("input", x.view())]).unwrap().main().to_owned())
        .collect();
    std::thread::scope(|scope| {
        for first in 0..2 {
            let (model, inputs, alone) = (&model, &inputs, &alone);
            scope.spawn(move || {
                let mut session = model.session_with(options).unwrap();
                for run in first..first + 300 {
                    let (x, expected) = (&inputs[run % 3], &alone[run % 3]);
                    let outputs = session.run(&[("input", x.view())]).unwrap();
                    let same = outputs.main().iter().zip(expected).all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(same, "run {run}");
                }
            });
        }
    });
}
