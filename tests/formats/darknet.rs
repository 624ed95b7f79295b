//! Networks of Darknet: `tests/reference/darknet.py` computes them with PyTorch, and writes their weights as Darknet does.

#![cfg(feature = "cli")]

use std::path::Path;

use resnetc::internal::base::mmap::Bytes;
use resnetc::internal::decompile::{Options, decompile};
use resnetc::internal::formats::darknet;

use crate::any_layers;
use crate::layer_lists::{agrees, altered, fixture};

#[test]
fn networks_agree_with_pytorch() {
    let residual = agrees("darknet/residual", "cfg", "weights");
    insta::assert_snapshot!("darknet_residual", residual);
    let detector = agrees("darknet/detector", "cfg", "weights");
    insta::assert_snapshot!("darknet_detector", detector);
}

/// An input of 3 x 8 x 8, and these sections from the fifth line on.
fn with(sections: &str) -> String {
    format!("[net]\nwidth=8\nheight=8\nchannels=3\n{sections}")
}

#[test]
fn problems_name_the_line_and_the_layer() {
    for (text, words) in [
        (with("[convolutional]\nfilters=x\n"), "line 5, layer 0 `[convolutional]`: its `filters` is `x`"),
        (with("[convolutional]\nactivation=stair\n"), "its activation `stair` is not supported"),
        (with("[convolutional]\ngroups=2\nfilters=2"), "its 2 groups do not divide 3 channels"),
        (with("[convolutional]\nsize=99\n"), "line 5"),
        (with("[convolutional]\nxnor=1\n"), "its `xnor` is not supported"),
        (with("[convolutional]\nstride=0\n"), "its `stride` is 0"),
        (with("[shortcut]\nfrom=-1"), "its `from` names a layer, but it is the first"),
        (with("[dropout]\n[shortcut]\nfrom=-9"), "only layers before it, 0 to 0, can be read"),
        (with("[dropout]\n[route]\nlayers=0,1"), "names layer 1, but only layers before it"),
        (with("[dropout]\n[route]\nlayers="), "it has no `layers`"),
        (with("[maxpool]\nsize=3\nstride=2\n[shortcut]\nfrom=0\n[shortcut]\nfrom=-9"), "layer 2 `[shortcut]`"),
        (with("[maxpool]\nsize=30\npadding=0\n"), "its window is larger than 3 x 8 x 8"),
        (with("[softmax]\ngroups=2"), "it normalizes groups of features on their own"),
        (with("[reorg]\nstride=3"), "its stride 3 does not divide 3 x 8 x 8"),
        (with("[lstm]\noutput=4"), "layer 0 `[lstm]`: the language has no equivalent operator"),
        (with("[net]"), "a file describes one network"),
        (with("[convolutional]\nfilters 3\n"), "line 6, column 9: expected `=`"),
        (with(""), "the file describes no network"),
        ("[convolutional]\n".to_owned(), "line 1, column 1: the first section must be `[net]`"),
        ("[net]\nwidth=8\n".to_owned(), "`[net]` does not state the `channels`"),
        (String::new(), "the first section must be `[net]`"),
    ] {
        let found = darknet::read(text.as_bytes(), None).map(|_| ()).unwrap_err().to_string();
        assert!(found.contains(words), "{text}: {found}");
    }
}

/// The layers of Darknet-53, a few of them: a stem, and stages whose first layer reduces the feature map.
#[test]
fn layers_before_stages_are_a_block_of_their_own() {
    let conv = |filters: usize, size: usize, stride: usize| {
        format!("[convolutional]\nbatch_normalize=1\nfilters={filters}\nsize={size}\nstride={stride}\npad=1\nactivation=leaky\n")
    };
    let mut text = format!("[net]\nwidth=32\nheight=32\nchannels=3\n{}", conv(4, 3, 1));
    for (filters, depth) in [(8, 2), (16, 6), (32, 6)] {
        text += &conv(filters, 3, 2);
        for _ in 0..depth {
            text += &format!("{}{}[shortcut]\nfrom=-3\nactivation=linear\n", conv(filters / 2, 1, 1), conv(filters, 3, 1));
        }
    }
    text += "[avgpool]\n";
    let found = darknet::read(text.as_bytes(), None).unwrap();
    let options = Options { network: "net".to_owned(), doc: None, classes: false, keep_names: false };
    let source = decompile(&found.graph, &options).unwrap().source;
    let body: Vec<&str> = source.lines().map(str::trim).skip_while(|line| *line != "stem {").filter(|l| !l.is_empty()).collect();
    assert_eq!(
        body[..11],
        [
            "stem {",
            "conv 3x3, filters: 4",
            "batchnorm momentum: 0.01",
            "leaky_relu negative_slope: 0.1",
            "}",
            "down filters: 8 as down1",
            "stage layer1: 2 of pair { filters: 4 }",
            "down filters: 16 as down2",
            "stage layer2: 6 of pair { filters: double, allow doubling }",
            "down filters: 32 as down3",
            "stage layer3: 6 of pair { filters: double, allow doubling }",
        ],
        "{source}"
    );
    // a stem of several layers alike is no stage
    let text = text.replacen(&conv(8, 3, 2), &format!("{}{}", conv(4, 3, 1), conv(8, 3, 2)), 1);
    let found = darknet::read(text.as_bytes(), None).unwrap();
    let source = decompile(&found.graph, &options).unwrap().source;
    assert_eq!(source.matches("stage ").count(), 3, "{source}");
}

#[test]
fn a_crop_is_preprocessing() {
    let text = with("[crop]\ncrop_width=6\ncrop_height=6\n[avgpool]\n");
    let found = darknet::read(text.as_bytes(), None).unwrap();
    let how = found.preprocess.unwrap();
    assert_eq!((how.resize, how.crop, how.mean, how.std), (Some(8), Some([6, 6]), vec![0.5; 3], vec![0.5; 3]));
}

#[test]
fn weights_must_fit() {
    let text = std::fs::read(fixture("darknet/residual.cfg")).unwrap();
    let weights = std::fs::read(fixture("darknet/residual.weights")).unwrap();
    let read = |weights: Vec<u8>| darknet::read(&text, Some((Path::new("w.weights"), &weights.into())));
    assert!(
        read(weights[..weights.len() - 1].to_vec()).unwrap_err().to_string().contains("`w.weights`: the file ends in a tensor")
    );
    assert!(read(weights[..9].to_vec()).unwrap_err().to_string().contains("the file has no header"));
    let more = read([&weights[..], &[0; 4]].concat()).unwrap();
    assert!(more.notes.iter().any(|note| note.contains("4 more bytes")), "{:?}", more.notes);
}

#[test]
fn altered_files_do_not_panic() {
    for name in ["residual", "detector"] {
        let text = std::fs::read(fixture(&format!("darknet/{name}.cfg"))).unwrap();
        let weights = std::fs::read(fixture(&format!("darknet/{name}.weights"))).unwrap();
        let path = Path::new("w.weights");
        let whole = Bytes::from(weights.clone());
        for text in altered(&text, 300) {
            let _ = darknet::read(&text, Some((path, &whole)));
            any_layers::cfg(&text);
        }
        for weights in altered(&weights, 20) {
            let _ = darknet::read(&text, Some((path, &weights.into())));
        }
    }
}
