//! Which layers read a value. Layers in place give a name to several values, one after the other.

use std::collections::HashMap;

use super::net::Layer;

/// How often each result of each layer is read.
pub(super) struct Wiring {
    reads: Vec<Vec<usize>>,
    /// The results that nothing reads, in the order of the layers: the outputs of the network.
    pub outputs: Vec<(usize, usize)>,
}

impl Wiring {
    pub fn of(layers: &[Layer<'_>]) -> Wiring {
        let mut reads: Vec<Vec<usize>> = layers.iter().map(|layer| vec![0; layer.tops.len()]).collect();
        let mut current: HashMap<&str, (usize, usize)> = HashMap::new();
        for (index, layer) in layers.iter().enumerate() {
            for bottom in &layer.bottoms {
                if let Some(&(from, top)) = current.get(bottom) {
                    reads[from][top] += 1;
                }
            }
            current.extend(layer.tops.iter().enumerate().map(|(top, name)| (*name, (index, top))));
        }
        let all =
            reads.iter().enumerate().flat_map(|(layer, tops)| tops.iter().enumerate().map(move |(top, n)| (layer, top, *n)));
        let outputs = all.filter(|(_, _, reads)| *reads == 0).map(|(layer, top, _)| (layer, top)).collect();
        Wiring { reads, outputs }
    }

    /// Whether one layer reads a result.
    pub fn is_read_once(&self, layer: usize, top: usize) -> bool {
        self.reads.get(layer).and_then(|tops| tops.get(top)) == Some(&1)
    }
}
