//! `resnetc view`.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::command::{arg, resnetc};
use serde_json::Value;

const FASHION: &str = "models/fashion.resnet";

/// The data that a page was written with.
fn data(page: &str) -> Value {
    let start = page.find("id=\"data\">").unwrap() + "id=\"data\">".len();
    serde_json::from_str(&page[start..start + page[start..].find("</script>").unwrap()]).unwrap()
}

fn names(data: &Value) -> Vec<String> {
    data["nodes"].as_array().unwrap().iter().map(|n| n["name"].as_str().unwrap().to_owned()).collect()
}

/// The names of `resnetc summary`.
fn summary(file: &str, network: &str) -> Vec<String> {
    let ran = resnetc(&["summary", file, "--network", network, "--format", "json"]).fine();
    let json: Value = serde_json::from_str(ran.out.trim()).unwrap();
    json["rows"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_page_holds_every_layer_and_fetches_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("page.html");
    for (file, network) in [("models/resnet.resnet", "resnet50"), ("models/cifar.resnet", "resnet1202")] {
        let ran = resnetc(&["view", file, "--network", network, "-o", arg(&page)]).fine();
        assert!(ran.out.starts_with("wrote ") && ran.out.contains(network), "{}", ran.out);
        let text = fs::read_to_string(&page).unwrap();
        assert_eq!(names(&data(&text)), summary(file, network));
        assert!(text.contains("default-src 'none'") && text.contains("connect-src 'none'"));
        // the one address is the name of SVG
        assert_eq!(text.replace("http://www.w3.org/2000/svg", "").matches("://").count(), 0);
        for load in ["src=", "@import", "url(", "href=\"http"] {
            assert!(!text.contains(load), "{load}");
        }
        assert!(text.len() < 1_000_000, "{}", text.len());
    }
}

#[test]
fn a_page_is_the_same_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a.html"), dir.path().join("b.html"));
    for page in [&a, &b] {
        resnetc(&["view", FASHION, "-o", arg(page)]).fine();
    }
    assert!(fs::read(&a).unwrap() == fs::read(&b).unwrap());
}

#[test]
fn names_of_a_source_stay_text() {
    let dir = tempfile::tempdir().unwrap();
    let (source, page) = (dir.path().join("net.resnet"), dir.path().join("page.html"));
    let evil = "resnet 1\n\n// </script><script>alert(1)</script>\nnetwork net {\n  input 4\n  linear 2\n  labels [\"<img src=x>\", \"<!--\"]\n}\n";
    fs::write(&source, evil).unwrap();
    resnetc(&["view", arg(&source), "-o", arg(&page)]).fine();
    let text = fs::read_to_string(&page).unwrap();
    assert!(!text.contains("<script>alert") && !text.contains("<img"), "{text}");
    assert_eq!(data(&text)["sources"][0]["text"], evil);
}

