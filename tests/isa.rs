//! Every instruction set gives the same network: each is forced, through the command, and compared.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "common/command.rs"]
mod command;

use std::process::Command;

use command::arg;
use resnetc::kernels::Isa;

fn run(isa: &str, args: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_resnetc"))
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("RESNETC_ISA", isa)
        .output()
        .unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn each_instruction_set_gives_the_same_answers() {
    let dir = tempfile::tempdir().unwrap();
    let (x, y) = (dir.path().join("x.npy"), dir.path().join("y.npy"));
    let mut state = 7u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1u32 << 23) as f32 - 1.0
    };
    let input = ndarray::ArrayD::from_shape_fn(vec![3, 3, 32, 32], |_| next());
    resnetc::formats::npy::write(&x, &input.view()).unwrap();
    let mut expected: Option<ndarray::ArrayD<f32>> = None;
    for isa in Isa::ALL {
        for precise in [false, true] {
            let mut args = vec!["run", "models/cifar.resnet", "--network", "resnet20", "--weights", "init:3", "--threads", "2"];
            args.extend(["--input", arg(&x), "--output", arg(&y)]);
            if precise {
                args.push("--precise");
            }
            let (code, err) = run(isa.name(), &args);
            if !isa.is_available() {
                assert_eq!(code, 1, "{err}");
                assert!(err.contains("this processor does not have"), "{err}");
                continue;
            }
            assert_eq!(code, 0, "{isa}: {err}");
            let found = resnetc::formats::npy::read(&y).unwrap();
            let expected = expected.get_or_insert(found.clone());
            let worst = (&found - &*expected).iter().fold(0.0f32, |m, d| m.max(d.abs()));
            assert!(worst <= 1e-4 * expected.std(0.0), "{isa}, precise {precise}: {worst}");
        }
    }
}

#[test]
fn an_unknown_instruction_set_is_refused() {
    let (code, err) = run("sse9", &["bench", "models/cifar.resnet", "--network", "resnet20", "--runs", "1"]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("sse9") && err.contains("portable, avx2, avx512"), "{err}");
}
