//! What the planner can be asked for: precision, a bound on packed weights, measured choices.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use common::{noise, resnet};
use resnetc::base::source::SourceMap;
use resnetc::formats::artifact::{self, Contents};
use resnetc::kernels::Isa;
use resnetc::plan::{ConvStrategy, Kernel, Plan, PlanOptions, Settings};
use resnetc::runtime::{Model, SessionOptions, tune};

fn model() -> Model {
    let (checked, params) = resnet([1, 1, 1, 1], false, 64);
    Model::new(checked, params).unwrap()
}

fn plan(model: &Model, isa: Isa, settings: Settings) -> Plan {
    model.clone().with_settings(settings).plan(&PlanOptions::new(1, 2, isa), [None; 2]).unwrap()
}

fn strategies(plan: &Plan) -> Vec<ConvStrategy> {
    let of = |kernel: &Kernel| if let Kernel::Conv { strategy, .. } = kernel { Some(*strategy) } else { None };
    plan.steps.iter().filter_map(|step| of(&step.kernel)).collect()
}

/// Floats of the convolutions' weights, packed and as stored.
fn weights(plan: &Plan) -> [usize; 2] {
    let of_conv = |i: &usize| plan.weights[*i].shape.len() == 4;
    let list: Vec<usize> = (0..plan.weights.len()).filter(of_conv).collect();
    [
        list.iter().map(|&i| plan.weights[i].len()).sum(),
        list.iter().map(|&i| plan.weights[i].shape.iter().product::<usize>()).sum(),
    ]
}

#[test]
fn precise_does_without_winograd() {
    let model = model();
    for isa in [Isa::Avx2, Isa::Avx512] {
        let free = strategies(&plan(&model, isa, Settings::default()));
        assert!(free.iter().any(|s| matches!(s, ConvStrategy::Winograd(_))), "{isa}");
        let precise = strategies(&plan(&model, isa, Settings { precise: true, ..Settings::default() }));
        assert!(!precise.iter().any(|s| matches!(s, ConvStrategy::Winograd(_))), "{isa}");
        assert!(precise.iter().all(|s| matches!(s, ConvStrategy::Direct { .. })), "{isa}");
    }
    // an instruction set without kernels of its own stays with plain maps
    assert!(strategies(&plan(&model, Isa::Portable, Settings::default())).iter().all(|s| matches!(s, ConvStrategy::Gemm(_))));
}

#[test]
fn a_projection_and_its_addition_are_one_step() {
    let (checked, params) = resnet([1, 2, 1, 1], true, 64);
    let model = Model::new(checked, params).unwrap();
    let pairs =
        |isa| plan(&model, isa, Settings::default()).steps.into_iter().filter(|s| matches!(s.kernel, Kernel::FusedConvPair { .. }));
    for isa in [Isa::Avx2, Isa::Avx512] {
        // one a stage: within a stage the shortcut is the identity
        assert_eq!(pairs(isa).count(), 4, "{isa}");
        assert!(pairs(isa).all(|step| step.inputs.len() == 2 && step.weights.len() == 4), "{isa}");
    }
    assert_eq!(pairs(Isa::Portable).count(), 0);
}