#[test]
fn an_artifact_shows_its_lines_where_its_source_tells_them() {
    let dir = tempfile::tempdir().unwrap();
    let (rnx, page) = (dir.path().join("net.rnx"), dir.path().join("page.html"));
    let source = dir.path().join("closed.resnet");
    let text =
        "resnet 1\nuse std.blocks: basic\nnetwork net {\n  input 4 x 8 x 8\n  stage layer1: 2 of basic { filters: 4 }\n}\n";
    fs::write(&source, text).unwrap();
    resnetc(&["compile", arg(&source), "--weights", "init", "-o", arg(&rnx), "--no-packed-weights"]).fine();
    resnetc(&["view", arg(&rnx), "-o", arg(&page)]).fine();
    let of_artifact = data(&fs::read_to_string(&page).unwrap());
    resnetc(&["view", arg(&source), "-o", arg(&page)]).fine();
    let of_source = data(&fs::read_to_string(&page).unwrap());
    for key in ["nodes", "groups", "totals", "places"] {
        assert_eq!(of_artifact[key], of_source[key], "{key}");
    }
    assert_eq!(of_artifact["places"].as_array().map(Vec::len), Some(9));
    // lines of other files; names of classes and the mean of each pixel, in files that are gone
    let (blocks, user) = (dir.path().join("blocks.resnet"), dir.path().join("user.resnet"));
    fs::write(&blocks, "resnet 1\n\nblock act() {\n  relu\n}\n").unwrap();
    fs::write(dir.path().join("labels.txt"), "a\nb\nc\n").unwrap();
    let mean = ndarray::ArrayD::<f32>::from_elem(vec![3, 8, 8], 0.5);
    resnetc::internal::formats::npy::write(&dir.path().join("mean.npy"), &mean.view()).unwrap();
    let text = "resnet 1\nuse \"blocks.resnet\": act\nnetwork user {\n  input 3 x 8 x 8\n  labels \"labels.txt\"\n  preprocess { mean: \"mean.npy\" }\n  act\n  avgpool global\n}\n";
    fs::write(&user, text).unwrap();
    resnetc(&["compile", arg(&user), "--weights", "init", "-o", arg(&rnx), "--no-packed-weights"]).fine();
    fs::remove_file(&blocks).unwrap();
    fs::remove_file(dir.path().join("labels.txt")).unwrap();
    fs::remove_file(dir.path().join("mean.npy")).unwrap();
    resnetc(&["view", arg(&rnx), "-o", arg(&page)]).fine();
    let two = data(&fs::read_to_string(&page).unwrap());
    assert!(two["sources"][1]["name"].as_str().unwrap().ends_with("blocks.resnet"));
    assert_eq!(two["nodes"][1]["place"], 2);
    assert_eq!(two["places"][2], serde_json::json!({ "file": 1, "line": 4, "end": 4 }));
    // a network with open parameters cannot be compiled again: its layers stand in groups all the same
    let source = dir.path().join("open.resnet");
    let text =
        "resnet 1\nuse std.blocks: basic\nnetwork net(n) {\n  input 4 x 8 x 8\n  stage layer1: n of basic { filters: 4 }\n}\n";
    fs::write(&source, text).unwrap();
    resnetc(&["compile", arg(&source), "--set", "n=2", "--weights", "init", "-o", arg(&rnx), "--no-packed-weights"]).fine();
    resnetc(&["view", arg(&rnx), "-o", arg(&page)]).fine();
    let open = data(&fs::read_to_string(&page).unwrap());
    assert_eq!(open["groups"][1]["name"], "0");
    assert!(open["places"].as_array().unwrap().is_empty());
    assert_eq!(open["sources"][0]["text"], text);
    assert_eq!(resnetc(&["view", arg(&rnx), "--network", "net", "-o", arg(&page)]).code, 2);
}

#[test]
fn an_onnx_file_stands_beside_its_source() {
    let dir = tempfile::tempdir().unwrap();
    let (onnx, page) = (dir.path().join("net.onnx"), dir.path().join("page.html"));
    resnetc(&["export", "onnx", FASHION, "-o", arg(&onnx)]).fine();
    resnetc(&["view", arg(&onnx), "-o", arg(&page)]).fine();
    let data = data(&fs::read_to_string(&page).unwrap());
    assert!(data["sources"][0]["text"].as_str().unwrap().contains("stage layer1: 3 of basic"), "{data}");
    assert!(names(&data).contains(&"layer2.1.conv2".to_owned()));
    fs::write(&onnx, "no protobuf").unwrap();
    resnetc(&["view", arg(&onnx), "-o", arg(&page)]).refused("net.onnx");
    assert_eq!(resnetc(&["view", arg(&onnx), "--profile"]).code, 2);
}

#[test]
fn a_profile_says_where_time_goes() {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("page.html");
    resnetc(&["view", FASHION, "--profile", "--runs", "2", "--threads", "1", "-o", arg(&page)]).fine();
    let data = data(&fs::read_to_string(&page).unwrap());
    let steps = data["profile"]["steps"].as_array().unwrap();
    assert!(data["profile"]["median_ms"].as_f64().unwrap() > 0.0);
    let nodes = data["nodes"].as_array().unwrap();
    for node in nodes.iter().filter(|n| n["op"] == "conv") {
        let step = &steps[node["step"].as_u64().unwrap() as usize];
        assert!(step["us"].as_f64().unwrap() > 0.0 && step["name"].as_str().unwrap().contains(node["name"].as_str().unwrap()));
    }
    assert!(
        nodes.iter().filter(|n| n["op"] == "batchnorm").all(|n| n["step"].is_u64()),
        "norms are folded into their convolutions"
    );
}

