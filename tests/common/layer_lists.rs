//! What must hold for any bytes as a network of Caffe or Darknet: they are refused, or become a graph that has a source. The fuzz
//! targets `prototxt` and `cfg` and the tests on altered files call this.

use resnetc::internal::decompile::{Options, decompile};
use resnetc::internal::formats::layer_list::ImportedLayers;
use resnetc::internal::formats::{caffe, darknet};

/// Larger graphs are not decompiled, to try more files.
const MAX_NODES: usize = 60;

/// The text of a `.prototxt`.
pub fn prototxt(bytes: &[u8]) {
    if let Ok(found) = caffe::read(bytes, None) {
        has_source(&found);
    }
}

/// The text of a `.cfg`.
pub fn cfg(bytes: &[u8]) {
    if let Ok(found) = darknet::read(bytes, None) {
        has_source(&found);
    }
}

fn has_source(found: &ImportedLayers) {
    if found.graph.len() <= MAX_NODES {
        let _ = decompile(&found.graph, &Options { network: "net".to_owned(), doc: None, classes: false, keep_names: false });
    }
}
