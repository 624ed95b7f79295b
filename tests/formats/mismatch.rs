//! What is said about a checkpoint that does not fit: other names, biases, shapes, types.

use resnetc::internal::base::tensor::{DType, Tensor};
use resnetc::internal::driver::Frontend;
use resnetc::internal::formats::{Tensors, weights};
use resnetc::internal::ir::{Checked, ParamSource};

fn checked(body: &str) -> Checked {
    let mut front = Frontend::text("net.resnet", &format!("resnet 1\n{UNIT}\nnetwork net {{\n  input 4 x 4 x 4\n{body}\n}}\n"));
    front.check("net", &[]).unwrap_or_else(|| panic!("{:?}", front.diagnostics))
}

fn ones(shape: &[usize]) -> Tensor {
    Tensor::from_f32(shape.to_vec(), vec![1.0; shape.iter().product()]).unwrap()
}

/// The tensors that a network needs, with other names.
fn file(net: &Checked, rename: &dyn Fn(&str) -> String) -> Vec<(String, Tensor)> {
    let params = net.graph().ids().flat_map(|id| &net.graph().node(id).params);
    let named = params.filter_map(|param| match &param.source {
        ParamSource::Named(name) => Some((rename(name), ones(&param.shape))),
        _ => None,
    });
    named.collect()
}

/// Each diagnostic on a line: code, message, notes and helps.
fn report(net: &Checked, tensors: Vec<(String, Tensor)>) -> String {
    let Err(report) = weights::bind(net, &Tensors::new("w", tensors)) else { return String::new() };
    let line = |d: &resnetc::internal::base::diagnostic::Diagnostic| {
        let helps: Vec<&str> = d.helps.iter().map(|help| help.text.as_str()).collect();
        format!("{} {}\n{}\n{}\n", d.code.0, d.message, d.notes.join("\n"), helps.join("\n"))
    };
    report.diagnostics.iter().map(line).collect()
}

const UNIT: &str = "block unit() { conv 1x1, filters: 4 as fc1\nbatchnorm as bn }";
const BLOCKS: &str = "repeat blocks: 3 of unit\navgpool global\nsequential classifier { linear 4\nrelu\nlinear 2 }";

#[test]
fn options_are_proposed_where_order_and_sizes_fit() {
    let net = checked(BLOCKS);
    let said = |rename: &dyn Fn(&str) -> String| report(&net, file(&net, rename));
    for (from, to, option) in [("blocks", "4", "4=blocks"), ("classifier.2", "classifier.2.1", "classifier.2.1=classifier.2")] {
        let rename = |name: &str| name.replacen(from, to, 1);
        assert!(said(&rename).contains(&format!("`--rename {option}`")), "{}", said(&rename));
        // as in the file, where the prefix of a wrapper is before it
        let wrapped = said(&|name| format!("module.{}", rename(name)));
        assert!(wrapped.contains(&format!("`--rename module.{}`", option.replace('=', "=module."))), "{wrapped}");
    }
    // in the order of numbers, not of letters
    let numbered = said(&|name| name.replacen("blocks.0", "9", 1).replacen("blocks.1", "10", 1).replacen("blocks.2", "11", 1));
    assert!(numbered.contains("--rename 9=blocks.0 --rename 10=blocks.1 --rename 11=blocks.2`"), "{numbered}");
    // names without an order leave several ways
    let lettered = said(&|name| name.replacen("blocks.0", "u", 1).replacen("blocks.1", "v", 1).replacen("blocks.2", "w", 1));
    assert!(lettered.contains("E0508") && !lettered.contains("--rename"), "{lettered}");
    // a tensor of another size
    let mut other = file(&net, &|name| name.replacen("blocks", "4", 1));
    other[0].1 = ones(&[4, 5, 1, 1]);
    assert!(!report(&net, other).contains("--rename"));
}

#[test]
fn renamed_layers_are_pairs() {
    let net = checked(BLOCKS);
    assert_eq!(report(&net, file(&net, &str::to_owned)), "");
    let only = |rename: &dyn Fn(&str) -> String, words: &[&str]| {
        let text = report(&net, file(&net, rename));
        assert!(text.starts_with("E0508") && text.matches("E05").count() == 1, "{text}");
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };
    only(
        &|name| name.replace("fc1", "gate.fc1"),
        &["3 tensors differ only by `gate.` in the checkpoint's names: `blocks.0.gate.fc1` there"],
    );
    only(
        &|name| name.replace("fc1", "conv_reduce"),
        &["`conv_reduce` there is `fc1` here (3 tensors): `blocks.0.conv_reduce` there"],
    );
    only(
        &|name| name.replace("classifier.2", "classifier.3"),
        &["`classifier.3` there is `classifier.2` here (2 tensors)", "`dropout`"],
    );
    only(&|name| format!("x_{name}"), &["19 tensors of the checkpoint have other names"]);
    // a layer of another shape is not the same
    let mut other = file(&net, &str::to_owned);
    other.retain(|(name, _)| !name.starts_with("classifier.2"));
    other.push(("classifier.3.weight".to_owned(), ones(&[7, 4])));
    let text = report(&net, other);
    assert!(text.contains("E0506") && text.contains("E0507") && !text.contains("E0508"), "{text}");
}

