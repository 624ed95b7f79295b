//! Runs that are cut off, by whatever, and go on.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use crate::command::{Ran, resnetc};
use crate::tiny::{Place, tensors};
use resnetc::internal::train::checkpoint;

fn run(args: &[String]) -> Ran {
    resnetc(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

fn spawn(args: &[String]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_resnetc")).args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn resume(place: &Place, name: &str) -> Vec<String> {
    ["train", "--resume", &place.arg(name)].map(str::to_owned).to_vec()
}

/// Milliseconds below a bound, another each time.
fn random(below: u64) -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Duration::from_millis(u64::from(now.subsec_nanos()) / 7 % below)
}

/// When a file was last written.
fn changed(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|m| m.modified()).ok()
}

/// Waits for another checkpoint, or for the end. Gives back whether the process goes on.
fn next_checkpoint(child: &mut Child, path: &Path, before: Option<SystemTime>) -> bool {
    let start = Instant::now();
    while changed(path) == before {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "no checkpoint");
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

/// The steps that a whole checkpoint counts.
fn whole(path: &Path) -> u64 {
    assert_eq!(tensors(path).iter().filter(|(name, _)| name.starts_with("optimizer.")).count(), 20);
    checkpoint::state(path).unwrap().step
}

#[test]
fn a_run_that_is_killed_ends_with_the_same_bits() {
    let place = Place::new();
    run(&place.train("whole", &[])).fine();
    let path = place.path("cut/checkpoint.safetensors");
    let (mut kills, mut steps) = (0, vec![0]);
    let mut args = place.train("cut", &[]);
    loop {
        let before = changed(&path);
        let mut child = spawn(&args);
        // a few at any moment, from before the first line of the log on; the others between two checkpoints
        let goes_on = if kills < 4 {
            std::thread::sleep(random(10 << kills));
            child.try_wait().unwrap().is_none()
        } else {
            let goes_on = next_checkpoint(&mut child, &path, before);
            std::thread::sleep(random(25));
            goes_on && child.try_wait().unwrap().is_none()
        };
        child.kill().unwrap();
        let end = child.wait().unwrap();
        if path.exists() {
            steps.push(whole(&path));
        }
        if !goes_on {
            assert!(end.success());
            break;
        }
        kills += 1;
        // before anything was written there is nothing to go on with
        if place.path("cut/run.json").exists() {
            args = resume(&place, "cut");
        }
        if kills >= 12 {
            run(&args).fine();
            break;
        }
    }
    assert!(kills >= 2 && steps.windows(2).all(|w| w[0] <= w[1]) && steps.iter().any(|&s| s > 0), "{kills}: {steps:?}");
    assert!(place.read("whole/weights.safetensors") == place.read("cut/weights.safetensors"), "after {kills} kills: {steps:?}");
    assert_eq!(whole(&path), 120);
    // the logs have the same lines, but for times
    let log = |name: &str| {
        let text = String::from_utf8(place.read(&format!("{name}/train.jsonl"))).unwrap();
        let cut = |line: &str| line.split(",\"images_per_s\"").next().unwrap().split(",\"seconds\"").next().unwrap().to_owned();
        text.lines().map(cut).collect::<Vec<_>>()
    };
    for (line, other) in log("whole").iter().zip(&log("cut")) {
        assert_eq!(line, other);
    }
    assert_eq!(log("whole").len(), log("cut").len());
    // what was being written is gone
    let names = std::fs::read_dir(place.path("cut")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|n| n.starts_with(".resnetc-")).count(), 0);
}

#[cfg(unix)]
#[test]
fn ctrl_c_writes_a_checkpoint_and_leaves() {
    let place = Place::new();
    let sparse = ["--set", "train.checkpoint=none", "--set", "train.epochs=60"];
    run(&place.train("whole", &sparse)).fine();
    let path = place.path("cut/checkpoint.safetensors");
    let child = Command::new(env!("CARGO_BIN_EXE_resnetc"))
        .args(place.train("cut", &sparse))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !path.exists() && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(40));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.code() == Some(130) && said.contains("continue with: resnetc train --resume"), "{output:?}");
    let step = whole(&path);
    assert!(step > 0 && step < 360, "{step}");
    assert!(!place.path("cut/weights.safetensors").exists());
    run(&resume(&place, "cut")).fine();
    assert!(place.read("whole/weights.safetensors") == place.read("cut/weights.safetensors"), "stopped at {step}");
}

