//! Input that is wrong: a clear error, exit code 1, nothing written.

use std::fs::File;
use std::path::PathBuf;

use crate::command::{arg, resnetc};

const FASHION: &str = "models/fashion.resnet";

fn file(name: &str, bytes: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (dir, path)
}

#[test]
fn sources_that_are_none() {
    let noise: Vec<u8> = (0..4096u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let (_dir, path) = file("noise.resnet", noise);
    resnetc(&["check", arg(&path)]).refused("not UTF-8");
    let (_dir, path) = file("empty.resnet", "");
    resnetc(&["check", arg(&path)]).refused("E0007");
    resnetc(&["check", "nowhere.resnet"]).refused("cannot read nowhere.resnet");
    resnetc(&["check", "models"]).refused("`models` is not a run directory");
}

#[test]
fn a_source_of_a_hundred_megabytes() {
    let (_dir, path) = file("large.resnet", "resnet 1\n");
    File::options().write(true).open(&path).unwrap().set_len(100 << 20).unwrap();
    resnetc(&["check", arg(&path)]).refused("larger than 4 MiB");
}

#[test]
fn deep_nesting() {
    for (open, close) in [("(", ")"), ("[", "]")] {
        let text = format!(
            "resnet 1\nnetwork net {{\n  input 3 x 8 x 8\n  conv 3x3, filters: {}8{}\n}}\n",
            open.repeat(100_000),
            close.repeat(100_000)
        );
        let (_dir, path) = file("deep.resnet", text);
        resnetc(&["check", arg(&path)]).refused("E0009");
    }
    let text = format!("resnet 1\nnetwork net {{\n{}{}}}\n", "scope a {\n".repeat(50_000), "}\n".repeat(50_000));
    let (_dir, path) = file("deep.resnet", text);
    resnetc(&["check", arg(&path)]).refused("E0009");
}

#[test]
fn weights_that_are_none() {
    let with = |weights: &str| resnetc(&["run", FASHION, "--weights", weights, "tests/data/bag.png"]);
    with("nowhere.safetensors").refused("cannot read");
    with("tests/data/bag.png").refused("weights are read from");
    with("tests/fixtures/malicious.pth").refused("posix");
    let whole = std::fs::read("models/weights/fashion.safetensors").unwrap();
    let (_dir, path) = file("cut.safetensors", &whole[..whole.len() / 2]);
    with(arg(&path)).refused("damaged");
    let mut huge = whole;
    huge[..8].copy_from_slice(&(1u64 << 60).to_le_bytes());
    let (_dir, path) = file("huge.safetensors", huge);
    resnetc(&["run", FASHION, "--weights", arg(&path), "tests/data/bag.png"]).refused("");
    let pth = std::fs::read("tests/fixtures/tiny.pth").unwrap();
    let (_dir, path) = file("cut.pth", &pth[..pth.len() - 100]);
    with(arg(&path)).refused("damaged");
}

#[test]
fn artifacts_that_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let rnx = dir.path().join("f.rnx");
    resnetc(&["compile", FASHION, "-o", arg(&rnx)]).fine();
    let whole = std::fs::read(&rnx).unwrap();
    std::fs::write(&rnx, &whole[..whole.len() - 1]).unwrap();
    resnetc(&["run", arg(&rnx), "tests/data/bag.png"]).refused("damaged");
    let mut altered = whole.clone();
    altered[100] ^= 1;
    std::fs::write(&rnx, &altered).unwrap();
    resnetc(&["run", arg(&rnx), "tests/data/bag.png"]).refused("damaged");
    // a weight is compared by `verify` alone
    let mut altered = whole;
    let last = altered.len() - 100;
    altered[last] ^= 1;
    std::fs::write(&rnx, &altered).unwrap();
    resnetc(&["verify", arg(&rnx)]).refused("damaged");
    std::fs::write(&rnx, "text").unwrap();
    resnetc(&["run", arg(&rnx), "tests/data/bag.png"]).refused("is not an artifact");
}

/// A PNG of `side` x `side` gray pixels, all black: a few kilobytes that claim gigabytes.
fn bomb(side: u32) -> Vec<u8> {
    fn chunk(out: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
        out.extend((data.len() as u32).to_be_bytes());
        let mut body = kind.to_vec();
        body.extend(data);
        out.extend(&body);
        out.extend(crc32fast::hash(&body).to_be_bytes());
    }
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut head = Vec::new();
    head.extend(side.to_be_bytes());
    head.extend(side.to_be_bytes());
    head.extend([8, 0, 0, 0, 0]);
    chunk(&mut out, b"IHDR", &head);
    chunk(&mut out, b"IDAT", &[0x78, 0x9c, 0x63, 0x00, 0x00]);
    chunk(&mut out, b"IEND", &[]);
    out
}

#[test]
fn pictures_that_are_none() {
    for (name, bytes, words) in [
        ("bomb.png", bomb(100_000), "too large"),
        ("deep-bomb.png", bomb(30_000), "too large"),
        ("empty.png", Vec::new(), "is empty"),
        ("text.jpg", b"no image at all".to_vec(), "no JPEG, PNG, WebP"),
        ("cut.png", std::fs::read("tests/data/bag.png").unwrap()[..200].to_vec(), "damaged"),
    ] {
        let (_dir, path) = file(name, bytes);
        resnetc(&["run", FASHION, arg(&path)]).refused(words);
    }
    resnetc(&["run", FASHION, "nowhere.png"]).refused("cannot read");
}

#[test]
fn tensors_that_do_not_fit() {
    let dir = tempfile::tempdir().unwrap();
    let y = dir.path().join("y.npy");
    let run = |x: &str| resnetc(&["run", FASHION, "--input", x, "--output", arg(&y)]);
    run("tests/fixtures/tiny.x.npy").refused("expected");
    run("tests/data/bag.png").refused("npy");
    run("nowhere.npy").refused("cannot read");
    assert!(!y.exists());
}

#[test]
fn parameters_that_no_machine_holds() {
    let text = "resnet 1\nnetwork net {\n  input 1 x 32768 x 32768\n  linear 1_073_741_824\n}\n";
    let (dir, path) = file("net.resnet", text);
    resnetc(&["compile", arg(&path), "--weights", "init", "-o", arg(&dir.path().join("net.rnx"))]).refused("bytes of memory");
}

#[test]
fn targets_that_cannot_be_written() {
    resnetc(&["compile", FASHION, "-o", "/nowhere/net.rnx"]).refused("cannot write");
    resnetc(&["compile", FASHION, "-o", "/dev/full"]).refused("cannot write");
    let dir = tempfile::tempdir().unwrap();
    resnetc(&["compile", FASHION, "-o", arg(dir.path())]).refused("cannot write");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
}

/// Standard output on a full disk is an error, not silence.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_resnetc")).arg("explain").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write"));
}

/// A reader that goes away is none.
#[cfg(unix)]
#[test]
fn a_closed_pipe() {
    let output = std::process::Command::new("sh")
        .args([
            "-c",
            "\"$0\" compile models/cifar.resnet --network resnet1202 --emit graph | head -n 1",
            env!("CARGO_BIN_EXE_resnetc"),
        ])
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