#[test]
fn packed_weights_keep_to_their_bound() {
    let (checked, params) = resnet([2, 2, 2, 2], false, 224);
    let model = Model::new(checked, params).unwrap();
    let mut sizes = Vec::new();
    for max_packed_weights in [400, 300, 200, 150, 100] {
        let model = model.clone().with_settings(Settings { max_packed_weights, ..Settings::default() });
        let [packed, raw] = weights(&model.plan(&PlanOptions::new(8, 2, Isa::Avx512), [None; 2]).unwrap());
        // the first layer's three channels and blocks that are not full are beside the point
        assert!(packed as f64 <= raw as f64 * f64::from(max_packed_weights) / 100.0 * 1.05, "{packed} of {raw} at {max_packed_weights}");
        sizes.push(packed);
    }
    assert!(sizes[0] > sizes[4] * 3 / 2, "{sizes:?}");
    assert!(sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
}

#[test]
fn what_was_measured_is_what_is_planned() {
    let model = model();
    let isa = Isa::best();
    let x = noise(5, &[1, 3, 64, 64]);
    let options = SessionOptions { threads: 2, isa: Some(isa) };
    let mut last = (0, 0);
    let settings = tune(&model, options, &[("input", x.view())], |done, all| last = (done, all)).unwrap();
    assert!(last.0 == last.1 && last.0 > 0, "{last:?}");
    let tuned = plan(&model, isa, settings.clone());
    let chosen: Vec<ConvStrategy> = settings.tuned.iter().map(|t| t.strategy).collect();
    assert_eq!(chosen, strategies(&tuned));
    if isa != Isa::Portable {
        assert!(tuned.steps.iter().any(|step| step.why == "measured"));
    }
    // and computes the same
    let run = |model: Model| {
        let mut session = model.session_with(options).unwrap();
        session.run(&[("input", x.view())]).unwrap().main().to_owned()
    };
    assert!(common::distance(&run(model.clone().with_settings(settings)), &run(model)) < 1e-4);
}

/// Winograd's rounding is coarser, and bounded: the numbers that docs/runtime.md states.
#[test]
fn precise_is_nearer_to_the_oracle() {
    let (checked, params) = resnet([2, 2, 2, 2], false, 64);
    let x = noise(6, &[1, 3, 64, 64]);
    let expected = resnetc::runtime::interp::run(&checked, &params, &[("input", x.view())]).unwrap();
    let model = Model::new(checked, params).unwrap();
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        for (precise, bound) in [(true, 1e-5), (false, 1e-4)] {
            let model = model.clone().with_settings(Settings { precise, ..Settings::default() });
            let mut session = model.session_with(SessionOptions { threads: 2, isa: Some(isa) }).unwrap();
            let found = session.run(&[("input", x.view())]).unwrap();
            let off = common::distance(found.main(), expected.main());
            assert!(off < bound, "{isa}, precise {precise}: {off}");
        }
    }
}

/// An artifact holds the weights of one batch's plan; another's are taken from it where their form is the same, and packed again
/// where it is not.
#[test]
fn weights_packed_for_one_batch_serve_another() {
    let (checked, params) = resnet([1, 1, 1, 1], false, 64);
    let (dir, sources) = (tempfile::tempdir().unwrap(), SourceMap::default());
    let path = dir.path().join("net.rnx");
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        let fresh = Model::new(checked.clone(), params.clone()).unwrap();
        let plans = [1, 8].map(|batch| fresh.plan(&PlanOptions::new(batch, 2, isa), [None; 2]).unwrap());
        let packs = fresh.pack(&plans[0]).unwrap();
        let contents = Contents { packs: Some(&packs), ..Contents::new(&checked, &params, &sources) };
        artifact::write(&path, &contents).unwrap();
        let other = |w: &&resnetc::plan::Weight| !plans[0].weights.iter().any(|v| (&v.name, v.form) == (&w.name, w.form));
        let anew: usize = plans[1].weights.iter().filter(other).map(|w| 4 * w.len()).sum();
        // on plain maps no form depends on the batch
        assert_eq!(anew > 0, isa != Isa::Portable, "{isa}");

        let loaded = Model::load(&path).unwrap();
        let run = |model: &Model, batch: usize| {
            let x = noise(7, &[batch, 3, 64, 64]);
            let mut session = model.session_with(SessionOptions { threads: 2, isa: Some(isa) }).unwrap();
            session.run(&[("input", x.view())]).unwrap().main().to_owned()
        };
        assert_eq!(run(&loaded, 1), run(&fresh, 1), "{isa}");
        assert_eq!(loaded.packed_bytes(), 0, "{isa}");
        assert_eq!(run(&loaded, 8), run(&fresh, 8), "{isa}");
        assert_eq!(loaded.packed_bytes(), anew, "{isa}");
    }
}
