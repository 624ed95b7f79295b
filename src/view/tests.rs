use std::fmt::Write;

use super::*;
use crate::driver::Frontend;
use crate::ir::Checked;

fn checked(text: &str) -> (Checked, Frontend) {
    let mut front = Frontend::text("net.resnet", text);
    let checked = front.check("net", &[]);
    (checked.unwrap_or_else(|| panic!("{:?}", front.diagnostics)), front)
}

fn model(text: &str) -> ViewModel {
    let (checked, front) = checked(text);
    ViewModel::new(&checked, "net.resnet", Some(&front.sources))
}

/// The groups as an indented tree with their nodes.
fn tree(model: &ViewModel) -> String {
    fn walk(model: &ViewModel, group: Option<usize>, depth: usize, out: &mut String) {
        // groups and nodes in the order of their first node
        let first = |of: usize| {
            let inside = |mut at: Option<usize>| {
                while let Some(group) = at {
                    if group == of {
                        return true;
                    }
                    at = model.groups[group].parent;
                }
                false
            };
            model.nodes.iter().position(|n| inside(n.group)).unwrap()
        };
        let groups = (0..model.groups.len()).filter(|&i| model.groups[i].parent == group).map(|i| (first(i), Some(i)));
        let nodes = (0..model.nodes.len()).filter(|&i| model.nodes[i].group == group).map(|i| (i, None));
        let mut children: Vec<(usize, Option<usize>)> = groups.chain(nodes).collect();
        children.sort_unstable();
        for (node, group) in children {
            let indent = "  ".repeat(depth);
            match group {
                Some(i) => {
                    let g = &model.groups[i];
                    let _ = writeln!(out, "{indent}{:?} `{}` of `{}` x {}", g.kind, g.name, g.unit, g.count);
                    walk(model, Some(i), depth + 1, out);
                }
                None => {
                    let _ = writeln!(out, "{indent}{}", model.nodes[node].name);
                }
            }
        }
    }
    let mut out = String::new();
    walk(model, None, 0, &mut out);
    out
}

const SMALL: &str = "resnet 1
use std.blocks: basic

network net {
  input 3 x 8 x 8
  stem {
    conv 3x3, filters: 4
    batchnorm
    relu
  }
  shortcut: projection
  stage layer1: 2 of basic { filters: 4 }
  stage layer2: 1 of basic { filters: double, map: halve }
  head {
    avgpool global
    linear 10
  }
}
";

#[test]
fn a_small_network_as_data() {
    let model = model(SMALL);
    let json = serde_json::to_value(&model).unwrap();
    let mut out = String::new();
    for key in ["name", "file", "totals", "texts", "outputs"] {
        let _ = writeln!(out, "{key}: {}", json[key]);
    }
    for key in ["places", "groups", "nodes"] {
        for (i, item) in json[key].as_array().unwrap().iter().enumerate() {
            // the positions of the standard blocks in their file may change
            if key == "places" && item["file"] != 0 {
                continue;
            }
            let _ = writeln!(out, "{key} {i}: {item}");
        }
    }
    insta::assert_snapshot!(out);
}

#[test]
fn every_node_has_its_source_line() {
    let model = model(SMALL);
    for node in &model.nodes {
        let Place { file, line, .. } = model.places[node.place.unwrap()];
        let text = model.sources[file].text.lines().nth(line - 1).unwrap();
        // a projection's layers come from its block, and a linear layer first flattens a feature map
        assert!(text.contains(&node.op) || (node.op == "flatten" && text.contains("linear")), "{} at {line}: {text}", node.name);
    }
    for (i, node) in model.nodes.iter().enumerate() {
        assert!(node.reads.iter().all(|&r| r < i), "{} reads a later node", node.name);
    }
}

#[test]
fn totals_match_the_summary() {
    let model = model(SMALL);
    assert_eq!(model.nodes.iter().map(|n| n.params).sum::<u64>(), model.totals.params);
    assert_eq!(model.nodes.iter().map(|n| n.macs).sum::<Option<u64>>(), model.totals.macs);
}

#[test]
fn groups_follow_the_source() {
    let text = "resnet 1
use std.blocks: squeeze

block unit(filters) {
  conv 1x1, filters
  relu
}

network net {
  input 3 x 8 x 8
  unit 4 as first
  sequential features {
    repeat 2 of unit { filters: 4 }
    maxpool 2x2, stride: 2
  }
  parallel concat {
    a { unit 4 }
    b {
      unit 4
      unit 8
    }
    c {
      maxpool 3x3, stride: 1
      unit 4
    }
  }
  squeeze 16, ratio: 4
}
";
    insta::assert_snapshot!(tree(&model(text)));
}

#[test]
fn a_graph_without_a_source_is_grouped_by_its_names() {
    let (checked, _) = checked(SMALL);
    let mut graph = crate::ir::Graph::default();
    let mut ids = std::collections::HashMap::new();
    for id in checked.graph().order() {
        let mut node = checked.graph().node(id).clone();
        node.origin.frame = None;
        let operands: Vec<crate::ir::Value> =
            checked.graph().operands(id).iter().map(|v| crate::ir::Value::from(ids[&v.node])).collect();
        ids.insert(id, graph.add(node, &operands));
    }
    let network = crate::ir::Network { graph, ..checked.network.clone() };
    let model = ViewModel::new(&Checked::new(network, checked.types.clone()), "net.rnx", None);
    assert!(model.places.is_empty() && model.sources.is_empty());
    assert!(model.nodes.iter().all(|n| n.place.is_none()));
    insta::assert_snapshot!(tree(&model));
}

#[test]
fn times_are_attributed_to_nodes() {
    let steps = [("conv1", 5.0), ("to blocks of channels", 1.0), ("layer2.0.conv2 + layer2.0.downsample.0", 7.0), ("fc", 2.0)];
    let steps = steps.map(|(name, us)| (name.to_owned(), "kernel".to_owned(), us));
    let model = model(SMALL).with_profile("quickly".to_owned(), 0.015, steps);
    let step = |name: &str| model.nodes.iter().find(|n| n.name == name).unwrap().step;
    // batch norm and activation after a convolution are computed with it, and so is the sum with the preceding path
    assert_eq!([step("conv1"), step("bn1"), step("relu1")], [Some(0); 3]);
    assert_eq!([step("layer2.0.conv2"), step("layer2.0.downsample.0"), step("layer2.0.bn2"), step("layer2.0.add")], [Some(2); 4]);
    assert_eq!(step("input"), None);
    let profile = model.profile.unwrap();
    assert_eq!(profile.steps[1].node, None);
    assert_eq!(profile.steps[2].node.map(|n| model.nodes[n].name.as_str()), Some("layer2.0.conv2"));
}

#[test]
fn several_outputs_and_free_sizes() {
    let text = "resnet 1

network net {
  input 3 x H x W
  conv 3x3, filters: 8 as c1
  conv 3x3, filters: 8, stride: 2 as c2
  output first from c1
}
";
    let model = model(text);
    let outputs: Vec<(&str, &str)> = model.outputs.iter().map(|(n, i)| (n.as_str(), model.nodes[*i].name.as_str())).collect();
    assert_eq!(outputs, [("output", "c2"), ("first", "c1")]);
    assert!(model.nodes[1].macs.is_none() && model.totals.macs.is_none());
    assert_eq!(model.texts[model.nodes[2].shape], "8 x ceil(H/2) x ceil(W/2)");
}
