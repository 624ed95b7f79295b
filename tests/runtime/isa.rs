//! Every instruction set gives the same network: each is forced, through the command, and compared.

use std::process::Command;

use crate::command::arg;
use resnetc::internal::kernels::Isa;

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
    resnetc::internal::formats::npy::write(&x, &input.view()).unwrap();
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
            let found = resnetc::internal::formats::npy::read(&y).unwrap();
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
    assert!(err.contains("sse9") && err.contains("portable, avx2, avx512, neon"), "{err}");
}

#[test]
fn extensions_are_taken_or_refused_with_what_to_write() {
    let bench = ["bench", "models/cifar.resnet", "--network", "resnet20", "--runs", "1"];
    for chosen in ["-vnni", "portable,-amx,-bf16", ""] {
        let (code, err) = run(chosen, &bench);
        assert_eq!(code, 0, "{chosen}: {err}");
    }
    for (chosen, needed) in [
        ("portable,+vnni", "vnni is not available on this processor with portable: leave out `+vnni`"),
        ("vnni", "write `+vnni` or `-vnni`"),
        ("-vnmi", "vnni, bf16, amx"),
        ("-amx,+amx", "given twice"),
        ("-amx,portable", "stands first"),
    ] {
        let (code, err) = run(chosen, &bench);
        assert!(code == 1 && err.contains(needed), "{chosen}: {err}");
    }
}

/// On a processor without AVX-512, emulated: what is chosen there is AVX2, and needs no instruction beyond it.
#[test]
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn no_avx512_instruction_is_needed() {
    let haswell = |args: &[&str], forced: Option<&str>| {
        let mut command = Command::new("qemu-x86_64");
        command.args(["-cpu", "Haswell", env!("CARGO_BIN_EXE_resnetc")]).args(args).current_dir(env!("CARGO_MANIFEST_DIR"));
        command.env_remove("RESNETC_ISA").envs(forced.map(|isa| ("RESNETC_ISA", isa)));
        command.output()
    };
    let Ok(ran) = haswell(&["run", "models/fashion.resnet", "tests/data/ankle-boot.png"], None) else {
        // not by a macro, whose output a passing test would swallow
        let line = b"no_avx512_instruction_is_needed: skipped, there is no qemu-x86_64 (Debian's qemu-user)\n";
        std::io::Write::write_all(&mut std::io::stderr(), line).unwrap();
        return;
    };
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && out.lines().next().is_some_and(|l| l.ends_with("%  Ankle boot")), "{out}{err}");

    let bench = ["bench", "models/fashion.resnet", "--runs", "1"];
    let ran = haswell(&bench, None).unwrap();
    assert!(String::from_utf8_lossy(&ran.stdout).contains(", avx2, "), "{ran:?}");
    let ran = haswell(&bench, Some("avx512")).unwrap();
    let err = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.code() == Some(1) && err.contains("this processor does not have avx512"), "{err}");
}