#[test]
fn biases_are_found_at_their_layers() {
    let net = checked("conv 1x1, filters: 4 as conv1\nconv 1x1, filters: 4, bias: true as conv2");
    let mut tensors = file(&net, &str::to_owned);
    tensors.push(("conv1.bias".to_owned(), ones(&[4])));
    tensors.retain(|(name, _)| name != "conv2.bias");
    let text = report(&net, tensors);
    for words in
        ["E0507 `w` has biases that the network does not: `conv1.bias`", "`bias: true`", "E0506", "`conv2.bias`", "`bias: false`"]
    {
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn shapes_are_shown_by_stage() {
    let net = checked(BLOCKS);
    let mut tensors = file(&net, &str::to_owned);
    for (name, tensor) in &mut tensors {
        if name == "blocks.1.fc1.weight" {
            *tensor = ones(&[8, 4, 1, 1]);
        }
    }
    let text = report(&net, tensors.clone());
    assert!(
        text.contains(
            "E0505 `w` has a tensor of another shape: `blocks.1.fc1.weight` is 8 x 4 x 1 x 1 there and 4 x 4 x 1 x 1 here"
        ),
        "{text}"
    );
    for (name, tensor) in &mut tensors {
        if name.starts_with("blocks.") {
            *tensor = ones(&[9, 4, 1, 1]);
        }
    }
    let text = report(&net, tensors);
    assert!(text.contains("has 15 tensors of other shapes") && text.contains("and 12 more"), "{text}");
}

#[test]
fn prefixes_are_dropped_if_more_names_fit() {
    let net = checked(BLOCKS);
    let fits = |tensors: Vec<(String, Tensor)>| {
        let bound = weights::bind_noting(&net, &Tensors::new("w", tensors)).unwrap_or_else(|report| panic!("{report}"));
        assert_eq!(bound.params.iter().count(), 19);
        bound.notes.join("\n")
    };
    for prefix in ["module.", "_orig_mod.", "encoder.q.", "module._orig_mod.model.", "a.b.c."] {
        assert!(fits(file(&net, &|name| format!("{prefix}{name}"))).contains(&format!("begin with `{prefix}`")));
    }
    let mut beside = file(&net, &|name| format!("backbone.{name}"));
    beside.extend([("neck.conv.weight".to_owned(), ones(&[3])), ("head.fc.weight".to_owned(), ones(&[3]))]);
    assert!(fits(beside).contains("`backbone.`, which is dropped; not used: `head.fc.weight`, `neck.conv.weight`"));
    // beside the prefix of a network that lacks a layer, too, unless it may be that layer under another name
    let mut lacking: Vec<_> = file(&net, &|name| format!("backbone.{name}"));
    lacking.retain(|(name, _)| name != "backbone.classifier.2.bias");
    lacking.extend([("neck.conv.weight".to_owned(), ones(&[3])), ("head.fc.weight".to_owned(), ones(&[3]))]);
    let text = report(&net, lacking.clone());
    assert!(text.contains("E0506") && text.contains("`classifier.2.bias`") && !text.contains("E0507"), "{text}");
    assert!(text.contains("`backbone.`, which is dropped; not used: `head.fc.weight`, `neck.conv.weight`"), "{text}");
    lacking.push(("backbone.more.weight".to_owned(), ones(&[3])));
    let text = report(&net, lacking);
    assert!(text.contains("E0507") && text.contains("`more.weight`") && text.contains("not used: `head.fc.weight`"), "{text}");
    // a part of the network beside the prefix, with a part of the prefix
    fits(file(&net, &|name| {
        if name.starts_with("classifier") { format!("model.{name}") } else { format!("model.backbone.{name}") }
    }));
    // no prefix where the plain names fit as well
    let mut both = file(&net, &str::to_owned);
    both.extend(file(&net, &|name| format!("ema.{name}")));
    assert!(report(&net, both).contains("E0507"));
    let several = ["q.", "k."].iter().flat_map(|prefix| file(&net, &|name| format!("{prefix}{name}"))).collect();
    let text = report(&net, several);
    assert!(text.contains("E0508") && text.contains("under `k.`, `q.`") && text.contains("`w#k`"), "{text}");
}

#[test]
fn a_quantized_network_is_called_one() {
    let net = checked(BLOCKS);
    let mut tensors = file(&net, &str::to_owned);
    tensors[0].1 = Tensor::from_bytes(vec![4, 4, 1, 1], DType::I8, vec![1; 16].into()).unwrap();
    let text = report(&net, tensors);
    assert!(
        text.contains("E0509 `w` has integers for weights: `blocks.0.fc1.weight`") && text.contains("before it was quantized"),
        "{text}"
    );
    let mut packed = file(&net, &str::to_owned);
    packed.retain(|(name, _)| !name.starts_with("classifier.2"));
    packed.push(("classifier.2.zero_point".to_owned(), ones(&[])));
    let text = report(&net, packed);
    assert!(text.contains("E0509 `w` has the weights of a quantized network") && text.matches("E05").count() == 1, "{text}");
}
