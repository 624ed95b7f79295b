//! `resnetc profile` and the last line of `resnetc bench`.

use crate::command::{arg, resnetc};
use serde_json::Value;

const FASHION: &str = "models/fashion.resnet";

#[test]
fn a_profile_has_a_row_a_step_and_the_totals() {
    let ran = resnetc(&["profile", FASHION, "--runs", "3", "--threads", "2"]).fine();
    let mut lines = ran.out.lines();
    assert!(lines.next().unwrap().starts_with("fashion, batch 1, 2 threads, "), "{}", ran.out);
    let head: Vec<&str> = lines.next().unwrap().split("  ").map(str::trim).filter(|w| !w.is_empty()).collect();
    assert_eq!(head, ["step", "kernel", "output", "time us", "share", "GFLOP/s", "% peak", "MB", "GB/s"]);
    // 19 convolutions, the linear layer, the last pool; and totals
    let rows = lines.by_ref().take_while(|l| !l.is_empty()).count();
    assert!(rows >= 21, "{rows} rows: {}", ran.out);
    let totals: Vec<&str> = lines.filter_map(|l| l.split_whitespace().next()).collect();
    for word in ["time", "work", "peak", "memory"] {
        assert!(totals.contains(&word), "{word}: {}", ran.out);
    }
}

#[test]
fn the_numbers_of_a_profile_belong_together() {
    let dir = tempfile::tempdir().unwrap();
    let rnx = dir.path().join("fashion.rnx");
    resnetc(&["compile", FASHION, "-o", arg(&rnx)]).fine();
    for file in [FASHION, arg(&rnx)] {
        let ran = resnetc(&["profile", file, "--batch", "2", "--runs", "4", "--threads", "1", "--format", "json"]).fine();
        let json: Value = serde_json::from_str(ran.out.lines().last().unwrap()).unwrap();
        assert_eq!((&json["batch"], &json["threads"], &json["runs"]), (&2.into(), &1.into(), &4.into()));
        for key in ["median_ms", "min_ms", "steps_ms", "images_per_s", "gflops", "percent_of_peak", "arena_bytes", "packed_bytes"]
        {
            assert!(json[key].as_f64().is_some_and(|v| v > 0.0), "{key}: {json}");
        }
        let peaks = json["peaks"].as_array().unwrap();
        assert_eq!((peaks.len(), &peaks[0]["threads"]), (1, &1.into()));
        assert!(peaks[0]["gflops"].as_f64().unwrap() > 0.1);
        let steps = json["steps"].as_array().unwrap();
        // what `resnetc summary` counts, for each of two images
        let macs: u64 = steps.iter().map(|s| s["macs"].as_u64().unwrap()).sum();
        assert_eq!(macs, 2 * macs_of(FASHION));
        let shares: f64 = steps.iter().map(|s| s["share"].as_f64().unwrap()).sum();
        assert!((shares - 1.0).abs() < 1e-9, "{shares}");
        let convolutions = steps.iter().filter(|s| s["kernel"].as_str().unwrap().starts_with("conv ")).count();
        let winograd = steps.iter().filter(|s| s["family"] == "winograd").count();
        assert_eq!(json["non_winograd"]["steps"], convolutions - winograd);
        // the last layer reads a vector and a matrix of 64 x 10 and its bias, and writes: 64, 650 and 10 floats an image at least
        let linear = steps.iter().find(|s| s["family"] == "linear").unwrap();
        assert!(linear["bytes"].as_u64().unwrap() >= 4 * (2 * 64 + 650 + 2 * 10), "{linear}");
    }
}

