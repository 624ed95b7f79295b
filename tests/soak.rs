//! Many runs: no growth of memory, and the same bits to the end.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use common::{noise, resnet};
use resnetc::runtime::{Model, SessionOptions};

/// Pages in memory, in KiB; `None` where the system does not tell.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find(|l| l.starts_with("VmRSS:"))?.split_whitespace().nth(1)?.parse().ok()
}

fn soak(model: &Model, size: usize, runs: usize) {
    let mut session = model.session_with(SessionOptions { threads: 2, ..SessionOptions::default() }).unwrap();
    let x = noise(1, &[1, 3, size, size]);
    let bits = |session: &mut resnetc::Session| -> Vec<u32> {
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
    if let (Some(before), Some(after)) = (before, resident()) {
        assert!(after <= before + 2048, "{before} KiB after a tenth of the runs, {after} KiB after all");
    }
}

#[test]
fn ten_thousand_runs_take_no_more_memory() {
    let (checked, params) = resnet([1, 1, 1, 1], false, 32);
    soak(&Model::new(checked, params).unwrap(), 32, 10_000);
}

#[test]
#[ignore = "two minutes: cargo test --release --test soak -- --ignored"]
fn ten_thousand_runs_of_resnet18() {
    let options = resnetc::CompileOptions {
        network: Some("resnet18".into()),
        weights: resnetc::Weights::Init(1),
        ..resnetc::CompileOptions::default()
    };
    soak(&resnetc::compile("models/resnet.resnet", &options).unwrap(), 224, 10_000);
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
