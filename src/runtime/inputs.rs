//! Checks named inputs against the network's declarations.

use ndarray::ArrayViewD;

use super::error::RunError;
use crate::ir::{Axis, Dim, Op, Shape, ShapedNetwork};

/// The inputs of a run, in declaration order.
#[derive(Debug)]
pub(crate) struct Matched {
    /// For each declared input, the index of the given input.
    pub order: Vec<usize>,
    /// Number of samples.
    pub batch: usize,
    /// Values of the free axes H and W, if the network has any.
    pub size: [Option<usize>; 2],
}

/// Matches inputs by name and checks ranks and sizes.
pub(crate) fn matched(network: &ShapedNetwork, given: &[(&str, ArrayViewD<'_, f32>)]) -> Result<Matched, RunError> {
    let graph = network.graph();
    let declared: Vec<(&str, &Shape)> = graph
        .inputs()
        .iter()
        .filter_map(|&id| match &graph.node(id).op {
            Op::Input(shape) => Some((graph.node(id).name.as_str(), shape)),
            _ => None,
        })
        .collect();
    for (i, (name, _)) in given.iter().enumerate() {
        if !declared.iter().any(|(d, _)| d == name) {
            let known = declared.iter().map(|(d, _)| format!("`{d}`")).collect::<Vec<_>>().join(", ");
            return Err(RunError::UnknownInput { name: (*name).to_owned(), known });
        }
        if given.iter().take(i).any(|(other, _)| other == name) {
            return Err(RunError::RepeatedInput { name: (*name).to_owned() });
        }
    }
    let mut found = Matched { order: Vec::with_capacity(declared.len()), batch: 0, size: [None; 2] };
    for (name, shape) in declared {
        let position = given.iter().position(|(g, _)| *g == name);
        let position = position.ok_or_else(|| RunError::MissingInput { name: name.to_owned() })?;
        found.fit(name, &network.declared_shape(shape), given[position].1.shape())?;
        found.order.push(position);
    }
    Ok(found)
}

impl Matched {
    fn fit(&mut self, name: &str, declared: &Shape, got: &[usize]) -> Result<(), RunError> {
        let mismatch = || RunError::InputShape {
            name: name.to_owned(),
            expected: format!("batch x {declared}"),
            got: if got.is_empty() { "a scalar".to_owned() } else { sizes(got) },
        };
        let dims = declared.dims().ok_or_else(|| RunError::Internal(format!("the input `{name}` has no shape")))?;
        let Some((&batch, rest)) = got.split_first() else { return Err(mismatch()) };
        if rest.len() != dims.len() {
            return Err(mismatch());
        }
        if batch == 0 {
            return Err(RunError::EmptyBatch { name: name.to_owned() });
        }
        if self.batch != 0 && self.batch != batch {
            return Err(RunError::Disagree { what: "batch", first: self.batch, second: batch });
        }
        self.batch = batch;
        for (&dim, &n) in dims.iter().zip(rest) {
            match dim {
                Dim::Fixed(d) if d == n => {}
                Dim::Fixed(_) => return Err(mismatch()),
                // the dimension of an input is the free axis itself, without an offset or a scale
                Dim::Free { axis, .. } => {
                    let slot = &mut self.size[usize::from(axis == Axis::W)];
                    match *slot {
                        Some(first) if first != n => {
                            let what = if axis == Axis::H { "H" } else { "W" };
                            return Err(RunError::Disagree { what, first, second: n });
                        }
                        _ if n == 0 => return Err(mismatch()),
                        _ => *slot = Some(n),
                    }
                }
            }
        }
        Ok(())
    }
}

/// `8 x 3 x 224 x 224`.
pub(crate) fn sizes(list: &[usize]) -> String {
    list.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ")
}