/// A file may not grow beyond some size: what a disk that is full refuses.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_last_checkpoint() {
    let place = Place::new();
    run(&place.train("whole", &[])).fine();
    // `ulimit -f` counts blocks of 512 bytes, or of 1024; a checkpoint has 100 000 bytes and more
    let limited = |args: &[String]| {
        let words: Vec<String> = args.iter().map(|a| format!("'{a}'")).collect();
        let line = format!("trap '' XFSZ; ulimit -f 64; exec '{}' {}", env!("CARGO_BIN_EXE_resnetc"), words.join(" "));
        let output = Command::new("sh").args(["-c", &line]).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
    };
    let temporary = |name: &str| {
        let names = std::fs::read_dir(place.path(name)).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        names.filter(|n| n.starts_with(".resnetc-")).count()
    };
    // before the first step
    let ran = limited(&place.train("none", &[])).refused("cannot write");
    assert!(ran.err.contains("checkpoint.safetensors"), "{}", ran.err);
    assert!(!place.path("none/train.jsonl").exists() && temporary("none") == 0);
    // in the middle
    let path = place.path("cut/checkpoint.safetensors");
    let mut child = spawn(&place.train("cut", &[]));
    let mut before = None;
    for _ in 0..3 {
        assert!(next_checkpoint(&mut child, &path, before));
        before = changed(&path);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let (kept, step) = (std::fs::read(&path).unwrap(), whole(&path));
    let ran = limited(&resume(&place, "cut")).refused("cannot write");
    assert!(ran.err.contains("checkpoint.safetensors"), "{}", ran.err);
    assert!(ran.err.contains(&format!("the checkpoint of step {step} is intact")), "{}", ran.err);
    assert!(kept == std::fs::read(&path).unwrap() && temporary("cut") == 0);
    run(&resume(&place, "cut")).fine();
    assert!(place.read("whole/weights.safetensors") == place.read("cut/weights.safetensors"));
}

#[test]
fn a_run_goes_on_without_its_sources() {
    let place = Place::new();
    let folder = place.path("nets/own");
    std::fs::create_dir_all(&folder).unwrap();
    let base = crate::tiny::TINY.replace("preprocess", "labels \"names/classes.txt\"\n  preprocess");
    let base = base.replace("mean: [0.5]", "mean: \"mean.npy\"");
    let mean: Vec<u8> = (0..64).flat_map(|i| (i as f32 / 100.0).to_le_bytes()).collect();
    std::fs::write(place.path("nets/mean.npy"), crate::tiny::npy("<f4", "(1, 8, 8)", &mean)).unwrap();
    std::fs::create_dir(place.path("nets/names")).unwrap();
    std::fs::write(place.path("nets/names/classes.txt"), "a\nb\nc\nd\n").unwrap();
    std::fs::write(place.path("nets/base.resnet"), base).unwrap();
    std::fs::write(
        folder.join("mine.resnet"),
        "resnet 1\nuse \"../base.resnet\": tiny\n\nnetwork mine = tiny(classes: 4) {\n}\n",
    )
    .unwrap();
    let mut args = place.train("whole", &[]);
    args[1] = folder.join("mine.resnet").to_str().unwrap().to_owned();
    run(&args).fine();
    args[5] = place.arg("cut");
    // from another folder, with relative names
    let mut child = Command::new(env!("CARGO_BIN_EXE_resnetc"))
        .args(["train", "own/../own/mine.resnet", "--data", "../data", "-o", "../cut", "--threads", "2"])
        .current_dir(place.path("nets"))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let path = place.path("cut/checkpoint.safetensors");
    assert!(next_checkpoint(&mut child, &path, None));
    assert!(next_checkpoint(&mut child, &path, changed(&path)));
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::rename(place.path("nets"), place.path("elsewhere")).unwrap();
    run(&resume(&place, "cut")).fine();
    assert!(place.read("whole/weights.safetensors") == place.read("cut/weights.safetensors"));
    // a source that was changed in the meantime is another network's
    std::fs::create_dir(place.path("nets")).unwrap();
    run(&resume(&place, "cut")).fine();
    let copy = |name: &str| place.path("cut").join(name).exists();
    assert!(copy("own/mine.resnet") && copy("base.resnet") && copy("names/classes.txt") && copy("mean.npy"));
}