#[test]
fn what_cannot_be_viewed_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("net.resnet");
    fs::write(&source, "resnet 1\nnetwork net {\n  input 4\n  linar 2\n}\n").unwrap();
    resnetc(&["view", arg(&source)]).refused("did you mean `linear`?");
    resnetc(&["view", "models/none.resnet"]).refused("cannot read models/none.resnet");
    resnetc(&["view", "models/cifar.resnet"]).refused("name one with --network");
    resnetc(&["view", FASHION, "-o", arg(&dir.path().join("no/page.html"))]).refused("cannot write");
    for usage in [&["--watch", "--profile"][..], &["--watch", "-o", "x.html"], &["--port", "1"], &["--threads", "2"]] {
        assert_eq!(resnetc(&[&["view", FASHION], usage].concat()).code, 2, "{usage:?}");
    }
}

/// A command that serves, ended with the test.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn new(file: &Path) -> Served {
        let mut child = Command::new(env!("CARGO_BIN_EXE_resnetc"))
            .args(["view", arg(file), "--watch"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
        assert!(address.starts_with("127.0.0.1:"), "{line}");
        Served { child, address }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// The data, once they are as they should be.
    fn until(&self, holds: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let data: Value = serde_json::from_str(&self.get("/data")).unwrap();
            if holds(&data) {
                return data;
            }
            assert!(Instant::now() < end, "{data}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_watched_source_is_shown_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (net, part) = (dir.path().join("net.resnet"), dir.path().join("part.resnet"));
    fs::write(&net, "resnet 1\nuse \"part.resnet\": part\nnetwork net {\n  input 4\n  part 3\n}\n").unwrap();
    fs::write(&part, "resnet 1\nblock part(n) {\n  linear n\n}\n").unwrap();
    let served = Served::new(&net);
    assert_eq!(names(&served.until(|d| d["error"].is_null())), ["input", "fc"]);
    assert!(served.get("/").contains("<!doctype html>"));
    // a file that it uses
    fs::write(&part, "resnet 1\nblock part(n) {\n  linear n\n  relu\n}\n").unwrap();
    assert_eq!(names(&served.until(|d| d["nodes"].as_array().is_some_and(|n| n.len() == 3))), ["input", "fc", "relu1"]);
    // an error, and back
    fs::write(&part, "resnet 1\nblock part(n) {\n  linar n\n}\n").unwrap();
    let broken = served.until(|d| d["error"].is_string());
    assert!(broken["error"].as_str().unwrap().contains("linar") && broken["nodes"].is_null(), "{broken}");
    fs::write(&part, "resnet 1\nblock part(n) {\n  linear 2 * n\n}\n").unwrap();
    assert_eq!(served.until(|d| d["error"].is_null())["totals"]["params"], 30);
    // a file that goes away, and comes again
    fs::remove_file(&part).unwrap();
    served.until(|d| d["error"].is_string());
    fs::write(&part, "resnet 1\nblock part(n) {\n  linear n\n}\n").unwrap();
    assert_eq!(served.until(|d| d["error"].is_null())["totals"]["params"], 15);
}

/// A browser that draws pages, where there is one.
fn chromium(test: &str) -> Option<&'static str> {
    let found = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok_and(|ran| ran.status.success()));
    if found.is_none() {
        // not by a macro, whose output a passing test would swallow
        let line = format!("{test}: skipped, there is no chromium\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    found
}

#[test]
fn a_browser_draws_the_page() {
    let Some(chromium) = chromium("a_browser_draws_the_page") else { return };
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("page.html");
    resnetc(&["view", "tests/cases/ok/inception.resnet", "-o", arg(&page)]).fine();
    let profile = format!("--user-data-dir={}", arg(&dir.path().join("profile")));
    let ran = Command::new(chromium)
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", &profile])
        .args(["--virtual-time-budget=5000", "--timeout=30000", "--enable-logging=stderr"])
        .args(["--dump-dom", &format!("file://{}", arg(&page))])
        .output()
        .unwrap();
    let (dom, log) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(!log.contains("Uncaught") && !log.contains("Content Security Policy"), "{log}");
    assert!(dom.contains("<title>net</title>"), "{dom}");
    // a box for each layer and each branch, and the lines between them
    for text in ["conv 1x1, 4", "conv 5x5, 6", "branch1", "branch2", "concat", "10×32×32"] {
        assert!(dom.contains(&format!(">{text}</span>")), "{text}: {dom}");
    }
    assert_eq!(dom.matches("role=\"treeitem\"").count(), 7, "{dom}");
    assert!(dom.matches("class=\"wire").count() >= 6, "{dom}");
}