/// A multiply-add of the forward pass has one in the gradient of the weight and one in that of the input, which the first layer does not need.
#[test]
fn a_training_step_is_measured_with_its_packing_and_its_optimizer() {
    let ran =
        resnetc(&["profile", FASHION, "--train", "--batch", "2", "--runs", "2", "--threads", "1", "--format", "json"]).fine();
    let json: Value = serde_json::from_str(ran.out.lines().last().unwrap()).unwrap();
    let steps = json["steps"].as_array().unwrap();
    let macs = |named: &dyn Fn(&str) -> bool| -> u64 {
        steps.iter().filter(|s| named(s["name"].as_str().unwrap())).map(|s| s["macs"].as_u64().unwrap()).sum()
    };
    let forward = 2 * macs_of(FASHION);
    assert_eq!(macs(&|name| name.ends_with(".weight.grad")), forward);
    assert_eq!(macs(&|name| !name.contains(".grad")), forward);
    let all = macs(&|_| true);
    // a stride makes the gradient of the input a convolution over inserted zeros
    assert!(all > 5 * forward / 2 && all < 4 * forward, "{all} of {forward}");
    for name in ["weights", "optimizer"] {
        let step = steps.iter().find(|s| s["name"] == name).unwrap();
        assert!(step["us"].as_f64().unwrap() > 0.0 && step["bytes"].as_u64().unwrap() > 0, "{step}");
    }
    assert_eq!(resnetc(&["profile", FASHION, "--train", "--tune"]).code, 2);
}

/// Weights that lie packed in an artifact count as those that are packed on the way.
#[test]
fn packed_weights_of_an_artifact_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let rnx = dir.path().join("fashion.rnx");
    resnetc(&["compile", FASHION, "--threads", "1", "-o", arg(&rnx)]).fine();
    let [made, mapped] = [FASHION, arg(&rnx)].map(|file| {
        let ran = resnetc(&["profile", file, "--runs", "1", "--threads", "1", "--format", "json"]).fine();
        assert!(!ran.err.contains("packed again"), "{}", ran.err);
        let json: Value = serde_json::from_str(ran.out.lines().last().unwrap()).unwrap();
        json["packed_bytes"].as_u64().unwrap()
    });
    assert!(made > 0 && mapped >= made, "{made} {mapped}");
}

fn macs_of(file: &str) -> u64 {
    let ran = resnetc(&["summary", file, "--format", "json"]).fine();
    let json: Value = serde_json::from_str(ran.out.lines().last().unwrap()).unwrap();
    json["macs"].as_u64().unwrap()
}

#[test]
fn the_page_holds_every_step_and_needs_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let html = dir.path().join("profile.html");
    let args = ["profile", FASHION, "--runs", "2", "--threads", "1", "--format", "json", "--html", arg(&html)];
    let json: Value = serde_json::from_str(&resnetc(&args).fine().out).unwrap();
    let page = std::fs::read_to_string(&html).unwrap();
    let steps = json["steps"].as_array().unwrap();
    for (index, step) in steps.iter().enumerate() {
        let name = step["name"].as_str().unwrap();
        // a bar and a row
        assert!(page.contains(&format!("<title>{name}\n")), "{name}");
        assert!(page.contains(&format!("></i>{name}</td>")), "{name}");
        assert_eq!(page.matches(&format!("data-step=\"{index}\"")).count(), 2, "{name}");
    }
    assert!(page.trim_end().ends_with("</html>") && page.contains("prefers-color-scheme: dark"));
    for word in ["http:", "https:", "src=", "@import", "<link", "NaN"] {
        assert!(!page.contains(word), "{word}");
    }
    resnetc(&["profile", FASHION, "--runs", "1", "--html", arg(dir.path())]).refused("cannot write");
    assert_eq!(resnetc(&["profile", FASHION, "--runs", "0"]).code, 2);
}

#[test]
fn bench_says_what_it_ran_on() {
    let ran = resnetc(&["bench", FASHION, "--batch", "3", "--threads", "2", "--runs", "5", "--format", "json"]).fine();
    let json: Value = serde_json::from_str(ran.out.lines().last().unwrap()).unwrap();
    assert_eq!((&json["runs"], &json["threads"], &json["batch"]), (&5.into(), &2.into(), &3.into()));
    assert!(["portable", "avx2", "avx512", "neon"].contains(&json["isa"].as_str().unwrap()));
    let (median, rate) = (json["median_ms"].as_f64().unwrap(), json["images_per_s"].as_f64().unwrap());
    assert!((rate * median - 3000.0).abs() < 1e-6 && json["min_ms"].as_f64().unwrap() <= median);
    if cfg!(target_os = "linux") {
        assert!(json["peak_rss_mb"].as_u64().unwrap() > 0);
    }
}