#[test]
fn a_run_that_ended_before_its_first_checkpoint_begins_again() {
    let place = Place::new();
    run(&place.train("whole", &["--set", "train.epochs=2"])).fine();
    run(&place.train("cut", &["--set", "train.epochs=2"])).fine();
    for name in ["checkpoint.safetensors", "weights.safetensors", "train.jsonl"] {
        std::fs::remove_file(place.path("cut").join(name)).unwrap();
    }
    run(&resume(&place, "cut")).fine();
    assert!(place.read("whole/weights.safetensors") == place.read("cut/weights.safetensors"));
}

#[test]
fn what_cannot_be_resumed_is_said() {
    let place = Place::new();
    run(&place.train("run", &["--set", "train.epochs=1"])).fine();
    run(&place.train("run", &[])).refused("already contains a run: continue it with --resume");
    // other data
    let few = place.path("few");
    std::fs::create_dir(&few).unwrap();
    std::fs::write(few.join("train-images-idx3-ubyte"), crate::tiny::idx(&[8, 8, 8], &[7; 512])).unwrap();
    std::fs::write(few.join("train-labels-idx1-ubyte"), crate::tiny::idx(&[8], &[1; 8])).unwrap();
    let mut args = resume(&place, "run");
    args.extend(["--data".to_owned(), few.to_str().unwrap().to_owned()]);
    run(&args).refused("the run started with 96 samples, but there are 8");
    // a checkpoint that is cut off anywhere
    let path = place.path("run/checkpoint.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    for len in [0, 7, 100, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..len]).unwrap();
        run(&resume(&place, "run")).refused("checkpoint.safetensors");
    }
}

/// A run directory of 0.1.0, in former words and killed at step 140 of 400, goes on to its end.
#[test]
fn a_run_in_former_words_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let old = Path::new("tests/fixtures/run-0.1");
    std::fs::create_dir(&run).unwrap();
    for file in ["run.json", "tiny.resnet", "train.jsonl", "checkpoint.safetensors"] {
        std::fs::copy(old.join(file), run.join(file)).unwrap();
    }
    assert_eq!(checkpoint::state(&run.join("checkpoint.safetensors")).unwrap().step, 140);
    // what was written before is compared as it is
    let page = dir.path().join("page.html");
    resnetc(&["compare", run.to_str().unwrap(), "-o", page.to_str().unwrap()]).fine();

    let data = old.join("data");
    let ran = resnetc(&["train", "--resume", run.to_str().unwrap(), "--data", data.to_str().unwrap(), "--quiet"]).fine();
    assert!(ran.err.contains("updated former words in"), "{}", ran.err);
    let state = checkpoint::state(&run.join("checkpoint.safetensors")).unwrap();
    assert_eq!((state.step, state.recipe.optimizer.lr, state.recipe.loss.label_smoothing), (400, 0.02, 0.1));
    assert_eq!(state.recipe.clip_grad_norm, Some(5.0));
    let source = std::fs::read_to_string(run.join("tiny.resnet")).unwrap();
    assert!(source.contains("    batchnorm\n") && source.contains("{ lr: 0.05, momentum: 0.9, weight_decay: 1e-4,"), "{source}");
    // and the log has each step once
    let log = std::fs::read_to_string(run.join("train.jsonl")).unwrap();
    assert_eq!(log.matches("\"event\":\"step\"").count(), 400);
}
